"""Open changes that somebody has written over close by themselves; what can't be told stays open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from selfheal import changes, in_force, message, outcome, record
from selfheal.arns import Home
from selfheal.engine import World, run
from selfheal.errors import Unreadable
from selfheal.ledger import Ledger
from selfheal.request import read_request
from selfheal.words import ResponseMode

from tests.unit.doubles import START, Cloud, Flag, ask

LATER = START + 7_200


class Function:
    """The action's function, asked for plans; its AWS is a `Cloud`."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.cloud = Cloud()
        self.asked: list[dict[str, Any]] = []
        self.down = False

    def __call__(self, event: dict[str, Any]) -> Mapping[str, Any]:
        self.asked.append(event)
        if self.down:
            raise Unreadable("the plan", "no answer")
        result = run(Flag(self.cloud), read_request(event, ("halt_trading",), "id"), self.world())
        return result.as_event()

    def halts(self, name: str = "one") -> None:
        """An incident halts."""
        assert run(Flag(self.cloud), ask(Flag, name), self.world()).outcome == "acted"

    def world(self) -> World:
        home = Home("aws", "eu-central-1", "123456789012")
        return World(self.ledger, ResponseMode.AUTO, 120, home, lambda _: None, lambda: START, lambda _: None)


@pytest.fixture
def function(ledger: Ledger) -> Function:
    function = Function(ledger)
    function.halts()
    return function


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    notices: list[tuple[str, Any]] = []

    def send(kind: str, *details: Any) -> bool:
        notices.extend((kind, one) for one in details)
        return True

    monkeypatch.setattr(outcome, "send", send)
    return notices


def listed(ledger: Ledger) -> list[str]:
    return [change["action_id"] for change in changes.still_open(ledger)]


def test_what_is_as_selfheal_left_it_stays_open_and_is_looked_at_once_an_hour(
    ledger: Ledger, function: Function, told: list[Any]
) -> None:
    effects = list(function.cloud.effects)
    for minute in range(0, 180, 10):
        in_force.look(ledger, function, LATER + 60 * minute)
    assert len(function.asked) == 3
    assert listed(ledger) == ["one.1"]
    assert function.cloud.effects == effects, "a plan writes nothing"
    assert told == []


@pytest.mark.parametrize(
    ("now", "why"), [("true", "it is as it was before"), ("redeployed", "changed by somebody else since")]
)
def test_what_was_put_back_or_written_over_closes(
    ledger: Ledger, function: Function, told: list[Any], now: str, why: str
) -> None:
    function.cloud.by_hand(now)
    done = in_force.look(ledger, function, LATER)
    assert done.told["one.1"].startswith(why)
    assert listed(ledger) == []
    item = ledger.get(*record.key("one.1"))
    assert item is not None
    assert item["expires"] > LATER, "its image may expire now"
    ((kind, notice),) = told
    assert (kind, notice["what"]) == (outcome.NOTICE, "change_over")
    assert message.of({"detail-type": kind, "detail": notice}) is None, "nobody need hear of it"


@pytest.mark.parametrize("answer", [{"outcome": "refused", "reason": "target_unreadable"}, {"outcome": "planned"}, {}])
def test_what_can_not_be_told_stays_open(ledger: Ledger, function: Function, answer: dict[str, str]) -> None:
    in_force.look(ledger, lambda _: answer, LATER)
    assert listed(ledger) == ["one.1"]


def test_a_target_that_is_gone_closes(ledger: Ledger, function: Function, told: list[Any]) -> None:
    gone = {"outcome": "refused", "reason": "target_not_found", "detail": "it does not exist"}
    in_force.look(ledger, lambda _: gone, LATER)
    assert listed(ledger) == []


def test_a_function_that_does_not_answer_is_asked_in_an_hour(ledger: Ledger, function: Function) -> None:
    function.down = True
    in_force.look(ledger, function, LATER)
    in_force.look(ledger, function, LATER + 600)
    assert len(function.asked) == 1
    function.down = False
    in_force.look(ledger, function, LATER + 3_600)
    assert len(function.asked) == 2


def test_a_young_change_is_not_looked_at(ledger: Ledger, function: Function) -> None:
    in_force.look(ledger, function, START + 600)
    assert function.asked == []


def test_many_are_looked_at_over_several_ticks(ledger: Ledger, told: list[Any]) -> None:
    function = Function(ledger)
    for number in range(in_force.MAX_AT_ONCE + 1):
        function.cloud.value = "true"
        function.halts(f"flag-{number}")
    look: Callable[[], bool] = lambda: in_force.look(ledger, function, LATER).finished  # noqa: E731
    assert look() is False
    assert look() is True
    assert len({event["action_id"] for event in function.asked}) == in_force.MAX_AT_ONCE + 1
