"""The words of notices: what people are told that is no step in the life of an incident."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal import clock_notices, commands, sweep_notice
from selfheal.frozen import dataclass

HOUR_S = 3_600


@dataclass(frozen=True)
class Notice:
    """Lines for people; the first is the subject."""

    lines: tuple[str, ...]
    what: str
    severity: str


def of(detail: Mapping[str, Any], stack: str) -> Notice | None:
    """The notice of an event; None if people need not hear of it. `stack` is where the commands are to be sent."""
    what = detail.get("what")
    if what == "reminder":
        return _reminder(detail, stack)
    if what == "pause_ended":
        return _pause_ended(detail["pause"])
    if what == "drill":
        return _drill(detail)
    if what == "sweep":
        return Notice(sweep_notice.lines(detail, stack), "sweep", sweep_notice.severity(detail))
    if isinstance(what, str) and what in clock_notices.WORDS:
        lines, severity = clock_notices.WORDS[what](detail)
        return Notice(lines, what, severity)
    return None


def _drill(detail: Mapping[str, Any]) -> Notice:
    checks = detail["checks"]
    failed = [check["name"] for check in checks if not check["held"]]
    told = f"{', '.join(failed)} did NOT hold" if failed else f"all {len(checks)} held"
    lines = (
        f"[drill] selfheal tried its guards: {told}",
        "This is a drill, on a flag that only selfheal has. That you read it proves that you would be told.",
        "",
        *(f"- {check['name']}: {'held' if check['held'] else 'DID NOT HOLD'}: {check['seen']}" for check in checks),
        "",
        "Next: see docs/operations.md, `DrillAlarm`; do not let risky actions run until it passes"
        if failed
        else "Next: nothing",
        f"Drill: {detail['run']}",
    )
    return Notice(lines, "drill", "P1" if failed else "P4")


def _reminder(detail: Mapping[str, Any], stack: str) -> Notice:
    changes, paused = detail.get("changes", ()), detail.get("pauses", ())
    counts = [f"{len(changes)} open change{'s' * (len(changes) != 1)}"] if changes else []
    counts += [f"{len(paused)} pause{'s' * (len(paused) != 1)} in force"] if paused else []
    lines = [
        f"selfheal reminds: {' and '.join(counts)}",
        "What selfheal changed stays as it is until it is undone, redeployed, or switched back by hand.",
    ]
    for change in changes:
        hours = (float(detail["at"]) - float(change["at"])) / HOUR_S
        lines += [
            "",
            f"- {change['summary']}",
            f"  since {_when(change['at'])}, {_age(hours)}, by {change.get('incident') or 'a request by hand'}",
            f"  undo: {commands.undo(change.get('incident') or '-', stack, change['action_id'])}",
        ]
    for pause in paused:
        lines += ["", f"- paused: {_scope(pause)}, by {pause['who']} since {pause['since']}, until {pause['until']}"]
        lines += [f"  why: {pause['reason']}"] if pause["reason"] else []
    if detail.get("left_out"):
        lines += ["", f"and {detail['left_out']} more, in the ledger"]
    return Notice(tuple(lines), "reminder", "P3")


def _pause_ended(pause: Mapping[str, Any]) -> Notice:
    lines = (
        f"selfheal: the pause of {_scope(pause)} has ended",
        f"Why: its time is over ({pause['until']}); {pause['who']} had set it: {pause['reason']}",
        "Done: nothing; what it held back goes on if its alarm is still red",
        "Next: pause again if it must stay quiet",
    )
    return Notice(lines, "pause_ended", "P4")


def _scope(pause: Mapping[str, Any]) -> str:
    return "everything" if pause["name"] == "*" else str(pause["name"])


def _when(at: float) -> str:
    return datetime.fromtimestamp(float(at), UTC).strftime("%Y-%m-%d %H:%M UTC")


def _age(hours: float) -> str:
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
