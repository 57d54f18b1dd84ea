"""Plans that are waited for: only plans, of each function, and a failure is no answer."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.stub import Stubber
from selfheal import starter
from selfheal.clients import client_once
from selfheal.errors import Misconfigured, TargetForbidden, Unreadable

HALT = {"action": "halt_trading", "target": {"parameter": "/demo/on"}, "mode": "plan"}
ROLL_BACK = {"action": "roll_back_alias", "target": {"function": "f", "alias": "live"}, "mode": "plan"}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTION_FUNCTIONS", '{"switch_trading": "switch", "roll_back_alias": "https://queue"}')
    monkeypatch.setenv("PACED_FUNCTIONS", '{"roll_back_alias": "rollback"}')


def answered(payload: bytes, **more: Any) -> dict[str, Any]:
    return {"StatusCode": 200, "Payload": io.BytesIO(payload), **more}


@pytest.mark.parametrize(("event", "name"), [(HALT, "switch"), (ROLL_BACK, "rollback")])
def test_the_function_is_asked_itself_even_where_actions_stand_in_line(event: dict[str, Any], name: str) -> None:
    with Stubber(client_once("lambda", starter.PLAN_WITHIN_S)) as aws:
        aws.add_response(
            "invoke", answered(b'{"outcome": "planned"}'), {"FunctionName": name, "Payload": json.dumps(event)}
        )
        assert starter.ask_for_plan(event) == {"outcome": "planned"}


def test_nothing_but_a_plan_is_waited_for() -> None:
    with pytest.raises(Misconfigured):
        starter.ask_for_plan({**HALT, "mode": "act"})


@pytest.mark.parametrize(
    "answer",
    [answered(b'{"errorMessage": "boom"}', FunctionError="Unhandled"), answered(b"not json"), answered(b"[]")],
)
def test_a_failure_is_no_answer(answer: dict[str, Any]) -> None:
    with Stubber(client_once("lambda", starter.PLAN_WITHIN_S)) as aws:
        aws.add_response("invoke", answer)
        with pytest.raises(Unreadable):
            starter.ask_for_plan(HALT)


def test_what_may_not_be_asked_says_so() -> None:
    with Stubber(client_once("lambda", starter.PLAN_WITHIN_S)) as aws:
        aws.add_client_error("invoke", "AccessDeniedException")
        with pytest.raises(TargetForbidden):
            starter.ask_for_plan(HALT)


def test_a_function_without_a_name_is_a_wrong_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACED_FUNCTIONS", "{}")
    with pytest.raises(Misconfigured, match="roll_back_alias"):
        starter.ask_for_plan(ROLL_BACK)
