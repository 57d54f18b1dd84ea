"""Did the alarm begin before the last deployment? Then that is not to blame, and rolling it back would not help."""

from __future__ import annotations

from datetime import UTC, datetime

from selfheal.action import DEPLOYED_AT, Decline
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal


def check(context: GuardContext) -> Decline | None:
    """Refuses if every red alarm of the request changed its state before the deployment."""
    deployed = context.facts.get(DEPLOYED_AT)
    began = [float(alarm.state_at) / 1000 for alarm in context.request.alarms if alarm.state_at]
    if deployed is None or not began or max(began) >= deployed:
        return None
    red, made = (datetime.fromtimestamp(at, UTC) for at in (max(began), float(deployed)))
    detail = f"red since {red:%Y-%m-%d %H:%M:%S}, deployed {made:%Y-%m-%d %H:%M:%S} UTC"
    return Decline(Refusal.OLDER_THAN_DEPLOYMENT, detail)
