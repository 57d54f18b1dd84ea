"""When a sweep is due: the runbook's cron, compiled at the build into sets of numbers, in the runbook's time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from selfheal.frozen import dataclass

CATCH_UP_DAYS = 1
"""A sweep that was missed is run late if it is at most about a day old; before that it would tell of another day."""


@dataclass(frozen=True)
class When:
    """The moments of a cron. None: any. Weekdays count from 1 = Sunday, as in EventBridge Scheduler."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None
    years: frozenset[int] | None

    def fits(self, day: date) -> bool:
        """Some moment of this day is meant."""
        return (
            (self.years is None or day.year in self.years)
            and (self.months is None or day.month in self.months)
            and (self.days is None or day.day in self.days)
            and (self.weekdays is None or day.isoweekday() % 7 + 1 in self.weekdays)
        )


def read_when(document: Mapping[str, Any]) -> When:
    """The compiled form in a runbook's JSON."""

    def numbers(name: str) -> frozenset[int] | None:
        return None if document[name] is None else frozenset(document[name])

    return When(
        minutes=tuple(document["minutes"]),
        hours=tuple(document["hours"]),
        days=numbers("days"),
        months=numbers("months"),
        weekdays=numbers("weekdays"),
        years=numbers("years"),
    )


def latest(when: When, timezone: str, holidays: frozenset[str], now: float) -> float | None:
    """The newest moment (epoch seconds) up to `now`, at most about a day old, no holiday; None if there is none.

    A wall-clock time that a change to summer time skips comes an hour later; one that comes twice counts once.
    """
    zone = ZoneInfo(timezone)
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    for back in range(CATCH_UP_DAYS + 1):
        day = today - timedelta(days=back)
        if not when.fits(day) or day.isoformat() in holidays:
            continue
        for hour in sorted(when.hours, reverse=True):
            for minute in sorted(when.minutes, reverse=True):
                moment = datetime.combine(day, time(hour, minute), zone).timestamp()
                if moment <= now:
                    return moment
    return None
