"""Folders that become zip files: copied without litter, the same bytes for the same input."""

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import CompiledExtension

# An artefact's times say nothing, so they are all the same (not 1980: west of Greenwich that is too early for a zip).
_TIME = (2000, 1, 1, 0, 0, 0)
_TIME_SECONDS = 946728000
_COMPILED = (".so", ".pyd", ".dylib", ".dll", ".a")
_LITTER = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*.egg-info")


@dataclass(frozen=True)
class Size:
    """What an artefact weighs, in bytes; ``digest`` is that of its zip file."""

    files: int
    unpacked: int
    zipped: int
    digest: str


def copy_package(source: Path, target: Path) -> None:
    """Copy a package with its data files, without caches and hidden files."""
    shutil.copytree(source, target, ignore=_LITTER)


def refuse_compiled(artefact: Path) -> None:
    """Fail when anything below ``artefact`` is machine code.

    Raises:
        CompiledExtension: names the files.
    """
    found = [path for path in _files(artefact) if path.suffix in _COMPILED or ".so." in path.name]
    if found:
        names = ", ".join(str(path.relative_to(artefact)) for path in found[:5])
        raise CompiledExtension(f"a layer is pure Python, but this one holds machine code: {names}")


def settle(artefact: Path) -> None:
    """Give every file and folder the same time and plain rights, as far as a zip file can tell."""
    for path in [artefact, *artefact.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME_SECONDS, _TIME_SECONDS))


def measure(artefact: Path) -> Size:
    """Weigh a folder, unpacked and as the zip file that AWS would get."""
    unpacked = count = 0
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(artefact):
            content = path.read_bytes()
            count, unpacked = count + 1, unpacked + len(content)
            entry = zipfile.ZipInfo(path.relative_to(artefact).as_posix(), _TIME)
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return Size(count, unpacked, packed.tell(), hashlib.sha256(packed.getvalue()).hexdigest())


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
