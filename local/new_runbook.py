"""`make new-runbook SYSTEM=my-system`: a first draft of a runbook, from what is found by the prefix of its names.

It looks in the account and region of the environment, with ON=local in the local stack, and writes
`layers/runbooks/<SYSTEM>.yaml`, which it never overwrites. It reads lists and changes nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from selfheal_build.draft.found import Found
from selfheal_build.draft.look import look
from selfheal_build.draft.write import draft
from selfheal_build.runbooks import compiler
from selfheal_build.runbooks.problems import RunbooksInvalid

from local import stack
from local.emulator.control import Emulator, EmulatorNotFound
from local.emulator.environments import REPOSITORY

FOLDER = REPOSITORY / "layers" / "runbooks"


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", given.system):
        print("error: a system is named by letters, digits, dots and dashes", file=sys.stderr)
        return 1
    out: Path = given.out or FOLDER / f"{given.system}.yaml"
    if out.exists():
        print(
            f"error: {_shown(out)} is there already; nothing was written. Elsewhere: ARGS='--out FILE'", file=sys.stderr
        )
        return 1
    try:
        if given.local:
            os.environ.update(Emulator.attach(stack.home_of(stack.chosen_port())).environment())
        found = look(_client, given.prefix or given.system)
    except EmulatorNotFound:
        print(stack.none_runs(), file=sys.stderr)
        return 1
    for what in found.not_read:
        print(f"not read: {what}", file=sys.stderr)
    if found.is_empty:
        print(f"error: nothing here begins with {found.prefix}: is it this account and region?", file=sys.stderr)
        return 1
    out.write_text(draft(found, given.system, given.owner), encoding="utf-8")
    try:
        compiler.compile_files([(out, _shown(out))])
    except RunbooksInvalid as error:  # names that a runbook can't hold; the draft is still the quickest way
        print(f"{error}\nwritten, and to be corrected: {_shown(out)}", file=sys.stderr)
        return 1
    print(f"found with the prefix {found.prefix}: {_counted(found)}")
    if not found.alarms:
        print("  selfheal begins with an alarm: make alarms deploys a pack of them")
    print(f"written: {_shown(out)}. Now read it line by line, then")
    print(f"  make validate ARGS={_shown(out)}")
    for alarm in found.alarms[:1]:
        print(f"  make explain ALARM={alarm.name}   # once it lies in layers/runbooks/")
    return 0


def _counted(found: Found) -> str:
    """How many of what; what is called otherwise was not seen, and a zero is where that shows."""
    kinds = ("alarms", "functions", "queues", "schedules", "flags", "services", "databases")
    some = [f"{len(seen)} {kind}" for kind in kinds if (seen := getattr(found, kind))]
    none = [kind for kind in kinds if not getattr(found, kind)]
    return ", ".join(some) + (f"; no {', '.join(none)} (called otherwise? PREFIX=…)" if none else "")


def _client(service: str) -> Any:
    return _session().client(service)


@cache
def _session() -> Any:  # any service by its name: the stubs know one overload per service
    return boto3.Session()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make new-runbook", description=__doc__)
    parser.add_argument("system", help="what the system is called")
    parser.add_argument("--prefix", default="", help="how its names begin, if not like the system")
    parser.add_argument("--owner", default="oncall", help="who is told")
    parser.add_argument("--local", action="store_true", help="the local stack on PORT, and not AWS")
    parser.add_argument("--out", type=Path, help="the file to write")
    return parser


def _shown(path: Path) -> str:
    """As short as it can be said: from here, unless it is elsewhere."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near


if __name__ == "__main__":
    sys.exit(main())
