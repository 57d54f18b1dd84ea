"""The ladder, case by case: what is asked when, what ends it, and what goes to a person."""

from __future__ import annotations

import pytest
from selfheal.incident import DELETED, Incident, Phase, Status, read_incident
from selfheal.ladder import RECOVER_WITHIN_S, advance
from selfheal.refusal import Refusal
from selfheal.step_outcome import DOES_NOT_APPLY, HELD_BACK, Finished
from selfheal.words import Outcome, Stage

from tests.unit.incidents import ESCALATE_S, SETTLE_S, START, WINDOW_S, Story, alarm, incident


def remediated(**more: object) -> Story:
    """Contained, and the first rung has acted."""
    story = Story(incident(**more))  # type: ignore[arg-type]
    story.go()
    story.answer("halt_trading")
    story.answer("roll_back_alias")
    return story


def green(story: Story) -> None:
    """Every alarm is OK with new data."""
    story.now += 60
    story.sees(alarm("OK", story.now, data=story.now))


# -- contain -----------------------------------------------------------


def test_containment_starts_at_once_and_in_parallel_and_remediation_waits_for_it() -> None:
    story = Story(incident(contain="halt_trading disable_schedule"))
    assert story.go() == ["halt_trading", "disable_schedule"]
    assert story.answer("disable_schedule") == []
    assert story.is_in(Phase.CONTAIN)
    assert story.answer("halt_trading") == ["roll_back_alias"]
    assert story.incident.contained_at == story.now
    assert story.told("contained") == ["halt_trading said acted; disable_schedule said acted"]


def test_what_was_contained_before_counts_as_contained() -> None:
    story = Story(incident())
    story.go()
    assert story.answer("halt_trading", Outcome.ALREADY_DONE) == ["roll_back_alias"]
    assert story.incident.contained_at is not None


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.FAILED, "does_not_hold"),
        (Outcome.INCONCLUSIVE, "run_died"),
        (Outcome.REFUSED, "exempt"),
        (Outcome.PLANNED, "suggest_only"),
    ],
)
def test_containment_that_does_not_work_is_told_and_remediation_goes_on(outcome: Outcome, reason: str) -> None:
    story = Story(incident())
    story.go()
    assert story.answer("halt_trading", outcome, reason) == ["roll_back_alias"]
    assert len(story.told("escalated")) == 1
    assert story.told("escalated")[0].startswith("containment: halt_trading")
    assert story.incident.contained_at is None


def test_containment_that_is_held_back_is_tried_again_in_any_phase_and_then_counts() -> None:
    story = Story(incident())
    story.go()
    assert story.answer("halt_trading", Outcome.REFUSED, Refusal.LEASED) == ["roll_back_alias"]
    assert story.told("escalated") == ["held back while the alarm is red: halt_trading halt_trading: leased"]
    first = story.incident.action_id(story.step("halt_trading"))
    assert story.later(59) == []
    assert story.later(1) == ["halt_trading"]
    assert story.incident.action_id(story.step("halt_trading")) != first
    story.answer("halt_trading")
    assert story.incident.contained_at == story.now
    assert len(story.told("contained")) == 1


def test_held_containment_keeps_an_incident_without_remediation_from_being_given_up() -> None:
    story = Story(incident(remediate=""))
    story.go()
    story.answer("halt_trading", Outcome.REFUSED, Refusal.LEASED)
    assert story.is_in(Phase.REMEDIATE)
    assert story.later(60) == ["halt_trading"]
    story.answer("halt_trading")
    assert story.is_in(Phase.WATCH)
    assert "no remediation applies" in story.incident.escalations


def test_held_containment_is_not_tried_once_nothing_is_red() -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading", Outcome.REFUSED, Refusal.LEASED)
    story.answer("roll_back_alias")
    green(story)
    assert story.asked == ["halt_trading", "roll_back_alias"]
    assert story.step("halt_trading").status is Status.SKIPPED
    assert (story.incident.phase, story.incident.verdict) == (Phase.CLOSED, "healed")


def test_an_alarm_that_cleared_before_containment_is_judged_and_not_paged_at_once() -> None:
    story = Story(incident(remediate=""))
    story.go()
    story.answer("halt_trading", Outcome.REFUSED, Refusal.NOT_RED)
    assert story.is_in(Phase.SETTLE)
    assert story.told("escalated") == []
    story.now += 60
    story.sees(alarm("OK", story.now, data=story.now))
    assert (story.incident.phase, story.incident.verdict) == (Phase.CLOSED, "cleared")


