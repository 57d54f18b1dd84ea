"""Bytecode is there, is loaded whatever the times of the files say, and names no place on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest
from selfheal_build import bytecode, layers
from selfheal_build.artefact import settle
from selfheal_build.errors import BytecodeFailed

ROOT = Path(__file__).parents[2]
SOURCE = "def answer(event, context):\n    return 42\n"


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFHEAL_LOCAL_BYTECODE", "1")


def answer(interpreter: str, folder: Path) -> str:
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); import app; print(app.answer(None, None))"
    run = subprocess.run([interpreter, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.fixture
def built(tmp_path: Path, local: None) -> Path:
    source = tmp_path / "answer_it"
    source.mkdir()
    (source / "app.py").write_text(SOURCE)
    layers.build_function(source, tmp_path / "out")
    return tmp_path / "out"


def test_every_interpreter_that_compiled_loads_the_bytecode_and_not_the_source(built: Path) -> None:
    (built / "app.py").write_text("raise SystemExit('the source was run')\n")
    used = bytecode.interpreters()
    assert used
    assert [answer(interpreter, built) for interpreter in used] == ["42"] * len(used)


def test_without_the_bytecode_the_source_would_be_run(built: Path) -> None:
    for path in built.rglob("*.pyc"):
        path.unlink()
    (built / "app.py").write_text(SOURCE.replace("42", "43"))
    assert answer(sys.executable, built) == "43"


def test_the_bytecode_is_of_the_unchecked_kind(built: Path) -> None:
    compiled = sorted(built.rglob("*.pyc"))
    assert len(compiled) == len(bytecode.interpreters())
    for path in compiled:
        flags = int.from_bytes(path.read_bytes()[4:8], "little")  # PEP 552
        assert flags == 0b01


def test_tracebacks_name_the_place_in_lambda_and_not_this_machine(built: Path, tmp_path: Path) -> None:
    for path in built.rglob("*.pyc"):
        assert b"/var/task/app.py" in path.read_bytes()
    layers.build_selfheal(ROOT, tmp_path / "layer")
    compiled = list((tmp_path / "layer").rglob("*.pyc"))
    assert compiled
    for path in compiled:
        content = path.read_bytes()
        assert str(ROOT).encode() not in content
        assert str(tmp_path).encode() not in content
        assert b"/opt/python/selfheal/" in content


def test_times_of_files_are_of_no_account(built: Path) -> None:
    settle(built)
    assert {path.stat().st_mtime for path in built.rglob("*")} == {built.stat().st_mtime}
    (built / "app.py").touch()
    (built / "app.py").write_text("raise SystemExit('the source was run')\n")
    assert answer(sys.executable, built) == "42"


def test_a_source_that_does_not_compile_fails_the_build(tmp_path: Path, local: None) -> None:
    (tmp_path / "app.py").write_text("def broken(:\n")
    with pytest.raises(BytecodeFailed, match=r"app\.py"):
        layers.build_function(tmp_path, tmp_path / "out")


def test_no_interpreter_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFHEAL_PYTHON313", "")
    monkeypatch.delenv("SELFHEAL_LOCAL_BYTECODE", raising=False)
    bytecode.target_interpreter.cache_clear()
    try:
        (tmp_path / "app.py").write_text(SOURCE)
        layers.build_function(tmp_path, tmp_path / "out")
    finally:
        bytecode.target_interpreter.cache_clear()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["app.py"]


def test_a_named_interpreter_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "python3.13"
    other.write_text("#!/bin/sh\necho cpython 3 9 0\n")
    other.chmod(0o755)
    monkeypatch.setenv("SELFHEAL_PYTHON313", str(other))
    bytecode.target_interpreter.cache_clear()
    try:
        with pytest.raises(BytecodeFailed, match=r"is not a Python 3\.13"):
            bytecode.target_interpreter()
    finally:
        bytecode.target_interpreter.cache_clear()


def test_a_shim_with_no_version_behind_it_is_no_interpreter(tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho command not found >&2; exit 127\n")
    shim.chmod(0o755)
    assert bytecode.version_of(str(shim)) == ""
    assert bytecode.version_of(str(tmp_path / "nothing")) == ""
