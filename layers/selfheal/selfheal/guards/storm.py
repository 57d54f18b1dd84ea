"""Did three or more systems go red within 5 minutes? What they share is broken then, and no rollback of one helps.

What is risky waits for a person: for half an hour after the last of them, which is longer than an incident usually has
before it escalates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from selfheal import ledger as table
from selfheal.action import Decline
from selfheal.errors import LedgerUnavailable
from selfheal.guards.context import GuardContext
from selfheal.ledger import Ledger, Write
from selfheal.refusal import Refusal

Mark = tuple[float, str]
SYSTEMS = 3
WITHIN_S = 300
LASTS_S = 1_800


def check(context: GuardContext) -> Decline | None:
    """One query of the marks that opened incidents left."""
    if context.ledger is None:
        raise LedgerUnavailable("it did not answer earlier in this run")
    ledger = context.ledger
    marks = context.ahead.marks(lambda: read_marks(ledger)) if context.ahead else read_marks(ledger)
    found = burst(marks, context.now)
    if found is None:
        return None
    systems, last = found
    detail = f"{', '.join(sorted(systems))} went red within {WITHIN_S // 60} min"
    return Decline(Refusal.STORM, detail, until=last + LASTS_S)


def read_marks(ledger: Ledger) -> list[Mark]:
    """When which system went red: one mark for each incident of the last half hour. Raises LedgerUnavailable."""
    return [(float(item["at"]), str(item["system"])) for item in ledger.query("STORM")]


def burst(marks: Iterable[Mark], now: float) -> tuple[set[str], float] | None:
    """The systems of the last burst and when its last one went red; None: there is none that still counts.

    `marks` are (when, system).
    """
    recent = sorted((at, system) for at, system in marks if now - LASTS_S - WITHIN_S < at <= now + WITHIN_S)
    latest: tuple[set[str], float] | None = None
    window: Counter[str] = Counter()
    first = 0
    for last, system in recent:  # once through: a storm leaves a mark for each of its incidents
        window[system] += 1
        while recent[first][0] < last - WITHIN_S:
            window[recent[first][1]] -= 1
            first += 1
        systems = {name for name, marked in window.items() if marked}
        if len(systems) >= SYSTEMS:
            latest = (systems, last)
    return latest if latest and latest[1] > now - LASTS_S else None


def mark(incident_id: str, system: str, now: float) -> Write:
    """The write that says that a system went red."""
    return table.put("STORM", incident_id, {}, at=now, system=system, expires=int(now + LASTS_S + WITHIN_S))
