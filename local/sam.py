"""The real ``sam`` for the local stack: its words go to a log, its failures come back with the end of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from selfheal_build.operations import called
from selfheal_build.services import services_of

from local.emulator.environments import REPOSITORY

BUILT = REPOSITORY / ".local" / "build"
TIMEOUT = 300  # seconds for one run of sam
BYTECODE = {"SELFHEAL_LOCAL_BYTECODE": "1", "SELFHEAL_PYTHON313": ""}
"""For the interpreter that runs the functions here, and none for Lambda's, which would be looked for 15 times."""
LOG_TAIL = 3000  # characters of the log that an error carries


class SamFailed(Exception):
    """sam ended with an error; the message carries its last words and where the rest of them is."""


def build(name: str, template: Path, sources: Iterable[Path], log: Path) -> Path:
    """Build ``template`` into a folder of its own; returns the built template. Nothing changed: a comparison.

    ``sources`` are the files and folders that the build reads. Bytecode for this interpreter is added, since that is
    what runs the functions here. Raises :class:`SamFailed`.
    """
    out = BUILT / name
    out.mkdir(parents=True, exist_ok=True)
    built, stamp = out / "template.yaml", out.with_suffix(".made-from")
    with out.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two stacks may be set up at the same time
        digest = _digest([template, *sources])
        if built.exists() and stamp.exists() and stamp.read_text() == digest:
            return built
        stamp.unlink(missing_ok=True)
        run(
            [
                "build",
                "--template",
                str(template),
                "--build-dir",
                str(out),
                "--cached",
                "--parallel",
                "--cache-dir",
                str(_cache()),
            ],
            BYTECODE,
            log,
        )
        stamp.write_text(digest)
    return built


def deploy(
    stack: str, built: Path, *, bucket: str, parameters: Mapping[str, str], environment: Mapping[str, str], log: Path
) -> None:
    """Deploy a built template as ``stack``. Raises :class:`SamFailed`."""
    given = [f"{name}={value}" for name, value in parameters.items()]
    run(
        [
            "deploy",
            "--template",
            str(built),
            "--stack-name",
            stack,
            "--s3-bucket",
            bucket,
            "--s3-prefix",
            stack,
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-confirm-changeset",
            "--no-progressbar",
            "--no-fail-on-empty-changeset",
            "--parameter-overrides",
            *given,
        ],
        environment,
        log,
    )


def run(arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
    """Run sam with its output appended to ``log``; raises :class:`SamFailed`."""
    with log.open("a") as out:
        out.write(f"\n$ sam {' '.join(arguments)}\n")
        out.flush()
        done = subprocess.run(
            command(arguments),
            cwd=REPOSITORY,
            env=clean_environment() | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            timeout=TIMEOUT,
            check=False,
        )
    if done.returncode != 0:
        raise SamFailed(f"sam {arguments[0]} failed (all of it: {log})\n{log.read_text()[-LOG_TAIL:]}")


def command(arguments: list[str]) -> list[str]:
    """sam of the environment that runs this."""
    return [str(Path(sys.executable).with_name("sam")), *arguments]


def clean_environment() -> dict[str, str]:
    """What sam gets of this process's environment: nothing that leads to an AWS account or out of this folder."""
    scratch = REPOSITORY / ".local" / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE") if name in os.environ}
    return {
        **kept,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_CHECK_FOR_UPDATES": "0",
        "__SAM_CLI_APP_DIR": str(REPOSITORY / ".local" / "sam"),
    }


def _cache() -> Path:
    """sam's cache looks at a function's or layer's own folder only: it begins anew when what builds them changes."""
    layers = REPOSITORY / "layers"
    clients = layers / "selfheal" / "selfheal" / "clients.py"
    digest = _digest([layers / "build", layers / "dependencies", clients], *called(REPOSITORY, services_of(clients)))
    return REPOSITORY / ".local" / "cache" / f"sam-{digest[:16]}"


def _digest(sources: Iterable[Path], *more: str) -> str:
    """Of everything that a build reads, its interpreter included: the bytecode is for that one."""
    total = hashlib.sha256(" ".join([sys.version, *sorted(more)]).encode())
    for source in sources:
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(f"{file.relative_to(REPOSITORY)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()
