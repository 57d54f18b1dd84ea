"""When a sweep is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.calendar import When, latest

WEEKDAYS_AT_845 = When((45,), (8,), None, None, frozenset({2, 3, 4, 5, 6}), None)
INDIA = "Asia/Kolkata"


def at(text: str, zone: str = INDIA) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-05T08:44", None),  # a Monday, a minute early; Sunday has none
        ("2026-01-05T08:45", "2026-01-05T08:45"),
        ("2026-01-05T23:59", "2026-01-05T08:45"),
        ("2026-01-06T08:00", "2026-01-05T08:45"),  # missed yesterday: late is better than not
        ("2026-01-04T12:00", None),  # a Sunday; Friday's is too old
    ],
)
def test_the_newest_moment_of_the_last_day_is_due(now: str, expected: str | None) -> None:
    moment = latest(WEEKDAYS_AT_845, INDIA, frozenset(), at(now))

    assert moment == (at(expected) if expected else None)


def test_a_holiday_has_no_sweep() -> None:
    assert latest(WEEKDAYS_AT_845, INDIA, frozenset({"2026-01-26"}), at("2026-01-26T09:00")) is None


def test_the_time_zone_is_the_runbooks_and_follows_summer_time() -> None:
    nine_fifteen = When((15,), (9,), None, None, None, None)

    winter = latest(nine_fifteen, "America/New_York", frozenset(), at("2026-01-05T10:00", "America/New_York"))
    summer = latest(nine_fifteen, "America/New_York", frozenset(), at("2026-07-06T10:00", "America/New_York"))

    assert winter == datetime(2026, 1, 5, 14, 15, tzinfo=UTC).timestamp()
    assert summer == datetime(2026, 7, 6, 13, 15, tzinfo=UTC).timestamp()


def test_a_time_that_summer_time_skips_comes_and_one_that_comes_twice_counts_once() -> None:
    half_past_two = When((30,), (2,), None, None, None, None)
    skipped = latest(half_past_two, "America/New_York", frozenset(), at("2026-03-08T12:00", "America/New_York"))
    half_past_one = When((30,), (1,), None, None, None, None)
    evening = at("2026-11-01T20:00", "America/New_York")

    assert skipped is not None
    assert latest(half_past_one, "America/New_York", frozenset(), evening) == latest(
        half_past_one, "America/New_York", frozenset(), evening + 60
    )


@given(now=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001 - made aware below
def test_a_due_moment_is_never_in_the_future_and_at_most_two_days_old(now: datetime) -> None:
    moment = now.replace(tzinfo=UTC).timestamp()
    found = latest(WEEKDAYS_AT_845, INDIA, frozenset(), moment)

    assert found is None or 0 <= moment - found < timedelta(days=2).total_seconds()
