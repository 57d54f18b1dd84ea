"""The look-ahead of a batch: one read for all that wait, never older than a few seconds, and no failure shared."""

from __future__ import annotations

from typing import Any

import pytest
from selfheal import ahead
from selfheal.ahead import AT_ONCE, FRESH_S, Ahead
from selfheal.errors import Unreadable
from selfheal.guards import alarm, opt_out
from selfheal.request import AlarmReference, Request

from tests.unit.aws import ask
from tests.unit.doubles import HOME, Clock


class Reads:
    """What was read, and the answers: every name has one thing, unless it is unknown or reading fails."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.asked: list[list[str]] = []
        self.unknown: set[str] = set()
        self.down = False

    def __call__(self, names: list[str]) -> list[dict[str, Any]]:
        self.asked.append(names)
        if self.down:
            raise Unreadable("cloudwatch", "it is down")
        return [{self.key: name, "read": len(self.asked)} for name in names if name not in self.unknown]


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads("AlarmName")
    monkeypatch.setattr(alarm, "read_alarms", reads)
    return reads


@pytest.fixture
def tags(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads("ResourceARN")
    monkeypatch.setattr(opt_out, "read_tags", reads)
    return reads


def request(*names: str, function: str = "f") -> Request:
    made = ask("roll_back_alias", {"function": function, "alias": "live"})
    return Request(**{**vars(made), "alarms": tuple(AlarmReference(name, f"arn:{name}", "1") for name in names)})


def batch(clock: Clock, *requests: Request) -> Ahead:
    return Ahead(requests, HOME, clock.now)


def test_the_first_that_asks_reads_for_all(alarms: Reads, tags: Reads) -> None:
    one = batch(Clock(), *(request(f"a{number}", function=f"f{number}") for number in range(10)))

    seen = [one.alarms([f"a{number}"]) for number in range(10)]
    arns = [f"arn:aws:lambda:eu-central-1:123456789012:function:f{number}" for number in range(10)]
    tagged = [one.tags([arn]) for arn in arns]

    assert alarms.asked == [[f"a{number}" for number in range(10)]]
    assert seen == [[{"AlarmName": f"a{number}", "read": 1}] for number in range(10)]
    assert tags.asked == [arns]
    assert [found[0]["ResourceARN"] for found in tagged] == arns
    assert len(one) == 10


def test_what_is_too_old_is_read_again_for_those_that_are_left(alarms: Reads) -> None:
    clock = Clock()
    one = batch(clock, *(request(f"a{number}") for number in range(4)))

    one.alarms(["a0"])
    clock.advance(FRESH_S - 0.1)
    assert one.alarms(["a1"])[0]["read"] == 1
    clock.advance(0.2)
    assert one.alarms(["a2"])[0]["read"] == 2
    one.alarms(["a3"])

    assert alarms.asked == [["a0", "a1", "a2", "a3"], ["a2", "a3"]]


def test_the_age_counts_from_when_it_was_asked_for(alarms: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def slow(names: list[str]) -> list[dict[str, Any]]:
        clock.advance(FRESH_S)
        return alarms(names)

    monkeypatch.setattr(alarm, "read_alarms", slow)
    one = batch(clock, request("a0"), request("a1"))
    one.alarms(["a0"])
    one.alarms(["a1"])

    assert alarms.asked == [["a0", "a1"], ["a1"]]


def test_no_more_than_a_hundred_at_once_and_all_that_are_asked_for(alarms: Reads) -> None:
    one = batch(Clock(), *(request(f"a{number}") for number in range(150)))
    many = [f"b{number}" for number in range(130)]

    one.alarms(["a0"])
    one.alarms(["a120"])
    assert len(one.alarms(many)) == 130

    assert [len(names) for names in alarms.asked] == [AT_ONCE, AT_ONCE, 130]


def test_what_aws_does_not_know_is_absent_and_not_asked_for_again(alarms: Reads) -> None:
    alarms.unknown = {"a1"}
    one = batch(Clock(), request("a0"), request("a1"))

    assert one.alarms(["a1", "a0"]) == [{"AlarmName": "a0", "read": 1}]
    assert one.alarms(["a1"]) == []
    assert len(alarms.asked) == 1


def test_what_could_not_be_read_is_asked_for_again_by_the_next(alarms: Reads) -> None:
    one = batch(Clock(), request("a0"), request("a1"))
    alarms.down = True
    with pytest.raises(Unreadable):
        one.alarms(["a0"])
    alarms.down = False

    assert one.alarms(["a1"])[0]["read"] == 2


def test_marks_of_a_storm_are_read_once_in_a_while() -> None:
    clock, reads = Clock(), []

    def read() -> list[tuple[float, str]]:
        reads.append(clock.at)
        return [(clock.at, "shop")]

    one = batch(clock, request("a0"), request("a1"))
    assert one.marks(read) == one.marks(read) == [(clock.at, "shop")]
    clock.advance(FRESH_S)
    one.marks(read)

    assert len(reads) == 2


def test_it_reads_as_the_guards_do() -> None:
    assert (vars(ahead)["alarm"], vars(ahead)["opt_out"]) == (alarm, opt_out)
