"""Schedules: what is decided about any group, and that no field but the state changes on the way."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound, Unreadable
from selfheal.refusal import Refusal
from selfheal.request import Request, read_request
from selfheal.words import Direction, Mode, Verdict

from functions.switch_schedule.app import DisableSchedule, EnableSchedule, SwitchSchedule
from tests.unit.aws import ask, event, planned, recorded, script

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
FULL: dict[str, Any] = {
    "ActionAfterCompletion": "DELETE",
    "Description": "places the orders of the day",
    "EndDate": NOW + 300 * DAY,
    "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
    "GroupName": "trading",
    "KmsKeyArn": "arn:aws:kms:eu-central-1:111111111111:key/00000000-0000-0000-0000-000000000000",
    "Name": "daily",
    "ScheduleExpression": "cron(35 9 ? * MON-FRI *)",
    "ScheduleExpressionTimezone": "America/New_York",
    "StartDate": NOW + 3 * DAY,
    "State": "ENABLED",
    "Target": {
        "Arn": "arn:aws:lambda:eu-central-1:111111111111:function:trade:live",
        "RoleArn": "arn:aws:iam::111111111111:role/scheduler",
        "Input": '{"mode": "trade"}',
        "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-central-1:111111111111:dead-letters"},
        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 3},
    },
}
READ_ONLY = {
    "Arn": "arn:aws:scheduler:eu-central-1:111111111111:schedule/trading/daily",
    "CreationDate": NOW - 9 * DAY,
    "LastModificationDate": NOW - 2 * DAY,
}
ONE = {"schedule": "daily", "group": "trading"}
GROUP = {"schedule_group": "trading"}
KEY = "trading/daily"
DISABLE = ask("disable_schedule", ONE)
ENABLE = ask("enable_schedule", ONE)
DISABLE_GROUP = ask("disable_schedule", GROUP)
GET = {"GroupName": "trading", "Name": "daily"}


@pytest.fixture
def scheduler() -> Iterator[Any]:
    with mock_aws():
        scheduler = client("scheduler")
        scheduler.create_schedule_group(Name="trading")
        yield scheduler


def create(scheduler: Any, name: str = "daily", **more: Any) -> None:
    scheduler.create_schedule(**{**FULL, "Name": name, **more})


def read(scheduler: Any, name: str = "daily") -> dict[str, Any]:
    """All that UpdateSchedule could have changed."""
    answer = scheduler.get_schedule(GroupName="trading", Name=name)
    return {field: answer[field] for field in FULL if field in answer}


def states(scheduler: Any) -> dict[str, str]:
    listed = scheduler.list_schedules(GroupName="trading")["Schedules"]
    return {schedule["Name"]: schedule["State"] for schedule in listed}


# -- decide ------------------------------------------------------------------------------------------------------

names = st.sampled_from(["trading/a", "trading/b", "trading/c", "trading/d"])
state_words = st.sampled_from(["ENABLED", "DISABLED"])


def schedule(state: str, ended: bool = False) -> dict[str, Any]:
    end = NOW - DAY if ended else NOW + DAY
    document = {"State": state, "ScheduleExpression": "rate(1 hour)", "EndDate": end.isoformat()}
    return {"document": document, "last_modified": NOW.isoformat()}


@given(
    action=st.sampled_from([DisableSchedule, EnableSchedule]),
    there=st.dictionaries(names, st.tuples(state_words, st.booleans())),
    missing=st.lists(names, unique=True),
    wanted=st.none() | st.dictionaries(names, state_words),
)
def test_decide_switches_exactly_what_is_not_as_wanted(
    action: type[SwitchSchedule],
    there: dict[str, tuple[str, bool]],
    missing: list[str],
    wanted: dict[str, str] | None,
) -> None:
    schedules = {key: schedule(*what) for key, what in there.items()}
    state = {"now": NOW.isoformat(), "schedules": schedules, "missing": missing}
    request = ask(action.name, GROUP, wanted=wanted)

    decision = action().decide(state, request)

    aim = {key: action.to if wanted is None else wanted.get(key, there[key][0]) for key in there}
    off = {key for key in there if aim[key] != there[key][0]}
    can_run = {key for key in off if aim[key] == "DISABLED" or not there[key][1]}
    if missing and not there:
        assert isinstance(decision, Decline)
        assert decision.refusal is Refusal.TARGET_NOT_FOUND
    elif off and not can_run:
        assert isinstance(decision, Decline)
        assert decision.refusal is Refusal.SCHEDULE_ENDED
    elif not off:
        assert isinstance(decision, AlreadyDone)
    else:
        assert isinstance(decision, Change)
        changed = {key for key in decision.before if decision.before[key] != decision.after[key]}
        assert changed == can_run == set(decision.plan["schedules"])
        assert decision.before == {key: what[0] for key, what in there.items()} == action().image(state)
        waking = any(aim[key] == "ENABLED" for key in can_run)
        assert decision.direction is (Direction.RISKY if waking else Direction.SAFE)


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"EndDate": NOW - DAY}, True),
        ({"EndDate": NOW + DAY}, False),
        ({}, False),
        ({"ScheduleExpression": "at(2020-01-01T09:00:00)"}, True),
        ({"ScheduleExpression": "at(2099-01-01T09:00:00)", "EndDate": NOW - DAY}, False),
        ({"ScheduleExpression": "at(2020-01-01T09:00:00)", "ScheduleExpressionTimezone": "No/Where"}, False),
    ],
)
def test_a_schedule_without_a_run_ahead_is_not_enabled(fields: dict[str, Any], ended: bool) -> None:
    has = {**FULL, "State": "DISABLED", **fields}
    if "EndDate" not in fields:
        del has["EndDate"]
    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**has, **READ_ONLY}, GET)
        decision = EnableSchedule().decide(EnableSchedule().observe(ENABLE), ENABLE)

    assert isinstance(decision, Decline) is ended
    if isinstance(decision, Decline):
        assert decision.refusal is Refusal.SCHEDULE_ENDED


def test_a_one_time_schedule_ends_in_its_own_time_zone() -> None:
    five_hours_ago_in_tokyo = (NOW + timedelta(hours=9) - timedelta(hours=5)).strftime("at(%Y-%m-%dT%H:%M:%S)")
    document = {"ScheduleExpression": five_hours_ago_in_tokyo, "State": "DISABLED"}
    state = {"now": NOW.isoformat(), "missing": []}

    for zone, refused in (("Asia/Tokyo", True), ("UTC", False)):
        known = {"document": {**document, "ScheduleExpressionTimezone": zone}, "last_modified": None}
        decision = EnableSchedule().decide({**state, "schedules": {KEY: known}}, ENABLE)
        assert isinstance(decision, Decline) is refused


# -- one schedule (moto) -----------------------------------------------------------------------------------------


def test_off_and_on_again_leaves_every_other_field_as_it_was(scheduler: Any) -> None:
    create(scheduler)
    before = read(scheduler)

    off = DisableSchedule()
    change = planned(off, DISABLE)
    assert (change.before, change.after) == ({KEY: "ENABLED"}, {KEY: "DISABLED"})
    assert change.direction is Direction.SAFE
    assert off.apply(DISABLE, change) == {"switched": [KEY]}
    assert off.verify(DISABLE, change).verdict is Verdict.HOLDS
    assert read(scheduler) == {**before, "State": "DISABLED"}

    undo = ask("disable_schedule", ONE, wanted=change.before)
    on = DisableSchedule()
    back = planned(on, undo)
    assert back.direction is Direction.RISKY
    on.apply(undo, back)
    assert on.verify(undo, back).verdict is Verdict.HOLDS
    assert read(scheduler) == before


def test_a_disabled_schedule_is_left_alone(scheduler: Any) -> None:
    create(scheduler, State="DISABLED")

    assert isinstance(DisableSchedule().decide(DisableSchedule().observe(DISABLE), DISABLE), AlreadyDone)


def test_a_missing_schedule_is_not_created(scheduler: Any) -> None:
    with pytest.raises(TargetNotFound):
        DisableSchedule().observe(DISABLE)

    assert states(scheduler) == {}


def test_only_is_refused_for_one_schedule(scheduler: Any) -> None:
    with pytest.raises(Refused, match="bad_options"):
        EnableSchedule().observe(ask("enable_schedule", ONE, options={"only": ["daily"]}))


def test_applied_twice_it_writes_once(scheduler: Any) -> None:
    create(scheduler)
    change = planned(DisableSchedule(), DISABLE)
    DisableSchedule().apply(DISABLE, change)

    again = DisableSchedule()

    assert again.apply(DISABLE, change) == {"as_wanted_before": [KEY]}
    assert again.verify(DISABLE, change).verdict is Verdict.HOLDS


def test_a_schedule_that_changed_since_it_was_looked_at_is_not_touched(scheduler: Any) -> None:
    create(scheduler)
    change = planned(DisableSchedule(), DISABLE)
    scheduler.update_schedule(**{**FULL, "Description": "moved to ten o'clock"})

    with pytest.raises(ChangedMeanwhile):
        DisableSchedule().apply(DISABLE, change)

    assert read(scheduler)["State"] == "ENABLED"
    assert read(scheduler)["Description"] == "moved to ten o'clock"


def test_a_schedule_that_was_switched_back_does_not_hold(scheduler: Any) -> None:
    create(scheduler)
    off = DisableSchedule()
    change = planned(off, DISABLE)
    off.apply(DISABLE, change)
    scheduler.update_schedule(**{**FULL, "Description": "switched back"})

    verification = off.verify(DISABLE, change)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert verification.after == {KEY: "ENABLED"}


def test_a_field_that_got_lost_is_seen(scheduler: Any) -> None:
    create(scheduler)
    off = DisableSchedule()
    change = planned(off, DISABLE)
    off.apply(DISABLE, change)
    scheduler.update_schedule(**{**FULL, "State": "DISABLED", "ScheduleExpressionTimezone": "UTC"})

    verification = off.verify(DISABLE, change)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert "ScheduleExpressionTimezone" in verification.evidence["wrong"][KEY]


def test_a_run_that_died_before_its_call_is_not_done_yet(scheduler: Any) -> None:
    create(scheduler)
    change = planned(DisableSchedule(), DISABLE)

    assert DisableSchedule.continues
    assert DisableSchedule().verify(DISABLE, change).verdict is Verdict.NOT_YET


# -- groups (moto) -----------------------------------------------------------------------------------------------


def test_a_group_goes_off_and_only_what_was_on_comes_back(scheduler: Any) -> None:
    for name, state in {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}.items():
        create(scheduler, name, State=state)

    off = DisableSchedule()
    change = planned(off, DISABLE_GROUP)
    off.apply(DISABLE_GROUP, change)

    assert change.before == {"trading/a": "ENABLED", "trading/c": "ENABLED"}
    assert off.verify(DISABLE_GROUP, change).verdict is Verdict.HOLDS
    assert set(states(scheduler).values()) == {"DISABLED"}

    undo = ask("disable_schedule", GROUP, wanted=change.before)
    assert DisableSchedule().image(DisableSchedule().observe(undo)).items() >= change.after.items()
    on = DisableSchedule()
    back = planned(on, undo)
    on.apply(undo, back)

    assert on.verify(undo, back).verdict is Verdict.HOLDS
    assert states(scheduler) == {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}


def test_undo_restores_what_is_left_of_a_group(scheduler: Any) -> None:
    create(scheduler, "a", State="DISABLED")
    undo = ask("disable_schedule", GROUP, wanted={"trading/a": "ENABLED", "trading/gone": "ENABLED"})

    back = planned(DisableSchedule(), undo)

    assert back.after == {"trading/a": "ENABLED"}
    assert "trading/gone" in back.summary


def test_a_group_with_nothing_on_is_done_already(scheduler: Any) -> None:
    create(scheduler, "b", State="DISABLED")

    assert isinstance(DisableSchedule().decide(DisableSchedule().observe(DISABLE_GROUP), DISABLE_GROUP), AlreadyDone)


def test_enabling_a_group_wakes_only_who_was_named(scheduler: Any) -> None:
    for name in ("a", "b"):
        create(scheduler, name, State="DISABLED")
    request = ask("enable_schedule", GROUP, options={"only": ["b", "b"]})

    on = EnableSchedule()
    change = planned(on, request)
    on.apply(request, change)

    assert on.verify(request, change).verdict is Verdict.HOLDS
    assert states(scheduler) == {"a": "DISABLED", "b": "ENABLED"}


@pytest.mark.parametrize("only", [None, [], ["other/a"], ["a*"], [""], [7]])
def test_a_group_is_not_enabled_without_exact_names(only: object) -> None:
    options = {} if only is None else {"only": only}

    with pytest.raises(Refused, match="bad_options"):
        EnableSchedule().observe(ask("enable_schedule", GROUP, options=options))


def test_names_that_are_all_missing_are_refused(scheduler: Any) -> None:
    request = ask("enable_schedule", GROUP, options={"only": ["nobody"]})

    decision = EnableSchedule().decide(EnableSchedule().observe(request), request)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.TARGET_NOT_FOUND


def test_a_run_that_died_halfway_goes_on_with_the_rest(scheduler: Any) -> None:
    for name in ("a", "b"):
        create(scheduler, name)
    change = planned(DisableSchedule(), DISABLE_GROUP)
    scheduler.update_schedule(**{**FULL, "Name": "a", "State": "DISABLED"})

    next_run = DisableSchedule()
    assert next_run.verify(DISABLE_GROUP, change).verdict is Verdict.NOT_YET
    evidence = next_run.apply(DISABLE_GROUP, change)

    assert evidence == {"as_wanted_before": ["trading/a"], "switched": ["trading/b"]}
    assert next_run.verify(DISABLE_GROUP, change).verdict is Verdict.HOLDS


def test_a_run_without_time_leaves_the_rest_to_the_next_one(scheduler: Any) -> None:
    create(scheduler)
    change = planned(DisableSchedule(), DISABLE_GROUP)

    hurried = DisableSchedule(remaining_s=-1)

    assert hurried.apply(DISABLE_GROUP, change) == {"left_for_the_next_run": True}
    assert hurried.verify(DISABLE_GROUP, change).verdict is Verdict.NOT_YET


def test_a_schedule_that_deleted_itself_cannot_run_and_cannot_be_enabled(scheduler: Any) -> None:
    for name in ("a", "b"):
        create(scheduler, name)
    off = DisableSchedule()
    change = planned(off, DISABLE_GROUP)
    scheduler.delete_schedule(GroupName="trading", Name="b")

    assert "trading/b" in off.apply(DISABLE_GROUP, change)["failed"]
    assert off.verify(DISABLE_GROUP, change).verdict is Verdict.HOLDS

    undo = recorded(Change(Direction.RISKY, "", change.after, change.before, change.plan))
    verification = DisableSchedule().verify(DISABLE_GROUP, undo)
    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert verification.evidence["wrong"]["trading/b"] == "it is gone"


# -- to the letter (Stubber) -------------------------------------------------------------------------------------


def change_of(request: Request, has: Mapping[str, Any]) -> Change:
    """Observe and decide on one schedule that looks like this."""
    action = DisableSchedule() if request.action == "disable_schedule" else EnableSchedule()
    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**has, **READ_ONLY}, GET)
        return planned(action, request)


def sent(request: Request, change: Change, has: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """What UpdateSchedule is sent, and the evidence."""
    caught: list[dict[str, Any]] = []
    action = DisableSchedule() if request.action == "disable_schedule" else EnableSchedule()
    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**has, **READ_ONLY}, GET)
        aws.add_response("update_schedule", {"ScheduleArn": READ_ONLY["Arn"]})
        events = client("scheduler").meta.events
        events.register_first(
            "provide-client-params.scheduler.UpdateSchedule", lambda params, **_: caught.append(params)
        )
        evidence = action.apply(request, change)
    return caught[0], evidence


def test_every_field_is_sent_again_and_only_the_state_differs() -> None:
    document, evidence = sent(DISABLE, change_of(DISABLE, FULL), FULL)

    token = document.pop("ClientToken")
    assert document == {**FULL, "State": "DISABLED"}
    assert 0 < len(token) <= 64
    assert token.isalnum()
    assert evidence == {"switched": [KEY]}


def test_a_long_input_is_recorded_as_a_digest_and_sent_as_it_is() -> None:
    has = copy.deepcopy(FULL)
    has["Target"]["Input"] = "x" * 250_000

    change = change_of(DISABLE, has)
    document, _ = sent(DISABLE, change, has)

    assert len(json.dumps(change.plan)) < 5_000
    assert document["Target"] == has["Target"]
    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**has, **READ_ONLY, "State": "DISABLED"}, GET)
        assert DisableSchedule().verify(DISABLE, change).verdict is Verdict.HOLDS

    other = copy.deepcopy(has)
    other["Target"]["Input"] = "y" * 250_000
    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**other, **READ_ONLY}, GET)
        with pytest.raises(ChangedMeanwhile):
            DisableSchedule().apply(DISABLE, change)


def test_this_test_knows_every_field_of_a_schedule() -> None:
    members = client("scheduler").meta.service_model.operation_model("UpdateSchedule").input_shape.members

    assert set(FULL) | {"ClientToken"} == set(members)


def test_a_start_date_that_passed_is_left_out_and_said_so() -> None:
    has = {**FULL, "StartDate": NOW - DAY}
    change = change_of(DISABLE, has)

    document, evidence = sent(DISABLE, change, has)

    assert "StartDate" not in document
    assert document["EndDate"] == FULL["EndDate"]
    assert evidence["start_date_dropped"] == {KEY: (NOW - DAY).isoformat()}
    for after in (has, {field: has[field] for field in has if field != "StartDate"}):
        with script("scheduler") as aws:
            aws.add_response("get_schedule", {**after, **READ_ONLY, "State": "DISABLED"}, GET)
            assert DisableSchedule().verify(DISABLE, change).verdict is Verdict.HOLDS


def test_a_start_date_to_come_must_not_get_lost() -> None:
    change = change_of(DISABLE, FULL)
    without = {field: FULL[field] for field in FULL if field != "StartDate"}

    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**without, **READ_ONLY, "State": "DISABLED"}, GET)
        assert DisableSchedule().verify(DISABLE, change).verdict is Verdict.DOES_NOT_HOLD


def test_a_rate_that_starts_anew_is_said_so() -> None:
    has = {**FULL, "State": "DISABLED", "ScheduleExpression": "rate(1 day)"}

    _, evidence = sent(ENABLE, change_of(ENABLE, has), has)

    assert evidence["rate_starts_anew"] == [KEY]


def test_the_token_repeats_for_a_repeat_and_for_nothing_else() -> None:
    change = change_of(DISABLE, FULL)
    tokens = [sent(DISABLE, change, FULL)[0]["ClientToken"] for _ in range(2)]
    assert tokens[0] == tokens[1]

    other_id = ask("disable_schedule", ONE, action_id="test-2")
    assert sent(other_id, change, FULL)[0]["ClientToken"] != tokens[0]

    other = copy.deepcopy(FULL)
    other["Target"]["Input"] = "{}"
    assert sent(DISABLE, change_of(DISABLE, other), other)[0]["ClientToken"] != tokens[0]


def test_the_same_body_after_a_change_back_is_no_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    first = sent(DISABLE, change_of(DISABLE, FULL), FULL)[0]["ClientToken"]
    monkeypatch.setitem(READ_ONLY, "LastModificationDate", NOW)

    assert sent(DISABLE, change_of(DISABLE, FULL), FULL)[0]["ClientToken"] != first


def test_a_newer_modification_of_the_same_fields_counts_as_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    change = change_of(DISABLE, FULL)
    monkeypatch.setitem(READ_ONLY, "LastModificationDate", NOW)

    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**FULL, **READ_ONLY}, GET)
        with pytest.raises(ChangedMeanwhile):
            DisableSchedule().apply(DISABLE, change)


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("ConflictException", ChangedMeanwhile),
        ("AccessDeniedException", TargetForbidden),
        ("ValidationException", NotApplied),
        ("ResourceNotFoundException", TargetNotFound),
        ("InternalServerException", Unreadable),
        ("ThrottlingException", Unreadable),
    ],
)
def test_what_aws_refuses_is_told_apart(code: str, raised: type[Exception]) -> None:
    change = change_of(DISABLE, FULL)

    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**FULL, **READ_ONLY}, GET)
        aws.add_client_error("update_schedule", code)
        with pytest.raises(raised):
            DisableSchedule().apply(DISABLE, change)


def group_change(*group: str) -> Change:
    with script("scheduler") as aws:
        listing = {"GroupName": "trading", "State": "ENABLED"}
        for number, name in enumerate(group):
            last = number == len(group) - 1
            page = {"Schedules": [{"Name": name, "GroupName": "trading"}], **({} if last else {"NextToken": name})}
            aws.add_response("list_schedules", page, listing | ({"NextToken": group[number - 1]} if number else {}))
        for name in group:
            aws.add_response("get_schedule", {**FULL, **READ_ONLY, "Name": name}, {**GET, "Name": name})
        return planned(DisableSchedule(), DISABLE_GROUP)


def test_a_group_is_listed_to_its_last_page() -> None:
    assert list(group_change("a", "b", "c").before) == ["trading/a", "trading/b", "trading/c"]


def test_a_partial_failure_is_told_schedule_by_schedule() -> None:
    change = group_change("a", "b")
    off = DisableSchedule()
    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**FULL, **READ_ONLY, "Name": "a"}, {**GET, "Name": "a"})
        aws.add_client_error("update_schedule", "AccessDeniedException", "PassRole is missing")
        aws.add_response("get_schedule", {**FULL, **READ_ONLY, "Name": "b"}, {**GET, "Name": "b"})
        aws.add_response("update_schedule", {"ScheduleArn": "arn"})
        evidence = off.apply(DISABLE_GROUP, change)

        aws.add_response("get_schedule", {**FULL, **READ_ONLY, "Name": "a"}, {**GET, "Name": "a"})
        off_now = {**FULL, **READ_ONLY, "Name": "b", "State": "DISABLED"}
        aws.add_response("get_schedule", off_now, {**GET, "Name": "b"})
        verification = off.verify(DISABLE_GROUP, change)

    assert evidence["switched"] == ["trading/b"]
    assert "PassRole is missing" in evidence["failed"]["trading/a"]
    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert verification.after == {"trading/a": "ENABLED", "trading/b": "DISABLED"}
    assert "PassRole is missing" in verification.evidence["wrong"]["trading/a"]


def test_a_group_of_which_nothing_could_be_written_fails_as_one() -> None:
    change = group_change("a", "b")

    with script("scheduler") as aws:
        for name in ("a", "b"):
            aws.add_response("get_schedule", {**FULL, **READ_ONLY, "Name": name}, {**GET, "Name": name})
            aws.add_client_error("update_schedule", "AccessDeniedException")
        with pytest.raises(TargetForbidden):
            DisableSchedule().apply(DISABLE_GROUP, change)


def test_an_unclear_answer_for_a_group_is_left_to_verify() -> None:
    change = group_change("a")

    with script("scheduler") as aws:
        aws.add_response("get_schedule", {**FULL, **READ_ONLY, "Name": "a"}, {**GET, "Name": "a"})
        aws.add_client_error("update_schedule", "InternalServerException")
        off = DisableSchedule()
        assert "trading/a" in off.apply(DISABLE_GROUP, change)["no_clear_answer"]

        off_now = {**FULL, **READ_ONLY, "Name": "a", "State": "DISABLED"}
        aws.add_response("get_schedule", off_now, {**GET, "Name": "a"})
        assert off.verify(DISABLE_GROUP, change).verdict is Verdict.HOLDS

        aws.add_response("get_schedule", {**FULL, **READ_ONLY, "Name": "a"}, {**GET, "Name": "a"})
        assert off.verify(DISABLE_GROUP, change).verdict is Verdict.NOT_YET, "a later run goes on with it"


def test_an_unknown_group_is_not_found() -> None:
    with script("scheduler") as aws:
        aws.add_client_error("list_schedules", "ResourceNotFoundException")
        with pytest.raises(TargetNotFound):
            DisableSchedule().observe(DISABLE_GROUP)


def test_the_event_file_is_a_plan_for_one_schedule() -> None:
    request = read_request(event("switch_schedule"), (DisableSchedule.name, EnableSchedule.name), "id")

    assert (request.action, request.mode) == ("disable_schedule", Mode.PLAN)
    assert request.target.key == "schedule:default/the-alchemiser-daily-trading-dev"
    assert request.requested_by
    assert request.reason
