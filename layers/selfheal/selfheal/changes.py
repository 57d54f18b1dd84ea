"""Open changes: what selfheal changed and nobody has undone yet. Reminded of daily until a person switches it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import ledger as table
from selfheal.ledger import Ledger, Write
from selfheal.request import Request, Result
from selfheal.words import Origin, Outcome

REPAIRS = frozenset({"roll_back_alias", "roll_back_service", "roll_back_secret", "reload_function"})
"""Actions that left what works in place of what did not: their undo brings the defect back. Nobody misses them when
selfheal goes, and after the next release nothing of them is left."""


def opened(request: Request, result: Result, now: float) -> Write:
    """The write that lists a change as open."""
    doc = {
        "action": request.action,
        "action_id": request.action_id,
        "function": request.entry.function,
        "target": request.target.as_dict(),
        "incident": request.incident,
        "system": request.system,
        "before": result.before,
        "after": result.after,
        "summary": result.detail,
        "at": now,
    }
    return table.put("CHANGE", f"{request.target.key}#{request.action_id}", doc)


def closed(target_key: str, action_id: str) -> Write:
    """The write that takes a change off the list, if it is there."""
    return table.delete("CHANGE", f"{target_key}#{action_id}")


def put_back_by(ledger: Ledger, request: Request, result: Result) -> list[str]:
    """The action_ids of open changes that a person's own action has put back: trading halted by an incident and resumed
    with an approval is no open change any more. Raises LedgerUnavailable."""
    if request.origin is not Origin.HAND or request.undo_of or result.outcome is not Outcome.ACTED:
        return []
    if request.entry.undo is None or result.before is None:
        return []
    return [
        change["action_id"]
        for change in still_open(ledger, request.target.key)
        if change["before"] == result.after and change["after"] == result.before
    ]


def still_open(ledger: Ledger, target_key: str = "") -> list[Mapping[str, Any]]:
    """Open changes, of one target or of all. Raises LedgerUnavailable."""
    return [item["doc"] for item in ledger.query("CHANGE", f"{target_key}#" if target_key else "")]
