"""A function folder becomes one file and its bytecode, through the Makefile that SAM calls."""

import os
import subprocess
from pathlib import Path

import pytest
from selfheal_build import layers
from selfheal_build.errors import BuildError

ROOT = Path(__file__).parents[2]


def test_one_module_is_built_and_litter_is_not(tmp_path: Path) -> None:
    source = tmp_path / "roll_back_alias"
    (source / "__pycache__").mkdir(parents=True)
    (source / "__pycache__" / "app.cpython-39.pyc").touch()
    (source / "app.py").write_text("HERE = True\n")
    (source / "notes.md").touch()
    layers.build_function(source, tmp_path / "out")
    built = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "app.py" in built
    assert built - {"app.py"} <= {"app.cpython-313.pyc"}


@pytest.mark.parametrize(("modules", "said"), [((), "none"), (("app.py", "more.py"), "more.py")])
def test_a_function_of_none_or_several_modules_is_refused(tmp_path: Path, modules: tuple[str, ...], said: str) -> None:
    for name in modules:
        (tmp_path / name).touch()
    with pytest.raises(BuildError, match=said):
        layers.build_function(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_makefile_builds_any_logical_id_from_a_copy_of_the_folder(tmp_path: Path) -> None:
    copy, out = tmp_path / "copy", tmp_path / "out"
    copy.mkdir()
    (copy / "app.py").write_text("HERE = True\n")
    subprocess.run(
        ["make", "--makefile", str(ROOT / "layers" / "build" / "Makefile"), "build-RollBackAlias"],
        cwd=copy,
        env={**os.environ, "ARTIFACTS_DIR": str(out), "SELFHEAL_PYTHON313": ""},
        capture_output=True,
        check=True,
    )
    assert (out / "app.py").read_text() == "HERE = True\n"


def test_the_makefile_names_the_function_that_fails(tmp_path: Path) -> None:
    run = subprocess.run(
        ["make", "--makefile", str(ROOT / "layers" / "build" / "Makefile"), "build-RollBackAlias"],
        cwd=tmp_path,
        env={**os.environ, "ARTIFACTS_DIR": str(tmp_path / "out"), "SELFHEAL_PYTHON313": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "error: RollBackAlias: BuildError: a function is one file" in run.stderr


def test_the_makefile_says_what_is_missing_before_setup(tmp_path: Path) -> None:
    build = tmp_path / "layers" / "build"
    build.mkdir(parents=True)
    for name in ("Makefile", "sam.mk"):
        (build / name).write_text((ROOT / "layers" / "build" / name).read_text())
    run = subprocess.run(
        ["make", "--makefile", str(build / "Makefile"), "build-Any"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "make setup" in run.stderr
