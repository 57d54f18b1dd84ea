"""An ECS service: its events, why its tasks stopped, its last deployments. All of it is gone soon after a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import TargetNotFound
from selfheal.evidence.found import Found, Look, only

PERMISSIONS = (
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListServiceDeployments",
    "ecs:ListTasks",
)
MAX_TASKS = 100
"""As many as DescribeTasks takes. ECS keeps stopped tasks for about an hour."""
MAX_DEPLOYMENTS = 10
_SERVICE = (
    "serviceArn",
    "status",
    "desiredCount",
    "runningCount",
    "pendingCount",
    "taskDefinition",
    "deployments",
    "events",
    "deploymentController",
    "currentServiceDeployment",
)
_TASK = (
    "taskArn",
    "taskDefinitionArn",
    "lastStatus",
    "desiredStatus",
    "healthStatus",
    "startedBy",
    "startedAt",
    "stoppingAt",
    "stoppedAt",
    "stopCode",
    "stoppedReason",
)
_CONTAINER = ("name", "image", "imageDigest", "lastStatus", "exitCode", "reason", "healthStatus")


def service(look: Look) -> dict[str, Any]:
    """What DescribeServices says of it."""
    cluster, name = look.target["cluster"], look.target["service"]
    try:
        answer = client("ecs").describe_services(cluster=cluster, services=[name])
    except AwsError as error:
        translate(error, f"service {name}")
    if not answer["services"]:
        raise TargetNotFound(f"service {name}: {answer.get('failures')}")
    return only(answer["services"][0], *_SERVICE)


def events(seen: Mapping[str, Any]) -> Found:
    """Counts, deployments and the last hundred events, as ECS keeps them."""
    counts = f"{seen.get('runningCount')} of {seen.get('desiredCount')} tasks run"
    return Found(f"{counts}; {len(seen.get('events', ()))} events", dict(seen))


def stopped(look: Look) -> Found:
    """The tasks that stopped, each with its stop code, reason and exit codes."""
    cluster, name = look.target["cluster"], look.target["service"]
    try:
        arns = client("ecs").list_tasks(
            cluster=cluster, serviceName=name, desiredStatus="STOPPED", maxResults=MAX_TASKS
        )["taskArns"]
        tasks = client("ecs").describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    except AwsError as error:
        translate(error, f"stopped tasks of {name}")
    told = [
        {**only(task, *_TASK), "containers": [only(one, *_CONTAINER) for one in task.get("containers", ())]}
        for task in tasks
    ]
    codes = Counter(str(task.get("stopCode", "no stop code")) for task in told)
    said = ", ".join(f"{count} {code}" for code, count in codes.most_common(5))
    return Found(f"{len(told)} stopped tasks" + (f": {said}" if said else ""), {"tasks": told})


def deployments(look: Look) -> Found:
    """The last deployments of the service, the newest first; ECS does not say in which order it lists them."""
    cluster, name = look.target["cluster"], look.target["service"]
    try:
        listed = client("ecs").list_service_deployments(cluster=cluster, service=name)["serviceDeployments"]
    except AwsError as error:
        translate(error, f"deployments of service {name}")
    newest = sorted(listed, key=lambda one: str(one.get("createdAt", "")), reverse=True)[:MAX_DEPLOYMENTS]
    last = f", the last one {newest[0].get('status')}" if newest else ""
    return Found(f"{len(listed)} deployments{last}", {"deployments": newest})


def log_groups(seen: Mapping[str, Any]) -> list[str]:
    """Where the containers of its task definition log to by `awslogs`."""
    name = seen.get("taskDefinition", "")
    try:
        answer = client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]
    except AwsError as error:
        translate(error, f"task definition {name}")
    logs = [one.get("logConfiguration", {}) for one in answer.get("containerDefinitions", ())]
    groups = [one.get("options", {}).get("awslogs-group") for one in logs if one.get("logDriver") == "awslogs"]
    return [str(group) for group in dict.fromkeys(groups) if group]
