"""Install pinned requirements: with uv, and with pip where uv cannot reach a registry.

uv is faster by an order of magnitude; pip knows the machine's own configuration (`pip.conf`), which uv does not
read. Both get complete, hash-pinned files, so neither resolves anything and both install the same bytes.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import InstallFailed

TARGET_PYTHON = "3.13"

# A private certificate authority is known to the system, not to the list of roots that uv is built with.
_UV_DEFAULTS = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}


def tool_environment() -> dict[str, str]:
    """This process's environment, with uv's defaults where the person has not set others."""
    return {**_UV_DEFAULTS, **os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def find_uv(folder: Path | None = None) -> str | None:
    """The uv of an environment folder, else the one beside this interpreter."""
    beside = [] if folder is None else [folder / "bin" / "uv"]
    beside.append(Path(sys.executable).with_name("uv"))
    return next((str(uv) for uv in beside if uv.is_file()), None)


def pinned(requirements: Path, name: str) -> str:
    """The block of one requirement, with its hashes, out of a pinned file."""
    block = re.search(rf"^{re.escape(name)}==.+\n(?: +--hash=.+\n?)+", requirements.read_text(), re.MULTILINE)
    if block is None:
        raise InstallFailed(f"{requirements} does not pin {name}: run `make lock`")
    return block.group()


def install_into_environment(folder: Path, requirements: Path) -> None:
    """Install a pinned file into the virtual environment ``folder``, which has to have pip or find a uv.

    Raises:
        InstallFailed: with the last words of both tools.
    """
    python = str(folder / "bin" / "python")
    uv = find_uv(folder)
    pip_python = python if _has_pip(folder) else sys.executable
    pip = [pip_python, "-m", "pip", *(() if pip_python == python else ("--python", python)), "install", "-q"]
    _install(
        requirements,
        uv=None if uv is None else [uv, "pip", "install", "-q", "--python", python],
        pip=[*pip, "--no-deps"],
    )


def install_for_lambda(target: Path, requirements: Path) -> None:
    """Install a pinned file into the folder ``target`` for Lambda's Python, whatever Python runs the build.

    Wheels only: nothing is ever compiled here. The files are copies: uv would otherwise link them to its cache,
    and who trims a layer would trim every environment on the machine.

    Raises:
        InstallFailed: with the last words of both tools.
    """
    shared = ["-q", "--no-deps", "--only-binary", ":all:", "--target", str(target)]
    uv = find_uv()
    python = ["--python-version", TARGET_PYTHON]
    pure = ["--platform", "any", "--implementation", "py", "--abi", "none", "--no-compile"]
    _install(
        requirements,
        uv=None
        if uv is None
        else [uv, "pip", "install", *shared, *python, "--link-mode", "copy", "--python", sys.executable],
        pip=[sys.executable, "-m", "pip", "install", *shared, *python, *pure],
    )


def _install(requirements: Path, *, uv: Sequence[str] | None, pip: Sequence[str]) -> None:
    said = []
    for tool, command in (("uv", uv), ("pip", pip)):
        if command is None:
            continue
        run = subprocess.run(
            [*command, "--require-hashes", "-r", str(requirements)],
            env=tool_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode == 0:
            return
        said.append(f"{tool}: {_last_words(run.stderr or run.stdout)}")
    raise InstallFailed(f"could not install {requirements}\n" + "\n".join(said))


def _has_pip(folder: Path) -> bool:
    return shutil.which("pip", path=str(folder / "bin")) is not None


def _last_words(text: str, lines: int = 8) -> str:
    return "\n  ".join(text.strip().splitlines()[-lines:])
