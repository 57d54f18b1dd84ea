"""`make demo`: the demo system breaks by a release and heals; exit 0 only if what AWS's APIs then say is right."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import stack, system
from local.account import Account
from local.emulator.control import Emulator, EmulatorError, EmulatorNotFound
from local.emulator.environments import InstallError
from local.sam import SamFailed
from local.stack import PortTaken, Stack
from local.timeline import Line, Screen
from local.watch import Document, View, Watcher, changes, waiting_for

POLL_S = 0.3
RED_WITHIN_S = 30.0
CLOSED_WITHIN_S = 150.0
"""From red. About 45 s are usual: one alarm period until it is green, then a canary that is watched for 25 s."""
YESTERDAY, TODAY = "2026-11-19", "2026-11-20"
LOG_TAIL_LINES = 25


class StoryFailed(Exception):
    """It did not come to the end that it should come to."""


@dataclass(frozen=True)
class Before:
    """How things were when the day began; what the end state is compared with."""

    schedule: Mapping[str, Any]
    orders: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="local.demo", description=__doc__)
    parser.add_argument(
        "--keep",
        action="store_true",
        default=os.environ.get("KEEP", "0") not in {"", "0"},
        help="leave the stack up (KEEP=1)",
    )
    keep: bool = parser.parse_args().keep
    screen = Screen()
    screen.say("selfheal: a release breaks the-alchemiser-v2-dev, and it heals", style="bold")
    try:
        port, home = _place(screen)
        return _run(screen, port, home, keep=keep)
    except (PortTaken, InstallError, EmulatorError, SamFailed) as error:
        screen.say(f"error: {error}", style="bold red")
        return 1
    except KeyboardInterrupt:
        screen.say("interrupted; nothing is left running")
        return 130


def _place(screen: Screen) -> tuple[int | None, Path]:
    """The chosen port; any free one while a stack of ``make up`` has it, which stays untouched."""
    port = stack.chosen_port()
    with contextlib.suppress(EmulatorNotFound):
        Emulator.attach(stack.home_of(port))
        screen.say(f"  a stack of `make up` runs on port {port} and stays as it is; this one takes a free port")
        return None, stack.LOCAL / "stacks" / "demo"
    stack.refuse_taken(port)
    return port, stack.home_of(port)


def _run(screen: Screen, port: int | None, home: Path, *, keep: bool) -> int:
    began = time.monotonic()
    screen.heading("Set-up")
    with screen.busy():
        running = stack.start(port, home, screen.step, detached=keep)
    screen.say(f"  {time.monotonic() - began:6.1f} s  in all; {running.emulator.endpoint}, IAM enforced")
    try:
        return play(screen, running, keep=keep)
    finally:
        if not keep:
            running.stop()


def play(screen: Screen, running: Stack, *, keep: bool) -> int:
    """The story on a stack that is set up; 0 if it ended as it should."""
    account = running.account
    watcher = Watcher(account, account.outputs(stack.NAME), since=time.time())
    try:
        seen, before = _break(screen, running.system, watcher)
        with screen.busy():
            seen = _watch(screen, watcher, seen)
    except StoryFailed as error:
        explain(screen, running, watcher, str(error))
        return 1
    incident = seen.incident or {}
    _times(screen, incident)
    good = is_right(screen, running, seen, before)
    if not good:
        explain(screen, running, watcher, "the end state is not right")
        return 1
    _hand_over(screen, incident, running, keep=keep)
    return 0


def _break(screen: Screen, demo: system.System, watcher: Watcher) -> tuple[View, Before]:
    """A good day, then a bad release: publish it, let the schedule's runs fail, wait until the alarm is red."""
    screen.heading("Timeline (seconds from the alarm's red)")
    answer = demo.trade("momentum", YESTERDAY)
    if not answer.get("traded"):
        raise StoryFailed(f"the good version does not trade: {answer}")
    _say(screen, "system", f"version {system.LAST_GOOD} traded momentum: {watcher.system.state().orders} orders")
    before = Before(demo.schedule(), watcher.system.state().orders)
    seen = watcher.view(time.time())
    version = demo.publish_faulty()
    _say(screen, "system", f"version {version} is published and live at once, without a canary")
    for strategy in system.STRATEGIES:
        demo.trade_later(strategy, TODAY)
    _say(screen, "system", f"{', '.join(system.STRATEGIES)} run through live, as the schedule does it")
    pending: list[Line] = []
    deadline = time.monotonic() + RED_WITHIN_S
    while screen.red_at is None:
        if time.monotonic() > deadline:
            raise StoryFailed(f"{system.ALARMS[0]} did not go red within {RED_WITHIN_S:.0f} s")
        time.sleep(POLL_S)
        now = watcher.view(time.time())
        pending += changes(seen, now)
        seen = now
        if now.state.alarms[system.ALARMS[0]] == "ALARM":
            screen.red_at, why = demo.red_since(system.ALARMS[0])
            pending.append(Line(screen.red_at, "alarm", f"{system.ALARMS[0]} is red: {why.partition(' (minimum')[0]}"))
        else:
            demo.trade("momentum", TODAY)
    for line in sorted(pending, key=lambda line: line.at):
        if line.kind != "alarm" or line.at == screen.red_at:
            screen.line(line)
    return seen, before


def _say(screen: Screen, kind: str, text: str) -> None:
    screen.line(Line(time.time(), kind, text))


