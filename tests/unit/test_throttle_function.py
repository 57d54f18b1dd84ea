"""Functions and their sources: stopped safely only where nothing is lost, and back exactly as they were."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal import unserved
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.arns import Home, arns_of
from selfheal.clients import client
from selfheal.engine import run
from selfheal.errors import NotApplied, Refused, TargetForbidden, TargetNotFound
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.target import read_target
from selfheal.words import Direction, Outcome, Verdict

from functions.throttle_function.app import LimitFunction, PauseSource, SetConcurrency, StopFunction
from tests.unit.aws import ask, planned, script
from tests.unit.doubles import Clock, Faults, world_of

NAME = "orders"
ARN = f"arn:aws:lambda:eu-central-1:123456789012:function:{NAME}"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:orders"
STREAM = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders"
UUID = "00000000-0000-4000-8000-00000000000a"
TARGET = {"function": NAME}
STOP = ask("stop_function", TARGET)
PAUSE = ask("pause_source", {"event_source": UUID})
KEPT = {"DestinationConfig": {"OnFailure": {"Destination": QUEUE}}}


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def limit(to: int | None, **more: Any) -> Any:
    return ask("limit_function", TARGET, options={} if to is None else {"concurrency": to}, **more)


def seen(reserved: int | None, **more: Any) -> dict[str, Any]:
    """A state in which nothing is lost, unless told otherwise."""
    around = {"provisioned": {}, "without_destination": [], "sources": {}, "unread": ""}
    return {"reserved": reserved, **around, **more}


def told(**more: Any) -> Change:
    decision = StopFunction().decide(seen(None, **more), STOP)
    assert isinstance(decision, Change)
    return decision


# -- decide ------------------------------------------------------------------------------------------------------

numbers = st.none() | st.integers(0, 5)


@given(
    reserved=numbers,
    to=st.integers(1, 5),
    wanted=st.none() | st.fixed_dictionaries({"reserved": numbers}),
    provisioned=st.dictionaries(st.sampled_from(["live", "beta"]), st.integers(1, 3)),
    without=st.lists(st.just("$LATEST"), max_size=1),
    sources=st.dictionaries(st.just(UUID), st.just(QUEUE)),
    unread=st.sampled_from(["", "denied"]),
    stop=st.booleans(),
)
def test_safe_is_only_what_runs_less_and_loses_nothing(
    *, reserved: int | None, to: int, wanted: dict[str, Any] | None, provisioned: dict[str, int], without: list[str],
    sources: dict[str, str], unread: str, stop: bool,
) -> None:  # fmt: skip
    action: SetConcurrency = StopFunction() if stop else LimitFunction()
    request = ask("stop_function", TARGET, wanted=wanted) if stop else limit(to, wanted=wanted)
    state: dict[str, Any] = {"reserved": reserved}
    if wanted is None:
        state = seen(reserved, provisioned=provisioned, without_destination=without, sources=sources, unread=unread)

    decision = action.decide(state, request)

    end = wanted["reserved"] if wanted is not None else 0 if stop else to
    if reserved == end:
        assert isinstance(decision, AlreadyDone)
    elif wanted is None and sum(provisioned.values()) > end:
        assert isinstance(decision, Decline)
        assert decision.refusal is Refusal.PROVISIONED_CONCURRENCY
    else:
        assert isinstance(decision, Change)
        assert (decision.before, decision.after) == ({"reserved": reserved}, {"reserved": end})
        runs_less = end is not None and (reserved is None or end < reserved)
        loses = bool(without or sources or unread)
        safe = wanted is None and runs_less and not loses
        assert decision.direction is (Direction.SAFE if safe else Direction.RISKY)


def test_what_would_be_lost_is_told_with_the_request_that_comes_first() -> None:
    change = told(without_destination=["$LATEST"], sources={UUID: QUEUE})

    assert change.direction is Direction.RISKY
    assert "no dead-letter queue or on-failure destination for $LATEST" in change.summary
    assert QUEUE in change.summary
    assert f'{{"action": "pause_source", "target": {{"event_source": "{UUID}"}}}}' in change.summary


def test_provisioned_concurrency_is_named() -> None:
    decision = StopFunction().decide(seen(None, provisioned={"live": 5}), STOP)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.PROVISIONED_CONCURRENCY
    assert "5 for live" in decision.detail
    assert isinstance(LimitFunction().decide(seen(None, provisioned={"live": 5}), limit(5)), Change)


def test_a_limit_where_there_was_none_is_taken_from_the_others() -> None:
    decision = LimitFunction().decide(seen(None), limit(7))

    assert isinstance(decision, Change)
    assert "7 are taken from what the account's other functions share" in decision.summary


@pytest.mark.parametrize("concurrency", [None, 0])
def test_a_limit_needs_a_number_from_1(concurrency: int | None) -> None:
    with pytest.raises(Refused, match="bad_options"):
        LimitFunction().observe(limit(concurrency))


# -- the round trip (moto) ---------------------------------------------------------------------------------------


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mock_aws():
        role = client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        client("lambda").create_function(
            FunctionName=NAME, Role=role, Runtime="python3.13", Handler="app.handler", Code={"ZipFile": b"-"}
        )
        yield client("lambda")


@pytest.fixture
def nothing_lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each look at what is around the function."""
    looks: list[str] = []
    around = {name: value for name, value in seen(None).items() if name != "reserved"}

    def look(function: str) -> Mapping[str, Any]:
        looks.append(function)
        return dict(around)

    monkeypatch.setattr(unserved, "look", look)
    return looks