def test_containment_that_was_not_needed_is_asked_again_when_it_is_red_after_all() -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading", Outcome.REFUSED, Refusal.NOT_RED)
    assert story.later(60) == ["halt_trading"]
    assert story.step("halt_trading").tries == 2


def test_a_step_whose_target_the_alarm_did_not_name_is_refused_and_the_rest_goes_on() -> None:
    opened = incident(contain="halt_trading disable_schedule")
    refused = opened.steps[1].__class__(**{**vars(opened.steps[1]), "status": Status.REFUSED})
    story = Story(opened.with_step(refused))
    assert story.go() == ["halt_trading"]
    assert story.answer("halt_trading") == ["roll_back_alias"]


# -- remediate and settle -----------------------------------------------------------


def test_it_settles_never_shorter_than_the_alarms_window_and_then_red_goes_one_rung_up() -> None:
    story = Story(incident(remediate="roll_back_alias stop_deployment").with_alarm(alarm(window_s=600)))
    story.go()
    story.answer("halt_trading")
    story.answer("roll_back_alias")
    assert story.later(SETTLE_S + 1) == []
    assert story.is_in(Phase.SETTLE)
    assert story.later(600 - SETTLE_S) == []
    assert story.later(4) == ["stop_deployment"]


def test_a_window_that_becomes_known_only_while_it_settles_counts() -> None:
    """EventBridge tells a lower bound of the window; DescribeAlarms tells it."""
    story = remediated()
    story.incident = story.incident.with_alarm(alarm(window_s=600))
    story.later(SETTLE_S + 1)
    assert story.is_in(Phase.SETTLE)
    assert story.incident.due is not None
    assert story.incident.due <= story.now + 300


def test_settle_is_as_long_as_the_runbook_says_where_that_is_longer() -> None:
    story = remediated(remediate="roll_back_alias stop_deployment")
    assert story.later(WINDOW_S + 6) == []
    assert story.later(SETTLE_S - WINDOW_S - 6) == ["stop_deployment"]


def test_ok_with_newer_data_is_green_at_once() -> None:
    story = remediated()
    story.now += 30
    story.sees(alarm("OK", story.now, data=story.now - 10))
    assert (story.incident.verdict, story.incident.green_at) == ("healed", story.now)
    assert story.told("green") == ["every alarm is OK, with data newer than the last action"]


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA", DELETED])
@pytest.mark.parametrize("data", [None, START - 60])
def test_what_proves_nothing_goes_to_a_person_and_is_never_repeated(state: str, data: float | None) -> None:
    story = remediated(remediate="roll_back_alias stop_deployment")
    story.now += 30
    story.sees(alarm(state, story.now, data=data))
    assert story.is_in(Phase.SETTLE)
    assert story.later(SETTLE_S) == []
    assert "it can't be told whether it helped: no alarm is red, and there is no newer data" in story.told("escalated")
    assert story.asked == ["halt_trading", "roll_back_alias"]


def test_ok_without_data_before_a_rung_is_looked_at_and_the_rung_does_not_run() -> None:
    """Containment stops what the alarm measures: OK by silence must not start a rollback."""
    story = Story(incident())
    story.go()
    story.sees(alarm("OK", START + 10))
    assert story.answer("halt_trading") == []
    assert story.is_in(Phase.SETTLE)
    story.later(WINDOW_S + 6)
    assert story.incident.phase in {Phase.WATCH, Phase.CLOSED}
    assert story.asked == ["halt_trading"]


def test_a_passed_probe_is_green_where_no_alarm_is_red() -> None:
    story = remediated(probe=True)
    assert story.asked[-1] == "smoke_test"
    story.incident = story.incident.with_alarm(alarm("INSUFFICIENT_DATA", story.now + 5))
    story.answer("smoke_test")
    assert story.incident.verdict == "healed"


def test_a_passed_probe_is_green_after_settle_if_the_red_alarm_is_older_than_the_action() -> None:
    story = remediated(probe=True)
    story.answer("smoke_test")
    assert story.is_in(Phase.SETTLE)
    story.later(SETTLE_S)
    assert story.incident.verdict == "healed"


