"""The two Python environments of the local stack, built from hash-pinned requirement files.

``emulator`` holds ministack, which pins botocore and therefore lives alone. ``runtime`` holds AWS's runtime
interface client and nothing else: as in AWS, everything that a function imports comes with its layers.
An environment is keyed by the digest of its requirement file and its interpreter, so a second call is one
comparison.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
VENVS = REPOSITORY / ".local" / "venvs"
INSTALL_TIMEOUT = 600  # seconds; the slowest step of a first start, on a slow line
STAMP = "requirements.sha256"


class InstallError(Exception):
    """An environment could not be built; the message carries the installer's last words."""


def ensure(name: str) -> Path:
    """Return the python of the environment ``name`` ("emulator" or "runtime"), building it when needed.

    Raises :class:`InstallError` when the requirements do not install.
    """
    VENVS.mkdir(parents=True, exist_ok=True)
    with (VENVS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs that start at once install once
        return _ensure(name)


def _ensure(name: str) -> Path:
    requirements = REPOSITORY / "requirements" / f"{name}.txt"
    home = VENVS / name
    python = home / "bin" / "python"
    stamp = home / STAMP
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == digest:
        return python

    print(f"installing the {name} environment into {home.relative_to(REPOSITORY)} …", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    uv = _uv()
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(home)])
        _run(
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                str(python),
                "--require-hashes",
                "--requirements",
                str(requirements),
            ]
        )
    else:
        _run([sys.executable, "-m", "venv", str(home)])
        _run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "--requirement",
                str(requirements),
            ]
        )
    if name == "runtime":
        _ensure_runtime_client(python)
    stamp.write_text(digest)
    return python


def _uv() -> str | None:
    """uv of the environment that runs this, else of the PATH: ten times faster than pip, never required."""
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def _ensure_runtime_client(python: Path) -> None:
    """Give the runtime interface client its ``runtime_client`` module where there is no wheel with it.

    The client's compiled half is built for Linux only; elsewhere (macOS) our pure Python module with the same
    four calls takes its place.
    """
    probe = subprocess.run([str(python), "-c", "import runtime_client"], capture_output=True, check=False)
    if probe.returncode == 0:
        return
    purelib = _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    shutil.copy(Path(__file__).with_name("runtime_client.py"), Path(purelib) / "runtime_client.py")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
            env={**os.environ, "VIRTUAL_ENV": ""},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{' '.join(command[:4])} …: {error}") from error
    if done.returncode != 0:
        raise InstallError(f"{' '.join(command[:4])} … failed:\n{done.stderr[-2000:]}")
    return done.stdout