@pytest.mark.parametrize("before", [None, 8])
@pytest.mark.parametrize("to", [0, 3])
def test_there_and_back_to_a_number_or_to_none(aws: Any, nothing_lost: list[str], before: int | None, to: int) -> None:
    if before is not None:
        aws.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=before)
    action: type[SetConcurrency] = StopFunction if to == 0 else LimitFunction
    request = STOP if to == 0 else limit(to)

    there = action()
    change = planned(there, request)
    assert there.verify(request, change).verdict is Verdict.DOES_NOT_HOLD
    there.apply(request, change)
    assert there.verify(request, change).verdict is Verdict.HOLDS
    assert aws.get_function_concurrency(FunctionName=NAME)["ReservedConcurrentExecutions"] == to
    assert isinstance(there.decide(there.observe(request), request), AlreadyDone)

    undo = ask(request.action, TARGET, wanted=change.before, options=request.options)
    back = planned(action(), undo)
    assert back.direction is Direction.RISKY
    action().apply(undo, back)
    assert action().verify(undo, back).verdict is Verdict.HOLDS
    assert aws.get_function_concurrency(FunctionName=NAME).get("ReservedConcurrentExecutions") == before


def test_the_second_look_asks_only_for_what_is_written(aws: Any, nothing_lost: list[str]) -> None:
    once = StopFunction()
    once.observe(STOP)
    once.observe(STOP)

    assert nothing_lost == [NAME]


def test_what_somebody_else_set_meanwhile_does_not_hold(aws: Any, nothing_lost: list[str]) -> None:
    there = StopFunction()
    change = planned(there, STOP)
    there.apply(STOP, change)
    aws.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=9)

    seen_now = there.verify(STOP, change)

    assert seen_now.verdict is Verdict.DOES_NOT_HOLD
    assert "somebody set it to 9" in seen_now.detail


def test_a_function_that_is_not_there_is_told(aws: Any) -> None:
    with pytest.raises(TargetNotFound):
        StopFunction().observe(ask("stop_function", {"function": "other"}))


