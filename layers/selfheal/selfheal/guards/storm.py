"""Did three or more systems go red within 5 minutes? What they share is broken then, and no rollback of one helps.

What is risky waits for a person: for half an hour after the last of them, which is longer than an incident usually has
before it escalates.
"""

from __future__ import annotations

from collections.abc import Iterable

from selfheal import ledger as table
from selfheal.action import Decline
from selfheal.errors import LedgerUnavailable
from selfheal.guards.context import GuardContext
from selfheal.ledger import Write
from selfheal.refusal import Refusal

SYSTEMS = 3
WITHIN_S = 300
LASTS_S = 1_800


def check(context: GuardContext) -> Decline | None:
    """One query of the marks that opened incidents left."""
    if context.ledger is None:
        raise LedgerUnavailable("it did not answer earlier in this run")
    marks = [(float(item["at"]), str(item["system"])) for item in context.ledger.query("STORM")]
    found = burst(marks, context.now)
    if found is None:
        return None
    systems, last = found
    detail = f"{', '.join(sorted(systems))} went red within {WITHIN_S // 60} min"
    return Decline(Refusal.STORM, detail, until=last + LASTS_S)


def burst(marks: Iterable[tuple[float, str]], now: float) -> tuple[set[str], float] | None:
    """The systems of the last burst and when its last one went red; None: there is none that still counts.

    `marks` are (when, system).
    """
    recent = sorted((at, system) for at, system in marks if now - LASTS_S - WITHIN_S < at <= now + WITHIN_S)
    for last, _ in reversed(recent):
        systems = {system for at, system in recent if last - WITHIN_S <= at <= last}
        if len(systems) >= SYSTEMS:
            return (systems, last) if last > now - LASTS_S else None
    return None


def mark(incident_id: str, system: str, now: float) -> Write:
    """The write that says that a system went red."""
    return table.put("STORM", incident_id, {}, at=now, system=system, expires=int(now + LASTS_S + WITHIN_S))