@pytest.mark.parametrize("again", [alarm(at=START + 100), alarm(data=START + 100)], ids=["went red", "newer data"])
def test_a_passed_probe_does_not_outweigh_what_is_red_since_the_action(again: object) -> None:
    story = remediated(probe=True, remediate="roll_back_alias stop_deployment")
    story.answer("smoke_test")
    story.incident = story.incident.with_alarm(again)  # type: ignore[arg-type]
    assert story.later(SETTLE_S) == ["stop_deployment"]


def test_a_failed_probe_is_asked_once_more_and_then_goes_one_rung_up() -> None:
    story = remediated(probe=True, remediate="roll_back_alias stop_deployment")
    story.answer("smoke_test", Outcome.FAILED)
    assert story.later(SETTLE_S) == ["smoke_test"]
    story.incident = story.incident.with_alarm(alarm("OK", story.now))
    assert story.answer("smoke_test", Outcome.FAILED) == ["stop_deployment"]


@pytest.mark.parametrize("reason", ["leased", "target_forbidden", "guard_unreadable"])
def test_a_refused_probe_leaves_nothing_open(reason: str) -> None:
    story = remediated(probe=True)
    story.answer("smoke_test", Outcome.REFUSED, reason)
    assert story.later(SETTLE_S) == ["smoke_test"]
    story.answer("smoke_test", Outcome.REFUSED, reason)
    assert story.is_in(Phase.WATCH)
    assert "every rung was tried and it is not green" in story.told("escalated")


def test_a_suggested_probe_proves_nothing() -> None:
    story = remediated(probe=True)
    story.sees(alarm("OK", story.now + 1))
    story.answer("smoke_test", Outcome.PLANNED, "suggest_only")
    story.later(SETTLE_S)
    assert story.told("escalated") == [
        "it can't be told whether it helped: no alarm is red, and there is no newer data"
    ]


def test_already_done_is_no_try_and_the_next_rung_comes_at_once() -> None:
    story = Story(incident(remediate="roll_back_alias stop_deployment"))
    story.go()
    story.answer("halt_trading")
    assert story.answer("roll_back_alias", Outcome.ALREADY_DONE) == ["stop_deployment"]


@pytest.mark.parametrize("reason", sorted(HELD_BACK))
def test_a_rung_that_is_held_back_is_asked_again_under_a_new_id(reason: Refusal) -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading")
    first = story.incident.action_id(story.step("roll_back_alias"))
    assert story.answer("roll_back_alias", Outcome.REFUSED, reason) == []
    assert story.incident.held
    told = (
        []
        if reason is Refusal.TAKEN_OVER
        else [f"held back while the alarm is red: roll_back_alias roll_back_alias: {reason}"]
    )
    assert story.told("escalated") == told
    assert story.later(60) == ["roll_back_alias"]
    assert story.incident.action_id(story.step("roll_back_alias")) != first
    story.answer("roll_back_alias", Outcome.REFUSED, reason)
    assert story.told("escalated") == told
    assert story.later(60) == []
    assert story.later(60) == ["roll_back_alias"]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.FAILED, "does_not_hold"),
        (Outcome.REFUSED, "version_unfit"),
        (Outcome.INCONCLUSIVE, "cannot_be_verified"),
        (Outcome.PLANNED, "suggest_only"),
    ],
)
def test_a_rung_that_did_not_work_goes_to_a_person_with_what_it_said(outcome: Outcome, reason: str) -> None:
    story = Story(incident(remediate="roll_back_alias stop_deployment"))
    story.go()
    story.answer("halt_trading")
    assert story.answer("roll_back_alias", outcome, reason, detail="point live to 41") == []
    assert story.is_in(Phase.WATCH)
    assert len(story.told("escalated")) == 1
    assert "point live to 41" in story.told("escalated")[0]
    assert story.later(10_000) == []


@pytest.mark.parametrize("reason", sorted(DOES_NOT_APPLY))
def test_a_rung_that_is_not_for_this_case_leaves_it_to_the_next_one(reason: Refusal) -> None:
    story = Story(incident(remediate="roll_back_alias limit_function"))
    story.go()
    story.answer("halt_trading")
    assert story.answer("roll_back_alias", Outcome.REFUSED, reason) == ["limit_function"]
    assert story.step("roll_back_alias").status is Status.REFUSED
    assert story.told("escalated") == []
    story.answer("limit_function")
    green(story)
    assert (story.incident.phase, story.incident.verdict) == (Phase.CLOSED, "healed")


