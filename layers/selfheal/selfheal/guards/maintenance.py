"""Is the system in a maintenance window of its runbook? What is risky waits for its end.

What stops something goes on: a person at work on the system is no reason to let it bleed. What a person asks for
passes: they know of the window.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from selfheal.action import Decline
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal
from selfheal.runbook import Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_AHEAD = timedelta(days=8)


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


def ends_at(windows: tuple[Window, ...], timezone: str, now: float) -> float | None:
    """The first minute (epoch seconds) after `now` in no window; None: `now` is in none.

    Windows are read off the clock on the wall: an hour that comes twice counts twice, one that is skipped not at all.
    """
    zone, start = ZoneInfo(timezone), datetime.fromtimestamp(now, UTC)
    if not _in_any(windows, start.astimezone(zone)):
        return None
    minute = start.replace(second=0, microsecond=0)
    while minute < start + LOOK_AHEAD:
        minute += timedelta(minutes=1)
        if not _in_any(windows, minute.astimezone(zone)):
            break
    return minute.timestamp()


def _in_any(windows: tuple[Window, ...], local: datetime) -> bool:
    time, today, yesterday = f"{local:%H:%M}", DAYS[local.weekday()], DAYS[local.weekday() - 1]
    return any(_holds(window, time, today, yesterday) for window in windows)


def _holds(window: Window, time: str, today: str, yesterday: str) -> bool:
    if window.start < window.end:
        return today in window.days and window.start <= time < window.end
    return (today in window.days and time >= window.start) or (yesterday in window.days and time < window.end)
