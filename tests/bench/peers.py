"""Other people's tools and what we measure them with, each in an environment of its own under .local/venvs, pinned."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from selfheal_build.environment import ensure

from tests.bench.figure import REPOSITORY

VENVS = REPOSITORY / ".local" / "venvs"


def environment(name: str) -> Path:
    """The environment that `requirements/<name>.txt` pins (made when it is not there); answers its folder."""
    folder = VENVS / name
    ensure(folder, REPOSITORY / "requirements" / f"{name}.txt")
    return folder


def npm_package(name: str, version: str) -> Path | None:
    """The folder with `node_modules` of one pinned npm package; None where there is no Node or no registry."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    folder = REPOSITORY / ".local" / "npm" / f"{name}-{version}"
    if not (folder / "node_modules" / name).is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", f"{name}@{version}"]
        run = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            return None
    return folder


def base_environment(**more: str) -> dict[str, str]:
    """What a measured process inherits: nothing of this shell, credentials that are none."""
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "HOME": str(REPOSITORY / ".local" / "home"),
        "LANG": "C.UTF-8",
        "NO_PROXY": "*",
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONHASHSEED": "0",
        **more,
    }


def python() -> str:
    """The interpreter that measures, and that ours runs under."""
    return sys.executable
