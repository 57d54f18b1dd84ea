"""Once a day people are told what selfheal changed and nobody has switched back, and what is paused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import changes, outcome, pauses
from selfheal.ledger import DAY_S, Ledger
from selfheal.rounds import Done

EVERY_S = float(DAY_S)
MAX_TOLD = 40
"""Of each kind: an event holds 256 KB, and nobody reads more."""
TOLD = ("action", "action_id", "incident", "system", "target", "summary", "at")


def remind(ledger: Ledger, now: float) -> Done:
    """One message, as soon as something is a day old. Not finished: there was nothing to tell, or nobody took it."""
    old = [change for change in changes.still_open(ledger) if change["at"] <= now - DAY_S]
    paused = pauses.in_force(ledger, now)
    if not old and not any(pause.since_at <= now - DAY_S for pause in paused):
        return Done(finished=False)
    oldest_first = sorted(old, key=lambda change: float(change["at"]))
    detail = {
        "what": "reminder",
        "at": now,
        "changes": [brief(change) for change in oldest_first[:MAX_TOLD]],
        "pauses": [pause.as_dict() for pause in paused[:MAX_TOLD]],
        "left_out": max(0, len(old) - MAX_TOLD) + max(0, len(paused) - MAX_TOLD),
    }
    told = outcome.send(outcome.NOTICE, detail)
    return Done({"changes": len(old), "pauses": len(paused)} if told else None, finished=told)


def brief(change: Mapping[str, Any]) -> dict[str, Any]:
    """An open change without its images."""
    return {name: change.get(name) for name in TOLD}
