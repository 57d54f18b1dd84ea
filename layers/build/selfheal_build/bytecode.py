"""Bytecode beside the sources, since Lambda's file system is read-only: without it every cold start compiles.

Unchecked-hash `.pyc` files (PEP 552): they hold no time and are loaded without looking at the source, so they
survive any packaging, and the same source gives the same bytes.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from .errors import BytecodeFailed
from .installer import TARGET_PYTHON, find_uv, tool_environment

NO_INTERPRETER = (
    f"no Python {TARGET_PYTHON} here: building without bytecode, cold starts take about twice as long "
    "(install it, or name one in SELFHEAL_PYTHON313)"
)


@cache
def target_interpreter() -> str | None:
    """An interpreter of Lambda's version: named by the person, this one, on PATH, or known to uv; else None."""
    named = os.environ.get("SELFHEAL_PYTHON313")
    if named is not None:  # an empty one says: none
        if named and not _is_target(named):
            raise BytecodeFailed(f"SELFHEAL_PYTHON313={named} is not a Python {TARGET_PYTHON}")
        return named or None
    on_path = shutil.which(f"python{TARGET_PYTHON}")
    for candidate in (sys.executable, on_path):
        if candidate is not None and _is_target(candidate):
            return candidate
    uv = find_uv()
    if uv is None:
        return None
    found = subprocess.run(
        [uv, "python", "find", "--system", TARGET_PYTHON],
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else None


def interpreters() -> list[str]:
    """Those that compile: Lambda's, and with SELFHEAL_LOCAL_BYTECODE=1 the one that runs this as well."""
    chosen = [target_interpreter()]
    if os.environ.get("SELFHEAL_LOCAL_BYTECODE") == "1" and not _is_target(sys.executable):
        chosen.append(sys.executable)
    return [interpreter for interpreter in chosen if interpreter is not None]


def add_bytecode(artefact: Path, *, mounted_at: str) -> None:
    """Compile every module below ``artefact``; tracebacks will name files below ``mounted_at``.

    Raises:
        BytecodeFailed: a source that the target's Python does not accept.
    """
    for interpreter in interpreters():
        run = subprocess.run(
            [interpreter, "-S", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash",
             "-s", str(artefact), "-p", mounted_at, str(artefact)],
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONHASHSEED": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if run.returncode != 0:
            raise BytecodeFailed(f"{interpreter} cannot compile:\n{(run.stdout + run.stderr).strip()}")


@cache
def version_of(interpreter: str) -> str:
    """The full version of an interpreter; empty when it does not run (a shim without a version behind it)."""
    ask = "import sys; print(sys.implementation.name, *sys.version_info[:3])"
    try:
        run = subprocess.run([interpreter, "-I", "-S", "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def _is_target(interpreter: str) -> bool:
    major, minor = TARGET_PYTHON.split(".")
    return version_of(interpreter).startswith(f"cpython {major} {minor} ")
