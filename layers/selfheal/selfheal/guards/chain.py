"""The chain of guards in its order, which guard is asked for which origin and direction, and how each fails.

Each guard answers None (go on) or a Decline. One that cannot be read lets a safe action through and stops a risky
one: what stops the bleeding must work while something is broken; what can hurt must not.
"""

from __future__ import annotations

from collections.abc import Callable

from selfheal.action import Decline
from selfheal.errors import Throttled, Unreadable
from selfheal.frozen import dataclass
from selfheal.guards import (
    alarm,
    claim,
    deployment,
    maintenance,
    mode,
    not_after,
    opt_out,
    pause,
    radius,
    rate,
    storm,
    useless,
)
from selfheal.guards.context import BY_ITSELF, GuardContext
from selfheal.guards.places import Place
from selfheal.ledger import Item
from selfheal.refusal import Refusal
from selfheal.words import Direction, Mode, Origin

EVERYBODY = frozenset(Origin)
FOR_AN_ALARM = frozenset({Origin.ALARM, Origin.LADDER})
WRITES = frozenset({Direction.SAFE, Direction.RISKY})
"""A `read` action is asked nothing."""
RISKY = frozenset({Direction.RISKY})


PERMISSIONS = ("cloudwatch:DescribeAlarms", "tag:GetResources")
"""IAM actions of the guards, besides the ledger's."""


@dataclass(frozen=True)
class Guard:
    """A guard's name, its question, and the origins and directions for which it is asked.

    `stops_work`: asked again when long work is continued. The others decide whether to begin: a drain that made its
    alarm green, or outlived its `not_after`, must not stop half-way for that. `place`: what is to be taken together
    with the target, so that nobody else gets it.
    """

    name: str
    check: Callable[[GuardContext], Decline | None]
    origins: frozenset[Origin]
    directions: frozenset[Direction] = WRITES
    stops_work: bool = False
    place: Callable[[GuardContext], Place] | None = None

    def applies(self, origin: Origin, direction: Direction) -> bool:
        """It is asked for a request of this origin whose action has this direction."""
        return origin in self.origins and direction in self.directions


def _is_free(place: Callable[[GuardContext], Place]) -> Callable[[GuardContext], Decline | None]:
    """The question of a guard that takes a place."""

    def check(context: GuardContext) -> Decline | None:
        wanted = place(context)
        return wanted.full(context.item(wanted.pk, wanted.sk), context.now)

    return check


CHAIN: tuple[Guard, ...] = (
    Guard("pause", pause.check, EVERYBODY, stops_work=True),
    Guard("maintenance", maintenance.check, BY_ITSELF, RISKY),
    Guard("mode", mode.check, BY_ITSELF),
    Guard("opt_out", opt_out.check, EVERYBODY, stops_work=True),
    Guard("not_after", not_after.check, EVERYBODY),
    Guard("alarm", alarm.check, FOR_AN_ALARM),
    Guard("deployment", deployment.check, FOR_AN_ALARM, RISKY),
    # These three are asked once more, and for good, by the transaction that takes the target.
    Guard("owner", claim.owner, EVERYBODY),
    Guard("lease", claim.lease, EVERYBODY),
    Guard("cooldown", claim.cooldown, BY_ITSELF),
    # What limits how much is done by itself does not limit what stops something and loses nothing.
    Guard("rate", _is_free(rate.place), FOR_AN_ALARM, RISKY, place=rate.place),
    Guard("useless", useless.check, FOR_AN_ALARM, RISKY),
    Guard("radius", _is_free(radius.place), FOR_AN_ALARM, RISKY, place=radius.place),
    Guard("storm", storm.check, FOR_AN_ALARM, RISKY),
)


@dataclass(frozen=True)
class Verdicts:
    """What the chain said: the first refusal; the guards that could not be read and were passed over; the places that
    are to be taken with the target, each with its item as it was read."""

    declined: Decline | None
    unread: tuple[str, ...] = ()
    places: tuple[tuple[Place, Item | None], ...] = ()


def ask(context: GuardContext, *, continuing: bool = False) -> Verdicts:
    """Ask the guards that apply, in order; the first that refuses names the reason. A `read` action asks none.

    `continuing`: long work that was begun earlier goes on. Raises Throttled for what can wait in line for the answer.
    """
    unread: list[str] = []
    places: list[tuple[Place, Item | None]] = []
    for guard in CHAIN:
        if not guard.applies(context.request.origin, context.direction) or (continuing and not guard.stops_work):
            continue
        try:
            declined = guard.check(context)
            if guard.place is not None:
                place = guard.place(context)
                places.append((place, context.item(place.pk, place.sk)))
        except Unreadable as error:
            if isinstance(error, Throttled) and context.ahead and context.request.mode is not Mode.PLAN:
                raise
            if context.direction is Direction.RISKY:
                return Verdicts(Decline(Refusal.GUARD_UNREADABLE, f"guard {guard.name}: {error}"), tuple(unread))
            unread.append(f"{guard.name}: {error}")
            continue
        if declined:
            return Verdicts(declined, tuple(unread))
    return Verdicts(None, tuple(unread), tuple(places))
