"""Stages of APIs: down to a rate with everything that overrides it, and back to every single limit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import clients
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.api_stage import PATCHES_AT_ONCE
from selfheal.arns import Home, arns_of
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound
from selfheal.refusal import Refusal
from selfheal.target import read_target
from selfheal.words import Direction, Verdict

from functions.throttle_api.app import LimitApi
from tests.unit.api_stages import RestStages, http_update
from tests.unit.aws import ask, planned, script

REST = {"rest_api": "r1", "stage": "prod"}
HTTP = {"http_api": "h1", "stage": "$default"}
ORDERS = "~1orders~1{id}/GET"


def limit(target: Mapping[str, str], rate: int | None = 5, burst: int | None = None, **more: Any) -> Any:
    options = {name: value for name, value in {"rate": rate, "burst": burst}.items() if value is not None}
    return ask("limit_api", target, options=options, **more)


def restored(target: Mapping[str, str], change: Change) -> Any:
    return limit(target, wanted=json.loads(json.dumps(change.before)))


@contextmanager
def gateway(stage: dict[str, Any]) -> Iterator[list[Any]]:
    """API Gateway with this one stage; answers what UpdateStage was sent."""
    sent: list[Any] = []

    def answer(model: Any, params: Mapping[str, Any], **_: Any) -> Any:
        if model.name == "UpdateStage":
            asked = json.loads(params["body"])
            sent.append(asked)
            if "patchOperations" in asked:
                RestStages.patch(stage, asked["patchOperations"])
            else:
                http_update(stage, asked)
        return SimpleNamespace(status_code=200), json.loads(json.dumps(stage))

    events = clients.hooks()
    events.register("before-call.*.*", answer)
    clients.forget(session=False)
    client("apigateway"), client("apigatewayv2")
    try:
        yield sent
    finally:
        events.unregister("before-call.*.*", answer)
        clients.forget(session=False)


def carried_out(request: Any) -> Change:
    """Planned, applied and verified, and a second time."""
    action = LimitApi()
    change = planned(action, request)
    assert action.verify(request, change).verdict is Verdict.DOES_NOT_HOLD
    action.apply(request, change)
    assert action.verify(request, change).verdict is Verdict.HOLDS
    assert LimitApi().apply(request, change) == {"written": False}
    assert isinstance(action.decide(action.observe(request), request), AlreadyDone)
    return change


# -- decide ------------------------------------------------------------------------------------------------------

rates = st.none() | st.integers(1, 9).map(float)
limits = st.fixed_dictionaries({"rate": rates, "burst": rates})


@given(
    default=st.none() | limits,
    overrides=st.dictionaries(st.sampled_from(["a/GET", "b/POST"]), limits),
    rate=st.integers(1, 9),
    burst=st.none() | st.integers(1, 9),
)
def test_nothing_stays_above_and_what_is_lower_stays(
    default: dict[str, Any] | None, overrides: dict[str, Any], rate: int, burst: int | None
) -> None:
    before = {"*/*": default, **overrides}
    decision = LimitApi().decide({"limits": before, "settings": {}}, limit(REST, rate, burst))

    to = {"rate": rate, "burst": burst or rate}
    after = decision.after if isinstance(decision, Change) else before
    assert after["*/*"] == to
    for key, old in overrides.items():
        for name, most in to.items():
            assert after[key][name] == (min(old[name], most) if old[name] is not None else most)
    raised = default is not None and any(default[name] is not None and default[name] < to[name] for name in to)
    if isinstance(decision, Change):
        assert decision.direction is (Direction.RISKY if raised else Direction.SAFE)
        assert decision.plan["changes"].keys() == {key for key in before if before[key] != after[key]}


@pytest.mark.parametrize(("rate", "burst"), [(None, None), (0, None), (5, 0), (None, 5)])
def test_a_limit_needs_a_rate(rate: int | None, burst: int | None) -> None:
    with pytest.raises(Refused, match="bad_options"):
        LimitApi().observe(limit(REST, rate, burst))


# -- REST --------------------------------------------------------------------------------------------------------


def test_a_stage_without_a_limit_gets_one_and_loses_it_again() -> None:
    stage: dict[str, Any] = {"stageName": "prod"}
    with gateway(stage) as sent:
        change = carried_out(limit(REST, 5, 10))

        assert change.direction is Direction.SAFE
        assert sent[0]["patchOperations"] == [
            {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "5"},
            {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "10"},
        ]
        undo = restored(REST, change)
        back = planned(LimitApi(), undo)
        assert back.direction is Direction.RISKY
        LimitApi().apply(undo, back)
        assert LimitApi().verify(undo, back).verdict is Verdict.HOLDS
        assert sent[1]["patchOperations"] == [{"op": "remove", "path": "/*/*"}]
    assert stage["methodSettings"] == {}


def test_methods_with_a_limit_of_their_own_come_down_and_come_back_to_the_last_number() -> None:
    before = {
        "*/*": RestStages.entry(100.0, 50, loggingLevel="INFO"),
        ORDERS: RestStages.entry(500.0, 5),
        "~1/POST": RestStages.entry(2.0, 2),
        "~1free/GET": RestStages.entry(-1.0, -1),
    }
    stage = {"stageName": "prod", "methodSettings": json.loads(json.dumps(before))}
    with gateway(stage):
        change = carried_out(limit(REST, 5, 10))
        found = {
            key: (entry["throttlingRateLimit"], entry["throttlingBurstLimit"])
            for key, entry in stage["methodSettings"].items()
        }
        assert found == {"*/*": (5, 10), ORDERS: (5, 5), "~1/POST": (2, 2), "~1free/GET": (5, 10)}
        assert stage["methodSettings"]["*/*"]["loggingLevel"] == "INFO"

        undo = restored(REST, change)
        back = planned(LimitApi(), undo)
        LimitApi().apply(undo, back)
        assert LimitApi().verify(undo, back).verdict is Verdict.HOLDS
    assert stage["methodSettings"] == before


def test_a_path_is_a_json_pointer() -> None:
    with gateway({"methodSettings": {"orders/{id}/GET": RestStages.entry(500.0, 5)}}) as sent:
        LimitApi().apply(limit(REST), planned(LimitApi(), limit(REST)))

    operation = {"op": "replace", "path": "/orders~1{id}/GET/throttling/rateLimit", "value": "5"}
    assert operation in sent[0]["patchOperations"]


def test_more_operations_than_one_call_takes_are_sent_in_several() -> None:
    settings = {f"~1p{number}/GET": RestStages.entry() for number in range(50)}
    with gateway({"methodSettings": settings}) as sent:
        carried_out(limit(REST))

    assert [len(one["patchOperations"]) for one in sent] == [PATCHES_AT_ONCE, 102 - PATCHES_AT_ONCE]


def test_an_entry_that_was_given_other_settings_since_is_not_removed() -> None:
    stage: dict[str, Any] = {"stageName": "prod"}
    with gateway(stage):
        change = carried_out(limit(REST))
        stage["methodSettings"]["*/*"]["metricsEnabled"] = True
        undo = restored(REST, change)

        decision = LimitApi().decide(LimitApi().observe(undo), undo)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.CHANGED_SINCE
    assert "*/* was given metricsEnabled since" in decision.detail


# -- HTTP --------------------------------------------------------------------------------------------------------


def test_an_http_api_keeps_every_other_setting() -> None:
    before = {
        "DefaultRouteSettings": {"DetailedMetricsEnabled": True},
        "RouteSettings": {
            "GET /orders": {"ThrottlingRateLimit": 500.0, "ThrottlingBurstLimit": 5, "DetailedMetricsEnabled": True},
            "$default": {"ThrottlingRateLimit": 1.0, "ThrottlingBurstLimit": 1},
        },
    }
    stage = json.loads(json.dumps(before))
    with gateway(stage):
        change = carried_out(limit(HTTP, 5, 10))

        assert change.direction is Direction.SAFE
        assert stage["DefaultRouteSettings"] == {
            "DetailedMetricsEnabled": True,
            "ThrottlingRateLimit": 5,
            "ThrottlingBurstLimit": 10,
        }
        assert stage["RouteSettings"]["GET /orders"] == {
            "ThrottlingRateLimit": 5,
            "ThrottlingBurstLimit": 5,
            "DetailedMetricsEnabled": True,
        }
        undo = restored(HTTP, change)
        back = planned(LimitApi(), undo)
        assert back.direction is Direction.RISKY
        LimitApi().apply(undo, back)
        assert LimitApi().verify(undo, back).verdict is Verdict.HOLDS
    assert stage == before


def test_a_limit_that_api_gateway_keeps_is_told() -> None:
    undo = limit(HTTP, wanted={"default": {"rate": None, "burst": None}})
    stage = {"DefaultRouteSettings": {"ThrottlingRateLimit": 5.0, "ThrottlingBurstLimit": 5}}
    action = LimitApi()
    with gateway(stage):
        change = planned(action, undo)
        action.apply(undo, change)
        stage["DefaultRouteSettings"] = {"ThrottlingRateLimit": 0.0, "ThrottlingBurstLimit": 0}

        seen = action.verify(undo, change)

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert "default 0.0/s burst 0" in seen.detail


# -- others ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "part"), [(REST, "methodSettings"), (HTTP, "RouteSettings")])
def test_what_somebody_changed_after_the_look_is_not_written_over(target: dict[str, str], part: str) -> None:
    stage: dict[str, Any] = {}
    with gateway(stage) as sent:
        change = planned(LimitApi(), limit(target))
        stage[part] = {"~1x/GET": RestStages.entry(1.0, 1)}
        with pytest.raises(ChangedMeanwhile):
            LimitApi().apply(limit(target), change)

    assert sent == []


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NotFoundException", 404, TargetNotFound),
        ("AccessDeniedException", 403, TargetForbidden),
        ("BadRequestException", 400, NotApplied),
    ],
)
@pytest.mark.parametrize(("target", "service"), [(REST, "apigateway"), (HTTP, "apigatewayv2")])
def test_what_api_gateway_refuses_is_told(
    target: dict[str, str], service: str, code: str, status: int, error: type[Exception]
) -> None:
    with script(service) as aws:
        aws.add_client_error("get_stage", code, http_status_code=status)
        with pytest.raises(error, match=r"stage .* of API"):
            LimitApi().observe(limit(target))


@pytest.mark.parametrize(("target", "service"), [(REST, "apigateway"), (HTTP, "apigatewayv2")])
def test_a_lost_race_is_planned_again(target: dict[str, str], service: str) -> None:
    with script(service) as aws:
        aws.add_response("get_stage", {})
        change = planned(LimitApi(), limit(target))
        aws.add_response("get_stage", {})
        aws.add_client_error("update_stage", "ConflictException", http_status_code=409)
        with pytest.raises(ChangedMeanwhile):
            LimitApi().apply(limit(target), change)


def test_a_tag_of_the_api_or_the_stage_exempts_it() -> None:
    home, where = Home("aws", "eu-central-1", "123456789012"), "arn:aws:apigateway:eu-central-1::"

    rest = arns_of(read_target(REST, ("rest_api",)), home)
    http = arns_of(read_target(HTTP, ("http_api",)), home)

    assert rest == (f"{where}/restapis/r1/stages/prod", f"{where}/restapis/r1")
    assert http == (f"{where}/apis/h1/stages/$default", f"{where}/apis/h1")
