"""Owned target, lease and cooldown: asked and taken in one transaction with the before-image.

Reading them first and writing afterwards would leave a gap in which two actions get the same target. They are read as
well, before the guards behind them are asked, so that the first reason is the one that is named.
"""

from __future__ import annotations

from collections.abc import Sequence

from selfheal import ledger as table
from selfheal.action import Decline
from selfheal.errors import LedgerUnavailable
from selfheal.guards.context import BY_ITSELF, GuardContext
from selfheal.guards.places import Place
from selfheal.ledger import Item, Ledger, Lost, Write
from selfheal.refusal import Refusal
from selfheal.request import Request

MAX_ROUNDS = 10
"""How often a place is tried for while others take places in the same list."""

_FREE = "attribute_not_exists(pk)"


def owner(context: GuardContext) -> Decline | None:
    """Does another open incident own the target?"""
    return _standing("owner", context)


def lease(context: GuardContext) -> Decline | None:
    """Is another action working on it right now?"""
    return _standing("lease", context)


def cooldown(context: GuardContext) -> Decline | None:
    """Was it acted on a short while ago for another incident?"""
    return _standing("cooldown", context)


def take(
    ledger: Ledger,
    request: Request,
    *also: Write,
    now: float,
    lease_s: float,
    places: Sequence[tuple[Place, Item | None]] = (),
) -> Decline | None:
    """Take the target and `places` together with `also` (the before-image, an undo's claim); or say what is in the way.

    Raises Lost if one of `also` lost, LedgerUnavailable.
    """
    target = {"owner": _own(request, now), "lease": _lease(request, now, lease_s), "cooldown": _cool(request, now)}
    read = list(places)
    for _ in range(MAX_ROUNDS):
        taken = [place.write(item, now) for place, item in read]
        wanted: list[tuple[str | int, Write]] = [(name, write) for name, write in target.items() if write is not None]
        wanted += [(number, write) for number, write in enumerate(taken) if write is not None]
        try:
            ledger.write(*(write for _, write in wanted), *also)
        except Lost as lost:
            stood = [(name, found) for (name, _), found in zip(wanted, lost.reasons, strict=False) if found is not None]
            if not stood:
                raise
            for name, found in stood:
                if isinstance(name, str):
                    return _decline(name, found, now)
                place, _ = read[name]
                if declined := place.full(found, now):
                    return declined
                read[name] = (place, found)
        else:
            return None
    raise LedgerUnavailable(f"others took places {MAX_ROUNDS} times in a row")


def _standing(name: str, context: GuardContext) -> Decline | None:
    found = context.item(_target(context.request), name.upper())
    if found is None or not _stands_in_the_way(name, found, context.request, context.now):
        return None
    return _decline(name, found, context.now)


def _stands_in_the_way(name: str, found: Item, request: Request, now: float) -> bool:
    """The conditions of `take` in words of Python; a test holds them against each other."""
    if name == "lease":
        return bool(found["lease_until"] >= now and found["holder"] != request.action_id)
    others = request.incident is None or found.get("incident") != request.incident
    if name == "owner":
        return others
    return bool(others and found["cool_until"] >= now)


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
