"""A person has paused selfheal: for everything, for one system, or has taken one incident over."""

from __future__ import annotations

from selfheal.action import Decline
from selfheal.guards.context import BY_ITSELF, GuardContext
from selfheal.refusal import Refusal
from selfheal.words import Direction, Origin


def check(context: GuardContext) -> Decline | None:
    """`what: risky` lets safe actions through, `all` does not; a taken-over incident lets only people through."""
    for name, pause in context.pauses.items():
        if name == context.request.incident:
            if context.request.origin not in BY_ITSELF and not _undoes_by_itself(context):
                continue
            return Decline(Refusal.TAKEN_OVER, f"{pause['who']} has had this incident since {pause['since']}")
        if pause["what"] == "all" or context.direction is Direction.RISKY:
            scope = "everything" if name == "*" else name
            return Decline(
                Refusal.PAUSED,
                f"{pause['who']} paused {scope} ({pause['what']}) until {pause['until']}: {pause['reason']}",
            )
    return None


def _undoes_by_itself(context: GuardContext) -> bool:
    """A rollout that turned red undoes its own steps; what a person undoes has an id that does not begin like this."""
    request = context.request
    return request.origin is Origin.UNDO and request.action_id.startswith(f"{request.incident}.")
