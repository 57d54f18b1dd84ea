"""What one answer means: which status, held or not, and where the incident stands afterwards."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from selfheal.incident import MAX_TEXT, Incident, Phase, Status, read_incident
from selfheal.refusal import Refusal
from selfheal.step_outcome import HELD_BACK, RESUME_AFTER_S, RETRY_AFTER_S, RETRY_AT_LEAST_EVERY_S, Finished, take
from selfheal.words import Outcome, Stage

from tests.unit.incidents import START, alarm, incident

LATER = START + 30


def asked(stage: Stage, phase: Phase = Phase.CONTAIN) -> tuple[Incident, str]:
    """An incident whose only asked step is of this stage, and its action_id."""
    one = incident(recover="inspect_dlq", phase=phase)
    (step,) = one.of(stage)
    one = one.with_step(replace(step, status=Status.ASKED, asks=1, asked_at=START))
    return one, one.action_id(step)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.ACTED, Status.DONE),
        (Outcome.ALREADY_DONE, Status.NOTHING_TO_DO),
        (Outcome.PLANNED, Status.SUGGESTED),
        (Outcome.REFUSED, Status.REFUSED),
        (Outcome.FAILED, Status.FAILED),
        (Outcome.INCONCLUSIVE, Status.INCONCLUSIVE),
    ],
)
def test_every_outcome_ends_the_step_and_is_kept(stage: Stage, outcome: Outcome, status: Status) -> None:
    one, action_id = asked(stage)
    after = take(one, Finished(action_id, outcome, "exempt", "so it was"), LATER)
    (step,) = after.of(stage)
    assert (step.status, step.outcome, step.reason, step.detail) == (status, outcome, "exempt", "so it was")
    assert (step.done_at, step.retry_at) == (LATER, None)
    good = outcome in {Outcome.ACTED, Outcome.ALREADY_DONE} or stage is Stage.RECOVER
    assert len(after.escalations) == (0 if good else 1)


def test_where_the_evidence_lies_stays_with_the_step_also_when_it_is_asked_again() -> None:
    one, action_id = asked(Stage.CONTAIN)
    held = take(one, Finished(action_id, Outcome.REFUSED, Refusal.LEASED, captured="s3://archive/one"), LATER)
    (step,) = held.of(Stage.CONTAIN)
    assert (step.status, step.captured) == (Status.HELD, "s3://archive/one")
    again = held.with_step(replace(step, status=Status.ASKED, tries=step.tries + 1))
    (step,) = again.of(Stage.CONTAIN)
    (done,) = take(again, Finished(again.action_id(step), Outcome.ACTED), LATER).of(Stage.CONTAIN)
    assert (done.status, done.captured) == (Status.DONE, "s3://archive/one")
    assert read_incident(json.loads(json.dumps(again.as_doc()))).of(Stage.CONTAIN)[0].captured == "s3://archive/one"


@pytest.mark.parametrize("stage", Stage)
def test_in_progress_goes_on(stage: Stage) -> None:
    one, action_id = asked(stage)
    (step,) = take(one, Finished(action_id, Outcome.IN_PROGRESS), LATER).of(stage)
    assert (step.status, step.retry_at) == (Status.ASKED, LATER + RESUME_AFTER_S)


@pytest.mark.parametrize("refusal", Refusal)
def test_each_refusal_is_either_held_or_over(refusal: Refusal) -> None:
    one, action_id = asked(Stage.CONTAIN)
    (step,) = take(one, Finished(action_id, Outcome.REFUSED, refusal), LATER).of(Stage.CONTAIN)
    wanted = Status.HELD if refusal in HELD_BACK else Status.WAITING if refusal == Refusal.NOT_RED else Status.REFUSED
    assert step.status is wanted


def test_what_is_held_is_tried_again_ever_more_slowly_and_no_slower_than_that() -> None:
    one, _ = asked(Stage.CONTAIN)
    waits = []
    for tries in (1, 2, 5, 50):
        (step,) = one.of(Stage.CONTAIN)
        one = one.with_step(replace(step, status=Status.ASKED, tries=tries))
        (step,) = one.of(Stage.CONTAIN)
        held = take(one, Finished(one.action_id(step), Outcome.REFUSED, Refusal.LEASED), LATER).of(Stage.CONTAIN)[0]
        assert held.retry_at is not None
        waits.append(held.retry_at - LATER)
    assert waits == [RETRY_AFTER_S, 2 * RETRY_AFTER_S, RETRY_AT_LEAST_EVERY_S, RETRY_AT_LEAST_EVERY_S]


@pytest.mark.parametrize("stage", Stage)
def test_held_while_nothing_is_red_is_told_to_nobody(stage: Stage) -> None:
    one, action_id = asked(stage)
    one = one.with_alarm(alarm("OK", LATER))
    assert take(one, Finished(action_id, Outcome.REFUSED, Refusal.PAUSED), LATER).escalations == ()


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("stage", [Stage.CONTAIN, Stage.REMEDIATE])
def test_a_late_answer_never_takes_an_incident_from_a_person(stage: Stage, outcome: Outcome) -> None:
    one, action_id = asked(stage, Phase.WATCH)
    reason = Refusal.NOT_RED if outcome is Outcome.REFUSED else "not_red"
    after = take(one, Finished(action_id, outcome, reason), LATER)
    assert after.phase is Phase.WATCH
    (step,) = after.of(stage)
    assert (step.status is Status.WAITING) == (outcome is Outcome.REFUSED)


def test_an_answer_as_long_as_it_likes_is_cut() -> None:
    one, action_id = asked(Stage.REMEDIATE)
    after = take(one, Finished(action_id, Outcome.FAILED, "failed", "x" * 100_000), LATER)
    assert len(after.of(Stage.REMEDIATE)[0].detail) == MAX_TEXT
    assert len(after.escalations[0]) == MAX_TEXT
