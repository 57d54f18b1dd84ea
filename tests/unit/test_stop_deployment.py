"""Stopping a CodeDeploy shift: what is stopped, and when it counts as rolled back.

moto does not know StopDeployment, so CodeDeploy is scripted with what its API reference says.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable
from selfheal.refusal import Refusal
from selfheal.request import read_request
from selfheal.words import Direction, Mode, Verdict

from functions.stop_deployment.app import StopDeployment
from tests.unit.aws import ask, event, planned, recorded, script

CODE_DEPLOY = {"application": "shop", "deployment_group": "trade-group"}
TARGET = {"function": "trade", "alias": "live", "code_deploy": CODE_DEPLOY}
STOP = ask("stop_deployment", TARGET)
LIST = {
    "applicationName": "shop",
    "deploymentGroupName": "trade-group",
    "includeOnlyStatuses": ["Created", "Queued", "InProgress", "Baking", "Ready"],
}
CALL = {"deploymentId": "d-1", "autoRollbackEnabled": True}
ONE = {"deploymentId": "d-1"}


@pytest.fixture
def aws() -> Iterator[Stubber]:
    with script("codedeploy") as stubber:
        yield stubber


def flying(aws: Stubber, **creators: str) -> None:
    """These deployments are in flight, by `d_1="user"`."""
    ids = [name.replace("_", "-") for name in creators]
    aws.add_response("list_deployments", {"deployments": ids}, LIST)
    details = [
        {"deploymentId": one, "creator": creator, "status": "InProgress"}
        for one, creator in zip(ids, creators.values(), strict=True)
    ]
    aws.add_response("batch_get_deployments", {"deploymentsInfo": details}, {"deploymentIds": ids})


def found(aws: Stubber, status: str, deployment: str = "d-1", **more: Any) -> None:
    info = {"deploymentId": deployment, "status": status, **more}
    aws.add_response("get_deployment", {"deploymentInfo": info}, {"deploymentId": deployment})


CHANGE = recorded(Change(Direction.RISKY, "stop", {"d-1": "in flight"}, {"d-1": "Stopped"}, {"deployments": ["d-1"]}))

# -- decide ------------------------------------------------------------------------------------------------------

ids = st.lists(st.integers(1, 99).map("d-{}".format), unique=True)


@given(stopping=ids, rolling_back=ids)
def test_what_leads_forward_is_stopped_and_what_leads_back_is_not(stopping: list[str], rolling_back: list[str]) -> None:
    decision = StopDeployment().decide({"stopping": stopping, "rolling_back": rolling_back}, STOP)

    if stopping:
        assert isinstance(decision, Change)
        assert decision.plan["deployments"] == stopping
        assert decision.direction is Direction.RISKY
    else:
        assert isinstance(decision, AlreadyDone)
        assert ("rollback is in flight" in decision.detail) is bool(rolling_back)


@pytest.mark.parametrize(
    ("code_deploy", "named"),
    [({}, "application and deployment_group"), ({"application": "shop"}, "deployment_group")],
)
def test_a_target_without_code_deploy_is_refused_without_a_call(
    aws: Stubber, code_deploy: dict[str, str], named: str
) -> None:
    request = ask("stop_deployment", {**TARGET, "code_deploy": code_deploy})

    decision = StopDeployment().decide(StopDeployment().observe(request), request)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_TARGET
    assert named in decision.detail


# -- observe -----------------------------------------------------------------------------------------------------


def test_nothing_in_flight_is_done_already(aws: Stubber) -> None:
    aws.add_response("list_deployments", {"deployments": []}, LIST)

    decision = StopDeployment().decide(StopDeployment().observe(STOP), STOP)

    assert isinstance(decision, AlreadyDone)
    assert "nothing in flight" in decision.detail


def test_a_rollback_in_flight_is_left_alone(aws: Stubber) -> None:
    flying(aws, d_1="codeDeployRollback")

    assert isinstance(StopDeployment().decide(StopDeployment().observe(STOP), STOP), AlreadyDone)


def test_only_the_deployment_beside_the_rollback_is_planned(aws: Stubber) -> None:
    flying(aws, d_1="CloudFormation", d_2="codeDeployRollback")

    assert planned(StopDeployment(), STOP) == Change(
        Direction.RISKY,
        "stop d-1 of trade-group and roll back",
        {"d-1": "in flight"},
        {"d-1": "Stopped"},
        {"deployments": ["d-1"]},
    )


def test_a_deployment_that_ended_since_it_was_listed_is_not_in_flight(aws: Stubber) -> None:
    aws.add_response("list_deployments", {"deployments": ["d-1"]}, LIST)
    ended = {"deploymentId": "d-1", "creator": "user", "status": "Succeeded"}
    aws.add_response("batch_get_deployments", {"deploymentsInfo": [ended]}, {"deploymentIds": ["d-1"]})

    assert isinstance(StopDeployment().decide(StopDeployment().observe(STOP), STOP), AlreadyDone)


def test_more_than_one_page_and_one_batch_are_read(aws: Stubber) -> None:
    pages = [[f"d-{number}" for number in numbers] for numbers in (range(20), range(20, 30))]
    aws.add_response("list_deployments", {"deployments": pages[0], "nextToken": "n"}, LIST)
    aws.add_response("list_deployments", {"deployments": pages[1]}, {**LIST, "nextToken": "n"})
    everything = pages[0] + pages[1]
    for batch in (everything[:25], everything[25:]):
        details = [{"deploymentId": one, "status": "Queued"} for one in batch]
        aws.add_response("batch_get_deployments", {"deploymentsInfo": details}, {"deploymentIds": batch})

    assert StopDeployment().observe(STOP)["stopping"] == everything


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("DeploymentGroupDoesNotExistException", TargetNotFound),
        ("ApplicationDoesNotExistException", TargetNotFound),
        ("AccessDeniedException", TargetForbidden),
        ("ThrottlingException", Unreadable),
    ],
)
def test_a_group_that_cannot_be_read_is_not_taken_for_quiet(aws: Stubber, code: str, raised: type[Exception]) -> None:
    aws.add_client_error("list_deployments", code)

    with pytest.raises(raised):
        StopDeployment().observe(STOP)


# -- apply and verify --------------------------------------------------------------------------------------------


def test_stopped_with_rollback_and_followed_to_its_end(aws: Stubber) -> None:
    stop = StopDeployment()
    back: dict[str, Any] = {"rollbackInfo": {"rollbackDeploymentId": "d-2"}}
    aws.add_response("stop_deployment", {"status": "Pending"}, CALL)
    assert stop.apply(STOP, CHANGE) == {"stop": {"d-1": "Pending"}}

    found(aws, "InProgress")
    assert stop.verify(STOP, CHANGE).verdict is Verdict.NOT_YET

    found(aws, "Stopped", completeTime=datetime.now(UTC))
    assert stop.verify(STOP, CHANGE).verdict is Verdict.NOT_YET

    found(aws, "Stopped", **back)
    found(aws, "InProgress", "d-2")
    assert stop.verify(STOP, CHANGE).verdict is Verdict.NOT_YET

    found(aws, "Stopped", **back)
    found(aws, "Succeeded", "d-2")
    verification = stop.verify(STOP, CHANGE)
    assert verification.verdict is Verdict.HOLDS
    assert verification.after == {"d-1": "Stopped"}
    assert verification.evidence == {"rollbacks": {"d-2": "Succeeded"}}


def test_a_rollback_that_failed_does_not_hold(aws: Stubber) -> None:
    found(aws, "Stopped", rollbackInfo={"rollbackDeploymentId": "d-2"})
    found(aws, "Failed", "d-2")

    verification = StopDeployment().verify(STOP, CHANGE)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert "d-2 is Failed" in verification.detail


def test_a_deployment_that_cannot_be_rolled_back_says_why(aws: Stubber) -> None:
    found(aws, "Stopped", rollbackInfo={"rollbackMessage": "no earlier revision"})

    verification = StopDeployment().verify(STOP, CHANGE)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert "no earlier revision" in verification.detail


def test_a_rollback_that_never_starts_is_not_waited_for_for_ever(aws: Stubber) -> None:
    found(aws, "Stopped", completeTime=datetime.now(UTC) - timedelta(minutes=10))

    assert StopDeployment().verify(STOP, CHANGE).verdict is Verdict.DOES_NOT_HOLD


def test_a_deployment_that_was_faster_is_no_failure(aws: Stubber) -> None:
    stop = StopDeployment()
    aws.add_client_error("stop_deployment", "DeploymentAlreadyCompletedException", expected_params=CALL)
    assert stop.apply(STOP, CHANGE) == {"stop": {"d-1": "it was over already"}}

    found(aws, "Succeeded")
    verification = stop.verify(STOP, CHANGE)

    assert verification.verdict is Verdict.HOLDS
    assert "its version is live" in verification.detail


def test_applied_twice_it_asks_twice_and_ends_the_same(aws: Stubber) -> None:
    aws.add_response("stop_deployment", {"status": "Succeeded"}, CALL)
    aws.add_client_error("stop_deployment", "DeploymentAlreadyCompletedException", expected_params=CALL)
    StopDeployment().apply(STOP, CHANGE)
    again = StopDeployment()
    again.apply(STOP, CHANGE)
    found(aws, "Stopped", rollbackInfo={"rollbackDeploymentId": "d-2"})
    found(aws, "Succeeded", "d-2")

    assert again.verify(STOP, CHANGE).verdict is Verdict.HOLDS


def test_a_run_that_died_before_its_call_is_seen_as_not_done(aws: Stubber) -> None:
    found(aws, "InProgress")

    assert StopDeployment().verify(STOP, CHANGE).verdict is Verdict.DOES_NOT_HOLD


def test_the_worst_of_several_counts(aws: Stubber) -> None:
    both = recorded(Change(Direction.RISKY, "", {}, {}, {"deployments": ["d-1", "d-3"]}))
    found(aws, "Succeeded")
    found(aws, "Stopped", "d-3", rollbackInfo={"rollbackMessage": "no"})

    verification = StopDeployment().verify(STOP, both)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert verification.after == {"d-1": "Succeeded", "d-3": "Stopped"}


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("AccessDeniedException", TargetForbidden),
        ("DeploymentDoesNotExistException", TargetNotFound),
        ("UnsupportedActionForDeploymentTypeException", NotApplied),
        ("ThrottlingException", Unreadable),
    ],
)
def test_what_aws_refuses_is_told_apart(aws: Stubber, code: str, raised: type[Exception]) -> None:
    aws.add_client_error("stop_deployment", code, expected_params=CALL)

    with pytest.raises(raised):
        StopDeployment().apply(STOP, CHANGE)


def test_it_cannot_be_undone() -> None:
    assert not StopDeployment.reversible


def test_the_event_file_is_a_plan_for_one_group() -> None:
    request = read_request(event("stop_deployment"), (StopDeployment.name,), "id")

    assert request.mode is Mode.PLAN
    assert request.target["code_deploy"] == {
        "application": "the-alchemiser-v2-dev",
        "deployment_group": "the-alchemiser-v2-lambda-dev",
    }
    assert request.requested_by
    assert request.reason