def test_what_would_take_too_much_of_the_account_is_told_plainly(
    ledger: Ledger, aws: Any, nothing_lost: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_LAMBDA_CONCURRENCY_QUOTA", "120")

    result = run(LimitFunction(), limit(50), world_of(Faults(), Clock()))

    assert (result.outcome, result.reason) == (Outcome.FAILED, "not_applied")
    assert "Lambda does not reserve 50 for orders; reserve less, or have the account's limit raised" in result.detail
    assert result.before == result.after == {"reserved": None}


def test_through_the_engine_and_back(ledger: Ledger, aws: Any, nothing_lost: list[str]) -> None:
    world = world_of(Faults(), Clock())
    assert run(StopFunction(), STOP, world).outcome is Outcome.ACTED

    undo = ask("stop_function", TARGET, action_id="u", undo_of="test-1", origin="undo", requested_by="ann")
    result = run(StopFunction(), undo, world)

    assert result.outcome is Outcome.ACTED
    assert "dead letters are to be replayed" in result.detail
    assert "ReservedConcurrentExecutions" not in aws.get_function_concurrency(FunctionName=NAME)


def test_while_lambda_is_busy_it_is_asked_again(slept: list[float]) -> None:
    change = Change(Direction.SAFE, "", {"reserved": None}, {"reserved": 0})
    with script("lambda") as aws:
        aws.add_client_error("put_function_concurrency", "ResourceConflictException", http_status_code=409)
        aws.add_response("put_function_concurrency", {}, {"FunctionName": NAME, "ReservedConcurrentExecutions": 0})
        StopFunction().apply(STOP, change)
    with script("lambda") as aws:
        for _ in range(4):
            aws.add_client_error("put_function_concurrency", "ResourceConflictException", http_status_code=409)
        with pytest.raises(NotApplied):
            StopFunction().apply(STOP, change)

    assert slept == [0.5, 0.5, 1.0, 2.0]


# -- what is lost (Stubber) --------------------------------------------------------------------------------------


def around(
    *, provisioned: Any = (), aliases: Any = (), configs: Any = (), queues: Mapping[str, str] | None = None,
    sources: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The look at a function with these things around it; every call is expected to the letter."""
    which = {"FunctionName": NAME}
    with script("lambda") as aws:
        aws.add_response(
            "list_provisioned_concurrency_configs", {"ProvisionedConcurrencyConfigs": list(provisioned)}, which
        )
        aws.add_response("list_aliases", {"Aliases": list(aliases)}, which)
        aws.add_response("list_function_event_invoke_configs", {"FunctionEventInvokeConfigs": list(configs)}, which)
        for version, queue in (queues or {}).items():
            found = {"DeadLetterConfig": {"TargetArn": queue}} if queue else {}
            asked = which if version == "$LATEST" else {**which, "Qualifier": version}
            aws.add_response("get_function_configuration", found, asked)
        for name in (NAME, *(f"{NAME}:{alias['Name']}" for alias in aliases)):
            mappings = (sources or {}).get(name, [])
            aws.add_response("list_event_source_mappings", {"EventSourceMappings": mappings}, {"FunctionName": name})
        return unserved.look(NAME)


def alias(name: str, version: str, **weights: float) -> dict[str, Any]:
    return {"Name": name, "FunctionVersion": version, "RoutingConfig": {"AdditionalVersionWeights": weights}}


def test_a_destination_of_every_qualifier_keeps_everything() -> None:
    configs = [{**KEPT, "FunctionArn": f"{ARN}:$LATEST"}, {**KEPT, "FunctionArn": f"{ARN}:live"}]
    found = around(aliases=[alias("live", "3")], configs=configs)

    assert unserved.losses(found) == []


def test_a_dead_letter_queue_counts_on_the_versions_behind_the_alias() -> None:
    queues = {"$LATEST": QUEUE, "3": QUEUE, "4": ""}
    found = around(aliases=[alias("live", "3", **{"4": 0.1}), alias("beta", "3")], queues=queues)

    assert found["without_destination"] == ["live"]


def test_the_destination_of_an_alias_does_not_keep_what_comes_without_a_qualifier() -> None:
    found = around(
        aliases=[alias("live", "3")], configs=[{**KEPT, "FunctionArn": f"{ARN}:live"}], queues={"$LATEST": ""}
    )

    assert found["without_destination"] == ["$LATEST"]


def test_an_event_invoke_config_without_a_destination_keeps_nothing() -> None:
    configs = [{"FunctionArn": f"{ARN}:2", "MaximumRetryAttempts": 0}]
    found = around(configs=configs, queues={"$LATEST": QUEUE, "2": ""})

    assert found["without_destination"] == ["2"]


def test_sources_that_poll_are_found_at_the_aliases_too() -> None:
    polling = {"UUID": UUID, "EventSourceArn": QUEUE, "State": "Enabled"}
    off = {"UUID": "b" * 36, "EventSourceArn": STREAM, "State": "Disabled"}
    found = around(
        aliases=[alias("live", "3")], queues={"$LATEST": QUEUE, "3": QUEUE}, sources={f"{NAME}:live": [polling, off]}
    )

    assert found["sources"] == {UUID: QUEUE}


def test_provisioned_concurrency_is_found_by_its_qualifier() -> None:
    one = {"FunctionArn": f"{ARN}:live", "RequestedProvisionedConcurrentExecutions": 5}
    found = around(provisioned=[one], queues={"$LATEST": QUEUE})

    assert found["provisioned"] == {"live": 5}


def test_versions_that_were_not_looked_at_count_as_without_a_queue() -> None:
    many = [alias(f"a{number}", str(number)) for number in range(1, 7)]
    found = around(aliases=many, queues=dict.fromkeys(["$LATEST", "1", "2", "3", "4"], QUEUE))

    assert found["without_destination"] == ["a5", "a6"]


@pytest.mark.parametrize("code", ["AccessDeniedException", "TooManyRequestsException", "ServiceException"])
def test_what_is_not_known_is_no_safety(code: str) -> None:
    with script("lambda") as aws:
        aws.add_response("get_function_concurrency", {}, {"FunctionName": NAME})
        aws.add_client_error("list_provisioned_concurrency_configs", code, http_status_code=400)
        change = planned(StopFunction(), STOP)

    assert change.direction is Direction.RISKY
    assert code in change.summary


# -- sources -----------------------------------------------------------------------------------------------------


def mapping(state: str, source: str = QUEUE) -> dict[str, Any]:
    return {"UUID": UUID, "State": state, "EventSourceArn": source, "FunctionArn": ARN}


def plan_in(state: str, source: str = QUEUE, request: Any = PAUSE) -> Change:
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping(state, source), {"UUID": UUID})
        return planned(PauseSource(), request)


@pytest.mark.parametrize(
    ("source", "direction", "word"),
    [
        (QUEUE, Direction.SAFE, "messages wait"),
        (STREAM, Direction.RISKY, "age out"),
        ("arn:aws:dynamodb:eu-central-1:123456789012:table/sqs/stream/1", Direction.RISKY, "age out"),
        ("", Direction.RISKY, "age out"),
    ],
)
def test_a_queue_keeps_what_waits_and_a_stream_may_not(source: str, direction: Direction, word: str) -> None:
    change = plan_in("Enabled", source)

    assert change.direction is direction
    assert word in change.summary


@pytest.mark.parametrize("state", ["Disabled", "Disabling"])
def test_what_does_not_poll_is_not_switched_and_not_undone(state: str) -> None:
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping(state), {"UUID": UUID})
        decision = PauseSource().decide(PauseSource().observe(PAUSE), PAUSE)

    assert isinstance(decision, AlreadyDone)


@pytest.mark.parametrize("state", ["Creating", "Updating"])
def test_a_mapping_that_lambda_works_on_is_asked_again_later(state: str) -> None:
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping(state), {"UUID": UUID})
        with pytest.raises(Refused, match=r"target_unreadable.*asked again"):
            PauseSource().observe(PAUSE)


def test_a_mapping_that_goes_away_is_not_there() -> None:
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping("Deleting"), {"UUID": UUID})
        with pytest.raises(TargetNotFound):
            PauseSource().observe(PAUSE)


def test_it_is_not_done_before_it_is_disabled() -> None:
    change, pause = plan_in("Enabled"), PauseSource()
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping("Enabled"), {"UUID": UUID})
        aws.add_response("update_event_source_mapping", mapping("Disabling"), {"UUID": UUID, "Enabled": False})
        pause.apply(PAUSE, change)
        for state, verdict in (("Disabling", Verdict.NOT_YET), ("Disabled", Verdict.HOLDS)):
            aws.add_response("get_event_source_mapping", mapping(state), {"UUID": UUID})
            assert pause.verify(PAUSE, change).verdict is verdict


def test_a_second_run_does_not_call_again() -> None:
    change = plan_in("Enabled")
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping("Disabling"), {"UUID": UUID})
        assert PauseSource().apply(PAUSE, change) == {"as_wanted_before": UUID}


def test_a_mapping_in_use_is_left_for_the_next_run() -> None:
    change = plan_in("Enabled")
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping("Updating"), {"UUID": UUID})
        for _ in range(4):
            aws.add_client_error("update_event_source_mapping", "ResourceInUseException", http_status_code=400)
        evidence = PauseSource().apply(PAUSE, change)
        aws.add_response("get_event_source_mapping", mapping("Updating"), {"UUID": UUID})
        assert PauseSource().verify(PAUSE, change).verdict is Verdict.NOT_YET

    assert PauseSource.continues
    assert "left_for_the_next_run" in evidence


def test_what_lambda_refuses_otherwise_is_no_reason_to_wait() -> None:
    change = plan_in("Enabled")
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping("Enabled"), {"UUID": UUID})
        aws.add_client_error("update_event_source_mapping", "AccessDeniedException", http_status_code=403)
        with pytest.raises(TargetForbidden):
            PauseSource().apply(PAUSE, change)
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping("Enabled"), {"UUID": UUID})
        aws.add_client_error("update_event_source_mapping", "InvalidParameterValueException", http_status_code=400)
        with pytest.raises(NotApplied):
            PauseSource().apply(PAUSE, change)


def test_an_undo_polls_again_and_is_risky() -> None:
    undo = ask("pause_source", {"event_source": UUID}, wanted={"polls": True})
    back = plan_in("Disabled", request=undo)

    assert (back.direction, back.after) == (Direction.RISKY, {"polls": True})
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping("Disabled"), {"UUID": UUID})
        aws.add_response("update_event_source_mapping", mapping("Enabling"), {"UUID": UUID, "Enabled": True})
        PauseSource().apply(undo, back)
        aws.add_response("get_event_source_mapping", mapping("Enabled"), {"UUID": UUID})
        assert PauseSource().verify(undo, back).verdict is Verdict.HOLDS


# -- opt-out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "target", "arn"),
    [
        ("function", TARGET, ARN),
        (
            "event_source",
            {"event_source": UUID},
            f"arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:{UUID}",
        ),
    ],
)
def test_their_tags_can_exempt_them(kind: str, target: dict[str, str], arn: str) -> None:
    home = Home("aws", "eu-central-1", "123456789012")

    assert arns_of(read_target(target, (kind,)), home) == (arn,)
