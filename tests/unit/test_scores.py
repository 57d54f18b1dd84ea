"""Scores: counted once per closed incident; `auto` is earned by suggestions that were needed each time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import flapping, incident_store, scores
from selfheal.incident import Incident, Phase
from selfheal.ledger import Ledger
from selfheal.scores import Score
from selfheal.words import Outcome, ResponseMode

from tests.unit.incidents import SETTLE_S, START, Story, alarm, incident
from tests.unit.responding import response

SUGGEST = (Outcome.PLANNED, "suggest_only")


def suggested(cleared_after: float) -> Incident:
    """A closed incident whose rollback was only suggested, 10 s after it opened; then the alarm cleared."""
    story = Story(incident(contain=""))
    story.go()
    story.now += 10
    story.answer("roll_back_alias", *SUGGEST, detail="would set live from 5 to 4")
    assert story.is_in(Phase.WATCH)
    story.now += cleared_after
    story.sees(alarm("OK", story.now, data=story.now))
    assert story.is_in(Phase.CLOSED)
    return story.incident


def test_the_incident_keeps_what_would_have_been_done() -> None:
    assert [step.detail for step in suggested(5).steps] == ["would set live from 5 to 4"]


@pytest.mark.parametrize(("after", "by_itself"), [(1, True), (SETTLE_S, True), (SETTLE_S + 1, False), (3_600, False)])
def test_it_cleared_by_itself_if_it_did_within_the_settle(after: float, by_itself: bool) -> None:
    counters = scores.of(suggested(after))
    assert counters == {
        "incidents": 1,
        "suggested": 1,
        "cleared_by_itself": int(by_itself),
        "acted": 0,
        "healed": 0,
        "escalated": 1,
    }


def test_a_window_longer_than_the_settle_counts() -> None:
    one = suggested(SETTLE_S + 30)
    long = replace(one, alarms={arn: replace(state, window_s=600) for arn, state in one.alarms.items()})
    assert not scores.cleared_by_itself(one)
    assert scores.cleared_by_itself(long)


def test_what_lost_its_data_counts_as_cleared() -> None:
    one = suggested(5)
    silent = replace(one, alarms={arn: replace(state, state="INSUFFICIENT_DATA") for arn, state in one.alarms.items()})
    assert scores.cleared_by_itself(silent)


def test_contained_and_then_only_suggested_counts_as_both() -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading")
    story.answer("roll_back_alias", *SUGGEST)
    story.now += 3_600
    story.sees(alarm("OK", story.now, data=story.now))
    assert scores.of(story.incident) == {
        "incidents": 1,
        "suggested": 1,
        "cleared_by_itself": 0,
        "acted": 1,
        "healed": 0,
        "escalated": 1,
    }


def test_a_healed_incident_suggested_nothing() -> None:
    story = Story(incident(contain=""))
    story.go()
    story.answer("roll_back_alias")
    story.now += 60
    story.sees(alarm("OK", story.now, data=story.now))
    counters = scores.of(story.incident)
    assert (counters["healed"], counters["acted"], counters["suggested"], counters["cleared_by_itself"]) == (1, 1, 0, 0)


def closed_in(ledger: Ledger, one: Incident, number: int) -> None:
    """Opened and closed in the ledger, in two transactions, and so late that it continues no series."""
    at = START + number * 2 * flapping.WITHIN_S
    opened = replace(one, id=f"demo-12345678-{number:x}", phase=Phase.WATCH, closed_at=None, verdict="", version=0)
    committed = incident_store.commit(ledger, opened, at)
    assert committed is not None
    closed = replace(one, id=opened.id, version=committed.version)
    assert incident_store.commit(ledger, closed, at) is not None
    assert incident_store.commit(ledger, closed, at) is None, "a second closing counts nothing"


def test_each_closing_counts_once_and_is_kept_with_the_incident(ledger: Ledger) -> None:
    for number in range(3):
        closed_in(ledger, suggested(3_600), number)
    (score,) = scores.read(ledger, [response(system="demo", name="function failing")])
    assert score.counters == {
        "incidents": 3,
        "suggested": 3,
        "cleared_by_itself": 0,
        "acted": 0,
        "healed": 0,
        "escalated": 3,
    }
    item = ledger.get("INCIDENT#demo-12345678-0", "INCIDENT")
    assert item is not None
    assert item["doc"]["score"]["suggested"] == 1
    assert incident_store.find(ledger, "demo-12345678-0") is not None


@given(suggestions=st.integers(0, 30), in_vain=st.integers(0, 30), at_least=st.integers(1, 20))
def test_auto_is_earned_by_enough_suggestions_and_none_in_vain(suggestions: int, in_vain: int, at_least: int) -> None:
    in_vain = min(in_vain, suggestions)
    counters = dict.fromkeys(scores.COUNTERS, 0) | {"suggested": suggestions, "cleared_by_itself": in_vain}
    score = Score(response(), counters)
    assert score.has_earned_auto(at_least) == (suggestions >= at_least and in_vain == 0)
    assert score.needed == suggestions - in_vain
    assert score.as_dict(at_least)["earned_auto"] == score.has_earned_auto(at_least)


@pytest.mark.parametrize(
    ("counters", "mode", "why"),
    [
        ({"suggested": 10}, ResponseMode.SUGGEST, "needed each of 10 times"),
        ({"suggested": 3}, ResponseMode.SUGGEST, "3 of 10 suggestions seen"),
        ({"suggested": 12, "cleared_by_itself": 2}, ResponseMode.SUGGEST, "2 of 12 alarms cleared by themselves"),
        ({}, ResponseMode.OFF, "it is off"),
    ],
)
def test_it_says_why(counters: dict[str, int], mode: ResponseMode, why: str) -> None:
    score = Score(response(mode=mode), dict.fromkeys(scores.COUNTERS, 0) | counters)
    assert score.why(10) == why
    assert why in scores.text_table([score], 10)
