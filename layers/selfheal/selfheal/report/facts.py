"""What a report tells: the incident, the record of each of its steps, and what is still changed because of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from selfheal import changes, commands, record, story
from selfheal.frozen import dataclass
from selfheal.incident import Incident, Status, StepRun
from selfheal.ledger import Ledger
from selfheal.links import Console
from selfheal.request import Result
from selfheal.story import Moment, Times

MOST_RECORDS = 100
"""One call of the ledger; no ladder has as many steps and probes."""


@dataclass(frozen=True)
class Decision:
    """One step (or run of the probe), and the result in its record, if it has one."""

    step: StepRun
    action_id: str
    result: Result | None = None
    undone_by: str = ""

    @property
    def why(self) -> str:
        """Why it was done, refused or left."""
        waits = "waits for a person" if self.step.status is Status.NEEDS_PERSON else ""
        return self.step.detail or self.step.reason or (self.result.detail if self.result else "") or waits

    @property
    def took_s(self) -> float | None:
        """From the request to its end, as the timeline draws it."""
        if self.step.asked_at is None or self.step.done_at is None:
            return None
        return max(0.0, self.step.done_at - self.step.asked_at)

    def difference(self) -> list[tuple[str, Any, Any]]:
        """Field, before and after, of what it changed."""
        if self.result is None or self.result.before is None or self.result.after is None:
            return []
        before, after = self.result.before, self.result.after
        return [
            (name, before.get(name), after.get(name))
            for name in dict.fromkeys((*before, *after))
            if before.get(name) != after.get(name)
        ]


@dataclass(frozen=True)
class Facts:
    """All of it. `written_at` in epoch seconds; `stack` is the name of selfheal's own; `console` for links."""

    incident: Incident
    written_at: float
    stack: str
    console: Console | None
    decisions: tuple[Decision, ...] = ()
    probes: tuple[Decision, ...] = ()
    still_changed: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def moments(self) -> list[Moment]:
        """What happened when."""
        return story.of(self.incident)

    @property
    def times(self) -> Times:
        """Seconds from red."""
        return story.times(self.incident)

    @property
    def in_order(self) -> list[Decision]:
        """Steps and runs of the probe, as they came."""
        both = (*self.decisions, *self.probes)
        return sorted(both, key=lambda one: story.began(self.incident, one.step))

    @property
    def commands(self) -> list[tuple[str, str]]:
        """What a person may do now: in words, and what to type."""
        return commands.of(self.incident, self.stack)

    @property
    def evidence(self) -> list[str]:
        """Where evidence lies, each place once."""
        captured = (one.step.captured or _captured(one.result) for one in (*self.decisions, *self.probes))
        return list(dict.fromkeys(filter(None, captured)))


def gather(ledger: Ledger, incident: Incident, now: float, console: Console | None, stack: str) -> Facts:
    """Read what there is. Raises LedgerUnavailable."""
    keys = [record.key(incident.action_id(step)) for step in (*incident.steps, *incident.probes)]
    found = {item["pk"]: item for item in ledger.get_many(keys[:MOST_RECORDS])}
    return Facts(
        incident=incident,
        written_at=now,
        stack=stack,
        console=console,
        decisions=tuple(_decisions(incident, incident.steps, found)),
        probes=tuple(_decisions(incident, incident.probes, found)),
        still_changed=tuple(one for one in changes.still_open(ledger) if one.get("incident") == incident.id),
    )


def _decisions(
    incident: Incident, steps: tuple[StepRun, ...], found: Mapping[str, Mapping[str, Any]]
) -> Iterator[Decision]:
    for step in steps:
        action_id = incident.action_id(step)
        item = found.get(record.key(action_id)[0], {})
        told = item.get("doc", {}).get("result")
        yield Decision(step, action_id, record.read_result(told) if told else None, item.get("undone_by", ""))


def _captured(result: Result | None) -> str:
    return "" if result is None else str(result.evidence.get("captured", ""))
