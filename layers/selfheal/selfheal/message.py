"""The words that people get: the first five lines say what went red, what was done, and what to do next."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from selfheal import drills, notices, outcome, procedures
from selfheal.approvals import approval_id
from selfheal.incident import Incident, Status, StepRun, read_incident
from selfheal.words import Outcome

MAX_SUBJECT = 99
"""SNS takes fewer than 100 characters for a mail's subject: ASCII, without line breaks and control characters."""
MAX_LINE = 400
MAX_COMMAND = 1_000
MAX_BODY = 20_000
"""A message that nobody reads tells nothing."""

_HEADLINES = {
    "opened": "opened",
    "contained": "contained",
    "green": "green again",
    "escalated": "NEEDS YOU",
    "needs_person": "waits for your decision",
    "closed": "closed",
}
_DECISIONS = frozenset({"deny", "take_over", "hand_back", "pause", "resume"})
"""What a person told selfheal; it changes no resource, and others must know it all the same."""
_ROLLOUT_NEXT = {
    "rolled_out": "nothing; every step was done, and every gate was clean",
    "undone": "find out what was red; what the rollout enabled is disabled again",
    "escalated": "decide: undo it, or look and start the rollout again with `from`",
}
TOLD_BY_THE_CLOCK = ("maintenance.", "watch.")
"""How the ids of requests begin of which the clock tells what became of them."""
_FOR_A_PERSON = frozenset({"escalated", "needs_person"})
_NO_NEWS = frozenset({Outcome.ALREADY_DONE, Outcome.IN_PROGRESS, Outcome.PLANNED})


@dataclass(frozen=True)
class Message:
    """One message. `what` and `severity` let subscribers filter."""

    subject: str
    body: str
    what: str
    severity: str


def of(event: Mapping[str, Any]) -> Message | None:
    """The message for an event of the bus; None if people need not hear of it, or it is none of selfheal's."""
    detail = event.get("detail")
    if not isinstance(detail, Mapping):
        return None
    if event.get("detail-type") == outcome.ACTION_OUTCOME:
        return _by_hand(detail)
    if event.get("detail-type") == outcome.NOTICE:
        return _of_notice(detail)
    if event.get("detail-type") != outcome.INCIDENT_UPDATE:
        return None
    if "state" in detail:
        return _of_incident(detail) if detail.get("what") in _HEADLINES else None
    return _of_refusal(detail) if detail.get("what") == "escalated" else None


