"""Windows of the week, such as maintenance: is it one now, when does it end, when does the next begin. Pure.

They are read off the clock on the wall: an hour that comes twice counts twice, one that is skipped not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from selfheal.runbook import Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_AHEAD = timedelta(days=8)


def ends_at(windows: tuple[Window, ...], timezone: str, now: float) -> float | None:
    """The first minute (epoch seconds) after `now` in no window; None: `now` is in none."""
    zone, start = ZoneInfo(timezone), datetime.fromtimestamp(now, UTC)
    if not _in_any(windows, start.astimezone(zone)):
        return None
    minute = start.replace(second=0, microsecond=0)
    while minute < start + LOOK_AHEAD:
        minute += timedelta(minutes=1)
        if not _in_any(windows, minute.astimezone(zone)):
            break
    return minute.timestamp()


def starts(window: Window, timezone: str, since: float, until: float) -> Iterator[float]:
    """The moments (epoch seconds) from `since` to `until` at which this window begins, in order."""
    zone = ZoneInfo(timezone)
    day, last = (datetime.fromtimestamp(moment, UTC).astimezone(zone).date() for moment in (since, until))
    while day <= last:
        if DAYS[day.weekday()] in window.days:
            begins = _at(window.start, day, zone)
            if since <= begins <= until:
                yield begins
        day += timedelta(days=1)


def next_start(windows: tuple[Window, ...], timezone: str, now: float) -> float | None:
    """When the first of them begins after `now`, in epoch seconds; None: there are none."""
    until = now + LOOK_AHEAD.total_seconds()
    found = [next((moment for moment in starts(one, timezone, now, until) if moment > now), None) for one in windows]
    return min((moment for moment in found if moment is not None), default=None)


def _at(clock: str, day: date, zone: ZoneInfo) -> float:
    hour, minute = map(int, clock.split(":"))
    return datetime.combine(day, time(hour, minute), zone).timestamp()


def _in_any(windows: tuple[Window, ...], local: datetime) -> bool:
    clock, today, yesterday = f"{local:%H:%M}", DAYS[local.weekday()], DAYS[local.weekday() - 1]
    return any(_holds(window, clock, today, yesterday) for window in windows)


def _holds(window: Window, clock: str, today: str, yesterday: str) -> bool:
    if window.start < window.end:
        return today in window.days and window.start <= clock < window.end
    return (today in window.days and clock >= window.start) or (yesterday in window.days and clock < window.end)