def _watch(screen: Screen, watcher: Watcher, seen: View) -> View:
    """Until the incident is closed and its last message has been heard."""
    deadline = time.monotonic() + CLOSED_WITHIN_S
    while True:
        time.sleep(POLL_S)
        now = watcher.view(time.time())
        for line in changes(seen, now):
            screen.line(line)
        seen = now
        screen.waiting(waiting_for(seen.incident))
        if seen.incident and seen.incident["phase"] == "closed" and any(_is_the_last(told) for told in seen.told):
            return seen
        if time.monotonic() > deadline:
            raise StoryFailed(f"the incident was not closed within {CLOSED_WITHIN_S:.0f} s")


def _times(screen: Screen, incident: Document) -> None:
    screen.heading("Times from red")
    red = incident["red_at_ms"] / 1000
    for name, at in (
        ("incident opened", incident["opened_at"]),
        ("contained", incident["contained_at"]),
        ("remediated", incident["remediated_at"]),
        ("probe passed", max((run["done_at"] or 0 for run in incident["probes"]), default=0)),
        ("green", incident["green_at"]),
        ("closed", incident["closed_at"]),
    ):
        screen.say(f"  {name:<16} {f'{at - red:6.1f} s' if at else '     -'}")


def _is_the_last(subject: str) -> bool:
    """What is decided, green and closed at one moment is told in one message."""
    return "closed" in subject or "waits for your decision" in subject


def is_right(screen: Screen, running: Stack, seen: View, before: Before) -> bool:
    """The end state, read from the resources themselves."""
    screen.heading("End state, read from the resources")
    demo, incident = running.system, seen.incident or {}
    state, schedule, runs = demo.state(), demo.schedule(), demo.halted_runs()
    waiting = [step["action"] for step in incident["steps"] if step["status"] == "needs_person"]
    archived = archived_letters(running.account)
    versions = demo.versions()
    found = {
        f"live points to version {state.version} (last good: {system.LAST_GOOD}; {system.WITHDRAWN} was withdrawn, "
        f"{system.FAULTY} is the faulty one and stays)": state.version == system.LAST_GOOD
        and system.WITHDRAWN not in versions
        and system.FAULTY in versions,
        f"trading_enabled is {state.flag}": state.flag == "false",
        f"{system.SCHEDULE} is {schedule['State']}, its every other field as before": schedule["State"] == "DISABLED"
        and schedule == {**before.schedule, "State": "DISABLED"},
        f"{system.ALARMS[0]} is {state.alarms[system.ALARMS[0]]}": state.alarms[system.ALARMS[0]] == "OK",
        f"{system.QUEUE} is empty; {archived} letters archived to S3 before they were sent again": state.dead_letters
        == 0
        and archived == len(system.STRATEGIES),
        f"replayed exactly once each, and refused to trade while halted: {', '.join(runs)}": sorted(runs)
        == sorted(system.STRATEGIES),
        f"{state.orders - before.orders} orders since the bad release": state.orders == before.orders,
        f"incident {incident['verdict']}": incident["verdict"] == "healed" and not incident["escalations"],
        f"left to a person: {', '.join(waiting)}": sorted(waiting) == ["enable_schedule", "resume_trading"],
    }
    for what, good in found.items():
        screen.check(good=good, what=what)
    return all(found.values())


def archived_letters(account: Account) -> int:
    """How many letters the archive holds: one on each line of its objects."""
    s3, bucket = account.client("s3"), account.outputs(stack.NAME)["ArchiveBucketName"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="dlq/").get("Contents", ())
    bodies = (s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed)
    return sum(len(body.splitlines()) for body in bodies)


def _hand_over(screen: Screen, incident: Document, running: Stack, *, keep: bool) -> None:
    screen.heading("What stays for a person")
    for step in incident["steps"]:
        if step["status"] == "needs_person":
            request = {
                "action": "approve",
                "mode": "act",
                "requested_by": "you",
                "target": {"incident": incident["id"], "action_id": f"{incident['id']}.{step['number']}"},
            }
            screen.say(f"  {step['action']} {step['target_name']}")
            screen.say(
                f"    sam remote invoke Approve --stack-name {stack.NAME} --event '{json.dumps(request)}'", style="bold"
            )
    if keep:
        running.write_env()
        port = running.emulator.port
        screen.say(f"\nThe stack stays up: `. .local/env` first; `make down PORT={port}` ends it.")
        screen.say(
            f"  make incident PORT={port} ID={incident['id']}   its timeline; `make report INCIDENT=…` writes it"
        )
        screen.say(f"  make ui PORT={port}   the control room, with buttons for these decisions")
    else:
        screen.say("\nThe stack is gone now; `make demo KEEP=1` leaves it up to try these.")


def explain(screen: Screen, running: Stack, watcher: Watcher, why: str) -> None:
    """All that helps to find out why: the incident's record, the functions' errors, the emulator's last words."""
    screen.heading("It did not heal")
    screen.say(f"  {why}", style="bold red")
    seen = watcher.view(time.time())
    logs = running.home / "functions.log"
    lines = running.save_logs(logs)
    errors = [line for line in lines if "ERROR" in line]
    for title, text in (
        ("the incident's record", json.dumps(seen.incident, indent=1, default=str)),
        ("resources", str(seen.state)),
        ("errors of functions", "\n".join(line[:1500] for line in errors[-LOG_TAIL_LINES:])),
        ("emulator", _tail(running.emulator.log)),
    ):
        screen.heading(f"-- {title}")
        screen.say(text or "none")
    screen.say(f"\nlogs: {logs}, {running.emulator.log}, {running.deploy_log}", style="bold")


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


if __name__ == "__main__":
    sys.exit(main())
