"""Owned target, lease and cooldown: asked and taken in one transaction with the before-image.

Reading them first and writing afterwards would leave a gap in which two actions get the same target.
"""

from __future__ import annotations

from typing import Any

from selfheal import ledger as table
from selfheal.action import Change, Decline
from selfheal.ledger import Item, Ledger, Lost, Write
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Origin

NO_COOLDOWN = frozenset({Origin.HAND, Origin.UNDO})
"""A person who asks has decided that it is not too soon."""


def take(
    ledger: Ledger, request: Request, change: Change, *, attempt: int, now: float, lease_s: float
) -> Decline | None:
    """Take the target and write the before-image of this attempt; or say who has it.

    Raises LedgerUnavailable.
    """
    target = f"TARGET#{request.target.key}"
    names = ("owned", "lease", "cooldown", "attempt")
    writes = (
        _own(target, request, now),
        _lease(target, request, now, lease_s),
        _cool(target, request, now),
        table.put_new(
            f"ACTION#{request.action_id}",
            f"ATTEMPT#{attempt:02d}",
            {
                "summary": change.summary,
                "direction": change.direction,
                "before": change.before,
                "after": change.after,
                "plan": change.plan,
                "at": now,
            },
        ),
    )
    try:
        ledger.write(*writes)
    except Lost as lost:
        for name, reason in zip(names, lost.reasons, strict=True):
            if reason is not None:
                return _decline(name, reason, now)
        raise
    return None


def _own(target: str, request: Request, now: float) -> Write:
    free = "attribute_not_exists(pk)"
    if request.incident is None:
        return table.check(target, "OWNER", free)
    doc = {"incident": request.incident, "system": request.system, "since": now}
    mine = {"mine": request.incident}
    return table.put(target, "OWNER", doc, f"{free} OR incident = :mine", mine, incident=request.incident)


def _lease(target: str, request: Request, now: float, lease_s: float) -> Write:
    changes = {
        "doc": {"action": request.action, "action_id": request.action_id, "since": now},
        "holder": request.action_id,
        "lease_until": now + lease_s,
    }
    condition = "attribute_not_exists(pk) OR lease_until < :now OR holder = :me"
    return table.update(target, "LEASE", changes, condition, {"now": now, "me": request.action_id})


def _cool(target: str, request: Request, now: float) -> Write:
    condition, values = "attribute_not_exists(pk) OR cool_until < :now", {"now": now}
    if request.origin in NO_COOLDOWN:
        return table.check(target, "COOLDOWN", "attribute_not_exists(pk) OR attribute_exists(pk)")
    if request.incident is None:
        return table.check(target, "COOLDOWN", condition, values)
    mine: dict[str, Any] = {**values, "mine": request.incident}
    return table.check(target, "COOLDOWN", f"{condition} OR incident = :mine", mine)


def release(request: Request) -> Write:
    """The write that ends the lease, if it is still ours."""
    return table.update(
        f"TARGET#{request.target.key}",
        "LEASE",
        {"lease_until": 0},
        "holder = :me",
        {"me": request.action_id},
    )


def cool_down(request: Request, now: float) -> Write:
    """The write that keeps other incidents off the target for `cooldown_s`."""
    return table.put(
        f"TARGET#{request.target.key}",
        "COOLDOWN",
        {"action": request.action, "action_id": request.action_id, "at": now},
        incident=request.incident or request.action_id,
        cool_until=now + request.cooldown_s,
        expires=int(now + request.cooldown_s + table.DAY_S),
    )


def _decline(name: str, found: Item, now: float) -> Decline:
    doc = found.get("doc", {})
    if name == "owned":
        return Decline(Refusal.TARGET_OWNED, f"incident {doc.get('incident')} of {doc.get('system')} owns it")
    if name == "lease":
        left = found.get("lease_until", now) - now
        return Decline(Refusal.LEASED, f"{doc.get('action')} ({doc.get('action_id')}) has it for {left:.0f} s more")
    if name == "cooldown":
        left = found.get("cool_until", now) - now
        return Decline(Refusal.COOLDOWN, f"{doc.get('action')} acted on it; {left:.0f} s of cooldown are left")
    return Decline(Refusal.LEASED, "another run of the same action wrote this attempt")