@pytest.mark.parametrize("reason", sorted(DOES_NOT_APPLY))
def test_the_last_rung_that_is_not_for_this_case_goes_to_a_person(reason: Refusal) -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading")
    assert story.answer("roll_back_alias", Outcome.REFUSED, reason, detail="red since 09:00, deployed 10:00") == []
    assert story.is_in(Phase.WATCH)
    assert len(story.told("escalated")) == 1
    assert "red since 09:00, deployed 10:00" in story.told("escalated")[0]


def test_a_rung_that_is_not_for_this_case_starts_nothing_once_people_have_it() -> None:
    story = Story(incident(remediate="roll_back_alias limit_function"))
    story.go()
    story.answer("halt_trading")
    story.incident = story.incident.__class__(**{**vars(story.incident), "phase": Phase.WATCH})
    assert story.answer("roll_back_alias", Outcome.REFUSED, Refusal.OLDER_THAN_DEPLOYMENT) == []
    assert story.asked == ["halt_trading", "roll_back_alias"]


def test_a_used_up_ladder_goes_to_a_person_once() -> None:
    story = remediated()
    story.later(SETTLE_S)
    story.later(300)
    story.later(300)
    assert story.told("escalated") == ["every rung was tried and it is not green"]
    assert story.is_in(Phase.WATCH)


def test_a_rung_whose_alarm_cleared_meanwhile_waits_and_comes_again_if_it_is_red() -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading")
    assert story.answer("roll_back_alias", Outcome.REFUSED, Refusal.NOT_RED) == []
    assert story.is_in(Phase.SETTLE)
    assert story.later(60) == ["roll_back_alias"]


def test_a_rung_that_still_runs_keeps_it_from_turning_green() -> None:
    story = Story(incident(recover="replay_dlq"))
    story.go()
    story.answer("halt_trading")
    story.now += 60
    assert story.sees(alarm("OK", story.now, data=story.now)) == []
    assert story.is_in(Phase.REMEDIATE)
    story.now += 60
    assert story.answer("roll_back_alias") == []
    assert story.is_in(Phase.SETTLE)  # the data are older than the rollback
    assert story.sees(alarm("OK", story.now, data=story.now + 60)) == ["replay_dlq"]


# -- time -----------------------------------------------------------


def test_overdue_is_told_once_even_while_a_step_runs_and_the_step_goes_on() -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading")
    story.later(ESCALATE_S)
    story.later(60)
    assert story.told("escalated") == [f"not green within {ESCALATE_S} s"]
    assert story.is_in(Phase.REMEDIATE)
    story.answer("roll_back_alias")
    assert story.is_in(Phase.SETTLE)
    assert len(story.told("escalated")) == 1


def test_no_further_rung_is_started_when_it_is_overdue() -> None:
    story = remediated(remediate="roll_back_alias stop_deployment")
    assert story.later(ESCALATE_S) == []
    assert story.is_in(Phase.WATCH)
    assert story.told("escalated") == [f"not green within {ESCALATE_S} s"]


def test_it_is_due_when_an_answer_is_overdue() -> None:
    waiting = Story(incident())
    waiting.go()
    assert waiting.incident.due == START + 45  # when the answer is looked up
    waiting.later(ESCALATE_S - 40)
    waiting.answer("halt_trading", Outcome.IN_PROGRESS)
    assert waiting.incident.due == waiting.now + 20
    assert waiting.incident.escalated_at is None


def test_it_is_due_when_a_person_must_be_told() -> None:
    story = remediated()
    story.now += ESCALATE_S - 100
    story.incident = story.incident.with_alarm(alarm(window_s=3_600))
    story.go()
    assert story.incident.due == START + ESCALATE_S


def test_a_paced_step_may_stand_in_line() -> None:
    story = Story(incident(contain=""))
    assert story.go() == ["roll_back_alias"]
    assert story.incident.due == START + 150


# -- held -----------------------------------------------------------


def test_a_muted_alarm_is_held_quietly_and_its_time_counts_from_the_end_of_the_mute() -> None:
    opened = incident(phase=Phase.HELD)
    story = Story(opened.with_alarm(alarm(muted="muted by deploys")))
    assert story.go() == []
    assert story.later(ESCALATE_S + 60) == []
    assert story.told("escalated") == []
    assert story.incident.due == story.now + 60
    assert story.sees(alarm()) == ["halt_trading"]
    assert len(story.told("opened")) == 1
    assert story.answer("halt_trading") == ["roll_back_alias"]
    assert story.told("escalated") == []


