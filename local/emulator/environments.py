"""The two Python environments of the local stack, built from hash-pinned requirement files.

``emulator`` holds ministack, which pins botocore and therefore lives alone. ``runtime`` holds AWS's runtime
interface client and nothing else: as in AWS, everything that a function imports comes with its layers.
They are made as the project's own environment is, once: a second call is one comparison.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import time
from pathlib import Path

from selfheal_build import environment
from selfheal_build.errors import BuildError

REPOSITORY = Path(__file__).resolve().parents[2]
VENVS = REPOSITORY / ".local" / "venvs"


class InstallError(Exception):
    """An environment could not be built; the message carries the installer's last words."""


def ensure(name: str) -> Path:
    """Return the python of the environment ``name`` ("emulator" or "runtime"), building it when needed.

    Raises :class:`InstallError` when the requirements do not install.
    """
    VENVS.mkdir(parents=True, exist_ok=True)
    home, started = VENVS / name, time.monotonic()
    with (VENVS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs that start at once install once
        try:
            made = environment.ensure(home, REPOSITORY / "requirements" / f"{name}.txt")
        except BuildError as error:
            raise InstallError(str(error)) from error
        if made:
            if name == "runtime":
                _ensure_runtime_client(home)
            print(f"{home.relative_to(REPOSITORY)} made in {time.monotonic() - started:.1f} s", file=sys.stderr)
    return home / "bin" / "python"


def _ensure_runtime_client(home: Path) -> None:
    """Give the runtime interface client its ``runtime_client`` module where there is no wheel with it.

    The client's compiled half is built for Linux only; elsewhere (macOS) our pure Python module with the same
    four calls takes its place.
    """
    python = str(home / "bin" / "python")
    if subprocess.run([python, "-c", "import runtime_client"], capture_output=True, check=False).returncode == 0:
        return
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    purelib = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    shutil.copy(Path(__file__).with_name("runtime_client.py"), Path(purelib) / "runtime_client.py")
