"""Drills: how the last one went. A guard that has never refused anything may never have worked.

The drill itself is the function `drill`; it is marked by its system, a name that no runbook can have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import ledger as table
from selfheal.ledger import Ledger, Lost
from selfheal.rounds import Done

SYSTEM = "selfheal/drill"
STALE_AFTER_S = 8 * table.DAY_S
"""It runs once a week."""
WATCH_EVERY_S = 900.0
_LAST = ("DRILL", "LAST")
_RUN = ("DRILL", "RUN")


def begin(ledger: Ledger, run: str, now: float, within_s: float) -> bool:
    """False: another drill is running, and two would be in each other's way. Raises LedgerUnavailable."""
    changes = {"run": run, "running_until": now + within_s}
    try:
        ledger.write(table.update(*_RUN, changes, "attribute_not_exists(pk) OR running_until < :now", {"now": now}))
    except Lost:
        return False
    return True


def end(ledger: Ledger, run: str, report: Mapping[str, Any], now: float) -> None:
    """Record how it went. Raises LedgerUnavailable."""
    ledger.write(table.put(*_LAST, report, passed=int(bool(report["passed"])), at=now))
    try:
        ledger.write(table.update(*_RUN, {"running_until": 0}, "run = :mine", {"mine": run}))
    except Lost:
        return  # it took too long, and another one has begun


def watch(ledger: Ledger, now: float) -> Done:
    """Whether the last drill passed, at most 8 days ago: CloudWatch can't look back further than a week.

    A new stack has missed none: its time begins with the first look. Raises LedgerUnavailable.
    """
    item = ledger.get(*_LAST)
    if item is None:
        try:
            ledger.write(table.put_new(*_LAST, {"waits": "for the first drill"}, passed=1, at=now))
        except Lost:
            return Done(finished=False)
        return Done({"passed": 1})
    fresh = float(item["at"]) > now - STALE_AFTER_S
    return Done({"passed": int(bool(item["passed"]) and fresh)})
