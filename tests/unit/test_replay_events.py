"""Replays of archived events: what speaks against one, one StartReplay whatever happens, progress, cancelling."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.errors import NotApplied, Refused, TargetNotFound
from selfheal.event_replay import LAG_S, MAX_NAME_LENGTH, fraction, is_name, name_for, read_time, told
from selfheal.refusal import Refusal
from selfheal.replay_fitness import MARGIN_S, MAX_RULES
from selfheal.request import read_request
from selfheal.words import Direction, Mode, Verdict

from functions.replay_events.app import MAX_TIMELINE, PATIENCE_S, CancelReplay, ReplayEvents
from tests.unit.aws import ask, event, recorded, script
from tests.unit.stage import Play, Stage, stage

ARN = "arn:aws:events:eu-central-1:123456789012"
NOW = 1_800_000_000.0
HOUR = 3600.0
TARGET = {"bus": "shop", "archive": "all"}
ARCHIVE = {
    "arn": f"{ARN}:archive/all",
    "source": f"{ARN}:event-bus/shop",
    "state": "ENABLED",
    "retention_days": 7,
    "created": NOW - 30 * 24 * HOUR,
}
RULE = {"arn": f"{ARN}:rule/shop/orders", "state": "ENABLED", "managed_by": ""}
STATE: Mapping[str, Any] = {
    "now": NOW,
    "own": None,
    "archive": ARCHIVE,
    "rules": {"orders": RULE},
    "memory": {"status": "ACTIVE", "ttl": "ENABLED"},
    "active": [],
}
OPTIONS = {
    "rules": ["orders"],
    "start": told(NOW - 2 * HOUR),
    "end": told(NOW - HOUR),
    "dedup_table": "memory",
    "remembers_hours": 24,
}


def replay(state: str, **more: Any) -> dict[str, Any]:
    """As ListReplays and DescribeReplay tell of it, its times in epoch seconds."""
    window = {"EventStartTime": NOW - 2 * HOUR, "EventEndTime": NOW - HOUR}
    return {"ReplayName": "r-1", "EventSourceArn": ARCHIVE["arn"], "State": state, **window, **more}


def decided(state: Mapping[str, Any] | None = None, **options: Any) -> Change | AlreadyDone | Decline:
    request = ask("replay_events", TARGET, requested_by="ann", options={**OPTIONS, **options})
    try:
        return ReplayEvents().decide({**STATE, **(state or {})}, request)
    except Refused as error:
        return Decline(error.refusal, error.detail)


def declined(refusal: Refusal, state: Mapping[str, Any] | None = None, **options: Any) -> Decline:
    decision = decided(state, **options)
    assert isinstance(decision, Decline)
    assert decision.refusal is refusal
    return decision


# -- what is planned --------------------------------------------------------------------------------------------------


def test_a_replay_goes_out_of_the_archive_to_the_named_rules_of_its_bus() -> None:
    change = decided()

    assert isinstance(change, Change)
    assert change.direction is Direction.RISKY
    assert ReplayEvents.reversible is False
    assert (change.plan["source"], change.plan["bus"]) == (ARCHIVE["arn"], ARCHIVE["source"])
    assert change.plan["rules"] == [RULE["arn"]]
    assert "to orders on bus shop" in change.summary
    assert "memory must keep it from working twice" in change.summary


def test_a_plan_tells_of_replays_that_run_from_this_archive_and_how_far_they_are() -> None:
    half = replay("RUNNING", EventLastReplayedTime=NOW - 1.5 * HOUR)
    other = replay("RUNNING", EventSourceArn=f"{ARN}:archive/other", ReplayName="theirs")

    change = decided({"active": [half, other]})

    assert isinstance(change, Change)
    assert f"replay r-1 is RUNNING: events up to {told(NOW - 1.5 * HOUR)} are sent (50%)" in change.summary
    assert "theirs" not in change.summary


@given(st.text(min_size=1, max_size=300))
def test_a_name_is_one_for_aws_and_the_same_for_the_same_request(action_id: str) -> None:
    name = name_for(action_id)

    assert is_name(name)
    assert len(name) <= MAX_NAME_LENGTH
    assert name == name_for(action_id)
    assert name != name_for(f"{action_id}.")


# -- what speaks against it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [None, []])
def test_without_a_rule_every_rule_would_get_the_events(rules: Any) -> None:
    declined(Refusal.NO_RULES_NAMED, rules=rules)


@pytest.mark.parametrize(
    "options",
    [
        {"rules": ["*"]},
        {"rules": [7]},
        {"rules": ["shop/orders"]},
        {"rules": ["r"] * (MAX_RULES + 1)},
        {"start": None},
        {"end": "yesterday"},
        {"start": "2027-01-15T08:00:00"},  # without a zone
        {"start": "0001-01-01T00:00:00+23:59"},
        {"end": "9999-12-31T23:59:59-23:59"},
        {"dedup_table": "a/b"},
        {"remembers_hours": 10**400},
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any]) -> None:
    declined(Refusal.BAD_OPTIONS, **options)


@pytest.mark.parametrize(
    ("rule", "refusal"),
    [
        ({"arn": "", "state": None, "managed_by": ""}, Refusal.TARGET_NOT_FOUND),
        ({**RULE, "state": "DISABLED"}, Refusal.RULE_DISABLED),
        ({**RULE, "managed_by": "prod.vhs.events.aws.internal"}, Refusal.MANAGED_RULE),
    ],
)
def test_a_rule_that_would_receive_nothing_or_is_not_ours(rule: Mapping[str, Any], refusal: Refusal) -> None:
    found = declined(refusal, {"rules": {"orders": RULE, "other": rule}}, rules=["orders", "other"])

    assert "other" in found.detail
    assert "orders" not in found.detail


@pytest.mark.parametrize("archive", [{"state": "CREATING"}, {"source": f"{ARN}:event-bus/my-shop"}])
def test_an_archive_must_be_enabled_and_of_this_bus(archive: Mapping[str, Any]) -> None:
    declined(Refusal.ARCHIVE_UNFIT, {"archive": {**ARCHIVE, **archive}})


def test_a_window_has_an_end_after_its_start() -> None:
    declined(Refusal.WINDOW_UNFIT, start=OPTIONS["end"], end=OPTIONS["end"])
    declined(Refusal.WINDOW_UNFIT, start=OPTIONS["end"], end=OPTIONS["start"])


def test_a_window_in_the_future_is_refused() -> None:
    declined(Refusal.WINDOW_UNFIT, end=told(NOW + 60))


def test_an_archive_lags_and_the_refusal_says_until_when() -> None:
    end = NOW - LAG_S + 60

    assert declined(Refusal.ARCHIVE_LAGS, end=told(end)).until == end + LAG_S
    assert isinstance(decided(end=told(NOW - LAG_S)), Change)


def test_what_the_archive_does_not_keep_is_refused_with_the_earliest_start() -> None:
    remembered: dict[str, Any] = {"remembers_hours": 24 * 400, "end": told(NOW - HOUR)}

    old = declined(Refusal.WINDOW_UNFIT, start=told(NOW - 8 * 24 * HOUR), **remembered)
    made = declined(Refusal.WINDOW_UNFIT, {"archive": {**ARCHIVE, "created": NOW - 1.5 * HOUR}}, **remembered)
    forever = decided({"archive": {**ARCHIVE, "retention_days": 0}}, start=told(NOW - 20 * 24 * HOUR), **remembered)

    assert told(NOW - 7 * 24 * HOUR) in old.detail
    assert told(NOW - 1.5 * HOUR) in made.detail
    assert isinstance(forever, Change)


def test_ten_replays_at_once_are_all_that_aws_allows() -> None:
    running = [replay("RUNNING", ReplayName=f"r-{number}") for number in range(10)]

    declined(Refusal.TOO_MANY_REPLAYS, {"active": running})
    assert isinstance(decided({"active": running[1:]}), Change)


# -- what the handlers remember ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "memory",
    [
        {"missing": True},
        {"status": "CREATING", "ttl": "ENABLED"},
        {"status": "ACTIVE", "ttl": "DISABLED"},
        {"status": "ACTIVE", "ttl": "ENABLING"},
    ],
)
def test_without_a_working_memory_of_the_handlers_nothing_is_replayed(memory: Mapping[str, Any]) -> None:
    """First of all the reasons: the archive is unfit here as well."""
    declined(Refusal.HANDLERS_FORGET, {"memory": memory, "archive": {**ARCHIVE, "state": "DISABLED"}})


@pytest.mark.parametrize("options", [{"dedup_table": None}, {"remembers_hours": None}, {"remembers_hours": 0}])
def test_the_memory_must_be_named(options: dict[str, Any]) -> None:
    declined(Refusal.HANDLERS_FORGET, **options)


def test_a_memory_that_cannot_be_read_is_none() -> None:
    declined(Refusal.GUARD_UNREADABLE, {"memory": {"unread": "throttled"}})


def test_events_that_the_handlers_have_forgotten_are_refused_with_the_earliest_start() -> None:
    found = declined(Refusal.HANDLERS_FORGET, remembers_hours=2)
    nothing_left = declined(Refusal.HANDLERS_FORGET, remembers_hours=1)

    assert "the handlers remember 2 h, and the window begins 2.0 h ago" in found.detail
    assert f"the earliest start is {told(NOW - 2 * HOUR + MARGIN_S)}" in found.detail
    assert "nothing of this window is left" in nothing_left.detail
    assert isinstance(decided(remembers_hours=2, start=told(NOW - 2 * HOUR + MARGIN_S)), Change)


@given(hours=st.integers(1, 100), age_s=st.integers(LAG_S + 1, 7 * 86_400))
def test_whatever_is_replayed_is_remembered(hours: int, age_s: int) -> None:
    start = NOW - age_s
    decision = decided(remembers_hours=hours, start=told(start), end=told(NOW - LAG_S))

    assert isinstance(decision, Change) == (age_s <= hours * HOUR - MARGIN_S)


# -- the call ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def change() -> Change:
    made = decided()
    assert isinstance(made, Change)
    return recorded(made)


REQUEST = ask("replay_events", TARGET, requested_by="ann", options=OPTIONS)


def test_the_call_names_archive_bus_and_rules(change: Change) -> None:
    asked = {
        "ReplayName": name_for("test-1"),
        "Description": "selfheal test-1",
        "EventSourceArn": ARCHIVE["arn"],
        "EventStartTime": datetime.fromtimestamp(NOW - 2 * HOUR, UTC),
        "EventEndTime": datetime.fromtimestamp(NOW - HOUR, UTC),
        "Destination": {"Arn": ARCHIVE["source"], "FilterArns": [RULE["arn"]]},
    }
    with script("events") as aws:
        aws.add_response("start_replay", {"State": "STARTING"}, asked)

        assert ReplayEvents().apply(REQUEST, change)["started"] == "now"


def test_a_replay_that_exists_is_ours_and_not_started_again(change: Change) -> None:
    with script("events") as aws:
        aws.add_client_error("start_replay", "ResourceAlreadyExistsException")

        assert ReplayEvents().apply(REQUEST, change)["started"] == "before"


def test_a_limit_is_told_and_nothing_was_started(change: Change) -> None:
    with script("events") as aws:
        aws.add_client_error("start_replay", "LimitExceededException")

        with pytest.raises(NotApplied):
            ReplayEvents().apply(REQUEST, change)


def described(**shown: Any) -> dict[str, Any]:
    times = {"EventStartTime": NOW - 2 * HOUR, "EventEndTime": NOW - HOUR, "ReplayStartTime": NOW, **shown}
    made = {key: datetime.fromtimestamp(at, UTC) if isinstance(at, float) else at for key, at in times.items()}
    return {"ReplayName": name_for("test-1"), "EventSourceArn": ARCHIVE["arn"], "State": "RUNNING", **made}


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("STARTING", Verdict.NOT_YET),
        ("RUNNING", Verdict.NOT_YET),
        ("COMPLETED", Verdict.HOLDS),
        ("CANCELLING", Verdict.DOES_NOT_HOLD),
        ("CANCELLED", Verdict.DOES_NOT_HOLD),
        ("FAILED", Verdict.DOES_NOT_HOLD),
    ],
)
def test_only_completed_holds(change: Change, state: str, verdict: Verdict) -> None:
    with script("events") as aws:
        aws.add_response("describe_replay", described(State=state), {"ReplayName": name_for("test-1")})

        assert ReplayEvents().verify(REQUEST, change).verdict is verdict


def test_completed_means_sent_and_says_to_look_further(change: Change) -> None:
    with script("events") as aws:
        aws.add_response("describe_replay", described(State="COMPLETED"))

        seen = ReplayEvents().verify(REQUEST, change)

    assert "sent, not processed" in seen.detail
    assert "run the checks" in seen.evidence["next"]
    assert seen.evidence["percent"] == 100


def test_progress_makes_a_timeline(change: Change) -> None:
    action = ReplayEvents()
    with script("events") as aws:
        for minutes in (0, 30, 30, 60):
            last = {"EventLastReplayedTime": NOW - 2 * HOUR + minutes * 60.0} if minutes else {}
            state = "COMPLETED" if minutes == 60 else "RUNNING"
            over = {"ReplayEndTime": NOW + 90.0} if minutes == 60 else {}
            aws.add_response("describe_replay", described(State=state, **last, **over))
        for _ in range(4):
            seen = action.verify(REQUEST, change)

    assert [(step["state"], step["percent"]) for step in seen.evidence["timeline"]] == [
        ("STARTING", 0),
        ("RUNNING", 0),
        ("RUNNING", 50),
        ("COMPLETED", 100),
    ]
    assert (seen.evidence["began"], seen.evidence["timeline"][-1]["at"]) == (told(NOW), told(NOW + 90))


def test_a_timeline_stays_short(change: Change) -> None:
    action = ReplayEvents()
    with script("events") as aws:
        for second in range(100):
            aws.add_response("describe_replay", described(EventLastReplayedTime=NOW - 2 * HOUR + second * 30.0))
        for _ in range(100):
            seen = action.verify(REQUEST, change)

    assert len(seen.evidence["timeline"]) == MAX_TIMELINE + 1
    assert seen.evidence["timeline"][0]["state"] == "STARTING"


def test_a_replay_of_this_name_with_another_window_is_somebody_elses(change: Change) -> None:
    with script("events") as aws:
        aws.add_response("describe_replay", described(EventStartTime=NOW - 3 * HOUR))

        assert ReplayEvents().verify(REQUEST, change).verdict is Verdict.DOES_NOT_HOLD


def test_one_failed_look_does_not_end_the_watch_but_a_day_of_them_does(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW + 60)
    with script("events") as aws:
        aws.add_client_error("describe_replay", "AccessDeniedException", http_status_code=403)
        assert ReplayEvents().verify(REQUEST, change).verdict is Verdict.NOT_YET

        monkeypatch.setattr("time.time", lambda: NOW + PATIENCE_S + 60)
        aws.add_client_error("describe_replay", "AccessDeniedException", http_status_code=403)
        with pytest.raises(Exception, match="AccessDenied"):
            ReplayEvents().verify(REQUEST, change)


def test_how_far_is_a_fraction_whatever_aws_says() -> None:
    assert fraction(replay("RUNNING")) == 0
    assert fraction(replay("RUNNING", EventLastReplayedTime=NOW)) == 1
    assert fraction(replay("RUNNING", EventLastReplayedTime=0.0)) == 0
    assert fraction(replay("RUNNING", EventLastReplayedTime=NOW, EventEndTime=0.0)) == 0
    assert fraction(replay("COMPLETED")) == 1


def test_times_are_whole_seconds_with_a_zone() -> None:
    assert read_time("2027-01-15T08:00:00.9Z") == read_time("2027-01-15T09:00:00+01:00") == NOW
    assert read_time("2027-01-15T08:00:00") is None


# -- again ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETED"])
def test_the_same_request_again_tells_how_far_it_is(state: str) -> None:
    decision = decided({"own": replay(state)})

    assert isinstance(decision, AlreadyDone)
    assert decision.evidence["state"] == state


@pytest.mark.parametrize("state", ["CANCELLED", "FAILED"])
def test_a_replay_that_was_cut_off_is_not_started_under_the_same_name(state: str) -> None:
    declined(Refusal.REPLAY_OVER, {"own": replay(state)})


# -- through the engine, on the stage ---------------------------------------------------------------------------------


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


def ran(on_stage: Stage, play: Play, **more: Any) -> dict[str, Any]:
    result = on_stage.run(play, **more)
    assert result is not None
    return result


def test_a_replay_goes_on_by_the_clock_and_is_started_once(on_stage: Stage) -> None:
    play = on_stage.play("replay_events")

    first = ran(on_stage, play)
    started = on_stage.wire.sent("events.start_replay")
    end = on_stage.to_the_end(play)

    assert (first["outcome"], first["evidence"]["state"]) == ("in_progress", "RUNNING")
    assert (end["outcome"], end["evidence"]["state"], end["undo"]) == ("acted", "COMPLETED", None)
    assert (started, on_stage.wire.sent("events.start_replay")) == (1, 0)
    assert ran(on_stage, play)["outcome"] == "acted"
    assert on_stage.wire.sent("events.start_replay") == 0


def test_a_running_replay_is_cancelled_at_once_and_told_as_cut_off(on_stage: Stage) -> None:
    """The lease of the replay does not stand in the way: neither while the clock waits for it, nor before."""
    play, began = on_stage.play("replay_events"), on_stage.clock.now()
    assert ran(on_stage, play)["outcome"] == "in_progress"
    assert on_stage.clock.now() == began, "it looks once, and waits for nothing while it holds the lease"

    cancel = {"action": "cancel_replay", "action_id": "stop-it", "options": {}}
    cancelled = ran(on_stage, dataclasses.replace(play, action="cancel_replay"), **cancel)
    end = on_stage.to_the_end(play)

    assert (cancelled["outcome"], cancelled["direction"]) == ("acted", "safe")
    assert "that stays delivered" in cancelled["detail"]
    assert (end["outcome"], end["reason"], end["evidence"]["state"]) == ("failed", "does_not_hold", "CANCELLED")


def test_nothing_is_replayed_without_a_person(on_stage: Stage) -> None:
    play = on_stage.play("replay_events")

    assert ran(on_stage, play, requested_by=None)["reason"] == "person_required"
    assert on_stage.wire.sent("events.start_replay") == 0


@pytest.mark.parametrize(
    ("target", "reason"), [({"archive": "none"}, "target_not_found"), ({"bus": "selfheal"}, "archive_unfit")]
)
def test_an_archive_that_is_not_there_or_of_another_bus(on_stage: Stage, target: dict[str, Any], reason: str) -> None:
    play = on_stage.play("replay_events")

    assert ran(on_stage, play, target={**play.target, **target})["reason"] == reason


def test_a_rule_that_is_missing_or_disabled_and_a_table_that_is_not_there(on_stage: Stage) -> None:
    play, events = on_stage.play("replay_events"), client("events")
    bus, options = play.target["bus"], dict(play.more["options"])

    def reason(number: int, **more: Any) -> str:
        return str(ran(on_stage, play, action_id=f"a-{number}", options={**options, **more})["reason"])

    assert reason(1, rules=["orders", "more"]) == "target_not_found"
    events.disable_rule(Name="orders", EventBusName=bus)
    assert reason(2) == "rule_disabled"
    assert reason(3, dedup_table="none") == "handlers_forget"


# -- cancel -----------------------------------------------------------------------------------------------------------

CANCEL = ask("cancel_replay", TARGET)


def test_what_runs_from_this_archive_is_cancelled_which_is_safe() -> None:
    decision = CancelReplay().decide({"replays": [replay("RUNNING"), replay("CANCELLING")]}, CANCEL)

    assert isinstance(decision, Change)
    assert (decision.direction, decision.plan) == (Direction.SAFE, {"name": "r-1"})


@pytest.mark.parametrize("replays", [[], [replay("COMPLETED")], [replay("CANCELLED")], [replay("FAILED")]])
def test_what_is_over_is_already_done_with_what_was_delivered(replays: list[dict[str, Any]]) -> None:
    decision = CancelReplay().decide({"replays": replays}, CANCEL)

    assert isinstance(decision, AlreadyDone)
    assert [one["state"] for one in decision.evidence["replays"]] == [one["State"] for one in replays]


def test_of_several_that_run_one_must_be_named() -> None:
    decision = CancelReplay().decide({"replays": [replay("RUNNING"), replay("STARTING", ReplayName="r-2")]}, CANCEL)

    assert isinstance(decision, Decline)
    assert (decision.refusal, "r-1, r-2" in decision.detail) == (Refusal.BAD_OPTIONS, True)


def test_only_replays_of_this_archive_are_found() -> None:
    pages = {
        "STARTING": [],
        "RUNNING": [described(), described(EventSourceArn=f"{ARN}:archive/small", ReplayName="other")],
        "CANCELLING": [],
    }
    with script("events") as aws:
        for state, found in pages.items():
            aws.add_response("list_replays", {"Replays": found}, {"State": state})

        (one,) = CancelReplay().observe(CANCEL)["replays"]

    assert json.loads(json.dumps(one)) == one
    assert one["ReplayName"] == name_for("test-1")


def test_a_named_replay_must_be_of_this_archive() -> None:
    named = ask("cancel_replay", TARGET, options={"replay": "r-9"})
    with script("events") as aws:
        aws.add_response("describe_replay", described(EventSourceArn=f"{ARN}:archive/other"))

        with pytest.raises(TargetNotFound):
            CancelReplay().observe(named)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(Refused):
        CancelReplay().observe(ask("cancel_replay", TARGET, options={"replay": "a b"}))


@pytest.mark.parametrize(
    ("state", "called", "verdict"),
    [
        ("CANCELLED", True, Verdict.HOLDS),
        ("CANCELLING", False, Verdict.NOT_YET),
        ("RUNNING", True, Verdict.NOT_YET),
        ("RUNNING", False, Verdict.DOES_NOT_HOLD),  # a run died before its call: it is made again
        ("COMPLETED", True, Verdict.DOES_NOT_HOLD),
    ],
)
def test_only_cancelled_holds(state: str, called: bool, verdict: Verdict) -> None:
    action, change = CancelReplay(), Change(Direction.SAFE, "", plan={"name": "r-1"})
    with script("events") as aws:
        if called:
            aws.add_client_error("cancel_replay", "IllegalStatusException")
            assert action.apply(CANCEL, change) == {"cancelled": "before"}
        aws.add_response("describe_replay", described(State=state))

        assert action.verify(CANCEL, change).verdict is verdict


def test_the_event_file_is_a_plan() -> None:
    request = read_request(event("replay_events"), (ReplayEvents.name, CancelReplay.name), "id")

    assert (request.action, request.mode) == ("replay_events", Mode.PLAN)
