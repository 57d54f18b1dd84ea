"""What was closed lately: listed once with the closing itself, by its day, in a few lines."""

from __future__ import annotations

from dataclasses import replace

from selfheal import closed, incident_store
from selfheal.incident import Status
from selfheal.ledger import Ledger

from tests.unit.incidents import START
from tests.unit.rooms import green, named

DAY = "2027-01-15"


def test_an_incident_is_listed_as_it_closes_and_only_once(ledger: Ledger) -> None:
    over = replace(green(), version=0)
    assert incident_store.commit(ledger, over, START) is not None
    (listed,) = closed.on(ledger, DAY)

    assert (listed["id"], listed["verdict"]) == (over.id, "healed")
    assert listed["waits"] is True
    assert [one["label"] for one in listed["decisions"]] == [
        "halt_trading halt_trading",
        "disable_schedule disable_schedule",
        "roll_back_alias roll_back_alias",
        "resume_trading resume_trading",
    ]
    assert list(closed.on(ledger, "2027-01-14")) == []


def test_what_was_not_decided_is_no_decision() -> None:
    one = green()
    steps = tuple(replace(step, status=Status.SKIPPED) for step in one.steps)

    assert closed.decisions(replace(one, steps=steps)) == []


def test_a_long_detail_is_cut() -> None:
    told = closed.decisions(named(green(), "x" * 5_000))

    assert {len(one["detail"]) for one in told} == {closed.MAX_DETAIL}