def test_a_muted_alarm_that_clears_closes_it_without_an_action() -> None:
    story = Story(incident(phase=Phase.HELD, recover="resume_trading!").with_alarm(alarm(muted="muted by deploys")))
    story.go()
    assert story.sees(alarm("OK", START + 60)) == []
    assert (story.incident.phase, story.incident.verdict) == (Phase.CLOSED, "cleared")
    assert {one.status for one in story.incident.steps} == {Status.SKIPPED}


def test_another_alarm_that_is_not_muted_lets_it_go_on() -> None:
    story = Story(incident(phase=Phase.HELD).with_alarm(alarm(muted="muted by deploys")))
    story.go()
    assert story.sees(alarm(name="duration")) == ["halt_trading"]


# -- several alarms -----------------------------------------------------------


def test_every_alarm_that_joined_must_be_green() -> None:
    story = remediated()
    story.sees(alarm(name="duration"))
    story.now += 60
    story.sees(alarm("OK", story.now, data=story.now))
    assert story.is_in(Phase.SETTLE)
    story.sees(alarm("OK", story.now, name="duration", data=story.now))
    assert story.incident.verdict == "healed"


def test_a_state_that_comes_late_changes_nothing() -> None:
    story = remediated()
    story.now += 60
    story.incident = story.incident.with_alarm(alarm("OK", story.now))
    assert story.incident.with_alarm(alarm("ALARM", story.now - 0.5)) == story.incident


def test_the_same_change_by_two_transports_keeps_what_each_of_them_tells() -> None:
    by_event = alarm("OK", START + 60.9, data=START + 50, window_s=60)
    by_topic = alarm("OK", START + 60, window_s=300)
    joined = incident().with_alarm(by_event).with_alarm(by_topic).alarms[by_event.arn]
    assert (joined.last_datapoint_at, joined.window_s) == (int((START + 50) * 1000), 300)


def test_data_of_an_earlier_change_are_not_taken_for_data_of_this_one() -> None:
    joined = incident().with_alarm(alarm(data=START)).with_alarm(alarm("OK", START + 60))
    assert next(iter(joined.alarms.values())).last_datapoint_at is None


# -- recover and the end -----------------------------------------------------------


def test_recovery_runs_in_order_once_it_is_green_and_offers_what_needs_a_person() -> None:
    story = remediated(recover="inspect_dlq replay_dlq resume_trading! enable_schedule!")
    assert "inspect_dlq" not in story.asked
    green(story)
    assert story.asked[-1] == "inspect_dlq"
    assert story.answer("inspect_dlq") == ["replay_dlq"]
    assert story.answer("replay_dlq", Outcome.ALREADY_DONE) == []
    assert story.told("needs_person") == [
        "resume_trading resume_trading waits for a person",
        "enable_schedule enable_schedule waits for a person",
    ]
    assert (story.incident.verdict, story.incident.phase) == ("healed", Phase.CLOSED)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED, Outcome.INCONCLUSIVE, Outcome.PLANNED])
def test_recovery_stops_at_what_does_not_succeed_and_still_offers_what_needs_a_person(outcome: Outcome) -> None:
    story = remediated(recover="inspect_dlq replay_dlq resume_trading!")
    green(story)
    story.answer("inspect_dlq", outcome, "because")
    assert story.incident.verdict == "escalated"
    assert story.step("replay_dlq").status is Status.SKIPPED
    assert story.step("resume_trading").status is Status.NEEDS_PERSON
    assert len(story.told("escalated")) == 1


def test_recovery_that_is_held_back_for_a_day_is_given_up() -> None:
    story = remediated(recover="replay_dlq")
    green(story)
    story.answer("replay_dlq", Outcome.REFUSED, Refusal.PAUSED)
    assert story.later(RECOVER_WITHIN_S - 1) == ["replay_dlq"]
    story.answer("replay_dlq", Outcome.REFUSED, Refusal.PAUSED)
    story.later(1)
    assert story.incident.verdict == "escalated"


def test_red_again_during_recovery_goes_to_a_person_and_starts_nothing_more() -> None:
    story = remediated(recover="inspect_dlq replay_dlq resume_trading!")
    green(story)
    assert story.sees(alarm(at=story.now + 30)) == []
    assert story.told("escalated") == ["an alarm went red again during recovery"]
    assert story.answer("inspect_dlq") == []
    assert story.is_in(Phase.WATCH)


