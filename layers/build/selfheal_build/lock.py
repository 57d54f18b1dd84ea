"""Pin every requirement file anew: `python -m selfheal_build.lock`.

The order matters: the development environment holds the most constraints (the SAM CLI bounds boto3), so it is
resolved first and the layer is held to its versions. No file names a registry or this machine.
"""

import subprocess
import sys
import time
from pathlib import Path

from .errors import BuildError
from .installer import TARGET_PYTHON, find_uv, tool_environment

_FLAGS = ("--upgrade", "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "-q")
_LAYER = Path("layers/dependencies/requirements.in")
_DEV = Path("requirements/dev.in")


def lock(root: Path) -> list[Path]:
    """Re-pin all `*.in` files below ``root``; returns the files written.

    Raises:
        BuildError: uv is missing or cannot resolve a file.
    """
    uv = find_uv()
    if uv is None:
        raise BuildError("uv is not here: run `make setup`")
    others = sorted(path.relative_to(root) for path in (root / "requirements").glob("*.in"))
    written = []
    for source in [_DEV, *(path for path in others if path != _DEV), _LAYER]:
        pins = source.with_suffix(".txt")
        run = subprocess.run(
            [uv, "pip", "compile", *_FLAGS, *_bounds(source), str(source), "-o", str(pins)],
            cwd=root,
            env=tool_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise BuildError(f"cannot pin {source}\n{run.stderr.strip()}")
        written.append(pins)
    return written


def _bounds(source: Path) -> tuple[str, ...]:
    if source == _LAYER:
        # One interpreter on one platform: no markers are left, so the file can be installed as it is.
        held = str(_DEV.with_suffix(".txt"))
        return ("--python-version", TARGET_PYTHON, "--python-platform", "linux", "--constraint", held)
    return ("--universal", "--python-version", "3.11")


def main() -> int:
    started = time.monotonic()
    try:
        written = lock(Path.cwd())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"pinned {', '.join(map(str, written))} in {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
