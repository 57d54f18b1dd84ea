"""Is an open change still in force? A redeployment, or a person, may have written over it; then it is closed by itself.

The action's own function is asked for the plan of its undo: it reads the target, compares it with what the action left,
and writes nothing. No other code knows what a target's image is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from selfheal import ledger as table
from selfheal import outcome, record
from selfheal.errors import SelfhealError
from selfheal.ledger import Ledger, Lost
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.rounds import Done
from selfheal.words import Mode, Origin, Outcome

EVERY_S = 3_600.0
MAX_AT_ONCE = 3
"""Each is an invocation that is waited for, and a tick has a minute; the next tick goes on."""

Ask = Callable[[dict[str, Any]], Mapping[str, Any]]


def look(ledger: Ledger, ask: Ask, now: float) -> Done:
    """Look at the changes that were not looked at for an hour, the longest first. Raises LedgerUnavailable."""
    waiting = sorted(
        (item for item in ledger.query("CHANGE") if _looked_at(item) <= now - EVERY_S + 60),
        key=_looked_at,
    )
    told = {}
    for item in waiting[:MAX_AT_ONCE]:
        change = item["doc"]
        why = _why_over(change, ask)
        if why:
            _close(ledger, item["sk"], change, why, now)
            told[change["action_id"]] = why
        else:
            _note_look(ledger, item["sk"], now)
    return Done(told or None, finished=len(waiting) <= MAX_AT_ONCE)


def _looked_at(item: Mapping[str, Any]) -> float:
    return float(item.get("looked_at", item["doc"]["at"]))


def _why_over(change: Mapping[str, Any], ask: Ask) -> str:
    """Why it is not in force any more; empty if it is, or if that can't be told now."""
    try:
        answer = ask(_plan_of_undo(change))
    except SelfhealError as error:
        logger.warning("open change not looked at", action_id=change["action_id"], cause=str(error))
        return ""
    said, reason, detail = answer.get("outcome"), answer.get("reason"), str(answer.get("detail", ""))
    if said == Outcome.ALREADY_DONE:
        return f"it is as it was before: {detail}"
    if said == Outcome.REFUSED and reason in {Refusal.CHANGED_SINCE, Refusal.TARGET_NOT_FOUND}:
        return detail
    return ""


def _plan_of_undo(change: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": change["action"],
        "action_id": f"look.{change['action_id'][:200]}",
        "target": change["target"],
        "mode": Mode.PLAN.value,
        "origin": Origin.UNDO.value,
        "undo_of": change["action_id"],
        "incident": change["incident"],
        "system": change["system"],
        "reason": "is it still in force?",
    }


def _close(ledger: Ledger, key: str, change: Mapping[str, Any], why: str, now: float) -> None:
    """Take it off the list; its image may expire like any other."""
    off = table.delete("CHANGE", key)
    expire = table.update(
        *record.key(change["action_id"]), {"expires": int(now + table.KEEP_S)}, "attribute_exists(pk)"
    )
    try:
        ledger.write(off, expire)
    except Lost:  # there is no record: the change was made while the ledger was down
        ledger.write(off)
    logger.info("open change is not in force any more", action_id=change["action_id"], why=why)
    outcome.send(outcome.NOTICE, {"what": "change_over", "change": change, "why": why})


def _note_look(ledger: Ledger, key: str, now: float) -> None:
    try:
        ledger.write(table.update("CHANGE", key, {"looked_at": now}, "attribute_exists(pk)"))
    except Lost:
        return  # undone in between
