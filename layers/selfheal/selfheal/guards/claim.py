"""Owned target, lease and cooldown: asked and taken in one transaction with the before-image.

Reading them first and writing afterwards would leave a gap in which two actions get the same target.
"""

from __future__ import annotations

from selfheal import ledger as table
from selfheal.action import Decline
from selfheal.guards.context import BY_ITSELF
from selfheal.ledger import Item, Ledger, Lost, Write
from selfheal.refusal import Refusal
from selfheal.request import Request

_FREE = "attribute_not_exists(pk)"


def take(ledger: Ledger, request: Request, *also: Write, now: float, lease_s: float) -> Decline | None:
    """Take the target together with `also` (the before-image, an undo's claim); or say who has it.

    Raises Lost if one of `also` lost, LedgerUnavailable.
    """
    writes = {"owner": _own(request, now), "lease": _lease(request, now, lease_s), "cooldown": _cool(request, now)}
    wanted = {name: write for name, write in writes.items() if write is not None}
    try:
        ledger.write(*wanted.values(), *also)
    except Lost as lost:
        for name, reason in zip(wanted, lost.reasons, strict=False):
            if reason is not None:
                return _decline(name, reason, now)
        raise
    return None


def would_decline(ledger: Ledger, request: Request, now: float) -> Decline | None:
    """What `take` would say now, without taking anything. Raises LedgerUnavailable."""
    names = {"owner": "OWNER", "lease": "LEASE", "cooldown": "COOLDOWN"}
    items = {item["sk"]: item for item in ledger.get_many([(_target(request), sk) for sk in names.values()])}
    for name, sk in names.items():
        found = items.get(sk)
        if found is not None and _stands_in_the_way(name, found, request, now):
            return _decline(name, found, now)
    return None


def _stands_in_the_way(name: str, found: Item, request: Request, now: float) -> bool:
    """The conditions of `take` in words of Python; a test holds them against each other."""
    if name == "lease":
        return bool(found["lease_until"] >= now and found["holder"] != request.action_id)
    others = request.incident is None or found.get("incident") != request.incident
    if name == "owner":
        return others
    return bool(others and request.origin in BY_ITSELF and found["cool_until"] >= now)


def _own(request: Request, now: float) -> Write:
    """An incident owns its targets until it is closed. What a person asks for may come after that and owns nothing."""
    if request.incident is None:
        return table.check(_target(request), "OWNER", _FREE)
    condition, mine = f"{_FREE} OR incident = :mine", {"mine": request.incident}
    if request.origin not in BY_ITSELF:
        return table.check(_target(request), "OWNER", condition, mine)
    doc = {"incident": request.incident, "system": request.system, "since": now}
    return table.put(_target(request), "OWNER", doc, condition, mine, incident=request.incident)


def _lease(request: Request, now: float, lease_s: float) -> Write:
    changes = {
        "doc": {"action": request.action, "action_id": request.action_id, "since": now},
        "holder": request.action_id,
        "lease_until": now + lease_s,
    }
    condition = f"{_FREE} OR lease_until < :now OR holder = :me"
    return table.update(_target(request), "LEASE", changes, condition, {"now": now, "me": request.action_id})


def _cool(request: Request, now: float) -> Write | None:
    """A person who asks has decided that it is not too soon."""
    if request.origin not in BY_ITSELF:
        return None
    condition = f"{_FREE} OR cool_until < :now"
    if request.incident is None:
        return table.check(_target(request), "COOLDOWN", condition, {"now": now})
    values = {"now": now, "mine": request.incident}
    return table.check(_target(request), "COOLDOWN", f"{condition} OR incident = :mine", values)


def release(request: Request) -> Write:
    """The write that ends the lease, if it is still ours."""
    return table.update(_target(request), "LEASE", {"lease_until": 0}, "holder = :me", {"me": request.action_id})


def cool_down(request: Request, now: float) -> Write:
    """The write that keeps other incidents off the target for `cooldown_s`."""
    return table.put(
        _target(request),
        "COOLDOWN",
        {"action": request.action, "action_id": request.action_id, "at": now},
        incident=request.incident or request.action_id,
        cool_until=now + request.cooldown_s,
        expires=int(now + request.cooldown_s + table.DAY_S),
    )


def _target(request: Request) -> str:
    return f"TARGET#{request.target.key}"


def _decline(name: str, found: Item, now: float) -> Decline:
    doc = found.get("doc", {})
    if name == "owner":
        return Decline(Refusal.TARGET_OWNED, f"incident {doc.get('incident')} of {doc.get('system')} owns it")
    if name == "lease":
        left = found.get("lease_until", now) - now
        return Decline(Refusal.LEASED, f"{doc.get('action')} ({doc.get('action_id')}) has it for {left:.0f} s more")
    left = found.get("cool_until", now) - now
    return Decline(Refusal.COOLDOWN, f"{doc.get('action')} acted on it; {left:.0f} s of cooldown are left")
