"""Rules: the right bus in every call, safe only with an archive, and back exactly as they were."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from moto.events.models import events_backends
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.engine import World, run
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import Result
from selfheal.words import Direction, Outcome, Verdict

from functions.switch_rules import app
from functions.switch_rules.app import ON_WITH_CLOUDTRAIL, DisableRules, EnableRules, SwitchRules
from tests.unit.aws import ask, event, planned, script
from tests.unit.doubles import Clock, Faults, world_of

BUS = "trading-events"
ARN = f"arn:aws:events:eu-central-1:123456789012:rule/{BUS}/trade-a"
BUS_ARN = f"arn:aws:events:eu-central-1:123456789012:event-bus/{BUS}"
ONE = {"bus": BUS, "rule": "trade-a"}
ALL = {"bus": BUS, "rule_prefix": "trade-"}
KEY = f"{BUS}/trade-a"
WHICH = {"Name": "trade-a", "EventBusName": BUS}
PATTERN = '{"source": ["trade"]}'
DISABLE = ask("disable_rules", ONE)
ENABLE = ask("enable_rules", ONE)
DISABLE_ALL = ask("disable_rules", ALL)


@pytest.fixture
def events() -> Iterator[Any]:
    with mock_aws():
        events = client("events")
        events.create_event_bus(Name=BUS)
        yield events


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def create(events: Any, *names: str, bus: str = BUS, state: str = "ENABLED") -> None:
    for name in names:
        events.put_rule(Name=name, EventBusName=bus, EventPattern=PATTERN, State=state)


def archive(events: Any, name: str = "all", **more: Any) -> None:
    events.create_archive(ArchiveName=name, EventSourceArn=BUS_ARN, **more)


def states(events: Any, bus: str = BUS) -> dict[str, str]:
    listed = events.list_rules(EventBusName=bus, NamePrefix="trade-")["Rules"]
    return {rule["Name"]: rule["State"] for rule in listed}


# -- decide ------------------------------------------------------------------------------------------------------

keys = st.sampled_from([f"{BUS}/trade-{letter}" for letter in "abcd"])
words = st.sampled_from(["ENABLED", "DISABLED", ON_WITH_CLOUDTRAIL])


@given(
    action=st.sampled_from([DisableRules, EnableRules]),
    there=st.dictionaries(keys, words),
    managed=st.lists(st.just(f"{BUS}/Events-Archive-all"), max_size=1),
    wanted=st.none() | st.dictionaries(keys, words),
    archives=st.lists(st.just("all"), max_size=1),
)
def test_decide_switches_exactly_what_is_not_as_wanted(
    action: type[SwitchRules],
    there: dict[str, str],
    managed: list[str],
    wanted: dict[str, str] | None,
    archives: list[str],
) -> None:
    rules = {key: {"State": state} for key, state in there.items()}
    state = {"rules": rules, "managed": managed, "missing": [], "own": len(rules), "archives": archives}

    decision = action().decide(state, ask(action.name, ALL, wanted=wanted))

    if wanted is None:
        off = {key: action.to for key in there if (there[key] == "DISABLED") == (action.to == "ENABLED")}
    else:
        off = {key: wanted[key] for key in there if wanted.get(key, there[key]) != there[key]}
    if managed and not there:
        assert isinstance(decision, Decline)
        assert decision.refusal is Refusal.MANAGED_RULE
    elif not off:
        assert isinstance(decision, AlreadyDone)
    else:
        assert isinstance(decision, Change)
        changed = {key: decision.after[key] for key in there if decision.before[key] != decision.after[key]}
        assert changed == off
        assert decision.plan["rules"].keys() == off.keys()
        assert decision.before == there == action().image(state)
        safe = bool(archives) and set(off.values()) == {"DISABLED"}
        assert decision.direction is (Direction.SAFE if safe else Direction.RISKY)


# -- the bus (moto) ----------------------------------------------------------------------------------------------


def test_a_rule_of_a_custom_bus_is_switched_and_its_namesake_on_the_default_bus_is_not(events: Any) -> None:
    create(events, "trade-a")
    create(events, "trade-a", bus="default")

    off = DisableRules()
    change = planned(off, DISABLE)
    assert off.apply(DISABLE, change) == {"switched": [KEY]}

    assert off.verify(DISABLE, change).verdict is Verdict.HOLDS
    assert states(events) == {"trade-a": "DISABLED"}
    assert states(events, "default") == {"trade-a": "ENABLED"}

    undo = ask("disable_rules", ONE, wanted=change.before)
    back = planned(DisableRules(), undo)
    assert back.direction is Direction.RISKY
    DisableRules().apply(undo, back)
    assert DisableRules().verify(undo, back).verdict is Verdict.HOLDS
    assert states(events) == {"trade-a": "ENABLED"}


def test_without_its_bus_a_rule_is_no_target() -> None:
    with pytest.raises(Refused, match="bad_target"):
        ask("disable_rules", {"rule": "trade-a"})


@pytest.mark.parametrize("target", [ONE, {"bus": "no-such-bus", "rule": "trade-a"}, {**ALL, "bus": "no-such-bus"}])
def test_what_is_not_there_is_told(events: Any, target: dict[str, str]) -> None:
    with pytest.raises(TargetNotFound):
        DisableRules().observe(ask("disable_rules", target))


def test_a_prefix_that_no_rule_has_is_not_done_already(events: Any) -> None:
    create(events, "other")

    decision = DisableRules().decide(DisableRules().observe(DISABLE_ALL), DISABLE_ALL)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.TARGET_NOT_FOUND


def test_every_call_names_the_bus() -> None:
    with script("events") as aws:
        aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "ENABLED"}, WHICH)
        aws.add_response("list_archives", {"Archives": []}, {"EventSourceArn": BUS_ARN})
        change = planned(DisableRules(), DISABLE)
        aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "ENABLED"}, WHICH)
        aws.add_response("disable_rule", {}, WHICH)
        DisableRules().apply(DISABLE, change)
        aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "DISABLED"}, WHICH)
        assert DisableRules().verify(DISABLE, change).verdict is Verdict.HOLDS
        aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "DISABLED"}, WHICH)
        change = planned(EnableRules(), ENABLE)
        aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "DISABLED"}, WHICH)
        aws.add_response("enable_rule", {}, WHICH)
        EnableRules().apply(ENABLE, change)


def test_the_default_bus_has_its_own_arn() -> None:
    default = {"Name": "trade-a", "EventBusName": "default"}
    arn = "arn:aws:events:eu-central-1:123456789012:rule/trade-a"
    bus = {"EventSourceArn": "arn:aws:events:eu-central-1:123456789012:event-bus/default"}
    with script("events") as aws:
        aws.add_response("describe_rule", {**default, "Arn": arn, "State": "ENABLED"}, default)
        aws.add_response("list_archives", {"Archives": []}, bus)
        planned(DisableRules(), ask("disable_rules", {"bus": "default", "rule": "trade-a"}))


# -- the archive -------------------------------------------------------------------------------------------------


def test_with_an_archive_it_is_safe_and_without_it_is_risky(events: Any) -> None:
    create(events, "trade-a")
    without = planned(DisableRules(), DISABLE)
    archive(events)
    with_one = planned(DisableRules(), DISABLE)

    assert (without.direction, with_one.direction) == (Direction.RISKY, Direction.SAFE)
    assert "is lost" in without.summary
    assert "archive all" in with_one.summary


def test_an_archive_of_a_part_is_not_enough(events: Any) -> None:
    create(events, "trade-a")
    archive(events, EventPattern='{"source": ["other"]}')

    assert planned(DisableRules(), DISABLE).direction is Direction.RISKY


def test_archives_are_read_to_the_last_page() -> None:
    one = {"ArchiveName": "off", "State": "DISABLED"}
    two = {"ArchiveName": "on", "State": "ENABLED"}
    with script("events") as aws:
        aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "ENABLED"}, WHICH)
        aws.add_response("list_archives", {"Archives": [one], "NextToken": "n"}, {"EventSourceArn": BUS_ARN})
        aws.add_response("list_archives", {"Archives": [two]}, {"EventSourceArn": BUS_ARN, "NextToken": "n"})
        aws.add_response("describe_archive", {**two, "RetentionDays": 7}, {"ArchiveName": "on"})

        assert planned(DisableRules(), DISABLE).direction is Direction.SAFE


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalException", "ThrottlingException"])
def test_what_is_not_known_of_archives_is_no_safety(code: str) -> None:
    with script("events") as aws:
        aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "ENABLED"}, WHICH)
        aws.add_client_error("list_archives", code, http_status_code=400)
        change = planned(DisableRules(), DISABLE)

    assert change.direction is Direction.RISKY
    assert code in change.summary


# -- many rules (moto) -------------------------------------------------------------------------------------------


def test_a_prefix_goes_off_and_only_what_was_on_comes_back(events: Any) -> None:
    create(events, "trade-a", "trade-c", "other")
    create(events, "trade-b", state="DISABLED")

    off = DisableRules()
    change = planned(off, DISABLE_ALL)
    off.apply(DISABLE_ALL, change)

    assert change.before == {KEY: "ENABLED", f"{BUS}/trade-c": "ENABLED"}
    assert off.verify(DISABLE_ALL, change).verdict is Verdict.HOLDS
    assert set(states(events).values()) == {"DISABLED"}
    assert events.describe_rule(Name="other", EventBusName=BUS)["State"] == "ENABLED"
    assert isinstance(off.decide(off.observe(DISABLE_ALL), DISABLE_ALL), AlreadyDone)

    undo = ask("disable_rules", ALL, wanted=change.before)
    back = planned(DisableRules(), undo)
    DisableRules().apply(undo, back)

    assert DisableRules().verify(undo, back).verdict is Verdict.HOLDS
    assert states(events) == {"trade-a": "ENABLED", "trade-b": "DISABLED", "trade-c": "ENABLED"}


def test_a_rule_of_an_aws_service_is_left_alone(events: Any) -> None:
    create(events, "trade-a", "trade-managed")
    backend = events_backends["123456789012"]["eu-central-1"]
    backend.event_buses[BUS].rules["trade-managed"].managed_by = "prod.vhs.events.aws.internal"

    change = planned(DisableRules(), DISABLE_ALL)
    DisableRules().apply(DISABLE_ALL, change)

    assert f"AWS owns it: {BUS}/trade-managed" in change.summary
    assert states(events) == {"trade-a": "DISABLED", "trade-managed": "ENABLED"}
    assert isinstance(DisableRules().decide(DisableRules().observe(DISABLE_ALL), DISABLE_ALL), AlreadyDone)

    one = ask("disable_rules", {"bus": BUS, "rule": "trade-managed"})
    decision = DisableRules().decide(DisableRules().observe(one), one)
    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.MANAGED_RULE


def test_enabling_by_prefix_wakes_only_who_was_named(events: Any) -> None:
    create(events, "trade-a", "trade-b", state="DISABLED")
    request = ask("enable_rules", ALL, options={"only": ["trade-b", "trade-b"]})

    on = EnableRules()
    change = planned(on, request)
    on.apply(request, change)

    assert change.direction is Direction.RISKY
    assert on.verify(request, change).verdict is Verdict.HOLDS
    assert states(events) == {"trade-a": "DISABLED", "trade-b": "ENABLED"}


@pytest.mark.parametrize("only", [None, [], ["other"], ["trade-*"], ["bus/trade-a"], [""], [7], ["trade-" * 20]])
def test_a_prefix_is_not_enabled_without_exact_names(events: Any, only: object) -> None:
    options = {} if only is None else {"only": only}

    with pytest.raises(Refused, match="bad_options"):
        EnableRules().observe(ask("enable_rules", ALL, options=options))


def test_only_is_refused_for_one_rule(events: Any) -> None:
    with pytest.raises(Refused, match="bad_options"):
        EnableRules().observe(ask("enable_rules", ONE, options={"only": ["trade-a"]}))


def test_named_rules_that_are_all_missing_are_refused_and_some_are_told(events: Any) -> None:
    create(events, "trade-a", state="DISABLED")
    gone = ask("enable_rules", ALL, options={"only": ["trade-x"]})
    some = ask("enable_rules", ALL, options={"only": ["trade-a", "trade-x"]})

    decision = EnableRules().decide(EnableRules().observe(gone), gone)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.TARGET_NOT_FOUND
    assert f"not there: {BUS}/trade-x" in planned(EnableRules(), some).summary


def test_a_run_that_died_halfway_goes_on_with_the_rest(events: Any) -> None:
    create(events, "trade-a", "trade-b")
    change = planned(DisableRules(), DISABLE_ALL)
    events.disable_rule(**WHICH)

    next_run = DisableRules()
    assert next_run.continues
    assert next_run.verify(DISABLE_ALL, change).verdict is Verdict.NOT_YET
    evidence = next_run.apply(DISABLE_ALL, change)

    assert evidence == {"as_wanted_before": [KEY], "switched": [f"{BUS}/trade-b"]}
    assert next_run.verify(DISABLE_ALL, change).verdict is Verdict.HOLDS


def test_a_run_without_time_leaves_the_rest_to_the_next_one(events: Any) -> None:
    create(events, "trade-a")
    change = planned(DisableRules(), DISABLE_ALL)

    hurried = DisableRules(remaining_s=-1)

    assert hurried.apply(DISABLE_ALL, change) == {"left_for_the_next_run": True}
    assert hurried.verify(DISABLE_ALL, change).verdict is Verdict.NOT_YET


def test_a_plan_of_very_many_rules_fits_into_the_ledger(events: Any) -> None:
    pattern = json.dumps({"source": ["x" * 2000]})
    for number in range(300):
        events.put_rule(Name=f"trade-{number}", EventBusName=BUS, EventPattern=pattern)

    change = planned(DisableRules(), DISABLE_ALL)

    assert len(change.after) == 300
    assert len(json.dumps([change.before, change.after, change.plan])) < 100_000


# -- to the letter (Stubber) -------------------------------------------------------------------------------------

FULL = {
    "Name": "trade-a",
    "EventBusName": BUS,
    "EventPattern": PATTERN,
    "Description": "what the auditors read",
    "RoleArn": "arn:aws:iam::123456789012:role/rule",
    "ScheduleExpression": "rate(1 hour)",
    "State": ON_WITH_CLOUDTRAIL,
}
DESCRIBED = {**FULL, "Arn": ARN, "CreatedBy": "123456789012"}


def test_the_state_with_cloudtrail_comes_back_with_every_other_field() -> None:
    undo = ask("disable_rules", ONE, wanted={KEY: ON_WITH_CLOUDTRAIL})
    off = {**DESCRIBED, "State": "DISABLED"}
    with script("events") as aws:
        aws.add_response("describe_rule", off, WHICH)
        aws.add_response("list_archives", {"Archives": []})
        change = planned(DisableRules(), undo)
        assert (change.direction, change.after) == (Direction.RISKY, {KEY: ON_WITH_CLOUDTRAIL})
        aws.add_response("describe_rule", off, WHICH)
        aws.add_response("put_rule", {"RuleArn": ARN}, FULL)
        DisableRules().apply(undo, change)
        aws.add_response("describe_rule", DESCRIBED, WHICH)
        assert DisableRules().verify(undo, change).verdict is Verdict.HOLDS
        aws.add_response("describe_rule", {**DESCRIBED, "Description": "lost"}, WHICH)
        seen = DisableRules().verify(undo, change)

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert "Description" in seen.evidence["wrong"][KEY]


def test_enabled_with_cloudtrail_is_enabled() -> None:
    with script("events") as aws:
        aws.add_response("describe_rule", DESCRIBED, WHICH)
        assert isinstance(EnableRules().decide(EnableRules().observe(ENABLE), ENABLE), AlreadyDone)


def test_this_test_knows_every_field_of_a_rule() -> None:
    members = client("events").meta.service_model.operation_model("PutRule").input_shape.members

    assert set(FULL) | {"Tags"} == set(members)


def planned_off(aws: Any) -> Change:
    aws.add_response("describe_rule", {**WHICH, "Arn": ARN, "State": "ENABLED"}, WHICH)
    aws.add_response("list_archives", {"Archives": []})
    return planned(DisableRules(), DISABLE)


def test_a_busy_rule_is_tried_again() -> None:
    with script("events") as aws:
        change = planned_off(aws)
        aws.add_response("describe_rule", {**WHICH, "State": "ENABLED"}, WHICH)
        aws.add_client_error("disable_rule", "ConcurrentModificationException", http_status_code=400)
        aws.add_response("describe_rule", {**WHICH, "State": "ENABLED"}, WHICH)
        aws.add_response("disable_rule", {}, WHICH)

        assert DisableRules().apply(DISABLE, change) == {"switched": [KEY]}


def test_a_rule_that_stays_busy_is_given_up() -> None:
    with script("events") as aws:
        change = planned_off(aws)
        for _ in range(4):
            aws.add_response("describe_rule", {**WHICH, "State": "ENABLED"}, WHICH)
            aws.add_client_error("disable_rule", "ConcurrentModificationException", http_status_code=400)
        with pytest.raises(ChangedMeanwhile):
            DisableRules().apply(DISABLE, change)


def test_a_rule_that_was_switched_since_is_not_touched() -> None:
    with script("events") as aws:
        change = planned_off(aws)
        aws.add_response("describe_rule", {**WHICH, "State": ON_WITH_CLOUDTRAIL}, WHICH)
        with pytest.raises(ChangedMeanwhile):
            DisableRules().apply(DISABLE, change)


def test_a_rule_that_somebody_enabled_again_does_not_hold() -> None:
    with script("events") as aws:
        change = planned_off(aws)
        aws.add_response("describe_rule", {**WHICH, "State": ON_WITH_CLOUDTRAIL}, WHICH)
        assert DisableRules().verify(DISABLE, change).verdict is Verdict.DOES_NOT_HOLD


@pytest.mark.parametrize(
    ("code", "error"), [("ManagedRuleException", NotApplied), ("AccessDeniedException", TargetForbidden)]
)
def test_what_aws_refuses_is_told(code: str, error: type[Exception]) -> None:
    with script("events") as aws:
        change = planned_off(aws)
        aws.add_response("describe_rule", {**WHICH, "State": "ENABLED"}, WHICH)
        aws.add_client_error("disable_rule", code, http_status_code=400)
        with pytest.raises(error):
            DisableRules().apply(DISABLE, change)


def test_of_several_one_that_fails_does_not_keep_the_others() -> None:
    both = [{"Name": name, "Arn": ARN, "State": "ENABLED"} for name in ("trade-a", "trade-b")]
    second = {"Name": "trade-b", "EventBusName": BUS}
    off = DisableRules()
    with script("events") as aws:
        aws.add_response("list_rules", {"Rules": both}, {"EventBusName": BUS, "NamePrefix": "trade-"})
        aws.add_response("list_archives", {"Archives": []})
        change = planned(off, DISABLE_ALL)
        aws.add_response("describe_rule", {**WHICH, "State": "ENABLED"}, WHICH)
        aws.add_client_error("disable_rule", "AccessDeniedException", http_status_code=400)
        aws.add_response("describe_rule", {**second, "State": "ENABLED"}, second)
        aws.add_response("disable_rule", {}, second)
        evidence = off.apply(DISABLE_ALL, change)
        aws.add_response("describe_rule", {**WHICH, "State": "ENABLED"}, WHICH)
        aws.add_response("describe_rule", {**second, "State": "DISABLED"}, second)
        seen = off.verify(DISABLE_ALL, change)

    assert evidence["switched"] == [f"{BUS}/trade-b"]
    assert list(evidence["failed"]) == [KEY]
    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert seen.after == {KEY: "ENABLED", f"{BUS}/trade-b": "DISABLED"}


def test_a_rule_that_is_gone_is_off_and_cannot_be_on() -> None:
    change = Change(Direction.RISKY, "", {KEY: "ENABLED"}, {KEY: "DISABLED"}, {"rules": {KEY: {"State": "ENABLED"}}})
    back = Change(Direction.RISKY, "", change.after, change.before, {"rules": {KEY: {"State": "DISABLED"}}})
    with script("events") as aws:
        for _ in range(2):
            aws.add_client_error("describe_rule", "ResourceNotFoundException", http_status_code=400)
        assert DisableRules().verify(DISABLE, change).verdict is Verdict.HOLDS
        seen = DisableRules().verify(ask("disable_rules", ONE, wanted=change.before), back)

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert seen.evidence["wrong"] == {KEY: "it is gone"}


# -- inside the engine -------------------------------------------------------------------------------------------


def act(world: World, action: SwitchRules, action_id: str, **more: Any) -> Result:
    return run(action, ask(action.name, ALL, action_id=action_id, requested_by="on-call", **more), world)


def test_acted_and_undone_by_the_engine_and_what_was_off_stays_off(ledger: Ledger) -> None:
    events = client("events")
    events.create_event_bus(Name=BUS)
    create(events, "trade-a", "trade-b")
    create(events, "trade-c", state="DISABLED")
    archive(events)
    world = world_of(Faults(), Clock())

    stopped = act(world, DisableRules(), "one")

    assert (stopped.outcome, stopped.direction) == (Outcome.ACTED, Direction.SAFE)
    assert set(states(events).values()) == {"DISABLED"}

    undone = act(world, DisableRules(), "one.undo", undo_of="one", origin="undo")

    assert (undone.outcome, undone.direction) == (Outcome.ACTED, Direction.RISKY)
    assert states(events) == {"trade-a": "ENABLED", "trade-b": "ENABLED", "trade-c": "DISABLED"}
    assert act(world, DisableRules(), "two.undo", undo_of="one", origin="undo").reason == "already_undone"


def test_the_event_file_plans_and_changes_nothing(ledger: Ledger, lambda_context: Any) -> None:
    payload = event("switch_rules")
    bus, events = payload["target"]["bus"], client("events")
    events.create_event_bus(Name=bus)
    create(events, "alchemiser-signal-generated-dev", bus=bus)

    answer = app.lambda_handler(payload, lambda_context)

    assert (answer["outcome"], answer["direction"]) == ("planned", "risky")
    assert answer["after"] == {f"{bus}/alchemiser-signal-generated-dev": "DISABLED"}
    assert events.describe_rule(Name="alchemiser-signal-generated-dev", EventBusName=bus)["State"] == "ENABLED"