def test_an_alarm_that_joins_red_during_recovery_counts_even_if_it_was_red_before_green() -> None:
    story = remediated(recover="inspect_dlq")
    green(story)
    story.sees(alarm(at=story.now - 10, name="duration"))
    assert story.is_in(Phase.WATCH)


def test_watch_ends_when_nothing_is_red_and_offers_what_needs_a_person() -> None:
    story = Story(incident(remediate="", recover="replay_dlq resume_trading!"))
    story.go()
    story.answer("halt_trading")
    assert story.is_in(Phase.WATCH)
    story.sees(alarm("OK", START + 60))
    assert story.incident.verdict == "escalated"
    assert story.step("resume_trading").status is Status.NEEDS_PERSON
    assert story.step("replay_dlq").status is Status.SKIPPED


def test_watch_ends_when_the_alarm_was_deleted() -> None:
    story = Story(incident(remediate=""))
    story.go()
    story.answer("halt_trading")
    story.sees(alarm(DELETED, START + 60))
    assert story.is_in(Phase.CLOSED)


def test_watch_ends_when_there_has_been_no_data_for_an_hour() -> None:
    """Containment may have stopped what the alarm measures, and only closing offers to start it again."""
    story = Story(incident(remediate="", recover="enable_schedule!"))
    story.go()
    story.answer("halt_trading")
    story.sees(alarm("INSUFFICIENT_DATA", START + 60))
    story.later(3_600)
    assert story.is_in(Phase.WATCH)
    story.later(60)
    assert story.is_in(Phase.CLOSED)
    assert story.told("needs_person") == ["enable_schedule enable_schedule waits for a person"]


def test_watch_waits_for_what_was_asked() -> None:
    story = remediated(recover="inspect_dlq")
    green(story)
    story.sees(alarm(at=story.now + 30))
    story.sees(alarm("OK", story.now + 60))
    assert story.is_in(Phase.WATCH)
    story.answer("inspect_dlq")
    assert story.is_in(Phase.CLOSED)


# -- answers -----------------------------------------------------------


def test_an_answer_counts_once_and_only_for_what_was_asked() -> None:
    story = Story(incident())
    story.go()
    halted = story.incident.action_id(story.step("halt_trading"))
    story.go(Finished(halted, Outcome.ACTED))
    before = story.incident
    for stray in (
        Finished(halted, Outcome.FAILED),
        Finished("nobody", Outcome.ACTED),
        Finished(f"{halted}9", Outcome.ACTED),
    ):
        assert story.go(stray) == []
    assert [one.status for one in story.incident.steps] == [one.status for one in before.steps]


def test_without_leave_to_ask_it_is_due_at_once_and_nothing_is_forgotten() -> None:
    story = Story(incident())
    assert story.go(may_ask=False) == []
    assert story.incident.due == story.now
    assert story.go() == ["halt_trading"]
    story.answer("halt_trading", Outcome.REFUSED, Refusal.LEASED)
    story.now += 60
    assert story.go(may_ask=False) == []
    assert story.incident.due == story.now
    assert story.go() == ["halt_trading"]


def test_in_progress_is_looked_up_soon() -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading", Outcome.IN_PROGRESS)
    assert story.step("halt_trading").status is Status.ASKED
    assert story.incident.due == START + 20


def test_a_closed_incident_stays_as_it_is() -> None:
    story = remediated()
    green(story)
    closed = story.incident
    assert advance(closed, story.now + 1_000).incident == closed


def test_the_stages_are_in_the_order_of_the_design() -> None:
    assert [stage.value for stage in Stage] == ["contain", "remediate", "recover"]


def test_a_document_of_another_release_is_read() -> None:
    doc = incident(probe=True).as_doc()
    doc["new"] = 1
    doc["steps"][0]["new"] = 1
    next(iter(doc["alarms"].values()))["new"] = 1
    assert read_incident(doc) == incident(probe=True)


def test_the_probes_target_is_owned_as_well_and_a_refused_step_owns_nothing() -> None:
    opened = incident(probe=True)
    nameless = Incident(
        **{
            **vars(opened),
            "steps": (*opened.steps, opened.steps[0].__class__(**{**vars(opened.steps[0]), "target_key": ""})),
        }
    )
    assert nameless.target_keys() == ["key:halt_trading", "key:roll_back_alias", "key:smoke_test"]
