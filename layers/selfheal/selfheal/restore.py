"""Undo: which change is to be taken back, by whom, and what the target must look like for it.

An undo is the same action with the recorded before-image as the wanted state. It happens at most once: the original's
record names the undo that has it (`undone_by`), from the take until the undo ended without an effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import ledger as table
from selfheal import record
from selfheal.action import Action, Image
from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.ledger import Ledger, Write
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Outcome

_LEFT_SOMETHING = frozenset({Outcome.ACTED, Outcome.FAILED, Outcome.INCONCLUSIVE})
"""After a failed or inconclusive call the target may have changed; the comparison of images tells."""


@dataclass(frozen=True)
class Original:
    """The change to take back. `opened`: it is on the list of open changes; an undo of an undo finds one that isn't."""

    action_id: str
    before: Image
    after: Image
    opened: bool


def find(ledger: Ledger, action: Action, request: Request) -> Original:
    """The change that `request.undo_of` names. Raises Refused with why it can't be undone, LedgerUnavailable."""
    original_id = str(request.undo_of)
    if not action.reversible:
        raise Refused(Refusal.IRREVERSIBLE, f"{request.action} cannot be undone")
    found = record.find(ledger, original_id) or {}
    result: Mapping[str, Any] = found.get("doc", {}).get("result") or {}
    if result.get("outcome") not in _LEFT_SOMETHING or result["before"] is None:
        raise Refused(Refusal.NOTHING_TO_UNDO, f"{original_id} changed nothing")
    if (result["action"], result["target"]) != (request.action, request.target.as_dict()):
        what = f"{original_id} was {result['action']} on {result['target']}"
        raise Refused(Refusal.NOTHING_TO_UNDO, f"{what}, not {request.action} on {request.target.as_dict()}")
    if found.get("undone_by") not in {None, request.action_id}:
        raise Refused(Refusal.ALREADY_UNDONE, f"{original_id} was undone by {found['undone_by']}")
    return Original(original_id, result["before"], result["after"], opened=bool(found["doc"].get("opened")))


def refuse_if_changed_since(original: Original, now: Image) -> None:
    """Raises Refused(CHANGED_SINCE) with the fields that are neither as the action left them nor as before."""
    differences = {
        name: {"now": now.get(name), "left_by_selfheal": left}
        for name, left in original.after.items()
        if now.get(name) not in (left, original.before.get(name))
    }
    if differences:
        raise Refused(Refusal.CHANGED_SINCE, f"changed by somebody else since: {differences}")


def claimed(original: Original, request: Request) -> Write:
    """The write that makes this request the one undo of the original."""
    return table.update(
        *record.key(original.action_id),
        {"undone_by": request.action_id},
        "attribute_exists(pk) AND (attribute_not_exists(undone_by) OR undone_by = :me)",
        {"me": request.action_id},
    )


def done(original: Original, request: Request, now: float) -> Write:
    """The write that ends it: the original's image is not needed any more and may expire."""
    return table.update(
        *record.key(original.action_id),
        {"undone_by": request.action_id, "expires": int(now + table.KEEP_S)},
        "attribute_exists(pk)",
    )


def given_up(original: Original, request: Request) -> Write:
    """The write that lets another undo try."""
    return table.update(
        *record.key(original.action_id), {"undone_by": None}, "undone_by = :me", {"me": request.action_id}
    )
