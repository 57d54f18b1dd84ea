"""The chain of guards in its order, which guard is asked for which origin, and how each fails.

Each guard answers None (go on) or a Decline. One that cannot be read lets a safe action through and stops a risky
one: what stops the bleeding must work while something is broken; what can hurt must not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from selfheal.action import Decline
from selfheal.errors import Unreadable
from selfheal.guards import alarm, mode, not_after, opt_out, pause
from selfheal.guards.context import BY_ITSELF, GuardContext
from selfheal.refusal import Refusal
from selfheal.words import Direction, Origin

EVERYBODY = frozenset(Origin)
FOR_AN_ALARM = frozenset({Origin.ALARM, Origin.LADDER})


PERMISSIONS = ("cloudwatch:DescribeAlarms", "tag:GetResources")
"""IAM actions of the guards, besides the ledger's."""


@dataclass(frozen=True)
class Guard:
    """A guard's name, its question, and the origins for which it is asked.

    `stops_work`: asked again when long work is continued. The others decide whether to begin: a drain that made its
    alarm green, or outlived its `not_after`, must not stop half-way for that.
    """

    name: str
    check: Callable[[GuardContext], Decline | None]
    origins: frozenset[Origin]
    stops_work: bool = False


CHAIN: tuple[Guard, ...] = (
    Guard("pause", pause.check, EVERYBODY, stops_work=True),
    # maintenance window: here
    Guard("mode", mode.check, BY_ITSELF),
    Guard("opt_out", opt_out.check, EVERYBODY, stops_work=True),
    Guard("not_after", not_after.check, EVERYBODY),
    Guard("alarm", alarm.check, FOR_AN_ALARM),
    # the alarm began before the last deployment (rollbacks): here
    # owned target, lease and cooldown follow in `claim`: they are one conditional transaction with the before-image
    # rate windows, useless successes, blast radius, storm: here
)


@dataclass(frozen=True)
class Verdicts:
    """What the chain said: the first refusal, and the guards that could not be read and were passed over."""

    declined: Decline | None
    unread: tuple[str, ...] = ()


def ask(context: GuardContext, *, continuing: bool = False) -> Verdicts:
    """Ask the guards that apply, in order; the first that refuses names the reason. A `read` action asks none.

    `continuing`: long work that was begun earlier goes on.
    """
    if context.direction is Direction.READ:
        return Verdicts(None)
    unread: list[str] = []
    for guard in CHAIN:
        if context.request.origin not in guard.origins or (continuing and not guard.stops_work):
            continue
        try:
            declined = guard.check(context)
        except Unreadable as error:
            if context.direction is Direction.RISKY:
                return Verdicts(Decline(Refusal.GUARD_UNREADABLE, f"guard {guard.name}: {error}"), tuple(unread))
            unread.append(f"{guard.name}: {error}")
            continue
        if declined:
            return Verdicts(declined, tuple(unread))
    return Verdicts(None, tuple(unread))
