"""Scorecard: the scores of all responses, as JSON and as a table; it can only read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from selfheal import ledger as table
from selfheal import runbook
from selfheal.ledger import Ledger

from functions.scorecard import app
from tests.unit.aws import event
from tests.unit.responding import response, runbooks


@pytest.fixture(autouse=True)
def _books(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    monkeypatch.setattr(runbook, "load", lambda: runbooks(response(), response(name="second")))
    counters = {"incidents": 11, "suggested": 10, "acted": 1, "healed": 1, "escalated": 10}
    ledger.write(table.add("SCORE", "the-alchemiser-v2-dev|second", counters))


def test_every_response_has_its_row_and_the_answer_is_json(lambda_context: Any) -> None:
    answer = app.lambda_handler(event("scorecard"), lambda_context)
    assert json.loads(json.dumps(answer)) == answer
    assert [(one["response"], one["suggested"], one["earned_auto"]) for one in answer["responses"]] == [
        ("trading lambda failing", 0, False),
        ("second", 10, True),
    ]
    heading, first, second = answer["table"].splitlines()
    assert heading.split() == [
        "system",
        "response",
        "mode",
        "suggested",
        "needed",
        "acted",
        "healed",
        "escalated",
        "auto",
    ]
    assert first.endswith("not yet: 0 of 10 suggestions seen")
    assert second.endswith("earned: needed each of 10 times")


def test_enough_is_what_the_event_says(lambda_context: Any) -> None:
    answer = app.lambda_handler({"at_least": 11, "system": "the-alchemiser-v2-dev"}, lambda_context)
    assert [one["earned_auto"] for one in answer["responses"]] == [False, False]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"system": "nobody"}, "nobody"),
        ({"system": ["x"]}, "x"),
        ({"at_least": 0}, "at_least"),
        ({"at_least": "9"}, "at_least"),
        ({"at_least": True}, "at_least"),
    ],
)
def test_a_wrong_event_is_answered_with_what_is_wrong(asked: Any, names: str, lambda_context: Any) -> None:
    assert names in app.lambda_handler(asked, lambda_context)["error"]


def test_without_an_event_it_answers_all(lambda_context: Any) -> None:
    assert len(app.lambda_handler(None, lambda_context)["responses"]) == 2
