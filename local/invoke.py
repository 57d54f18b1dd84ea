"""`make invoke FN=RollBackAlias [EVENT=events/….json]`: `sam remote invoke` against the local stack on PORT."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from local import sam, stack
from local.emulator.control import Emulator, EmulatorNotFound
from local.emulator.environments import REPOSITORY


def main() -> int:
    function, *rest = sys.argv[1:]
    named = [rest.pop(0)] if rest and not rest[0].startswith("-") else []
    event = Path(named[0]) if named else REPOSITORY / "events" / f"{folder_of(function)}.json"
    if not event.is_file():
        print(f"error: there is no {event}; name one: make invoke FN={function} EVENT=…", file=sys.stderr)
        return 1
    return remote(function, event, rest)


def remote(function: str, event: Path, rest: list[str]) -> int:
    """`sam remote invoke` of one function with an event file; its exit code."""
    environment = _running()
    if environment is None:
        return 1
    return subprocess.run(_command(function, event, rest), env=environment, cwd=REPOSITORY, check=False).returncode


def answer_of(function: str, event: Path, *, quiet: bool = False) -> tuple[int, str]:
    """The exit code, and what the function answered. `quiet`: its log is shown only if it fails."""
    environment = _running()
    if environment is None:
        return 1, ""
    errors = subprocess.PIPE if quiet else None
    done = subprocess.run(
        _command(function, event, []),
        env=environment,
        cwd=REPOSITORY,
        check=False,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    if done.returncode and done.stderr:
        print(done.stderr, file=sys.stderr)
    return done.returncode, done.stdout


def _command(function: str, event: Path, rest: list[str]) -> list[str]:
    return sam.command(
        ["remote", "invoke", function, "--stack-name", stack.NAME, "--event-file", str(event.resolve()), *rest]
    )


def _running() -> dict[str, str] | None:
    """The environment that leads to the local stack; None, with a word on what to do, if there is none."""
    try:
        running = Emulator.attach(stack.home_of(stack.chosen_port()))
    except EmulatorNotFound:
        print(stack.none_runs(), file=sys.stderr)
        return None
    return sam.clean_environment() | running.environment()


def folder_of(function: str) -> str:
    """``RollBackAlias`` lives in ``roll_back_alias``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function).lower()


if __name__ == "__main__":
    sys.exit(main())
