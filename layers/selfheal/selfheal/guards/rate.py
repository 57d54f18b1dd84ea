"""Has the response acted for as many incidents as its limits allow, in an hour and in a day?

Incidents are counted, not steps: an incident takes its place with its first risky action and keeps it.
"""

from __future__ import annotations

from selfheal.guards.context import GuardContext
from selfheal.guards.places import Place
from selfheal.refusal import Refusal

HOUR_S = 3_600
DAY_S = 86_400


def place(context: GuardContext) -> Place:
    """The place of the request's incident among those of its response."""
    limits, request = context.limits, context.request
    return Place(
        pk="RATE",
        sk=context.response_key,
        name=request.incident or request.action_id,
        windows=((HOUR_S, limits.per_hour), (DAY_S, limits.per_day)),
        refusal=Refusal.RATE_LIMIT,
        what=f"incidents of {context.response_key} were acted on",
    )
