"""The smoke test: one invocation, judged; an unclear answer is never repeated."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal.action import Change, Decline, Verification
from selfheal.clients import client, client_once
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable
from selfheal.refusal import Refusal
from selfheal.request import read_request
from selfheal.words import Direction, Mode, Verdict

from functions.invoke_target.app import MAX_TIMEOUT_S, RunHook, SmokeTest, differences, judge
from tests.unit.aws import ROOT, ask, event, planned, script
from tests.unit.stage import stage

FUNCTION = "the-alchemiser-v2-lambda-dev"
TARGET = {"function": FUNCTION, "alias": "live"}
STATE = {"version": "7", "weights": {}}


def change(**options: Any) -> Change:
    decision = SmokeTest().decide(STATE, ask("smoke_test", TARGET, options=options))
    assert isinstance(decision, Change)
    return decision


def answered(answer: Any, options: Mapping[str, Any] | None = None, **more: Any) -> Verification:
    """What verify says after Lambda answered so."""
    request, planned_change = ask("smoke_test", TARGET, options=dict(options or {})), change(**(options or {}))
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    asked = {
        "FunctionName": FUNCTION,
        "Qualifier": "live",
        "InvocationType": "RequestResponse",
        "Payload": json.dumps(planned_change.plan["payload"]).encode(),
    }
    response = {"StatusCode": 200, "ExecutedVersion": "7", "Payload": StreamingBody(io.BytesIO(raw), len(raw)), **more}
    action = SmokeTest(300)
    with Stubber(client_once("lambda", 60)) as aws:
        aws.add_response("invoke", response, asked)
        evidence = action.apply(request, planned_change)
        aws.assert_no_pending_responses()
    seen = action.verify(request, planned_change)
    assert json.loads(json.dumps(seen.evidence)) == evidence == seen.evidence
    return seen


# -- decide -----------------------------------------------------------------------------------------------------------


def test_it_is_risky_and_cannot_be_undone_or_repeated() -> None:
    assert change().direction is Direction.RISKY
    assert (SmokeTest.reversible, SmokeTest.repeatable) == (False, False)
    assert change().plan["payload"] == {"mode": "test"}
    assert change(payload={}).plan["payload"] == {}


@pytest.mark.parametrize("timeout_s", [0, MAX_TIMEOUT_S + 1])
def test_a_timeout_out_of_bounds_is_refused(timeout_s: int) -> None:
    decision = SmokeTest().decide(STATE, ask("smoke_test", TARGET, options={"timeout_s": timeout_s}))

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS


def test_observe_tells_the_version_behind_the_alias() -> None:
    with script("lambda") as aws:
        weights = {"AdditionalVersionWeights": {"8": 0.1}}
        seen = {"FunctionVersion": "7", "RoutingConfig": weights}
        aws.add_response("get_alias", seen, {"FunctionName": FUNCTION, "Name": "live"})

        plan = planned(SmokeTest(), ask("smoke_test", TARGET)).plan

    assert (plan["version"], plan["weights"]) == ("7", {"8": 0.1})


def test_a_missing_alias_is_not_invoked() -> None:
    with script("lambda") as aws:
        aws.add_client_error("get_alias", "ResourceNotFoundException")

        with pytest.raises(TargetNotFound):
            SmokeTest().observe(ask("smoke_test", TARGET))


# -- the answer -------------------------------------------------------------------------------------------------------


def test_an_expected_answer_holds_and_names_the_version_that_ran() -> None:
    seen = answered({"status": "ok", "more": 1}, {"expect": {"status": "ok"}})

    assert seen.verdict is Verdict.HOLDS
    assert seen.evidence["executed_version"] == "7"


@pytest.mark.parametrize(
    ("answer", "expect", "verdict"),
    [
        ({"statusCode": 200, "body": '{"mode": "paper"}'}, {"body": {"mode": "paper"}}, Verdict.HOLDS),
        ({"statusCode": 200, "body": '{"mode": "live"}'}, {"body": {"mode": "paper"}}, Verdict.DOES_NOT_HOLD),
        ({"statusCode": 500}, {}, Verdict.DOES_NOT_HOLD),
        ({"statusCode": 404}, {"statusCode": 404}, Verdict.HOLDS),
        ({"statusCode": 200}, {}, Verdict.HOLDS),
        ({"n": 1}, {"n": True}, Verdict.DOES_NOT_HOLD),
        ({"list": [1, 2]}, {"list": [1]}, Verdict.DOES_NOT_HOLD),
        ({}, {"status": "ok"}, Verdict.DOES_NOT_HOLD),
        ("text", {"status": "ok"}, Verdict.DOES_NOT_HOLD),
        (None, {}, Verdict.HOLDS),
        (b"not json", {}, Verdict.HOLDS),
        (b"\xff", {"status": "ok"}, Verdict.DOES_NOT_HOLD),
    ],
)
def test_answers_are_compared_field_by_field(answer: Any, expect: dict[str, Any], verdict: Verdict) -> None:
    assert answered(answer, {"expect": expect}).verdict is verdict


def test_an_error_of_the_function_does_not_hold_whatever_it_answers() -> None:
    error = {"errorType": "KeyError", "errorMessage": "'symbol'", "status": "ok"}

    seen = answered(error, {"expect": {"status": "ok"}}, FunctionError="Unhandled")

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert (seen.evidence["error_type"], seen.evidence["error_message"]) == ("KeyError", "'symbol'")
    assert "KeyError" in seen.detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_every_answer_is_as_expected_if_it_is_expected(answer: Any) -> None:
    assert differences(answer, json.loads(json.dumps(answer))) == []


@given(st.dictionaries(st.text(min_size=1), json_values, min_size=1, max_size=3), st.data())
def test_a_field_that_is_missing_is_always_seen(answer: dict[str, Any], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(answer)))

    seen = judge({"StatusCode": 200}, json.dumps({k: v for k, v in answer.items() if k != gone}), answer, 1)

    assert seen.verdict is Verdict.DOES_NOT_HOLD


def test_evidence_is_short_and_hides_secrets() -> None:
    seen = answered({"token": "hunter2", "text": "x" * 100_000, "mode": "a"}, {"expect": {"mode": "b"}})

    assert len(json.dumps(seen.evidence)) < 4096
    assert "hunter2" not in json.dumps(seen.evidence)


# -- no answer --------------------------------------------------------------------------------------------------------


def test_no_answer_in_time_is_unknown_and_not_repeated() -> None:
    request, action, calls = ask("smoke_test", TARGET, options={"timeout_s": 5}), SmokeTest(300), []

    def hang(**_: Any) -> None:
        calls.append(1)
        raise ReadTimeoutError(endpoint_url="https://lambda")

    client_once("lambda", 5).meta.events.register("before-send.lambda.Invoke", hang)
    action.apply(request, change(timeout_s=5))
    seen = action.verify(request, change(timeout_s=5))

    assert calls == [1]
    assert seen.verdict is Verdict.UNKNOWN
    assert "5 s" in seen.detail


def test_the_wait_fits_into_the_invocation() -> None:
    action = SmokeTest(30)
    with Stubber(client_once("lambda", 15)) as aws:
        raw = b"{}"
        aws.add_response("invoke", {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(raw), len(raw))})
        action.apply(ask("smoke_test", TARGET), change(timeout_s=600))
        aws.assert_no_pending_responses()


def test_a_run_that_died_cannot_tell() -> None:
    assert SmokeTest().verify(ask("smoke_test", TARGET), change()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("ResourceNotFoundException", 404, TargetNotFound),
        ("AccessDeniedException", 403, TargetForbidden),
        ("TooManyRequestsException", 429, Unreadable),
        ("InvalidRequestContentException", 400, NotApplied),
    ],
)
def test_what_lambda_refuses_is_told_apart(code: str, status: int, raised: type[Exception]) -> None:
    action = SmokeTest(300)
    with Stubber(client_once("lambda", 60)) as aws:
        aws.add_client_error("invoke", code, http_status_code=status)
        with pytest.raises(raised):
            action.apply(ask("smoke_test", TARGET), change())

    assert action.verify(ask("smoke_test", TARGET), change()).verdict is Verdict.UNKNOWN


def test_a_lambda_that_was_never_reached_is_unreadable() -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://lambda")

    client_once("lambda", 60).meta.events.register("before-send.lambda.Invoke", unreachable)

    with pytest.raises(Unreadable):
        SmokeTest(300).apply(ask("smoke_test", TARGET), change())


# -- hooks ------------------------------------------------------------------------------------------------------------

HOOK = {"function": "close-positions", "alias": "live"}
WHY = {"incident": "shop-1a", "system": "shop", "response": "errors", "reason": "P1", "requested_by": "ann"}


def hook(*, of: Mapping[str, Any] | None = None, **options: Any) -> Change | Decline:
    decision = RunHook().decide(STATE, ask("run_hook", HOOK, options=options, **(WHY if of is None else of)))
    assert isinstance(decision, Change | Decline)
    return decision


def test_a_hook_is_told_on_whose_behalf_it_runs() -> None:
    planned_hook = hook(payload={"symbols": ["A"]})

    assert isinstance(planned_hook, Change)
    assert planned_hook.direction is Direction.RISKY
    assert planned_hook.plan["payload"] == {"selfheal": {"action_id": "test-1", **WHY}, "symbols": ["A"]}
    assert "close-positions:live (version 7)" in planned_hook.summary


def test_a_hook_by_hand_gets_the_same_fields_without_values() -> None:
    by_hand = hook(of={})

    assert isinstance(by_hand, Change)
    told = by_hand.plan["payload"]["selfheal"]
    assert told == {"action_id": "test-1", "reason": "", **dict.fromkeys(WHY.keys() - {"reason"})}


def test_a_payload_that_speaks_in_selfheals_name_is_refused() -> None:
    decision = hook(payload={"selfheal": {"action_id": "other"}})

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS


@pytest.mark.parametrize(
    ("answer", "expect", "verdict"),
    [
        ({"ok": True}, None, Verdict.HOLDS),
        ({"ok": True, "closed": 3}, None, Verdict.HOLDS),
        ({"ok": False}, None, Verdict.DOES_NOT_HOLD),
        ({"ok": 1}, None, Verdict.DOES_NOT_HOLD),
        (None, None, Verdict.DOES_NOT_HOLD),
        (None, {}, Verdict.HOLDS),
        ({"closed": 3}, {"closed": 3}, Verdict.HOLDS),
    ],
)
def test_a_hook_must_say_that_it_has_done_its_work(answer: Any, expect: Any, verdict: Verdict) -> None:
    planned_hook = hook(expect=expect)

    assert isinstance(planned_hook, Change)
    assert judge({"StatusCode": 200}, json.dumps(answer), planned_hook.plan["expect"], 1).verdict is verdict


def test_only_a_hook_that_says_so_is_run_again_and_a_smoke_test_never() -> None:
    assert RunHook().may_repeat(ask("run_hook", HOOK, options={"repeatable": True}))
    assert not RunHook().may_repeat(ask("run_hook", HOOK))
    assert not SmokeTest().may_repeat(ask("smoke_test", TARGET))
    assert RunHook.reversible is False


@pytest.mark.parametrize(("repeatable", "outcome", "runs"), [(False, "inconclusive", 1), (True, "acted", 2)])
def test_a_hook_whose_run_was_killed_after_the_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repeatable: bool, outcome: str, runs: int
) -> None:
    with stage(monkeypatch, tmp_path) as on_stage:
        play = on_stage.play("run_hook_again" if repeatable else "run_hook")
        on_stage.wire.again(names=("lambda.invoke",), after=True)
        assert on_stage.run(play) is None
        sent = on_stage.wire.sent("lambda.invoke")
        end = on_stage.to_the_end(play)

        assert (end["outcome"], sent + on_stage.wire.sent("lambda.invoke")) == (outcome, runs)
        assert on_stage.run(play)["outcome"] == outcome  # type: ignore[index]


def test_the_example_in_the_documentation_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice with the same id is one effect, and its answer is the one that `run_hook` expects."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "hooks.md").read_text(), re.DOTALL)
    assert code is not None
    done: list[str] = []
    with mock_aws():
        table: dict[str, Any] = {"TableName": "hooks", "BillingMode": "PAY_PER_REQUEST"}
        table["AttributeDefinitions"] = [{"AttributeName": "id", "AttributeType": "S"}]
        client("dynamodb").create_table(**table, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])

        def close_all_positions(key: str) -> int:
            done.append(key)
            return 3

        example: dict[str, Any] = {"close_all_positions": close_all_positions}
        exec(code.group(1), example)  # noqa: S102 - our own page
        event = {"selfheal": {"action_id": "a-1"}}
        answers = [example["lambda_handler"](event, None) for _ in range(2)]

    assert done == ["a-1"]
    for answer in answers:
        assert judge({"StatusCode": 200}, json.dumps(answer), {"ok": True}, 1).verdict is Verdict.HOLDS


def test_the_event_file_is_a_plan() -> None:
    request = read_request(event("invoke_target"), (SmokeTest.name,), "id")

    assert (request.action, request.mode) == ("smoke_test", Mode.PLAN)
    assert request.target.key == "function:the-alchemiser-v2-lambda-dev:live"
