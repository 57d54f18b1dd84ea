"""What the control room shows: read from the ledger by queries, and nothing else is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from selfheal import approvals, changes, closed, pauses, scores
from selfheal.approvals import Waiting
from selfheal.frozen import dataclass
from selfheal.incident import Incident, Phase, Status, read_incident
from selfheal.ledger import DAY_S, Ledger
from selfheal.pauses import Pause
from selfheal.runbook import Response
from selfheal.scores import Score

PERMISSIONS = ("dynamodb:Query",)
MAX_READ = 200
"""Of a kind: an item may have 400 KB, and nobody looks at more."""
MAX_INCIDENTS = 20
CLOSED_DAYS = 4
"""A step waits for its approval for three days, also after its incident was closed."""

T = TypeVar("T")


@dataclass(frozen=True)
class Sweep:
    """How a sweep ended last. `at` in epoch seconds."""

    system: str
    name: str
    at: float
    verdict: str
    passed: int
    failed: int
    unknown: int
    worst: str


@dataclass(frozen=True)
class Room:
    """Everything that is shown, as it was at `now` (epoch seconds). What is long is cut: `more_incidents` are open and
    not in `incidents`. `unreadable`: items that another release may have written."""

    now: float
    incidents: list[Incident] = field(default_factory=list)
    more_incidents: int = 0
    waiting: list[Waiting] = field(default_factory=list)
    changes: list[Mapping[str, Any]] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    refusals: list[Mapping[str, Any]] = field(default_factory=list)
    closed: list[Mapping[str, Any]] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    drill: Mapping[str, Any] | None = None
    unreadable: int = 0

    @property
    def of_systems(self) -> list[Pause]:
        """The pauses but those of incidents that a person has taken over, which are told with the incident."""
        taken_over = {incident.id for incident in self.incidents}
        return [pause for pause in self.pauses if pause.name not in taken_over]

    def pause_of(self, name: str) -> Pause | None:
        """The pause under this name: `*`, a system or an incident."""
        return next((pause for pause in self.pauses if pause.name == name), None)


def read(ledger: Ledger, responses: list[Response], now: float) -> Room:
    """The room as it is. Raises LedgerUnavailable: a part of it would look like all of it."""
    bad: list[str] = []
    opened = _each(ledger.query("OPEN"), lambda item: read_incident(item["doc"]), bad)
    shown = sorted(opened, key=_urgency)[:MAX_INCIDENTS]
    lately = [one for back in range(CLOSED_DAYS) for one in _closed_on(ledger, now - back * DAY_S)]
    waits = [one.id for one in shown if any(step.status is Status.NEEDS_PERSON for step in one.steps)]
    waits += [one["id"] for one in lately if one.get("waits")]
    drill = next((item for item in ledger.query("DRILL", "LAST") if "passed" in item), None)
    return Room(
        now=now,
        incidents=shown,
        more_incidents=len(opened) - len(shown),
        waiting=[one for incident in waits[:MAX_INCIDENTS] for one in _undecided(ledger, incident, now)],
        changes=sorted(changes.still_open(ledger), key=lambda change: -float(change["at"])),
        pauses=pauses.in_force(ledger, now),
        refusals=[one for back in (0, 1) for one in _refused_on(ledger, now - back * DAY_S)],
        closed=lately,
        scores=scores.read(ledger, responses),
        sweeps=_each(ledger.query("SWEEPRESULT"), _sweep, bad),
        drill=drill,
        unreadable=len(bad),
    )


def _each(items: Iterable[Mapping[str, Any]], read_one: Callable[[Mapping[str, Any]], T], bad: list[str]) -> list[T]:
    """Every item that can be read; one that can't be hides none of the others."""
    found = []
    for item in islice(items, MAX_READ):
        try:
            found.append(read_one(item))
        except (AttributeError, KeyError, TypeError, ValueError):
            bad.append(item["sk"])
    return found


def _urgency(incident: Incident) -> tuple[bool, bool, float]:
    """Where people are needed first, then what is not contained, then the newest."""
    needed = incident.phase is Phase.WATCH or any(step.status is Status.NEEDS_PERSON for step in incident.steps)
    return (not needed, incident.contained_at is not None, -incident.opened_at)


def _undecided(ledger: Ledger, incident: str, now: float) -> list[Waiting]:
    return [one for one in approvals.all_of(ledger, incident) if one.decision == "waiting" and one.until > now]


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _closed_on(ledger: Ledger, at: float) -> list[Mapping[str, Any]]:
    """The last one first."""
    return [*islice(closed.on(ledger, _day(at)), MAX_READ)][::-1]


def _refused_on(ledger: Ledger, at: float) -> list[Mapping[str, Any]]:
    return [item["doc"] for item in islice(ledger.query(f"RECORD#{_day(at)}"), MAX_READ)]


def _sweep(item: Mapping[str, Any]) -> Sweep:
    system, _, name = item["sk"].partition("|")
    doc = item["doc"]
    counts = {one: int(doc[one]) for one in ("passed", "failed", "unknown")}
    return Sweep(system, name, float(item["swept_at"]), str(doc["verdict"]), worst=str(doc["worst"]), **counts)
