"""`make pause` and `make resume`: the request that the variables make."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from selfheal.request import read_request

from local.pause import Missing, event_of, told

ANN = {"WHO": "ann", "REASON": "a move"}


@pytest.mark.parametrize(
    ("given", "target", "options"),
    [
        ({}, "*", {"what": "risky", "minutes": 60}),
        ({"SYSTEM": "demo", "WHAT": "all", "MINUTES": "5"}, "demo", {"what": "all", "minutes": 5}),
        ({"SYSTEM": "", "WHAT": "", "MINUTES": ""}, "*", {"what": "risky", "minutes": 60}),
    ],
)
def test_the_variables_become_a_request(given: Mapping[str, str], target: str, options: Mapping[str, object]) -> None:
    request = read_request(event_of("pause", {**ANN, **given}), ("pause",), "id")
    assert (request.target["pause"], request.requested_by, request.reason) == (target, "ann", "a move")
    assert request.options == options
    assert request.mode == "act"


def test_a_resume_needs_no_reason_and_takes_the_user_of_the_shell() -> None:
    request = read_request(event_of("resume", {"USER": "bob"}), ("resume",), "id")
    assert (request.requested_by, request.target["pause"]) == ("bob", "*")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"WHO": "", "USER": ""}, "WHO"),
        ({"REASON": ""}, "REASON"),
        ({"WHAT": "everything"}, "WHAT"),
        ({"MINUTES": "an hour"}, "MINUTES"),
    ],
)
def test_what_is_missing_is_named(given: Mapping[str, str], names: str) -> None:
    with pytest.raises(Missing, match=names):
        event_of("pause", {**ANN, **given})


def test_what_became_of_it_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert told({"outcome": "acted", "detail": "risky actions paused for *, 5 minutes"}) == 0
    assert capsys.readouterr().out == "risky actions paused for *, 5 minutes\n"

    assert told({"outcome": "refused", "reason": "not_paused"}) == 1
    assert capsys.readouterr().err == "error: refused: not_paused\n"

    assert told({"errorMessage": "down"}) == 1
    assert "down" in capsys.readouterr().err
