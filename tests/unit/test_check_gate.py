"""The gate: red is red, silence is no proof, and only a complete answer counts."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.action import Change, Decline
from selfheal.clients import client
from selfheal.errors import Unreadable
from selfheal.refusal import Refusal
from selfheal.words import Direction, Verdict

from functions.check_gate import app
from functions.check_gate.app import CheckGate, judge
from tests.unit.aws import ask, event, planned, recorded, script

NOW = 1_800_000_000.0
SYSTEM = {"system": "shop"}
NEW, OLD = "shop-bus/new", "shop-bus/old"
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:handler:live"
NONE_OF_IT: dict[str, Any] = {"MetricAlarms": [], "CompositeAlarms": []}


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 130)


def options(**more: Any) -> dict[str, Any]:
    return {"rules": [NEW], "since": int(NOW), **more}


def result(place: int, *values: float, status: str = "Complete") -> dict[str, Any]:
    return {"Id": f"m{place}", "Values": list(values), "StatusCode": status}


# -- judge -----------------------------------------------------------------------------------------------------------

sums = st.none() | st.integers(0, 3).map(float)


@given(
    failed=sums,
    failed_before=sums,
    invocations=sums,
    errors=sums,
    alarms=st.lists(st.just("shop-errors"), max_size=1),
    allowed=st.integers(0, 2),
    last=st.booleans(),
    quiet_ok=st.booleans(),
)
def test_clean_needs_proof_and_red_comes_first(  # noqa: PLR0917
    failed: float | None,
    failed_before: float | None,
    invocations: float | None,
    errors: float | None,
    alarms: list[str],
    allowed: int,
    last: bool,
    quiet_ok: bool,
) -> None:
    state = {
        "sums": {
            f"FailedInvocations {NEW}": failed,
            f"Invocations {NEW}": invocations,
            f"FailedInvocations {OLD}": failed_before,
            f"Invocations {OLD}": None,
            "Errors handler:live": errors,
        },
        "red_alarms": alarms,
    }
    given_options = {"rules": [NEW], "failed_invocations": allowed, "last": last, "quiet_ok": quiet_ok}

    verdict, why = judge(state, given_options)

    assert why
    if max(failed or 0, failed_before or 0) > allowed or errors or alarms:
        assert verdict == "red"
    elif invocations or quiet_ok or not last:
        assert verdict == "clean"
    else:
        assert verdict == "inconclusive"


# -- to the letter (Stubber) -----------------------------------------------------------------------------------------


def test_the_metrics_are_those_of_the_bus_the_rule_and_the_function_behind_it() -> None:
    request = ask("check_gate", SYSTEM, options=options(earlier=["default/old"], alarms=["shop-*"]))
    targets = {"Targets": [{"Id": "1", "Arn": FUNCTION}, {"Id": "2", "Arn": "arn:aws:sqs:eu-central-1:123456789012:q"}]}
    with ExitStack() as stack:
        events, cloudwatch = stack.enter_context(script("events")), stack.enter_context(script("cloudwatch"))
        events.add_response("list_targets_by_rule", targets, {"Rule": "new", "EventBusName": "shop-bus"})
        events.add_response("list_targets_by_rule", {}, {"Rule": "old", "EventBusName": "default"})
        asked: list[dict[str, Any]] = []
        client("cloudwatch").meta.events.register_first(
            "provide-client-params.cloudwatch.GetMetricData", lambda params, **_: asked.append(params)
        )
        answers = [result(0), result(1, 2, 1), result(2), result(3), result(4)]
        cloudwatch.add_response("get_metric_data", {"MetricDataResults": answers})
        cloudwatch.add_response(
            "describe_alarms",
            {"MetricAlarms": [{"AlarmName": "shop-errors"}], "CompositeAlarms": []},
            {"AlarmNamePrefix": "shop-", "StateValue": "ALARM", "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]},
        )
        state = CheckGate().observe(request)

    seen = {
        (stat["Metric"]["Namespace"], stat["Metric"]["MetricName"]): stat["Metric"]["Dimensions"]
        for query in asked[0]["MetricDataQueries"]
        if (stat := query["MetricStat"])["Metric"]["Dimensions"][0]["Value"] != "old"
    }
    on_bus = [{"Name": "EventBusName", "Value": "shop-bus"}, {"Name": "RuleName", "Value": "new"}]
    behind = [{"Name": "FunctionName", "Value": "handler"}, {"Name": "Resource", "Value": "handler:live"}]
    assert seen == {
        ("AWS/Events", "FailedInvocations"): on_bus,
        ("AWS/Events", "Invocations"): on_bus,
        ("AWS/Lambda", "Errors"): behind,
    }
    default = [query["MetricStat"]["Metric"]["Dimensions"] for query in asked[0]["MetricDataQueries"]]
    assert [{"Name": "RuleName", "Value": "old"}] in default
    assert asked[0]["StartTime"].timestamp() == NOW // 60 * 60
    assert asked[0]["EndTime"].timestamp() > NOW + 130
    assert (state["sums"][f"Invocations {NEW}"], state["sums"][f"FailedInvocations {NEW}"]) == (3, None)
    assert state["red_alarms"] == ["shop-errors"]


def looked(*pages: dict[str, Any], **more: Any) -> Any:
    """What the action says about these answers of GetMetricData."""
    request = ask("check_gate", SYSTEM, options=options(**more))
    gate = CheckGate()
    with ExitStack() as stack:
        events, cloudwatch = stack.enter_context(script("events")), stack.enter_context(script("cloudwatch"))
        events.add_response("list_targets_by_rule", {})
        for page in pages:
            cloudwatch.add_response("get_metric_data", page)
        change = planned(gate, request)
    assert change.direction is Direction.READ
    assert gate.apply(request, change)["gate"] == change.plan["verdict"]
    return gate.verify(request, recorded(change))


def test_clean_red_and_inconclusive_become_outcomes() -> None:
    def one(*answers: dict[str, Any]) -> dict[str, Any]:
        return {"MetricDataResults": list(answers)}

    assert looked(one(result(0), result(1, 5))).verdict is Verdict.HOLDS
    assert looked(one(result(0, 1), result(1, 5))).verdict is Verdict.DOES_NOT_HOLD
    assert looked(one(result(0, 1), result(1, 5)), failed_invocations=1).verdict is Verdict.HOLDS
    assert looked(one(result(0), result(1))).verdict is Verdict.UNKNOWN
    assert looked(one(result(0), result(1, 0))).verdict is Verdict.UNKNOWN
    assert looked(one(result(0), result(1)), last=False).verdict is Verdict.HOLDS
    assert looked(one(result(0), result(1)), quiet_ok=True).verdict is Verdict.HOLDS


def test_an_answer_is_read_to_its_last_page() -> None:
    first = {"MetricDataResults": [result(0), result(1, 5, status="PartialData")], "NextToken": "n"}
    second = {"MetricDataResults": [result(0), result(1, 2)]}

    assert "7 invocations" in looked(first, second).detail


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_an_answer_that_is_not_complete_is_none(status: str) -> None:
    with pytest.raises(Unreadable, match=status):
        looked({"MetricDataResults": [result(0), result(1, 5, status=status)]})


def test_a_metric_without_an_answer_is_none() -> None:
    with pytest.raises(Unreadable):
        looked({"MetricDataResults": [result(0)]})


def test_only_alarms_that_fit_are_of_the_system() -> None:
    with script("cloudwatch") as aws:
        names = [{"AlarmName": "shop-prod-errors"}, {"AlarmName": "shop-dev-errors"}]
        aws.add_response("describe_alarms", {**NONE_OF_IT, "CompositeAlarms": names})

        assert app._red_alarms(["shop-*-errors"]) == ["shop-dev-errors", "shop-prod-errors"]
    with script("cloudwatch") as aws:
        aws.add_response("describe_alarms", {**NONE_OF_IT, "MetricAlarms": names})

        assert app._red_alarms(["shop-dev-?rrors"]) == ["shop-dev-errors"]


@pytest.mark.parametrize(
    "given_options",
    [
        {},
        {"rules": []},
        {"rules": ["no-bus"]},
        {"rules": ["/"]},
        {"rules": [7]},
        {"rules": [NEW], "earlier": ["x"]},
        {"rules": [NEW], "since": 5},
        {"rules": [NEW], "since": int(NOW) + 10_000},
        {"rules": [f"b/{number}" for number in range(101)]},
    ],
)
def test_what_is_no_gate_is_refused(given_options: dict[str, Any]) -> None:
    request = ask("check_gate", SYSTEM, options={"since": int(NOW), **given_options})

    decision = CheckGate().decide(CheckGate().observe(request), request)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS


def test_a_long_window_is_read_in_coarser_steps() -> None:
    with ExitStack() as stack:
        events, cloudwatch = stack.enter_context(script("events")), stack.enter_context(script("cloudwatch"))
        events.add_response("list_targets_by_rule", {})
        asked: list[dict[str, Any]] = []
        client("cloudwatch").meta.events.register_first(
            "provide-client-params.cloudwatch.GetMetricData", lambda params, **_: asked.append(params)
        )
        cloudwatch.add_response("get_metric_data", {"MetricDataResults": [result(0), result(1, 1)]})
        CheckGate().observe(ask("check_gate", SYSTEM, options=options(since=int(NOW) - 86_400)))

    assert {query["MetricStat"]["Period"] for query in asked[0]["MetricDataQueries"]} == {300}


def test_without_a_beginning_it_looks_at_five_minutes() -> None:
    with ExitStack() as stack:
        events, cloudwatch = stack.enter_context(script("events")), stack.enter_context(script("cloudwatch"))
        events.add_response("list_targets_by_rule", {})
        asked: list[dict[str, Any]] = []
        client("cloudwatch").meta.events.register_first(
            "provide-client-params.cloudwatch.GetMetricData", lambda params, **_: asked.append(params)
        )
        cloudwatch.add_response("get_metric_data", {"MetricDataResults": [result(0), result(1, 1)]})
        CheckGate().observe(ask("check_gate", SYSTEM, options={"rules": [NEW]}))

    assert 300 <= NOW + 130 - asked[0]["StartTime"].timestamp() < 360


def test_the_event_file_is_a_gate() -> None:
    payload = event("check_gate")

    assert ask("check_gate", payload["target"], options=payload["options"]).options["last"] is True


def test_its_verdict_is_no_change() -> None:
    change = Change(Direction.READ, "why", plan={"verdict": "red", "seen": {}})

    assert CheckGate().verify(ask("check_gate", SYSTEM, options=options()), change).detail == "red: why"
