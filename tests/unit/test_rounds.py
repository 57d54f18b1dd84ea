"""Rounds of the clock: as often as they say, again when they did not finish, and none in the way of another."""

from __future__ import annotations

from selfheal.errors import Unreadable
from selfheal.ledger import Ledger
from selfheal.rounds import Done, Round, run_due

NOW = 1_800_000_000.0


class Going:
    """A round that counts its runs."""

    def __init__(self, done: Done | None = None) -> None:
        self.done = done or Done("seen")
        self.runs = 0

    def __call__(self) -> Done:
        self.runs += 1
        return self.done


def test_it_runs_at_the_first_tick_and_then_when_its_time_has_come(ledger: Ledger) -> None:
    go = Going()
    rounds = (Round("look", 300, go),)
    assert run_due(ledger, rounds, NOW) == {"look": "seen"}
    assert run_due(ledger, rounds, NOW + 299) == {}
    assert run_due(ledger, rounds, NOW + 300) == {"look": "seen"}
    assert go.runs == 2


def test_what_did_not_finish_goes_on_at_the_next_tick(ledger: Ledger) -> None:
    go = Going(Done(None, finished=False))
    assert run_due(ledger, (Round("look", 300, go),), NOW) == {}
    run_due(ledger, (Round("look", 300, go),), NOW + 60)
    assert go.runs == 2


def test_one_that_fails_is_told_tried_again_and_in_nobodys_way(ledger: Ledger) -> None:
    def fails() -> Done:
        raise Unreadable("cloudwatch", "it is down")

    good = Going()
    rounds = (Round("bad", 300, fails), Round("good", 300, good))
    assert run_due(ledger, rounds, NOW) == {"bad": {"failed": "cloudwatch cannot be read: it is down"}, "good": "seen"}
    assert run_due(ledger, rounds, NOW + 60) == {"bad": {"failed": "cloudwatch cannot be read: it is down"}}
    assert good.runs == 1


def test_a_tick_that_is_late_does_not_set_the_time_back(ledger: Ledger) -> None:
    run_due(ledger, (Round("look", 300, Going()),), NOW)
    slow = Going()
    run_due(ledger, (Round("look", 0, slow),), NOW - 100)
    run_due(ledger, (Round("look", 0, slow),), NOW)
    item = ledger.get("CLOCK", "look")
    assert item is not None
    assert item["done_at"] == NOW
