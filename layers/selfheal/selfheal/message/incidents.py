"""The message for one piece of news of an incident."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal import commands, flapping, procedures, summary
from selfheal.incident import Incident, Status, StepRun, read_incident
from selfheal.links import Console
from selfheal.message.text import MAX_COMMAND, MAX_LINE, Message, body_of, link_lines, stack, subject_of
from selfheal.plain import one_line
from selfheal.spans import span

MAX_LINKS = 12
LOOK_BACK_S = 10_800
"""How far the query for the log of an incident looks back from when the link is followed."""


def of(detail: Mapping[str, Any], console: Console | None) -> Message | None:
    """The message; None: nobody need hear of it, or other news of the same moment say it as well."""
    what, why = str(detail["what"]), str(detail.get("detail", ""))
    try:
        incident = read_incident(detail["state"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _unreadable(detail, error)
    also = frozenset(map(str, detail.get("also", ())))
    if not (_is_told(what, incident, also) and flapping.is_told(what, incident)):
        return None
    count = detail["state"].get("alarm_count", 0)
    told = summary.of(what, why, incident, also, count)
    typed = tuple(commands.of(incident, stack()))
    links = tuple(_links(incident, console))
    lines = [
        *(one_line(line, MAX_LINE) for line in told.lines),
        *_react_by(what, incident),
        *(["", "Commands, to be filled in:"] if typed else []),
        *(line for name, command in typed for line in (f"  {one_line(name, MAX_LINE)}:", f"    {command}")),
        "",
        *(one_line(_line(incident, step), MAX_LINE) for step in incident.steps),
        "",
        *_times(incident),
        *(f"Evidence: {where}" for where in _captured(incident)),
        *link_lines(links),
        f"Incident: {incident.id}",
        *_prepared(what, incident),
    ]
    return Message(
        subject_of(told.subject(incident)),
        body_of(lines, MAX_COMMAND),
        what,
        incident.severity or "P1",
        thread=incident.thread_id,
        told=told.lines[:4],
        next=told.lines[4].removeprefix("Next: "),
        commands=typed,
        links=links,
        about=(("incident", incident.id), ("system", incident.system), ("response", incident.response)),
    )


def _is_told(what: str, incident: Incident, also: frozenset[str]) -> bool:
    """One moment, one message: the last step of an incident often is its end, and its end often leaves a decision."""
    if incident.quiet and (what == "opened" or incident.verdict == "rolled_out"):
        return False
    said_by = {
        "opened": {"escalated"},
        "green": {"needs_person", "closed"},
        "closed": {"needs_person"},
        "contained": {"escalated"},
    }
    return not said_by.get(what, set()) & also


def _unreadable(detail: Mapping[str, Any], error: Exception) -> Message:
    lines = [
        f"selfheal: {summary.HEADLINES[detail['what']]} - incident {detail.get('incident')}",
        "Done: not known",
        "Not done: not known",
        f"Now: {detail.get('detail', '')}",
        f"Next: look at the incident in the ledger; its update could not be read ({type(error).__name__}: {error})",
    ]
    thread = str(detail.get("incident") or "")
    return Message(
        subject_of(lines[0]),
        body_of(lines),
        str(detail["what"]),
        "P1",
        thread,
        (lines[3],),
        lines[4].partition(": ")[2],
    )


def _react_by(what: str, incident: Incident) -> list[str]:
    """When the runbook expects a person. The time runs from when they are first told that they are needed."""
    if what not in summary.FOR_A_PERSON or not incident.respond_within_s:
        return []
    told_at = incident.escalated_at or incident.green_at or incident.opened_at
    by = datetime.fromtimestamp(told_at + incident.respond_within_s, UTC)
    return [f"React by: {by:%Y-%m-%d %H:%M UTC}; {incident.severity} means within {span(incident.respond_within_s)}"]


def _prepared(what: str, incident: Incident) -> list[str]:
    """What the runbook has prepared for the one who reads this; commands are not cut off."""
    if what not in summary.FOR_A_PERSON:
        return []
    return [line for one in incident.procedures for line in ("", *procedures.lines(incident.system, one, stack()))]


def _line(incident: Incident, step: StepRun) -> str:
    why = step.detail or step.reason if step.status is not Status.NEEDS_PERSON else "the commands are above"
    stage = "rollout" if incident.rollout else step.stage.value
    return f"- {stage:9} {step.label}: {step.status.value.replace('_', ' ')}" + (f": {why}" if why else "")


def _times(incident: Incident) -> Iterator[str]:
    opened = incident.red_at_ms / 1000
    moments = {
        "contained": incident.contained_at,
        "remediated": incident.remediated_at,
        "green": incident.green_at,
        "escalated": incident.escalated_at,
        "closed": incident.closed_at,
    }
    start = datetime.fromtimestamp(opened, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    later = ", ".join(f"{name} after {moment - opened:.0f} s" for name, moment in moments.items() if moment)
    yield f"{'Started' if incident.rollout else 'Red'} at {start}" + (f"; {later}" if later else "")
    if incident.repeats:
        since = datetime.fromtimestamp(incident.flapping_since or opened, UTC)
        yield (
            f"Flapping: no. {incident.repeats + 1} since {since:%Y-%m-%d %H:%M UTC}; told in full are the 1st, 2nd, "
            "4th, 8th …, of the others what needs you and what was changed"
        )


def _captured(incident: Incident) -> list[str]:
    return list(dict.fromkeys(step.captured for step in incident.steps if step.captured))


def _links(incident: Incident, console: Console | None) -> Iterator[tuple[str, str]]:
    found = [
        *_alarms(incident),
        *_targets(incident, console),
        *_of_selfheal(incident, console),
        *((f"evidence {where}", console.stored(where)) for where in _captured(incident) if console),
    ]
    fit = [(name, address) for name, address in dict.fromkeys(found) if 0 < len(address) <= MAX_LINE * 3]
    yield from fit[:MAX_LINKS]


def _alarms(incident: Incident) -> Iterator[tuple[str, str]]:
    for alarm in sorted(incident.alarms.values(), key=lambda one: not one.is_red)[: summary.MAX_NAMED]:
        there = Console.of(alarm.arn)
        if there is not None:
            yield f"alarm {alarm.name[:60]}", there.alarm(alarm.name)


def _targets(incident: Incident, console: Console | None) -> Iterator[tuple[str, str]]:
    for step in incident.steps:
        address = console.target(step.target) if console else ""
        if address:
            yield f"{step.target_name[:60]}", address


def _of_selfheal(incident: Incident, console: Console | None) -> Iterator[tuple[str, str]]:
    group, board = os.environ.get("LOG_GROUP", ""), os.environ.get("DASHBOARD", "")
    if console and group:
        query = f'fields @timestamp, @message | filter @message like "{incident.key}" | sort @timestamp'
        yield "log of selfheal", console.logs_insights(group, query, LOOK_BACK_S)
    if console and board:
        yield "control room", console.dashboard(board)
