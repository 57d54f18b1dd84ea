"""`make replay`: what would selfheal have done about the alarms in a file, or of the last days? It changes nothing.

The runbooks are those of the working copy, so that a change of them can be tried on the past before it is deployed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from selfheal import runbook, settings
from selfheal.action import Action
from selfheal.arns import Home
from selfheal.aws_errors import AwsError
from selfheal.catalogue import ACTIONS
from selfheal.clients import instead
from selfheal.errors import Refused, SelfhealError
from selfheal.refusal import Refusal
from selfheal.replay import asked, history, table
from selfheal.replay.readonly import reader
from selfheal_build.runbooks import compiler
from selfheal_build.runbooks.problems import RunbooksInvalid

from local import stack
from local.emulator.control import Emulator, EmulatorNotFound
from local.emulator.environments import REPOSITORY

STYLES = {"heading": "bold", "assumption": "dim", "alarm": "bold red", "step": "cyan", "incident": "", "total": ""}


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    os.environ.setdefault("EVENT_BUS", "replay")
    os.environ.setdefault("LEDGER_TABLE", "replay")
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    try:
        if given.local:
            os.environ.update(Emulator.attach(stack.home_of(stack.chosen_port())).environment())
        _replay(given)
    except EmulatorNotFound:
        print(f"error: no local stack runs on port {stack.chosen_port()}: make up", file=sys.stderr)
    except (OSError, ValueError, RunbooksInvalid, SelfhealError, *AwsError) as error:
        print(f"error: {error}", file=sys.stderr)
    else:
        return 0
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make replay", description=__doc__)
    parser.add_argument("--file", type=Path, help="alarm events of any shape, or what describe-alarm-history answered")
    parser.add_argument("--days", type=float, default=asked.DAYS, help="of CloudWatch's history, at most 30")
    parser.add_argument("--alarm", action="append", default=[], help="name, prefix or pattern; else all with a runbook")
    parser.add_argument("--assume", default=asked.ACTED, help="acted or suggested")
    parser.add_argument("--mode", help="the stack's MaxMode: off, suggest or auto")
    parser.add_argument("--observe", action="store_true", help="look at the resources as they are now, and decide")
    parser.add_argument("--local", action="store_true", help="the local stack on PORT, and not AWS")
    return parser


def _replay(given: argparse.Namespace) -> None:
    events = None if given.file is None else _read(given.file)
    question = asked.read_asked(
        {
            "days": given.days,
            "alarms": given.alarm,
            "assume": given.assume,
            "max_mode": given.mode,
            "observe": given.observe,
            "events": events,
        },
        may_observe=True,
    )
    home = _home() if events is None else history.home_of(events)
    if home is None:
        raise Refused(Refusal.NOT_AN_ALARM, f"{given.file} holds no alarm")
    with instead(reader):
        story = asked.carry_out(
            question, _runbooks(), home, settings.max_mode(), datetime.now(UTC), actions=_action, read=reader
        )
    console = Console(highlight=False, soft_wrap=True)
    for kind, text in table.lines(story, asked.assumptions(question, settings.max_mode())):
        console.print(escape(f"\n{text}" if kind == "heading" else text), style=STYLES[kind])


def _read(path: Path) -> list[Any]:
    """The events of a JSON file, or of one with a JSON document on each line."""
    text = path.read_text(encoding="utf-8")
    try:
        return history.events_in(json.loads(text))
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _home() -> Home:
    """The caller's account, and the region that its environment names."""
    sts = reader("sts")
    _, partition, *_ = str(sts.get_caller_identity()["Arn"]).split(":")
    return Home(partition, sts.meta.region_name, sts.get_caller_identity()["Account"])


def _runbooks() -> runbook.Runbooks:
    out = stack.LOCAL / "replay" / "runbooks.json"
    compiler.write(compiler.compile_folder(REPOSITORY / "layers" / "runbooks"), out)
    return runbook.load(str(out))


def _action(name: str) -> type[Action]:
    """The action's class, from its function's folder."""
    module = importlib.import_module(f"functions.{ACTIONS[name].function}.app")
    found: type[Action] = next(one for one in vars(module).values() if getattr(one, "name", None) == name)
    return found


if __name__ == "__main__":
    sys.exit(main())
