"""What AWS answers to an action, and what the engine makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st
from selfheal import changes, record
from selfheal.action import Change, State, Verification
from selfheal.aws_errors import code_of, translate
from selfheal.engine import run
from selfheal.errors import (
    ChangedMeanwhile,
    NotApplied,
    SelfhealError,
    TargetForbidden,
    TargetNotFound,
    Throttled,
    Unreadable,
)
from selfheal.request import Request
from selfheal.words import Outcome, Verdict

from tests.unit.doubles import (
    LEASE_S,
    START,
    Alias,
    Clock,
    Cloud,
    FakeAction,
    Faults,
    Flag,
    Invoke,
    Killed,
    ask,
    throttled,
    timed_out,
    world_of,
)

ERRORS: list[tuple[SelfhealError, str]] = [
    (TargetNotFound("gone"), "target_not_found"),
    (TargetForbidden("not yours"), "target_forbidden"),
    (Unreadable("it", "down"), "target_unreadable"),
    (NotApplied("what?"), "target_unreadable"),
    (ChangedMeanwhile("conflict"), "target_unreadable"),
]


def raising(error: SelfhealError) -> Callable[..., Any]:
    def fail(*arguments: Any) -> Any:
        raise error

    return fail


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(("error", "reason"), ERRORS)
@pytest.mark.parametrize("mode", ["plan", "act"])
def test_a_target_that_cannot_be_seen_is_refused(error: SelfhealError, reason: str, mode: str) -> None:
    action = Flag(Cloud())
    action.observe = raising(error)  # type: ignore[method-assign]

    result = run(action, ask(Flag, mode=mode), world_of(Faults(), Clock()))

    assert (result.outcome, result.reason) == (Outcome.REFUSED, reason)
    assert str(error) in result.detail


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (TargetNotFound("gone"), Outcome.REFUSED, "target_not_found"),
        (TargetForbidden("not yours"), Outcome.REFUSED, "target_forbidden"),
        (NotApplied("limit"), Outcome.FAILED, "not_applied"),
        (Unreadable("it", "down"), Outcome.FAILED, "does_not_hold"),
    ],
)
def test_a_call_that_changed_nothing_leaves_nothing(error: SelfhealError, outcome: Outcome, reason: str) -> None:
    action, world = Alias(Cloud(value=5)), world_of(Faults(), Clock())
    action.apply = raising(error)  # type: ignore[method-assign]

    result = run(action, ask(Alias), world)

    assert (result.outcome, result.reason) == (outcome, reason)
    assert result.before == result.after
    assert changes.still_open(world.ledger) == []
    assert world.ledger.get("TARGET#function:one:live", "LEASE")["lease_until"] == 0  # type: ignore[index]
    called = isinstance(error, Unreadable)
    assert (world.ledger.get("TARGET#function:one:live", "COOLDOWN") is not None) == called


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("error", [TargetForbidden("not yours"), TargetNotFound("gone"), NotApplied("limit")])
def test_a_change_that_stopped_half_way_is_named_and_can_be_undone(error: SelfhealError) -> None:
    """A group of schedules: the first was disabled, the second refused."""

    class Group(Flag):
        def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
            self.cloud.write("half")
            raise error

    cloud, world = Cloud(), world_of(Faults(), Clock())

    result = run(Group(cloud), ask(Flag), world)

    assert (result.outcome, result.reason, result.after) == (Outcome.FAILED, "partly_applied", {"value": "half"})
    assert len(changes.still_open(world.ledger)) == 1
    undone = run(Flag(cloud), ask(Flag, action_id="undo.1", undo_of="one.1", requested_by="me", origin="undo"), world)
    assert undone.outcome is Outcome.ACTED
    assert cloud.value == "true"


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(("kind", "outcome"), [(Flag, Outcome.ACTED), (None, Outcome.REFUSED)])
def test_a_second_look_that_fails_stops_only_what_is_risky(kind: type[FakeAction] | None, outcome: Outcome) -> None:
    class Risky(Alias):
        compare_and_set = False

    action = Flag(Cloud()) if kind else Risky(Cloud(value=5))
    looks: list[int] = []
    observe = action.observe

    def once(request: Request) -> State:
        looks.append(1)
        if len(looks) > 1:
            raise Unreadable("it", "down")
        return observe(request)

    action.observe = once  # type: ignore[method-assign]

    result = run(action, ask(type(action).name), world_of(Faults(), Clock()))

    assert result.outcome is outcome
    assert len(action.cloud.effects) == int(outcome is Outcome.ACTED)


# -- verify ---------------------------------------------------------------------------------------------------------


def verifying(*verdicts: Verdict | SelfhealError, patience_s: float = 60.0, remaining_s: float = 600.0) -> Flag:
    action = Flag(Cloud())
    action.remaining_s = remaining_s
    action.verify_for_s = patience_s  # type: ignore[misc]
    answers = list(verdicts)

    def verify(request: Request, change: Change) -> Verification:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, SelfhealError):
            raise answer
        return Verification(answer, {"value": "false"})

    action.verify = verify  # type: ignore[method-assign]
    return action


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("verdicts", "outcome", "waits"),
    [
        ((Verdict.HOLDS,), Outcome.ACTED, False),
        ((Verdict.NOT_YET, Verdict.NOT_YET, Verdict.HOLDS), Outcome.ACTED, True),
        ((Unreadable("it", "down"), Verdict.HOLDS), Outcome.ACTED, True),
        ((ChangedMeanwhile("conflict"), Verdict.HOLDS), Outcome.ACTED, True),
        ((Verdict.NOT_YET,), Outcome.IN_PROGRESS, True),
        ((Verdict.DOES_NOT_HOLD,), Outcome.FAILED, False),
        ((Verdict.NOT_YET, Verdict.DOES_NOT_HOLD), Outcome.FAILED, True),
        ((TargetNotFound("gone"),), Outcome.INCONCLUSIVE, True),
    ],
)
def test_verify_is_asked_until_it_knows(
    verdicts: tuple[Verdict | SelfhealError, ...], outcome: Outcome, waits: bool
) -> None:
    clock = Clock()

    result = run(verifying(*verdicts), ask(Flag), world_of(Faults(), clock))

    assert result.outcome is outcome
    assert (clock.at > START) == waits
    assert clock.at - START <= 60


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(("patience_s", "remaining_s", "most"), [(30, 600, 30), (600, 30, 20), (600, 5, 0)])
def test_verify_leaves_time_to_record(patience_s: float, remaining_s: float, most: float) -> None:
    clock = Clock()
    action = verifying(Verdict.NOT_YET, patience_s=patience_s, remaining_s=remaining_s)

    run(action, ask(Flag), world_of(Faults(), clock))

    assert clock.at - START <= most
    assert clock.at - START >= most - 2


# -- resume ---------------------------------------------------------------------------------------------------------


def died_after_the_call(cloud: Cloud, clock: Clock, kind: type[FakeAction] = Alias) -> None:
    cloud.faults.names, cloud.faults.after = (("cloud.invoke",) if kind is Invoke else ("cloud.write",)), True
    with pytest.raises(Killed):
        run(kind(cloud), ask(kind), world_of(cloud.faults, clock))
    cloud.faults.names, cloud.faults.after = (), False
    clock.advance(LEASE_S + 1)


@pytest.mark.usefixtures("ledger")
def test_a_resumed_run_that_finds_neither_state_tells_a_person() -> None:
    cloud, clock = Cloud(value=5), Clock()
    died_after_the_call(cloud, clock)
    cloud.by_hand(17)
    world = world_of(cloud.faults, clock)

    result = run(Alias(cloud), ask(Alias, mode="resume"), world)

    assert (result.outcome, result.reason) == (Outcome.INCONCLUSIVE, "run_died")
    assert "17" in result.detail
    assert cloud.value == 17


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("error", [throttled, timed_out])
def test_a_resumed_run_that_cannot_look_tells_a_person_and_keeps_the_image(error: Callable[[], BaseException]) -> None:
    cloud, clock = Cloud(value=5), Clock()
    died_after_the_call(cloud, clock)
    cloud.faults.names, cloud.faults.error = ("cloud.",), error
    world = world_of(cloud.faults, clock)

    result = run(Alias(cloud), ask(Alias, mode="resume"), world)

    assert (result.outcome, result.reason, result.before) == (Outcome.INCONCLUSIVE, "run_died", {"value": 5})
    assert len(changes.still_open(world.ledger)) == 1
    assert "expires" not in record.find(world.ledger, "one.1")  # type: ignore[operator]


@pytest.mark.usefixtures("ledger")
def test_what_cannot_be_deduplicated_is_not_repeated() -> None:
    cloud, clock = Cloud(), Clock()
    died_after_the_call(cloud, clock, Invoke)

    result = run(Invoke(cloud), ask(Invoke, mode="resume"), world_of(cloud.faults, clock))

    assert (result.outcome, result.reason) == (Outcome.INCONCLUSIVE, "run_died")
    assert cloud.effects == ["invoked"]


# -- AWS's errors ---------------------------------------------------------------------------------------------------


def aws_error(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Any")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aws_error("ResourceNotFoundException"), TargetNotFound),
        (aws_error("AccessDeniedException"), TargetForbidden),
        (aws_error("PreconditionFailedException", 412), ChangedMeanwhile),
        (aws_error("ThrottlingException"), Throttled),
        (aws_error("SomethingNew", 500), Unreadable),
        (aws_error("SomethingNew", 429), Throttled),
        (aws_error("InvalidParameterValueException"), NotApplied),
        (EndpointConnectionError(endpoint_url="https://aws.test"), Unreadable),
        (ParamValidationError(report="Name: too long"), NotApplied),
    ],
)
def test_an_error_of_aws_has_one_meaning(error: Any, kind: type[SelfhealError]) -> None:
    with pytest.raises(kind) as raised:
        translate(error, "parameter /a")

    assert type(raised.value) is kind
    assert raised.value.__cause__ is error
    assert "parameter /a" in str(raised.value)


@given(code=st.text(), status=st.integers(100, 599))
def test_any_answer_of_aws_is_translated(code: str, status: int) -> None:
    with pytest.raises(SelfhealError):
        translate(aws_error(code, status), "it")
    assert code_of(aws_error(code)) == code