def _of_incident(detail: Mapping[str, Any]) -> Message | None:
    what = str(detail["what"])
    try:
        incident = read_incident(detail["state"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _unreadable(detail, error)
    if incident.quiet and (what == "opened" or incident.verdict == "rolled_out"):
        return None
    headline = f"closed as {incident.verdict}" if what == "closed" else _HEADLINES[what]
    lines = [
        f"{incident.severity} {incident.system}: {headline} - {incident.response}",
        _cause(incident, detail["state"].get("alarm_count", 0)),
        f"Why: {detail.get('detail', '')}",
        f"Done: {_done(incident) or 'nothing yet'}",
        f"Next: {_next(what, incident)}",
        *_react_by(what, incident),
        "",
        *(_line(incident, step) for step in incident.steps),
        "",
        _times(incident),
        *(f"Evidence: {where}" for where in dict.fromkeys(step.captured for step in incident.steps) if where),
        f"Incident: {incident.id}",
    ]
    told = [_one_line(line, MAX_LINE) for line in lines] + _prepared(what, incident)
    subject = f"[{incident.severity}] {incident.system} {headline}: {incident.response}"
    return _message(subject, told, what, incident.severity, longest=MAX_COMMAND)


def _react_by(what: str, incident: Incident) -> list[str]:
    """When the runbook expects a person. The time runs from when they are first told that they are needed."""
    if what not in _FOR_A_PERSON or not incident.respond_within_s:
        return []
    told_at = incident.escalated_at or incident.green_at or incident.opened_at
    by = datetime.fromtimestamp(told_at + incident.respond_within_s, UTC)
    return [f"React by: {by:%Y-%m-%d %H:%M UTC}; {incident.severity} means within {_span(incident.respond_within_s)}"]


def _span(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _prepared(what: str, incident: Incident) -> list[str]:
    """What the runbook has prepared for the one who reads this; commands are not cut off."""
    if what not in _FOR_A_PERSON:
        return []
    return [line for one in incident.procedures for line in ("", *procedures.lines(incident.system, one, _stack()))]


def _stack() -> str:
    return os.environ.get("POWERTOOLS_SERVICE_NAME") or "selfheal"


def _unreadable(detail: Mapping[str, Any], error: Exception) -> Message:
    lines = [
        f"selfheal: {_HEADLINES[detail['what']]} - incident {detail.get('incident')}",
        f"Why: {detail.get('detail', '')}",
        f"Next: look at the incident in the ledger; its update could not be read ({type(error).__name__}: {error})",
    ]
    return _message(lines[0], lines, str(detail["what"]), "P1")


def _of_refusal(detail: Mapping[str, Any]) -> Message:
    lines = [
        f"selfheal did not act: {detail.get('reason')}",
        f"Why: {detail.get('detail')}",
        "Done: nothing",
        "Next: the alarm is red and nothing heals it. Look at it, or add a response to a runbook.",
        f"Record: {detail.get('record')}",
    ]
    return _message(lines[0], lines, "escalated", "P1")


def _by_hand(detail: Mapping[str, Any]) -> Message | None:
    """What a person asked for, an approved step of an incident and an undo included.

    Steps that selfheal took by itself are told with their incident; reads and repetitions are not told.
    """
    who, action, result = detail.get("requested_by"), detail.get("action"), detail.get("outcome")
    by_itself = not who and (detail.get("incident") or str(detail.get("action_id")).startswith(TOLD_BY_THE_CLOCK))
    quiet = detail.get("direction") == "read" and action not in _DECISIONS
    drill = detail.get("system") == drills.SYSTEM  # it tells of itself, once
    if by_itself or quiet or drill or result in _NO_NEWS:
        return None
    lines = [
        f"{action} by {who or 'somebody'}: {result} {detail.get('reason') or ''}".rstrip(),
        f"What: {detail.get('detail')}",
        f"Target: {_target(detail.get('target'))}",
        f"Undo: {_undo(detail.get('undo'))}",
        *_evidence(detail.get("evidence")),
        f"Action: {detail.get('action_id')}",
    ]
    return _message(f"{action} by {who or 'somebody'}: {result}", lines, "by_hand", "P4")


def _target(target: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in target.items()) if isinstance(target, Mapping) else ""


def _evidence(evidence: Any) -> list[str]:
    where = evidence.get("captured") if isinstance(evidence, Mapping) else None
    return [f"Evidence: {where}"] if where else []


def _undo(undo: Any) -> str:
    if not isinstance(undo, Mapping):
        return "not possible or not needed"
    return f"invoke Undo with target {json.dumps(undo.get('target'))}"


def _of_notice(detail: Mapping[str, Any]) -> Message | None:
    """Its lines hold commands, which must not be cut off."""
    notice = notices.of(detail, _stack())
    if notice is None:
        return None
    return _message(notice.lines[0], list(notice.lines), notice.what, notice.severity, longest=MAX_COMMAND)


def _message(subject: str, lines: list[str], what: str, severity: str, *, longest: int = MAX_LINE) -> Message:
    """Each line stays one line, whatever is in the names of alarms."""
    body = "\n".join(_one_line(line, longest) for line in lines)[:MAX_BODY]
    return Message(_plain(subject), body, what, severity or "P1")


def _cause(incident: Incident, count: int) -> str:
    if incident.rollout:
        return f"Rollout: {incident.rollout}, started by {incident.requested_by}"
    return f"Alarm: {_alarms(incident, count)}"


def _alarms(incident: Incident, count: int) -> str:
    red_first = sorted(incident.alarms.values(), key=lambda alarm: not alarm.is_red)
    more = max(count, len(red_first)) - 5
    names = ", ".join(_one_line(alarm.name, 60) for alarm in red_first[:5])
    return names + (f" and {more} more" if more > 0 else "")


def _done(incident: Incident) -> str:
    return "; ".join(step.detail or step.label for step in incident.steps if step.status is Status.DONE)


def _next(what: str, incident: Incident) -> str:
    waiting = [step.label for step in incident.steps if step.status is Status.NEEDS_PERSON]
    if waiting:
        return f"decide on {', '.join(waiting)}: invoke Approve with the target that stands beside it below"
    if what == "escalated" and not incident.rollout:
        return "look at it now; selfheal does no more by itself than the steps below say"
    if incident.rollout:
        return _ROLLOUT_NEXT.get(incident.verdict, "nothing; you will hear when it is done, or when it needs you")
    if what == "closed":
        return "find the root cause; what was halted stays halted until a person switches it on"
    return "nothing; you will hear when it is green, or when it needs you"


def _line(incident: Incident, step: StepRun) -> str:
    why = step.detail or step.reason
    if step.status is Status.NEEDS_PERSON:
        why = json.dumps({"incident": incident.id, "action_id": approval_id(incident.id, step.number)})
    stage = "rollout" if incident.rollout else step.stage.value
    return f"- {stage:9} {step.label}: {step.status.value.replace('_', ' ')}" + (f": {why}" if why else "")


def _times(incident: Incident) -> str:
    opened = incident.red_at_ms / 1000
    moments = {"contained": incident.contained_at, "green": incident.green_at, "closed": incident.closed_at}
    start = datetime.fromtimestamp(opened, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    later = ", ".join(f"{name} after {moment - opened:.0f} s" for name, moment in moments.items() if moment)
    return f"{'Started' if incident.rollout else 'Red'} at {start}" + (f"; {later}" if later else "")


def _one_line(text: str, longest: int) -> str:
    """Without line breaks and control characters; cut off where it is too long."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _plain(subject: str) -> str:
    """What SNS accepts as a subject."""
    ascii_only = subject.encode("ascii", "replace").decode()
    return " ".join(_one_line(ascii_only, len(ascii_only)).split())[:MAX_SUBJECT]
