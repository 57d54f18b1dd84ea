"""A replay for people: assumptions, decisions, incidents. The same lines on a terminal, in a file and in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from selfheal.incident import GOOD_STATUSES, Incident, Status
from selfheal.replay.simulation import Row, Story

MAX_WHY = 160

Line = tuple[str, str]
"""What kind of line it is (heading, assumption, alarm, step, incident, total), and its text."""


def lines(story: Story, assumptions: list[str]) -> list[Line]:
    """All of it, in order."""
    told: list[Line] = [("heading", "What is assumed")]
    told += [("assumption", f"  - {one}") for one in assumptions]
    told.append(("heading", "Decisions (times in UTC)"))
    told += _decisions(story)
    told.append(("heading", "Incidents"))
    told += [("total", f"  #{number} {line}") for number, line in enumerate(map(_summary, story.incidents), 1)]
    told.append(("total", f"  {_totals(story)}"))
    if story.stopped_at is not None:
        stopped = f"  It ran out of time at {_time(story.stopped_at)} of the past: ask for fewer days or alarms"
        told.append(("total", stopped))
    return told


def _decisions(story: Story) -> Iterator[Line]:
    numbers = {incident.id: f"#{number}" for number, incident in enumerate(story.incidents, 1)}
    cells = [(row.kind, [*_cells(row, numbers)]) for row in story.rows]
    widths = [max((len(texts[column]) for _, texts in cells), default=0) for column in range(4)]
    for kind, texts in cells:
        padded = [text.ljust(width) for text, width in zip(texts, widths, strict=False)]
        yield kind, "  ".join(["", *padded, texts[-1]]).rstrip()


def _cells(row: Row, numbers: dict[str, str]) -> Iterator[str]:
    yield _time(row.at)
    yield numbers.get(row.incident, "")
    yield row.what if row.kind == "alarm" else f"  {row.what}"
    yield row.decision
    yield row.why if len(row.why) <= MAX_WHY else f"{row.why[: MAX_WHY - 1]}…"


def _summary(incident: Incident) -> str:
    acted = [step.label for step in incident.steps if step.status is Status.DONE]
    suggested = [step.label for step in incident.steps if step.status is Status.SUGGESTED]
    waits = [step.label for step in incident.steps if step.status is Status.NEEDS_PERSON]
    parts = [
        _after(incident, f"closed as {incident.verdict}", incident.closed_at) or f"still open ({incident.phase.value})",
        _after(incident, "contained", incident.contained_at),
        _after(incident, "green", incident.green_at),
        _after(incident, "escalated", incident.escalated_at),
        f"would act: {', '.join(acted)}" if acted else "",
        f"would suggest: {', '.join(suggested)}" if suggested else "",
        f"for a person: {', '.join(waits)}" if waits else "",
    ]
    return f"{incident.system}: {incident.response}: {'; '.join(part for part in parts if part)}"


def _after(incident: Incident, what: str, at: float | None) -> str:
    return "" if at is None else f"{what} after {_span(at - incident.red_at_ms / 1000)}"


def _span(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 600 else f"{whole // 60} min"


def _totals(story: Story) -> str:
    closed = [incident.verdict for incident in story.incidents if incident.closed_at is not None]
    acted = sum(step.status in GOOD_STATUSES for incident in story.incidents for step in incident.steps)
    told = ", ".join(f"{closed.count(verdict)} {verdict}" for verdict in sorted(set(closed))) or "none closed"
    unmatched = sum(row.decision == "refused no_runbook" for row in story.rows)
    return (
        f"{story.alarms} alarms, {len(story.incidents)} incidents ({told}), {acted} steps done, "
        f"{unmatched} alarms without a runbook"
    )


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
