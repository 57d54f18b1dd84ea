"""A request that is too old: the world may have moved on while it waited in a queue."""

from __future__ import annotations

from datetime import UTC, datetime

from selfheal.action import Decline
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal


def check(context: GuardContext) -> Decline | None:
    """Refuses past `not_after`; a request without one has no such limit."""
    limit = context.request.not_after
    now = datetime.fromtimestamp(context.now, UTC)
    if limit is None or now <= limit:
        return None
    return Decline(Refusal.TOO_LATE, f"it was to be done by {limit:%H:%M:%S} UTC and it is {now:%H:%M:%S}")
