"""The environment is made once, made anew when what it is made from changes, and says why when it cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest
from selfheal_build import environment
from selfheal_build.errors import BuildError, InstallFailed

ROOT = Path(__file__).parents[2]


def test_it_is_made_once_and_anew_when_it_has_to_be(tmp_path: Path) -> None:
    folder, requirements = tmp_path / "env", tmp_path / "pins.txt"
    requirements.write_text("# nothing\n")
    assert environment.ensure(folder, requirements)
    assert not environment.ensure(folder, requirements)
    requirements.write_text("# nothing, but different\n")
    assert environment.ensure(folder, requirements)
    (folder / "bin" / "python").unlink()
    assert environment.ensure(folder, requirements)
    moved = folder.rename(tmp_path / "elsewhere")
    assert environment.ensure(moved, requirements)
    assert not environment.ensure(moved, requirements)


def test_what_cannot_be_installed_leaves_an_environment_that_is_not_trusted(tmp_path: Path) -> None:
    folder, requirements = tmp_path / "env", tmp_path / "pins.txt"
    requirements.write_text("not a requirement !!\n")
    with pytest.raises(InstallFailed, match=r"(?s)uv: .*pip: "):
        environment.ensure(folder, requirements)
    requirements.write_text("# nothing\n")
    assert environment.ensure(folder, requirements)


def test_an_old_python_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (4, 0))
    with pytest.raises(BuildError, match="too old"):
        environment.ensure(tmp_path / "env", ROOT / "requirements" / "dev.txt")


def test_make_setup_names_an_interpreter_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    run = subprocess.run(["make", "setup", f"PYTHON={old}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "older than 3.11" in run.stderr
    assert str(old) in run.stderr


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [target for target in targets if f"make {target} " not in said] == []
    assert f"{sys.version_info.major}." in said


def test_ci_can_be_run() -> None:
    run = ROOT / ".ci" / "run"
    assert run.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(run)], check=True)
