"""A step that is bound to a sweep: it goes ahead only if the sweep's last run passed, and lately."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal import sweep_results
from selfheal.action import Decline
from selfheal.errors import LedgerUnavailable
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.sweep_notice import command

MINUTE_S = 60


def observe(ledger: Ledger, system: str | None, sweep: str, now: float) -> dict[str, Any]:
    """What `decide` needs of the sweep's last run; JSON types only."""
    seen: dict[str, Any] = {"sweep": sweep, "system": system, "at": None, "not_read": ""}
    if system is None:
        return seen
    try:
        last = sweep_results.last(ledger, system, sweep)
    except LedgerUnavailable as error:
        return seen | {"not_read": str(error)}
    if last is None:
        return seen
    return seen | {"at": last.at, "age_s": now - last.at, "verdict": last.verdict, "worst": last.worst}


def decide(seen: Mapping[str, Any], within_minutes: int) -> Decline | None:
    """None: it passed within so many minutes. Pure."""
    system, sweep = seen["system"], seen["sweep"]
    if system is None:
        return Decline(Refusal.BAD_OPTIONS, f"after_sweep {sweep} needs the request's `system`, whose sweep it is")
    if seen["not_read"]:
        return Decline(Refusal.GUARD_UNREADABLE, f"the last run of {sweep}: {seen['not_read']}")
    stack = os.environ.get("POWERTOOLS_SERVICE_NAME") or "selfheal"
    run = f"run it: {command(system, sweep, stack)}"
    if seen["at"] is None:
        return Decline(Refusal.CHECKS_NOT_PASSED, f"the sweep {sweep!r} of {system} has never run; {run}")
    when = datetime.fromtimestamp(seen["at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    if seen["verdict"] != "pass":
        what = f"the sweep {sweep!r} of {system} ran at {when} and did not pass ({seen['worst']})"
        return Decline(Refusal.CHECKS_NOT_PASSED, f"{what}; mend that, then {run}")
    if not -MINUTE_S <= seen["age_s"] <= within_minutes * MINUTE_S:
        what = f"the sweep {sweep!r} of {system} passed at {when}, which is {seen['age_s'] / MINUTE_S:.0f} min ago"
        return Decline(Refusal.CHECKS_NOT_PASSED, f"{what}; at most {within_minutes} are allowed; {run}")
    return None
