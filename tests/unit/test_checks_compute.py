"""Checks of what computes: functions, event sources, services and the targets of a load balancer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from selfheal.checks.ecs_reasons import explain
from selfheal.clients import client
from selfheal.ledger import Ledger

from tests.unit.aws import script
from tests.unit.checking import DENIED, changed_by_selfheal, found, refusal_of, the_only, told

UUID = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
SOURCE = "arn:aws:sqs:eu-central-1:123456789012:orders"
GROUP = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/1a2b3c4d5e6f7a8b"


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


# -- function ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "reserved", "mark", "words"),
    [
        ({"State": "Active", "LastUpdateStatus": "Successful"}, {}, "pass", "active"),
        ({}, {"ReservedConcurrentExecutions": 5}, "pass", "active"),
        ({"State": "Inactive"}, {}, "pass", "its next invocation wakes it"),
        ({"State": "Pending"}, {}, "unknown", "Pending"),
        ({"State": "Failed", "StateReason": "no ENI"}, {}, "fail", "no ENI"),
        ({"LastUpdateStatus": "InProgress"}, {}, "unknown", "InProgress"),
        ({"LastUpdateStatus": "Failed"}, {}, "fail", "Failed"),
        ({"State": "Active"}, {"ReservedConcurrentExecutions": 0}, "fail", "throttled"),
    ],
)
def test_a_function(seen: dict[str, Any], reserved: dict[str, Any], mark: str, words: str) -> None:
    with script("lambda") as aws:
        aws.add_response("get_function_configuration", seen, {"FunctionName": "f"})
        aws.add_response("get_function_concurrency", reserved, {"FunctionName": "f"})

        finding = the_only({"function": "f"})

    assert finding.verdict == mark
    assert words in finding.seen


def test_a_missing_function_is_not_recreated_by_a_deployment_and_the_advice_says_what_is() -> None:
    with script("lambda") as aws:
        aws.add_client_error("get_function_configuration", "ResourceNotFoundException")

        finding = the_only({"function": "f"})

    assert (finding.verdict, finding.resource) == ("fail", "f")
    assert "REVERT_DRIFT" in finding.advice


def test_a_function_out_of_reach_is_unknown() -> None:
    with script("lambda") as aws:
        aws.add_client_error("get_function_configuration", DENIED)

        assert told({"function": "f"}) == ["unknown"]


# -- event source -----------------------------------------------------------------------------------------------------


def mapping(**more: Any) -> dict[str, Any]:
    return {"UUID": UUID, "EventSourceArn": SOURCE, "State": "Enabled", **more}


@pytest.mark.parametrize(
    ("seen", "wanted", "marks"),
    [
        ({}, "Enabled", ["pass"]),
        ({"LastProcessingResult": "OK"}, "Enabled", ["pass"]),
        ({"LastProcessingResult": "No records processed"}, "Enabled", ["pass"]),
        ({"LastProcessingResult": "PROBLEM: Function call failed"}, "Enabled", ["fail"]),
        ({"State": "Disabled"}, "Enabled", ["fail"]),
        ({"State": "Disabled", "LastProcessingResult": "PROBLEM: x"}, "Enabled", ["fail", "fail"]),
        ({"State": "Disabled"}, "Disabled", ["pass"]),
        ({"State": "Enabling"}, "Enabled", ["unknown"]),
    ],
)
def test_an_event_source(ledger: Ledger, seen: dict[str, Any], wanted: str, marks: list[str]) -> None:
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping(**seen), {"UUID": UUID})

        assert told({"event_source": {"event_source": UUID, "state": wanted}}) == marks


def test_a_paused_event_source_says_who_paused_it(ledger: Ledger) -> None:
    changed_by_selfheal(ledger, "pause_source", {"event_source": UUID})
    with script("lambda") as aws:
        aws.add_response("get_event_source_mapping", mapping(State="Disabled"))

        finding = the_only({"event_source": {"event_source": UUID}})

    assert finding.verdict == "fail"
    assert "pause_source by selfheal since 2023-11-14" in finding.seen
    assert f"update-event-source-mapping --uuid {UUID} --enabled" in finding.advice


def test_the_mappings_of_a_function_are_all_looked_at_and_none_is_a_failure() -> None:
    for mappings, marks in (
        ([mapping(), mapping(LastProcessingResult="PROBLEM: x")], ["pass", "fail"]),
        ([], ["fail"]),
    ):
        with script("lambda") as aws:
            answer = {"EventSourceMappings": mappings}
            aws.add_response("list_event_source_mappings", answer, {"FunctionName": "f:live"})

            assert told({"event_source": {"function": "f", "alias": "live"}}) == marks


def test_an_event_source_is_named_one_way() -> None:
    assert "exactly one" in refusal_of({"event_source": {"event_source": UUID, "function": "f"}})
    assert "state must be" in refusal_of({"event_source": {"function": "f", "state": "ENABLED"}})


# -- service ----------------------------------------------------------------------------------------------------------


def deployment(minutes: float = 60, state: str = "COMPLETED", **more: Any) -> dict[str, Any]:
    return {"id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": state, "createdAt": ago(minutes), **more}


def service(name: str = "web", **more: Any) -> dict[str, Any]:
    usual = {"status": "ACTIVE", "desiredCount": 2, "runningCount": 2, "deployments": [deployment()]}
    return {"serviceName": name, **usual, **more}


def look_at(seen: Mapping[str, Any] | None, tasks: list[dict[str, Any]] | None = None, **fields: Any) -> list[Any]:
    with script("ecs") as aws:
        aws.add_response("describe_services", {"services": [seen] if seen else []})
        if tasks is not None:
            aws.add_response("list_tasks", {"taskArns": [f"arn:task/{n}" for n in range(len(tasks))]})
        if tasks:
            aws.add_response("describe_tasks", {"tasks": tasks})
        return found({"service": {"cluster": "shop", "service": "web", **fields}})


@pytest.mark.parametrize(
    ("seen", "fields", "mark"),
    [
        ({}, {}, "pass"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}, "deployments": []}, {}, "pass"),
        ({"desiredCount": 0, "runningCount": 0}, {"may_be_stopped": True}, "pass"),
        ({"desiredCount": 0, "runningCount": 0}, {"desired": 0}, "pass"),
        ({"runningCount": 3}, {}, "unknown"),
        ({"deployments": [deployment(3, "IN_PROGRESS")]}, {}, "unknown"),
        ({"deployments": [deployment(3, "IN_PROGRESS"), deployment(90, status="ACTIVE")]}, {}, "unknown"),
        ({"deployments": [deployment(3), deployment(90, status="ACTIVE")]}, {}, "unknown"),
        ({"deployments": [deployment(90), deployment(30, "FAILED", status="INACTIVE")]}, {}, "pass"),
        ({"deployments": [deployment(3, "IN_PROGRESS", failedTasks=2)]}, {}, "unknown"),
        (
            {"desiredCount": 8, "runningCount": 8, "deployments": [deployment(3, "IN_PROGRESS", failedTasks=3)]},
            {},
            "unknown",
        ),
    ],
)
def test_a_service_that_does_not_fail_is_one_call(seen: dict[str, Any], fields: dict[str, Any], mark: str) -> None:
    (finding,) = look_at(service(**seen), **fields)

    assert (finding.verdict, finding.resource) == (mark, "shop/web")


@pytest.mark.parametrize(
    ("seen", "fields", "words"),
    [
        ({"runningCount": 1}, {}, "1 of 2 tasks run"),
        ({}, {"desired": 3}, "desired count is 2"),
        ({"status": "DRAINING"}, {}, "DRAINING"),
        (
            {"deployments": [deployment(30, "IN_PROGRESS", failedTasks=7)]},
            {},
            "7 tasks failed: it is stuck",
        ),
        ({"deployments": [deployment(5, "IN_PROGRESS")]}, {"minutes": 4}, "stuck"),
        (
            {"deployments": [deployment(3, "IN_PROGRESS", failedTasks=3)]},
            {},
            "3 tasks failed: its tasks do not come up",
        ),
        ({"deployments": [deployment(9, "FAILED", rolloutStateReason="breaker")]}, {}, "breaker"),
    ],
)
def test_a_service_that_fails_is_explained(seen: dict[str, Any], fields: dict[str, Any], words: str) -> None:
    killed = {"containers": [{"exitCode": 137, "reason": "OutOfMemoryError: Container killed"}]}

    (finding,) = look_at(service(**seen), [killed, killed], **fields)

    assert finding.verdict == "fail"
    assert words in finding.seen
    assert "2 of 2 stopped tasks: it ran out of memory" in finding.seen
    assert "raise the memory" in finding.advice


def test_what_the_newest_deployment_replaced_does_not_explain_it() -> None:
    replaced = {"startedBy": "ecs-svc/0", "stopCode": "UserInitiated", "stoppedReason": "Task stopped by user"}
    pulled = {"startedBy": "ecs-svc/1", "stoppedReason": "CannotPullContainerError: not found"}

    (finding,) = look_at(service(runningCount=1), [replaced, replaced, pulled])

    assert "1 of 1 stopped tasks: its image can't be pulled" in finding.seen


def test_without_a_stopped_task_the_events_of_the_service_tell() -> None:
    events = [
        {"message": "(service web) was unable to place a task because no container instance met its requirements"}
    ]

    (finding,) = look_at(service(runningCount=0, events=events), [])

    assert "there is no capacity for it" in finding.seen


def test_stopped_tasks_out_of_reach_leave_the_failure_a_failure() -> None:
    with script("ecs") as aws:
        aws.add_response("describe_services", {"services": [service(runningCount=0)]})
        aws.add_client_error("list_tasks", DENIED)

        finding = the_only({"service": {"cluster": "shop", "service": "web"}})

    assert finding.verdict == "fail"
    assert "can't be read" in finding.seen


def test_a_service_that_nobody_of_ours_stopped_fails(ledger: Ledger) -> None:
    (finding,) = look_at(service(desiredCount=0, runningCount=0))

    assert finding.verdict == "fail"
    assert "selfheal did not stop it" in finding.seen


def test_a_service_that_selfheal_stopped_is_stopped_on_purpose(ledger: Ledger) -> None:
    changed_by_selfheal(ledger, "stop_service", {"cluster": "shop", "service": "web"})

    (finding,) = look_at(service(desiredCount=0, runningCount=0))

    assert finding.verdict == "pass"
    assert "undo stop_service-1" in finding.seen


@pytest.mark.parametrize("seen", [None, service(status="INACTIVE")])
def test_a_service_that_is_not_there_fails(seen: dict[str, Any] | None) -> None:
    (finding,) = look_at(seen)

    assert (finding.verdict, finding.resource) == ("fail", "shop/web")


def test_a_cluster_that_is_missing_or_out_of_reach_is_no_matter_of_the_others() -> None:
    checks = [{"service": {"cluster": cluster, "service": "web"}} for cluster in ("gone", "forbidden", "shop")]
    with script("ecs") as aws:
        aws.add_client_error("describe_services", "ClusterNotFoundException")
        aws.add_client_error("describe_services", "AccessDeniedException")
        aws.add_response("describe_services", {"services": [service()]})

        assert told(*checks) == ["fail", "unknown", "pass"]


def test_twenty_four_services_in_two_clusters_are_four_calls_in_the_order_of_the_checks() -> None:
    names = [f"s{number}" for number in range(12)]
    with script("ecs") as aws:
        for cluster in ("a", "b"):
            for part in (names[:10], names[10:]):
                seen = [service(name) for name in reversed(part)]
                aws.add_response("describe_services", {"services": seen}, {"cluster": cluster, "services": part})

        checks = [{"service": {"cluster": cluster, "service": name}} for cluster in ("a", "b") for name in names]
        findings = found(*checks)

    assert [finding.resource for finding in findings] == [f"{c}/{name}" for c in ("a", "b") for name in names]
    assert {finding.verdict.value for finding in findings} == {"pass"}


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"stoppedReason": "CannotPullContainerError: pull image manifest has been retried"}, "image can't be pulled"),
        ({"stoppedReason": "ResourceInitializationError: unable to pull secrets or registry auth"}, "secrets"),
        ({"stoppedReason": "Task failed ELB health checks in (target-group arn:x)"}, "health check"),
        ({"stoppedReason": "Task failed container health checks"}, "health check"),
        ({"stoppedReason": "Timeout waiting for network interface provisioning to complete."}, "network interface"),
        ({"stoppedReason": "Capacity is unavailable at this time."}, "capacity"),
        ({"stopCode": "SpotInterruption", "stoppedReason": "SpotInterruption"}, "capacity"),
        (
            {
                "stopCode": "EssentialContainerExited",
                "stoppedReason": "Essential container in task exited",
                "containers": [{"exitCode": 3}, {"exitCode": 0}],
            },
            "exited with code 3",
        ),
        ({"stoppedReason": "Essential container in task exited", "containers": [{"exitCode": 137}]}, "137"),
        ({"stopCode": "UserInitiated", "stoppedReason": "Task stopped by user"}, "somebody stopped"),
        ({"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity"}, "no task says why"),
        ({}, "no task says why"),
    ],
)
def test_why_a_task_stopped(task: dict[str, Any], words: str) -> None:
    cause = explain([], [task])

    assert words in cause.told
    assert cause.advice


# -- targets ----------------------------------------------------------------------------------------------------------


def target(state: str, reason: str = "") -> dict[str, Any]:
    health = {"State": state, **({"Reason": reason, "Description": "told"} if reason else {})}
    return {"Target": {"Id": "10.0.0.7", "Port": 80}, "TargetHealth": health}


@pytest.mark.parametrize(
    ("targets", "fields", "mark", "words"),
    [
        ([target("healthy")], {}, "pass", "1 healthy"),
        (
            [target("healthy"), target("draining", "Target.DeregistrationInProgress")],
            {},
            "pass",
            "1 draining",
        ),
        ([], {}, "fail", "no target"),
        ([target("unhealthy", "Target.Timeout")], {}, "fail", "10.0.0.7:80 Target.Timeout told"),
        ([target("healthy"), target("unhealthy", "Target.Timeout")], {}, "fail", "1 healthy, 1 unhealthy"),
        ([target("healthy"), target("unhealthy")], {"at_most_unhealthy": 1}, "pass", "1 unhealthy"),
        ([target("healthy")], {"at_least": 2}, "fail", "1 healthy"),
        ([target("initial", "Elb.InitialHealthChecking")], {}, "unknown", "1 initial"),
        ([target("unused", "Target.NotInUse")], {}, "fail", "Target.NotInUse"),
    ],
)
def test_targets(targets: list[Any], fields: dict[str, Any], mark: str, words: str) -> None:
    with script("elbv2") as aws:
        aws.add_response("describe_target_health", {"TargetHealthDescriptions": targets}, {"TargetGroupArn": GROUP})

        finding = the_only({"targets": {"target_group": GROUP, **fields}})

    assert finding.verdict == mark
    assert words in finding.seen
    assert finding.advice or mark == "pass"


def test_a_target_group_may_be_named() -> None:
    with script("elbv2") as aws:
        aws.add_response("describe_target_groups", {"TargetGroups": [{"TargetGroupArn": GROUP}]}, {"Names": ["web"]})
        answer = {"TargetHealthDescriptions": [target("healthy")]}
        aws.add_response("describe_target_health", answer, {"TargetGroupArn": GROUP})

        assert told({"targets": "web"}) == ["pass"]


@pytest.mark.parametrize(("code", "mark"), [("TargetGroupNotFound", "fail"), (DENIED, "unknown")])
def test_a_target_group_that_is_not_there_or_out_of_reach(code: str, mark: str) -> None:
    with script("elbv2") as aws:
        aws.add_client_error("describe_target_groups", code)

        assert told({"targets": "web"}) == [mark]


def test_every_reason_of_an_unhealthy_target_has_an_advice() -> None:
    from selfheal.checks.targets import ADVICE  # noqa: PLC0415 - only here

    known = client("elbv2").meta.service_model.shape_for("TargetHealthReasonEnum").enum

    assert set(ADVICE) == set(known)
