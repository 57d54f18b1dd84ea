"""`make uninstall`: remove the stack, but not while something is switched off because of it.

What selfheal halted, disabled or limited knows how it was before from the ledger, and the ledger goes with the stack.
So it refuses while there is such a change, or an open incident, and says how each is put back. What stays is the
archive bucket: dead letters are somebody's orders.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from selfheal import changes, commands, incident_store
from selfheal.errors import LedgerUnavailable
from selfheal.ledger import Ledger

from local import sam, stack
from local.deployed import chosen_stack
from local.emulator.control import Emulator, EmulatorNotFound
from local.emulator.environments import REPOSITORY


def main() -> int:
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    if "--local" in sys.argv[1:]:
        try:
            environment = sam.clean_environment() | Emulator.attach(stack.home_of(stack.chosen_port())).environment()
        except EmulatorNotFound:
            print(stack.none_runs(), file=sys.stderr)
            return 1
        os.environ.update(environment)
    name = chosen_stack()
    try:
        outputs = outputs_of(_client("cloudformation"), name)
        ledger = Ledger(outputs["LedgerTable"], _client("dynamodb"))
        in_the_way, repaired = why_not(ledger, name), repairs(ledger)
    except KeyError as error:
        print(f"error: stack {name} has no output {error}: it is none of selfheal", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError, LedgerUnavailable) as error:
        print(f"error: stack {name} was not looked at, so it is left alone: {error}", file=sys.stderr)
        return 1
    if in_the_way:
        told = "\n".join(["how it was before is in the ledger, which would go with the stack", *in_the_way, *_first()])
        print(f"error: stack {name} is left alone: {told}", file=sys.stderr)
        return 1
    for line in repaired:
        print(line)
    return remove(name, outputs["ArchiveBucketName"], environment)


def outputs_of(cloudformation: Any, name: str) -> dict[str, str]:
    """The outputs of a stack. Raises ClientError if it is not there."""
    found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}


def why_not(ledger: Ledger, name: str) -> list[str]:
    """What must be put back, or finished, before the stack may go. Raises LedgerUnavailable."""
    lines = []
    for change in changes.still_open(ledger):
        if change["action"] not in changes.REPAIRS:
            command = commands.undo(change.get("incident") or "-", name, change["action_id"])
            lines += [f"  still in force: {change['summary']}", f"    put it back: {command}"]
    for incident in incident_store.all_open(ledger):
        lines.append(f"  open incident {incident.id} ({incident.phase.value}): {incident.system}, {incident.response}")
    return lines


def repairs(ledger: Ledger) -> list[str]:
    """What stays as selfheal left it, because its undo would bring the defect back. Raises LedgerUnavailable."""
    repaired = [one for one in changes.still_open(ledger) if one["action"] in changes.REPAIRS]
    return [f"stays: {one['summary']}; the next release moves it on" for one in repaired]


def _first() -> list[str]:
    """What must be typed before these commands."""
    if "--local" in sys.argv[1:]:
        env = stack.home_of(stack.chosen_port()) / "env"
        return [f"  before these: . {stack.shown(env)}"]
    return ["  sam is .venv/bin/sam"]


def remove(name: str, bucket: str, environment: Mapping[str, str], run: Callable[..., Any] = subprocess.run) -> int:
    """Delete the stack with `sam delete`, and say what stays."""
    command = sam.command(["delete", "--stack-name", name, "--no-prompts"])
    done = run(command, env=dict(environment), cwd=REPOSITORY, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        print(f"error: stack {name} was not removed whole; its events say why", file=sys.stderr)
        return 1
    print(f"removed: stack {name}\nstays: bucket {bucket}, with what was archived. When nobody needs that any more:")
    print(f"  aws s3 rb s3://{bucket} --force")
    return 0


def _client(service: str) -> Any:
    return _session().client(service)


@cache
def _session() -> Any:  # any service by its name: the stubs know one overload per service
    return boto3.Session()


if __name__ == "__main__":
    sys.exit(main())
