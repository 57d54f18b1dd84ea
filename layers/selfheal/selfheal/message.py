"""The words that people get: the first five lines say what went red, what was done, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from selfheal import outcome
from selfheal.incident import Incident, Status, StepRun, read_incident
from selfheal.words import Outcome

MAX_SUBJECT = 100
"""SNS takes 100 ASCII characters without line breaks for a mail's subject."""

_HEADLINES = {
    "opened": "opened",
    "contained": "contained",
    "green": "green again",
    "escalated": "NEEDS YOU",
    "needs_person": "waits for your decision",
    "closed": "closed",
}


@dataclass(frozen=True)
class Message:
    """One message. `what` and `severity` let subscribers filter."""

    subject: str
    body: str
    what: str
    severity: str


def of(event: Mapping[str, Any]) -> Message | None:
    """The message for an event of the bus; None if people need not hear of it."""
    detail = event["detail"]
    if event["detail-type"] == outcome.ACTION_OUTCOME:
        return _by_hand(detail)
    if "state" in detail:
        return _of_incident(detail)
    return _of_refusal(detail) if detail["what"] == "escalated" else None


def _of_incident(detail: Mapping[str, Any]) -> Message | None:
    what = detail["what"]
    if what not in _HEADLINES:
        return None
    incident = read_incident(detail["state"])
    red = ", ".join(alarm.name for alarm in incident.alarms.values())
    lines = [
        f"{incident.severity} {incident.system}: {_HEADLINES[what]} - {incident.response}",
        f"Alarm: {red}",
        f"Why: {detail.get('detail', '')}",
        f"Done: {_done(incident) or 'nothing yet'}",
        f"Next: {_next(what, incident)}",
        "",
        *(_line(step) for step in incident.steps),
        "",
        *_times(incident),
        f"Incident: {incident.id}",
    ]
    subject = f"[{incident.severity}] {incident.system} {_HEADLINES[what]}: {incident.response}"
    return Message(_plain(subject), "\n".join(lines), what, incident.severity)


def _of_refusal(detail: Mapping[str, Any]) -> Message:
    lines = [
        f"selfheal did not act: {detail['reason']}",
        f"Why: {detail['detail']}",
        "Next: the alarm is red and nothing heals it. Look at it, or add a response to a runbook.",
        f"Record: {detail['record']}",
    ]
    return Message(_plain(f"selfheal did not act: {detail['reason']}"), "\n".join(lines), "escalated", "P1")


def _by_hand(detail: Mapping[str, Any]) -> Message | None:
    """Outcomes of an incident's steps are told with the incident; reads are not told."""
    if detail["incident"] or detail["direction"] == "read" or detail["outcome"] == Outcome.ALREADY_DONE:
        return None
    who = detail["requested_by"] or "somebody"
    lines = [
        f"{detail['action']} by {who}: {detail['outcome']} {detail['reason']}".rstrip(),
        f"What: {detail['detail']}",
        f"Undo: {detail['undo'] or 'not possible or not needed'}",
        f"Action: {detail['action_id']}",
    ]
    return Message(_plain(f"{detail['action']} by {who}: {detail['outcome']}"), "\n".join(lines), "by_hand", "P4")


def _done(incident: Incident) -> str:
    return "; ".join(step.detail or step.label for step in incident.steps if step.status is Status.DONE)


def _next(what: str, incident: Incident) -> str:
    waiting = [step.label for step in incident.steps if step.status is Status.NEEDS_PERSON]
    if waiting:
        return f"decide on {', '.join(waiting)}: invoke Approve with incident {incident.id}"
    if what == "escalated":
        return "look at it now; selfheal does no more by itself than the steps below say"
    if what == "closed":
        return "find the root cause; what was halted stays halted until a person switches it on"
    return "nothing; you will hear when it is green, or when it needs you"


def _line(step: StepRun) -> str:
    why = f": {step.detail or step.reason}" if step.detail or step.reason else ""
    return f"- {step.stage.value:9} {step.label}: {step.status.value.replace('_', ' ')}{why}"


def _times(incident: Incident) -> list[str]:
    opened = incident.red_at_ms / 1000
    moments = {"contained": incident.contained_at, "green": incident.green_at, "closed": incident.closed_at}
    start = datetime.fromtimestamp(opened, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    later = ", ".join(f"{name} after {moment - opened:.0f} s" for name, moment in moments.items() if moment)
    return [f"Red at {start}" + (f"; {later}" if later else "")]


def _plain(subject: str) -> str:
    """ASCII without line breaks, at most 100 characters: what SNS accepts."""
    ascii_only = subject.encode("ascii", "replace").decode()
    return " ".join(ascii_only.split())[:MAX_SUBJECT]
