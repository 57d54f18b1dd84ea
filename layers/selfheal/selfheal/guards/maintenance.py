"""Is the system in a maintenance window of its runbook? What is risky waits for its end.

What stops something goes on: a person at work on the system is no reason to let it bleed. What a person asks for
passes: they know of the window.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from selfheal.action import Decline
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal
from selfheal.windows import ends_at


def check(context: GuardContext) -> Decline | None:
    """Refuses inside a window and says when it ends."""
    runbook = context.runbook
    if runbook is None:
        return None
    ends = ends_at(runbook.maintenance, runbook.timezone, context.now)
    if ends is None:
        return None
    local = datetime.fromtimestamp(ends, ZoneInfo(runbook.timezone))
    detail = f"maintenance of {runbook.system} until {local:%a %H:%M} ({runbook.timezone})"
    return Decline(Refusal.MAINTENANCE, detail, until=ends)
