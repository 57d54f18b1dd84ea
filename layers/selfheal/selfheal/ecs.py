"""What ECS says of a service, its deployments and its tasks, in JSON types.

Facts of AWS used here (ECS API reference; developer guide, "service deployments"): DescribeServices answers a missing
service under `failures` and keeps a deleted one as INACTIVE for a while; `rolloutState` is there for rolling updates
only, and not behind a Classic Load Balancer; the history of service deployments reaches back 90 days, and its order is
documented nowhere; DescribeServiceRevisions takes 20 ARNs, and an older revision is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from selfheal.aws_errors import AwsError, code_of, translate
from selfheal.clients import client
from selfheal.ecs_history import family_of, name_of, revision_of
from selfheal.errors import TargetNotFound
from selfheal.target import Target
from selfheal.words import Verdict

STARTING = ("PENDING", "IN_PROGRESS")
"""Statuses of a service deployment that leads forward and can be stopped with rollback."""
ROLLING_BACK = ("STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
IN_FLIGHT = (*STARTING, *ROLLING_BACK)
REVISIONS_PER_CALL = 20
STOPPED_TASKS = 5
"""So many reasons tell a person enough."""


def service_of(target: Target) -> dict[str, Any]:
    """The service, as far as an action looks at it. Raises TargetNotFound also for one that is being deleted."""
    cluster, name = target["cluster"], target["service"]
    try:
        answer = client("ecs").describe_services(cluster=cluster, services=[name])
    except AwsError as error:
        translate(error, f"service {name} of {cluster}")
    found = next(iter(answer["services"]), None)
    if found is None:
        why = next((failure.get("reason") for failure in answer.get("failures", [])), "MISSING")
        raise TargetNotFound(f"service {name} of {cluster}: {why}")
    if found["status"] != "ACTIVE":
        raise TargetNotFound(f"service {name} of {cluster} is {found['status']}: it is being deleted")
    return _service(found)


def _service(found: Mapping[str, Any]) -> dict[str, Any]:
    deployments = [_deployment(one) for one in found.get("deployments", [])]
    connect = [one.get("serviceConnectConfiguration") or {} for one in found.get("deployments", [])]
    requests = [kind for kind in ("loadBalancers", "serviceRegistries") if found.get(kind)]
    requests += ["vpcLatticeConfigurations"] if _any(found, "vpcLatticeConfigurations") else []
    requests += ["serviceConnectConfiguration"] if any(one.get("services") for one in connect) else []
    return {
        "controller": (found.get("deploymentController") or {}).get("type", "ECS"),
        "daemon": found.get("schedulingStrategy") == "DAEMON",
        "desired": found["desiredCount"],
        "running": found["runningCount"],
        "pending": found["pendingCount"],
        "task_definition": found.get("taskDefinition", ""),
        "latest_platform": found.get("launchType") == "FARGATE" and found.get("platformVersion") in {None, "LATEST"},
        "requests": requests,
        "deployments": deployments,
    }


def _any(found: Mapping[str, Any], member: str) -> bool:
    return any(one.get(member) for one in found.get("deployments", []))


def _deployment(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": one["id"],
        "status": one["status"],
        "task_definition": one.get("taskDefinition", ""),
        "rollout": one.get("rolloutState", ""),
        "reason": one.get("rolloutStateReason", ""),
        "desired": one.get("desiredCount", 0),
        "running": one.get("runningCount", 0),
        "failed": one.get("failedTasks", 0),
    }


def service_deployments(target: Target, statuses: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The service's deployments of the last 90 days, the oldest first; of these statuses only, if any are named."""
    asked: dict[str, Any] = {"cluster": target["cluster"], "service": target["service"]}
    asked |= {"status": list(statuses)} if statuses else {}
    found: list[dict[str, Any]] = []
    try:
        while True:
            answer = client("ecs").list_service_deployments(**asked)
            found += answer["serviceDeployments"]
            if not answer.get("nextToken"):
                break
            asked["nextToken"] = answer["nextToken"]
    except AwsError as error:
        translate(error, f"deployments of service {target['service']}")
    briefs = [
        {
            "arn": one["serviceDeploymentArn"],
            "status": one["status"],
            "revision": one.get("targetServiceRevisionArn", ""),
            "created": epoch(one.get("createdAt")) or 0.0,
        }
        for one in found
    ]
    return sorted(briefs, key=lambda one: one["created"])


