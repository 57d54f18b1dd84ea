"""Buttons: what a person has filled in goes into the request, and the answer is HTML that says what became of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from selfheal import pauses, widget
from selfheal.ledger import Ledger
from selfheal.words import Outcome

from functions.approve import app
from tests.unit.html_reader import every, read
from tests.unit.test_markup import HOSTILE

PAUSE = {"action": "pause", "target": {"pause": "*"}, "mode": "act", "options": {"what": "risky", "minutes": 60}}


def pressed(request: dict[str, Any], **filled_in: Any) -> dict[str, Any]:
    return {**request, "widgetContext": {"forms": {"all": filled_in}, "theme": "dark"}}


def test_a_press_is_carried_out_in_the_name_that_was_filled_in(ledger: Ledger, lambda_context: Any) -> None:
    answered: Any = app.lambda_handler(pressed(PAUSE, requested_by=" ann ", reason="the network"), lambda_context)
    page = read(answered)
    (pause,) = pauses.in_force(ledger, 0)

    assert (pause.who, pause.reason) == ("ann", "the network")
    assert every(page, "h2")[0].text == "Done."
    assert "risky actions paused for *, 60 minutes" in page.text
    assert "pause by ann" in page.text
    assert json.dumps(answered)


def test_without_a_name_it_is_refused_and_the_person_is_told_what_is_missing(
    ledger: Ledger, lambda_context: Any
) -> None:
    answered: Any = app.lambda_handler(pressed(PAUSE), lambda_context)
    page = read(answered)

    assert every(page, "h2")[0].text == "Refused."
    assert "fill in your name" in page.text
    assert pauses.in_force(ledger, 0) == []


def test_a_button_s_own_parameters_count_more(ledger: Ledger, lambda_context: Any) -> None:
    app.lambda_handler(pressed({**PAUSE, "requested_by": "ann"}, requested_by="bob", target="x"), lambda_context)

    assert [pause.who for pause in pauses.in_force(ledger, 0)] == ["ann"]


def test_any_other_request_is_answered_as_ever(ledger: Ledger, lambda_context: Any) -> None:
    result: Any = app.lambda_handler({**PAUSE, "requested_by": "ann"}, lambda_context)

    assert result["outcome"] == "acted"


@pytest.mark.parametrize(
    "context", [None, 1, "x", [], {}, {"forms": None}, {"forms": {"all": 1}}, {"forms": {"all": {"requested_by": 7}}}]
)
def test_a_context_that_is_none_gives_no_name(context: Any, ledger: Ledger, lambda_context: Any) -> None:
    answered: Any = app.lambda_handler({**PAUSE, "widgetContext": context}, lambda_context)

    assert "Refused." in answered or answered["outcome"] == "refused"
    assert pauses.in_force(ledger, 0) == []


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_answer_is_text_whatever_is_in_it(outcome: Outcome, text: str) -> None:
    page = read(
        widget.answer({"outcome": outcome, "action": text, "requested_by": text, "detail": text, "reason": "",
                       "action_id": text})
    )  # fmt: skip

    assert [one.tag for one in every(page)] == ["div", "h2", "p", "p", "small"]
