"""How the last drill went, as the clock tells it."""

from __future__ import annotations

from selfheal import drills
from selfheal.ledger import DAY_S, Ledger

NOW = 1_800_000_000.0


def passed(ledger: Ledger, now: float) -> int:
    return int(drills.watch(ledger, now).told["passed"])


def test_a_new_stack_has_eight_days_for_its_first_drill(ledger: Ledger) -> None:
    assert passed(ledger, NOW) == 1
    assert passed(ledger, NOW + 8 * DAY_S - 1) == 1
    assert passed(ledger, NOW + 8 * DAY_S) == 0


def test_one_that_failed_stays_failed_until_one_passes(ledger: Ledger) -> None:
    drills.end(ledger, "one", {"passed": False}, NOW)
    assert passed(ledger, NOW + 1) == 0
    drills.end(ledger, "two", {"passed": True}, NOW + 2)
    assert passed(ledger, NOW + 3) == 1
    assert passed(ledger, NOW + 2 + 8 * DAY_S) == 0, "it is too long ago"


def test_one_at_a_time_and_the_next_when_it_is_over_or_too_old(ledger: Ledger) -> None:
    assert drills.begin(ledger, "one", NOW, 60)
    assert not drills.begin(ledger, "two", NOW + 60, 60)
    assert drills.begin(ledger, "three", NOW + 61, 60)
    drills.end(ledger, "one", {"passed": True}, NOW + 62)
    assert not drills.begin(ledger, "four", NOW + 62, 60), "the late one does not let the other's place go"
    drills.end(ledger, "three", {"passed": True}, NOW + 63)
    assert drills.begin(ledger, "four", NOW + 63, 60)
