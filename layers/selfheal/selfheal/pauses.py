"""Pauses: what is in force, and the end of each, which people are told of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from selfheal import incident_store, outcome
from selfheal import ledger as table
from selfheal.frozen import dataclass
from selfheal.ledger import Ledger, Lost
from selfheal.rounds import Done

SHOWN = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True)
class Pause:
    """One pause. `name`: `*`, a system, or an incident that a person has taken over; `until_at` in epoch seconds."""

    name: str
    what: str
    who: str
    reason: str
    since: str
    until: str
    until_at: float

    @property
    def since_at(self) -> float:
        """Since when, in epoch seconds; 0 where it is not told."""
        try:
            return datetime.strptime(self.since, SHOWN).replace(tzinfo=UTC).timestamp()
        except ValueError:
            return 0.0

    def as_dict(self) -> dict[str, Any]:
        """For evidence and events."""
        return asdict(self)


def all_of(ledger: Ledger) -> Iterator[Pause]:
    """Every pause that is in force or has just ended. Raises LedgerUnavailable."""
    for item in ledger.query("PAUSE"):
        doc = item.get("doc", {})
        texts = {name: str(doc.get(name) or "") for name in ("what", "who", "reason", "since", "until")}
        yield Pause(name=item["sk"], until_at=float(item.get("paused_until", 0)), **texts)


def in_force(ledger: Ledger, now: float) -> list[Pause]:
    """The pauses that hold at this moment. Raises LedgerUnavailable."""
    return [pause for pause in all_of(ledger) if pause.until_at > now]


def tell_ended(ledger: Ledger, now: float) -> Done:
    """Tell people of each pause that has ended by itself, and forget it; telling twice is better than not at all."""
    ended = [pause for pause in all_of(ledger) if pause.until_at <= now]
    told = [pause.name for pause in ended if _is_over_for_nobody(ledger, pause) or _tell(pause)]
    for pause in ended:
        if pause.name in told:
            _forget(ledger, pause)
    return Done(told or None, finished=len(told) == len(ended))


def _is_over_for_nobody(ledger: Ledger, pause: Pause) -> bool:
    """It was of an incident that is closed: nothing goes on."""
    incident = incident_store.find(ledger, pause.name)
    return incident is not None and incident.closed_at is not None


def _tell(pause: Pause) -> bool:
    return outcome.send(outcome.NOTICE, {"what": "pause_ended", "pause": pause.as_dict()})


def _forget(ledger: Ledger, pause: Pause) -> None:
    try:
        ledger.write(table.delete("PAUSE", pause.name, "paused_until = :seen", {"seen": pause.until_at}))
    except Lost:
        return  # paused again in between
