"""`sam build` without its chatter: one line when it goes well, everything it said when it does not."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .artefact import measure
from .errors import BuildError


def build(root: Path, arguments: Sequence[str]) -> None:
    """Run `sam build` in ``root`` and print what came of it.

    Raises:
        BuildError: with what SAM said.
    """
    scratch = root / ".local" / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    run = subprocess.run(
        [str(Path(sys.executable).with_name("sam")), "build", *arguments],
        cwd=root,
        env={"AWS_DEFAULT_REGION": "us-east-1", **os.environ, "TMPDIR": str(scratch), "SAM_CLI_TELEMETRY": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise BuildError(f"sam build failed\n{run.stderr.strip()}\n{run.stdout.strip()}")
    for note in sorted({line for line in run.stderr.splitlines() if line.startswith("note: ")}):
        print(note)
    report(root / ".aws-sam" / "build", time.monotonic() - started)


def report(built: Path, took: float) -> None:
    """Print what was built below ``built``: the number of functions, and each layer's size."""
    folders = sorted(path for path in built.iterdir() if path.is_dir())
    functions = [folder for folder in folders if (folder / "app.py").is_file()]
    print(f"built {len(functions)} functions and {len(folders) - len(functions)} layers in {took:.1f} s")
    for folder in folders:
        if folder not in functions:
            size = measure(folder)
            print(
                f"  {folder.name}: {size.zipped / 1e6:.2f} MB zipped, {size.unpacked / 1e6:.2f} MB unpacked, "
                f"{size.files} files, sha256 {size.digest[:12]}"
            )
