"""Does an ECS service run as many tasks as it should, of one deployment? And if not, why not?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks import ours
from selfheal.checks.ecs_reasons import Cause, explain
from selfheal.checks.finding import Finding, Mark, Problem, findings, unknown
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

KIND = CheckKind(
    "service",
    "an ECS service runs as many tasks as it should, of one finished deployment; if not, why",
    {
        "cluster": named("cluster name"),
        "service": named("service name"),
        "desired": Field(int, help="exactly this many tasks are wanted; unset: as many as the service says, above 0"),
        "may_be_stopped": Field(bool, False, help="no task wanted is no finding (a stop by selfheal never is)"),
        "minutes": Field(int, 10, help="a deployment that takes longer is stuck"),
    },
    named_by=("cluster", "service"),
)
SERVICES = ("ecs", "dynamodb")
PERMISSIONS = ("ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ListTasks")

PER_CALL = 10
"""DescribeServices takes no more names."""
MAX_TASKS = 20
"""Stopped tasks that are looked at; ECS forgets them after an hour."""
FEWEST_FAILED, MOST_FAILED = 3, 200
"""Between these lies half the desired count: so many tasks in a row, none of which came up, and ECS' own circuit
breaker gives a deployment up (developer guide, deployment circuit breaker)."""

Seen = Mapping[str, Any]


def look_all(checks: Sequence[Check]) -> list[list[Finding]]:
    """DescribeServices per cluster, ten at a time; ListTasks and DescribeTasks only for a service that is not well."""
    found: dict[tuple[str, str], list[Finding] | Seen | None] = {}
    for cluster in dict.fromkeys(check["cluster"] for check in checks):
        of_cluster = [check for check in checks if check["cluster"] == cluster]
        names = list(dict.fromkeys(check["service"] for check in of_cluster))
        for start in range(0, len(names), PER_CALL):
            some = names[start : start + PER_CALL]
            found.update({(cluster, name): one for name, one in _describe(cluster, some).items()})
    return [_judge(check, found[check["cluster"], check["service"]]) for check in checks]


def _describe(cluster: str, names: Sequence[str]) -> Mapping[str, Any]:
    """Per name: the service, None if there is none, or the error that stands for all of them."""
    try:
        answer = client("ecs").describe_services(cluster=cluster, services=list(names))
        services = {one["serviceName"]: one for one in answer["services"] if one.get("status") != "INACTIVE"}
        return {name: services.get(name) for name in names}
    except AwsError as error:
        try:
            translate(error, f"services of cluster {cluster}")
        except TargetNotFound:
            return dict.fromkeys(names)
        except (TargetForbidden, Unreadable, NotApplied) as unreadable:
            return dict.fromkeys(names, unreadable)


def _judge(check: Check, seen: Any) -> list[Finding]:
    if isinstance(seen, Exception):
        return [unknown(check, str(seen))]
    if seen is None:
        advice = "correct cluster or name, or deploy it; a deleted service is INACTIVE and counts as none"
        return findings(check, [Problem("there is no such service", "it exists", advice)], "")
    if not seen["desiredCount"] and not check["desired"]:
        return _stopped(check, seen)
    problems = [*_draining(seen), *_deployments(check, seen), *_tasks(check, seen)]
    told = f"{seen['runningCount']} of {seen['desiredCount']} tasks run, deployed by {_controller(seen)}"
    if not any(problem.verdict is Mark.FAIL for problem in problems):
        return findings(check, problems, told)
    cause = _why(check, seen)
    return findings(check, [_explained(problem, cause) for problem in problems], told)


def _controller(seen: Seen) -> str:
    return str(seen.get("deploymentController", {}).get("type", "ECS"))


def _stopped(check: Check, seen: Seen) -> list[Finding]:
    if check["may_be_stopped"] or check["desired"] == 0:
        return findings(check, [], "it is stopped, which is as expected")
    if stop := ours.open_change(f"service:{check.resource}", "stop_service", "scale_service"):
        return findings(check, [], f"it is stopped on purpose: {ours.told(stop)}")
    if seen.get("schedulingStrategy") == "DAEMON":
        problem = Problem("a daemon with no task: no instance fits", "at least one", "add instances to the cluster")
    else:
        advice = "scale_service starts it again. Is it stopped on purpose, set may_be_stopped here"
        problem = Problem("its desired count is 0 and selfheal did not stop it", "more than 0", advice)
    return findings(check, [problem], "")


def _draining(seen: Seen) -> list[Problem]:
    if seen.get("status") == "ACTIVE":
        return []
    return [Problem(f"its status is {seen.get('status')}", "ACTIVE", "it is being deleted; deploy it again")]


def _deployments(check: Check, seen: Seen) -> list[Problem]:
    """Of the rolling deployments of ECS itself; those of CodeDeploy are task sets without a rollout state. One that is
    INACTIVE has been replaced completely: what became of it is no matter of the service."""
    deployments = [one for one in seen.get("deployments", []) if one.get("status") != "INACTIVE"]
    problems = []
    for one in deployments:
        state = one.get("rolloutState")
        age_min = (datetime.now(UTC) - one["createdAt"]).total_seconds() / 60
        if state == "FAILED":
            told = f"deployment {one['id']} failed: {one.get('rolloutStateReason', 'no reason given')}"
            problems.append(Problem(told, "COMPLETED", "roll_back_service, unless the circuit breaker did"))
        elif state == "IN_PROGRESS" and one.get("status") == "PRIMARY":
            told = f"deployment {one['id']} runs for {age_min:.0f} minutes"
            failed = one.get("failedTasks", 0)
            if failed:
                told += f", {failed} tasks failed"
            problem = _taking_its_time(told, age_min, check["minutes"])
            if problem.verdict is not Mark.FAIL and failed >= _too_many(seen["desiredCount"]):
                problem = Problem(f"{told}: its tasks do not come up", "one, COMPLETED", "roll_back_service ends it")
            problems.append(problem)
    if len(deployments) > 1 and not problems:
        told = f"{len(deployments)} deployments are there"
        newest = max(deployments, key=lambda one: one["createdAt"])
        age_min = (datetime.now(UTC) - newest["createdAt"]).total_seconds() / 60
        problems.append(_taking_its_time(told, age_min, check["minutes"]))
    return problems


def _too_many(desired: int) -> int:
    return max(FEWEST_FAILED, min(MOST_FAILED, -(-desired // 2)))


def _taking_its_time(told: str, age_min: float, limit_min: int) -> Problem:
    if age_min <= limit_min:
        return Problem(told, "one, COMPLETED", f"wait: it may take {limit_min} minutes", Mark.UNKNOWN)
    return Problem(f"{told}: it is stuck", "one, COMPLETED", "roll_back_service ends it")


def _tasks(check: Check, seen: Seen) -> list[Problem]:
    running, desired = seen["runningCount"], seen["desiredCount"]
    problems = []
    wanted = check["desired"]
    if wanted is not None and desired != wanted:
        advice = "scale_service, if nobody did this on purpose; Application Auto Scaling may have"
        problems.append(Problem(f"its desired count is {desired}", str(wanted), advice))
    if running < desired:
        told = f"{running} of {desired} tasks run, {seen.get('pendingCount', 0)} are starting"
        problems.append(Problem(told, f"{desired} running", "restart_service only helps if nothing is wrong with it"))
    elif running > desired:
        told = f"{running} tasks run"
        problems.append(Problem(told, str(desired), "wait: the others are being stopped", Mark.UNKNOWN))
    return problems


def _why(check: Check, seen: Seen) -> Cause:
    where = {"cluster": check["cluster"]}
    try:
        stopped = client("ecs").list_tasks(
            **where, serviceName=check["service"], desiredStatus="STOPPED", maxResults=MAX_TASKS
        )
        arns = stopped["taskArns"]
        tasks = client("ecs").describe_tasks(**where, tasks=arns)["tasks"] if arns else []
        newest = {one["id"] for one in seen.get("deployments", []) if one.get("status") == "PRIMARY"}
        tasks = [one for one in tasks if one.get("startedBy") in newest] or tasks  # else what it replaced outweighs it
    except AwsError as error:
        return Cause(f"its stopped tasks can't be read: {error}"[:300], "look at them by hand")
    return explain(seen.get("events", []), tasks)


def _explained(problem: Problem, cause: Cause) -> Problem:
    if problem.verdict is not Mark.FAIL:
        return problem
    return Problem(f"{problem.seen}. {cause.told}", problem.expected, f"{cause.advice}; {problem.advice}")
