"""Messages that are no step in the life of an incident: by hand, refusals without an incident, notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import commands, drills, notices
from selfheal.links import Console
from selfheal.message.text import MAX_COMMAND, MAX_LINE, Links, Message, body_of, link_lines, stack, subject_of
from selfheal.plain import one_line
from selfheal.words import Outcome

DECISIONS = frozenset({"deny", "take_over", "hand_back", "pause", "resume"})
"""What a person told selfheal; it changes no resource, and others must know it all the same."""
TOLD_BY_THE_CLOCK = ("maintenance.", "watch.")
"""How the ids of requests begin of which the clock tells what became of them."""
_NO_NEWS = frozenset({Outcome.ALREADY_DONE, Outcome.IN_PROGRESS, Outcome.PLANNED})


def of_refusal(detail: Mapping[str, Any]) -> Message:
    """An alarm that is red and that nothing answers."""
    what_next = "Next: look at the alarm, or add a response to a runbook; nothing else will come of it"
    lines = [
        f"selfheal did not act: {detail.get('reason')}",
        "Done: nothing",
        f"Not done: {detail.get('detail')}",
        "Now: the alarm is red and nothing heals it",
        what_next,
        "",
        f"Record: {detail.get('record')}",
    ]
    about = (("record", str(detail.get("record"))),)
    return _message(lines, "escalated", "P1", thread=str(detail.get("record") or ""), about=about)


def by_hand(detail: Mapping[str, Any], console: Console | None) -> Message | None:
    """What a person asked for, an approved step of an incident and an undo included.

    Steps that selfheal took by itself are told with their incident; reads and repetitions are not told.
    """
    who, action, result = detail.get("requested_by"), detail.get("action"), detail.get("outcome")
    by_itself = not who and (detail.get("incident") or str(detail.get("action_id")).startswith(TOLD_BY_THE_CLOCK))
    quiet = detail.get("direction") == "read" and action not in DECISIONS
    drill = detail.get("system") == drills.SYSTEM  # it tells of itself, once
    if by_itself or quiet or drill or result in _NO_NEWS:
        return None
    target = detail.get("target")
    links = _links(target, console)
    lines = [
        one_line(f"{action} by {who or 'somebody'}: {result} {detail.get('reason') or ''}".rstrip(), MAX_LINE),
        one_line(f"What: {detail.get('detail')}", MAX_LINE),
        one_line(f"Target: {_target(target)}", MAX_LINE),
        f"Undo: {_undo(detail.get('undo'))}",
        *_evidence(detail.get("evidence")),
        *link_lines(links),
        f"Action: {detail.get('action_id')}",
    ]
    subject = f"{action} by {who or 'somebody'}: {result}"
    thread = str(detail.get("incident") or _incident_of(target) or "")
    return _message(lines, "by_hand", "P4", subject=subject, thread=thread, links=links)


def of_notice(detail: Mapping[str, Any]) -> Message | None:
    """Its lines hold commands, which must not be cut off."""
    notice = notices.of(detail, stack())
    if notice is None:
        return None
    return _message(list(notice.lines), notice.what, notice.severity)


def _message(lines: list[str], what: str, severity: str, *, subject: str = "", **more: Any) -> Message:
    told = [line for line in lines[1:] if line and not line.startswith("Next: ")]
    following = next((line.removeprefix("Next: ") for line in lines if line.startswith("Next: ")), "")
    return Message(
        subject_of(subject or lines[0]),
        body_of(lines, MAX_COMMAND),
        what,
        severity or "P1",
        told=tuple(told[:6]),
        next=following,
        **more,
    )


def _links(target: Any, console: Console | None) -> Links:
    address = console.target(target) if console and isinstance(target, Mapping) else ""
    return (("look", address),) if address else ()


def _incident_of(target: Any) -> str:
    named = target.get("incident") if isinstance(target, Mapping) else ""
    return named if isinstance(named, str) and named != "-" else ""


def _target(target: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in target.items()) if isinstance(target, Mapping) else ""


def _evidence(evidence: Any) -> list[str]:
    where = evidence.get("captured") if isinstance(evidence, Mapping) else None
    return [f"Evidence: {where}"] if where else []


def _undo(undo: Any) -> str:
    if not isinstance(undo, Mapping):
        return "not possible or not needed"
    target = undo.get("target")
    wanted = target if isinstance(target, Mapping) else {}
    return commands.undo(str(wanted.get("incident") or "-"), stack(), str(wanted.get("action_id") or ""))