def service_deployment(arn: str) -> dict[str, Any]:
    """One service deployment: its status, why, and the ARNs of the revisions that it came from."""
    try:
        answer = client("ecs").describe_service_deployments(serviceDeploymentArns=[arn])
    except AwsError as error:
        translate(error, f"service deployment {name_of(arn)}")
    one = next(iter(answer["serviceDeployments"]), None)
    if one is None:
        raise TargetNotFound(f"service deployment {name_of(arn)}")
    why = one.get("statusReason") or (one.get("rollback") or {}).get("reason") or ""
    sources = [source["arn"] for source in one.get("sourceServiceRevisions", [])]
    return {"status": one["status"], "reason": why, "sources": sources}


def revisions(arns: Iterable[str]) -> dict[str, dict[str, Any]]:
    """By ARN: task definition, and each container's image digest. What ECS has forgotten is left out."""
    wanted, found = list(dict.fromkeys(filter(None, arns))), {}
    for start in range(0, len(wanted), REVISIONS_PER_CALL):
        some = wanted[start : start + REVISIONS_PER_CALL]
        try:
            answer = client("ecs").describe_service_revisions(serviceRevisionArns=some)
        except AwsError as error:
            translate(error, "service revisions")
        for one in answer["serviceRevisions"]:
            images = {image["containerName"]: image.get("imageDigest", "") for image in one.get("containerImages", [])}
            found[one["serviceRevisionArn"]] = {"task_definition": one["taskDefinition"], "digests": images}
    return found


def task_definition(name: str) -> dict[str, Any] | None:
    """`family:revision` or its ARN: whether it is ACTIVE, its images and when it was registered; None if unknown."""
    try:
        found = client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]
    except AwsError as error:
        if code_of(error) == "ClientException":  # ECS has no code of its own for this
            return None
        translate(error, f"task definition {name}")
    images = {one["name"]: one.get("image", "") for one in found["containerDefinitions"]}
    return {
        "arn": found["taskDefinitionArn"],
        "status": found["status"],
        "images": images,
        "registered": epoch(found.get("registeredAt")),
    }


def registered(family: str) -> list[str]:
    """The ARNs of a family's ACTIVE task definitions, the newest first. The call takes a prefix for a family."""
    try:
        pages = client("ecs").get_paginator("list_task_definitions")
        found = pages.paginate(familyPrefix=family, status="ACTIVE", sort="DESC")
        arns = [arn for page in found for arn in page["taskDefinitionArns"]]
    except AwsError as error:
        translate(error, f"task definitions of {family}")
    return sorted((arn for arn in arns if family_of(arn) == family), key=revision_of, reverse=True)


def stop_reasons(target: Target, started_by: Iterable[str] = ()) -> list[str]:
    """Why tasks of the service have stopped within the last hour, those of these deployments if any are named.

    For a person only: what can't be read is left out.
    """
    ecs, cluster, ours = client("ecs"), target["cluster"], set(started_by)
    try:
        arns = ecs.list_tasks(cluster=cluster, serviceName=target["service"], desiredStatus="STOPPED")["taskArns"]
        tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    except AwsError as error:
        return [f"the reasons of stopped tasks cannot be read: {code_of(error)}"]
    found = [_why(task) for task in tasks if not ours or task.get("startedBy") in ours]
    return list(dict.fromkeys(found))[:STOPPED_TASKS]


def _why(task: Mapping[str, Any]) -> str:
    containers = [
        f"{one['name']}: {one.get('reason') or 'exit code ' + str(one['exitCode'])}"
        for one in task.get("containers", [])
        if one.get("reason") or one.get("exitCode")
    ]
    return "; ".join([task.get("stoppedReason", "no reason given"), *containers])


def rollout(deployment: Mapping[str, Any], service: Mapping[str, Any]) -> Verdict:
    """How far a deployment is. Where ECS tells no state of it, the service must be stable: one deployment, all run."""
    state = deployment["rollout"]
    if state:
        told = {"COMPLETED": Verdict.HOLDS, "FAILED": Verdict.DOES_NOT_HOLD}
        return told.get(state, Verdict.NOT_YET)
    stable = len(service["deployments"]) == 1 and service["running"] == service["desired"]
    return Verdict.HOLDS if stable else Verdict.NOT_YET


def mutable_images(images: Mapping[str, str]) -> list[str]:
    """Images named by a tag: the same name may be other code today."""
    return sorted({image for image in images.values() if image and "@sha256:" not in image})


def epoch(moment: datetime | None) -> float | None:
    """In epoch seconds."""
    return None if moment is None else moment.timestamp()
