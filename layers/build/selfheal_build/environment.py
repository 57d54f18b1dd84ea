"""Make a virtual environment from a pinned file, once: `python -m selfheal_build.environment FOLDER FILE`.

Standard library only, since this is what runs first on a new machine. A stamp in the folder holds what the
environment was made from; while that holds, another run costs nothing.
"""

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .errors import BuildError, InstallFailed
from .installer import find_uv, install_into_environment, pinned, tool_environment

OLDEST_PYTHON = (3, 11)
_STAMP = "made-from"


def ensure(folder: Path, requirements: Path) -> bool:
    """Make ``folder`` an environment with exactly what ``requirements`` pins; True when there was work to do.

    The interpreter is the one that runs this (or the one its own environment was made from).

    Raises:
        BuildError: this Python is too old, or cannot make environments.
        InstallFailed: nothing could be installed; the folder then has no stamp and is made anew next time.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise BuildError(f"Python {platform.python_version()} is too old: 3.11 or later is needed")
    folder = folder.absolute()
    made_from = _made_from(folder, requirements)
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text() == made_from and (folder / "bin" / "python").exists():
        return False
    uv = find_uv()
    if uv is not None and Path(uv).is_relative_to(folder):  # an environment that renews itself
        uv = None
    shutil.rmtree(folder, ignore_errors=True)
    _create(folder, with_pip=uv is None)
    if uv is None:
        _bootstrap_uv(folder, requirements)
    install_into_environment(folder, requirements)
    stamp.write_text(made_from)
    return True


def _made_from(folder: Path, requirements: Path) -> str:
    # The folder counts: the scripts in bin/ name it, so an environment that was moved is of no use.
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    return f"{digest} {platform.python_implementation()} {platform.python_version()} {folder}\n"


def _create(folder: Path, *, with_pip: bool) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    command = [base, "-m", "venv", str(folder), *(() if with_pip else ("--without-pip",))]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise BuildError(
            f"{base} cannot make a virtual environment (on Debian and Ubuntu: install python3-venv)\n"
            f"  {(run.stderr or run.stdout).strip()}"
        )


def _bootstrap_uv(folder: Path, requirements: Path) -> None:
    try:
        block = pinned(requirements, "uv")
    except InstallFailed:
        return  # a file without uv is installed by the environment's own pip
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        alone = Path(scratch) / "uv.txt"
        alone.write_text(block)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(alone)]
        run = subprocess.run(
            pip, env=tool_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if run.returncode != 0:
        raise InstallFailed(f"pip could not install uv\n  {(run.stderr or run.stdout).strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="selfheal_build.environment", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("requirements", type=Path)
    chosen = parser.parse_args()
    started = time.monotonic()
    try:
        made = ensure(chosen.folder, chosen.requirements)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if made:
        took = time.monotonic() - started
        print(f"{chosen.folder} made from {chosen.requirements} in {took:.1f} s (Python {platform.python_version()})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
