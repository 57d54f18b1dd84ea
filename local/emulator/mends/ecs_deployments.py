"""Deployments of ECS services that take time, come up or fail, are listed, stopped and taken back.

Stock ministack 1.5.33 without Docker runs a service's tasks at once whatever they are, knows no service deployment and
no service revision (its lists are empty, StopServiceDeployment is refused), counts failed tasks for the circuit breaker
alone, keeps a deployment that was rolled back ACTIVE for ever, says that a user stopped the tasks that a deployment
replaced, and lets UpdateService do what ECS refuses: a task definition that is INACTIVE or missing, one for a service
that CodeDeploy or an external controller deploys, a desired count for a DAEMON service.

AWS (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html, …/API_ServiceDeployment.html,
…/API_StopServiceDeployment.html; …/developerguide/service-deployment.html, …/stop-service-deployment.html,
…/deployment-circuit-breaker.html): a deployment is IN_PROGRESS until its tasks run, and the tasks of the one before it
run so long; the circuit breaker gives it up after so many failures, and with rollback the one before comes back
(ROLLBACK_IN_PROGRESS, then ROLLBACK_SUCCESSFUL). `failedTasks` are those in a row that did not come up, and 0 once one
runs; a deployment that has been replaced completely is INACTIVE (…/API_Deployment.html). StopServiceDeployment does
the same on request; what is rolling back goes on, and what is over is a ConflictException. Each deployment captures a
revision: task definition and digests of its images.

A model, and how far it goes: rolling updates of the ECS controller. A task runs ECS_TASK_START_SECONDS after it was
placed, unless a container has FAIL=1 in its environment (it exits with 1) or a tag with `broken` in it (it can't be
pulled). A digest is a hash of the image's name, so a mutable tag never moves. Blue/green and canary strategies, hooks,
deployment alarms, health checks, deployments of CodeDeploy and task sets are not there. A first deployment can't be
stopped, since nothing is before it; what AWS answers then is not documented.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import (
    AccountRegionScopedDict,
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    request_scope,
)
from ministack.services import ecs

from local.emulator.mends import hook

SECONDS = float(os.environ.get("ECS_TASK_START_SECONDS", "30"))
UNDER_WAY = {"PENDING", "IN_PROGRESS"}
GOING_BACK = {"STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"}
MOST_PER_CALL = 20
NOT_BY_CODE_DEPLOY = {
    "taskDefinition": "task definition",
    "forceNewDeployment": "deployment",
    "networkConfiguration": "network parameters",
    "platformVersion": "platform version",
    "loadBalancers": "load balancers",
}
ROLLING_BACK = "ECS deployment rollback in progress."
"""How stock marks the deployment that comes back."""
DAEMON = "The daemon scheduling strategy does not support a desired count for services. Remove it and try again"

BY_SCHEDULER = {
    "Deployment capacity limit",
    "Deployment completed",
    "Service scaling down",
    "Task definition updated",
}
"""Why stock stops a task of a service by itself."""

_deployments = AccountRegionScopedDict()
"""cluster/service → its service deployments, the oldest first."""
_revisions = AccountRegionScopedDict()
_lock = threading.RLock()


class EcsError(Exception):
    """An error of ECS's API: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class ServiceDeployment:
    """One service deployment; `rollout` is the id of its deployment in DescribeServices."""

    arn: str
    service: str
    cluster: str
    rollout: str
    target: str
    sources: list[str]
    status: str = "IN_PROGRESS"
    reason: str = ""
    created: float = field(default_factory=time.time)
    finished: float | None = None
    rollback: dict[str, Any] | None = None

    def brief(self) -> dict[str, Any]:
        told = {
            "serviceDeploymentArn": self.arn,
            "serviceArn": self.service,
            "clusterArn": self.cluster,
            "createdAt": self.created,
            "startedAt": self.created,
            "finishedAt": self.finished,
            "targetServiceRevisionArn": self.target,
            "status": self.status,
            "statusReason": self.reason or None,
        }
        return {name: value for name, value in told.items() if value is not None}

    def described(self) -> dict[str, Any]:
        told = self.brief()
        del told["targetServiceRevisionArn"]
        told["targetServiceRevision"] = {"arn": self.target}
        told["sourceServiceRevisions"] = [{"arn": arn} for arn in self.sources]
        return told | ({"rollback": self.rollback} if self.rollback else {})

    def end(self, status: str) -> None:
        self.status, self.finished = status, time.time()


# -- following what stock does with a service's deployments -----------------------------------------------------------


def _follow(key: str) -> list[ServiceDeployment]:
    """The service's deployments, brought up to date with those of DescribeServices."""
    with _lock:
        service = ecs._services.get(key)
        known: list[ServiceDeployment] = _deployments.get(key) or []
        if service is None:
            return known
        by_id = {one["id"]: one for one in service["deployments"]}
        for rollout in reversed(service["deployments"]):
            if rollout["id"] not in {one.rollout for one in known}:
                known = [*known, _begun(service, rollout, known)]
        _deployments[key] = known
        primary = ecs._primary_deployment(service) or {}
        for one in known:
            _bring_up_to_date(one, by_id.get(one.rollout), primary, known)
        service["currentServiceDeployment"] = known[-1].arn if known else None
        _replaced(service, primary)
        return known


def _replaced(service: dict[str, Any], primary: dict[str, Any]) -> None:
    for one in service["deployments"]:
        failed = one is not primary and one["rolloutState"] == "FAILED"
        if failed and primary.get("rolloutState") == "COMPLETED" and not one["runningCount"] + one["pendingCount"]:
            one["status"] = "INACTIVE"


def _begun(service: dict[str, Any], rollout: dict[str, Any], known: list[ServiceDeployment]) -> ServiceDeployment:
    name = service["serviceArn"].partition(":service/")[2]
    prefix = f"arn:aws:ecs:{get_region()}:{get_account_id()}"
    revision = f"{prefix}:service-revision/{name}/{secrets.randbits(60)}"
    _revisions[revision] = {
        "serviceRevisionArn": revision,
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "taskDefinition": rollout["taskDefinition"],
        "containerImages": _images(rollout["taskDefinition"]),
        "createdAt": time.time(),
    }
    done = [one.target for one in known if one.status == "SUCCESSFUL"]
    return ServiceDeployment(
        f"{prefix}:service-deployment/{name}/{secrets.token_urlsafe(16)}",
        service["serviceArn"],
        service["clusterArn"],
        rollout["id"],
        revision,
        done[-1:],
    )


def _bring_up_to_date(
    one: ServiceDeployment, rollout: dict[str, Any] | None, primary: dict[str, Any], known: list[ServiceDeployment]
) -> None:
    if one.status in UNDER_WAY and rollout and rollout["rolloutState"] == "COMPLETED":
        one.end("SUCCESSFUL")
    elif one.status in UNDER_WAY and rollout and rollout["rolloutState"] == "FAILED":
        one.reason = rollout["rolloutStateReason"]
        if rollout is primary:  # the breaker gave it up, and rolls nothing back
            one.end("STOPPED")
        else:
            _goes_back(one)
    elif one.status in UNDER_WAY and one is not known[-1]:
        one.reason = "superseded by a newer deployment"
        one.end("STOPPED")
    if one.status in GOING_BACK and one is not known[-1]:
        one.end("ROLLBACK_FAILED")
    elif one.status in GOING_BACK and primary.get("rolloutState") == "COMPLETED":
        one.end("ROLLBACK_SUCCESSFUL")


def _goes_back(one: ServiceDeployment) -> None:
    one.status = "ROLLBACK_IN_PROGRESS"
    one.rollback = {"reason": one.reason, "startedAt": time.time(), "serviceRevisionArn": (one.sources or [""])[0]}


def _images(definition: str) -> list[dict[str, str]]:
    found = ecs._task_defs.get(ecs._resolve_td_key(definition)) or {"containerDefinitions": []}
    return [
        {"containerName": one["name"], "image": one["image"], "imageDigest": _digest(one["image"])}
        for one in found["containerDefinitions"]
    ]


def _digest(image: str) -> str:
    return image.partition("@")[2] or f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


# -- tasks ------------------------------------------------------------------------------------------------------------


def _run_task(data: dict[str, Any]) -> Any:
    """Those of a service are pending at first; afterwards they run, or they fail."""
    before = set(ecs._tasks.keys())
    answer = _stock_run_task(data)
    if not data.get("group", "").startswith("service:") or ecs._get_docker():
        return answer
    placed = [task for arn, task in list(ecs._tasks.items()) if arn not in before and task["group"] == data["group"]]
    for task in placed:
        task.update(
            lastStatus="PENDING", startedAt=None, _startup_stable=False, startedBy=data.get("_deploymentId", "")
        )
    if placed:
        where = (get_account_id(), get_region())
        timer = threading.Timer(SECONDS, _started, args=(placed, *where))
        timer.daemon = True
        timer.start()
    return answer


def _started(tasks: list[dict[str, Any]], account: str, region: str) -> None:
    with request_scope(account, region):
        for task in tasks:
            if ecs._tasks.get(task["taskArn"]) is not task or task["lastStatus"] != "PENDING":
                continue
            failure = _failure(task["taskDefinitionArn"])
            if failure:
                reason, code, exit_code = failure
                ecs._mark_task_stopped(task["taskArn"], task, reason, code, exit_code=exit_code)
            else:
                task.update(lastStatus="RUNNING", startedAt=ecs._iso(), _startup_stable=True)
                _service_and_rollout(task)[1]["failedTasks"] = 0
        cluster = ecs._cluster_name_from_arn(tasks[0]["clusterArn"])
        key = f"{cluster}/{tasks[0]['group'].partition(':')[2]}"
        ecs._refresh_service_state(cluster, tasks[0]["group"])
        ecs._reconcile_service_tasks(cluster, key)  # what was waiting for room
        ecs._complete_service_deployment(cluster, key)
        _follow(key)


def _task_failed(task: dict[str, Any], *arguments: Any, **named: Any) -> None:
    """Counted whether the circuit breaker is on or not; where it is, stock counts."""
    service, rollout = _service_and_rollout(task)
    breaker = (service.get("deploymentConfiguration") or {}).get("deploymentCircuitBreaker") or {}
    if not breaker.get("enable") and rollout.get("rolloutState") == "IN_PROGRESS":
        rollout["failedTasks"] += 1
    _stock_task_failed(task, *arguments, **named)


def _task_stopped(arn: str, task: dict[str, Any], reason: str, stop_code: str, *arguments: Any, **named: Any) -> Any:
    """The scheduler's own stops are told as such (developer guide, stopped task error codes)."""
    if reason in BY_SCHEDULER:
        reason = f"Scaling activity initiated by (deployment {task.get('startedBy', '')})"
        stop_code = "ServiceSchedulerInitiated"
    return _stock_task_stopped(arn, task, reason, stop_code, *arguments, **named)


def _service_and_rollout(task: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The service that a task is of, and which of its deployments; both are empty for any other task."""
    name = task.get("group", "").partition("service:")[2]
    service = ecs._services.get(f"{ecs._cluster_name_from_arn(task['clusterArn'])}/{name}") or {}
    return service, (ecs._deployment_for_task(service, task) if service else None) or {}


def _complete(cluster: str, key: str, *arguments: Any, **named: Any) -> None:
    """A rollback whose tasks still run takes its time as well."""
    primary = ecs._primary_deployment(ecs._services.get(key) or {}) or {}
    if primary.get("rolloutState") == "IN_PROGRESS" and primary.get("rolloutStateReason") == ROLLING_BACK:
        if time.time() < primary.setdefault("_not_before", time.time() + SECONDS):
            return
        del primary["_not_before"]
    _stock_complete(cluster, key, *arguments, **named)


def _failure(definition: str) -> tuple[str, str, int | None] | None:
    """Why a task does not come up: its stopped reason, stop code and exit code."""
    found = ecs._task_defs.get(ecs._resolve_td_key(definition)) or {"containerDefinitions": []}
    for one in found["containerDefinitions"]:
        if "broken" in one["image"].rpartition("/")[2].partition(":")[2]:
            reason = f"CannotPullContainerError: pull image manifest has been retried: {one['image']}: not found"
            return reason, "TaskFailedToStart", None
        if {"name": "FAIL", "value": "1"} in one.get("environment", []):
            return "Essential container in task exited", "EssentialContainerExited", 1
    return None


# -- calls ------------------------------------------------------------------------------------------------------------


def _create_service(data: dict[str, Any]) -> Any:
    answer = _stock_create_service(data)
    if answer[0] != 200:
        return answer
    key, service = _service(data, "serviceName")
    _deployments.pop(key, None)
    if service["desiredCount"]:
        service["deployments"][0].update(rolloutState="IN_PROGRESS", rolloutStateReason="")
    _follow(key)
    return json_response({"service": ecs._sanitize(service)})


def _update_service(data: dict[str, Any]) -> Any:
    try:
        key, service = _service(data)
        data = _allowed(service, data)
    except EcsError as error:
        return error_response_json(error.code, str(error), 400)
    _follow(key)
    answer = _stock_update_service(data)
    _follow(key)
    return answer


def _allowed(service: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The request with an exact task definition, unless ECS refuses it."""
    controller = (service.get("deploymentController") or {}).get("type", "ECS")
    if service["status"] != "ACTIVE":
        raise EcsError("ServiceNotActiveException", "Service was not ACTIVE.")
    if service.get("schedulingStrategy") == "DAEMON" and data.get("desiredCount") is not None:
        raise EcsError("InvalidParameterException", DAEMON)
    for member, what in NOT_BY_CODE_DEPLOY.items():
        if controller != "ECS" and data.get(member):
            message = f"Unable to update {what} on services with a {controller} deployment controller."
            if member == "forceNewDeployment":
                message = f"Cannot force a new deployment on services with a {controller} deployment controller."
            raise EcsError("InvalidParameterException", message)
    if data.get("taskDefinition") is None:
        return data
    return {**data, "taskDefinition": _usable(data["taskDefinition"])}


def _usable(name: str) -> str:
    """The ARN of the ACTIVE task definition; of a family, the latest one's."""
    asked = name.rpartition("/")[2]
    if ":" not in asked:
        active = [one for one in ecs._task_defs.values() if one["family"] == asked and one["status"] == "ACTIVE"]
        if not active:
            raise EcsError("ClientException", "Unable to describe task definition.")
        return str(max(active, key=lambda one: one["revision"])["taskDefinitionArn"])
    found = ecs._task_defs.get(asked)
    if found is None:
        raise EcsError("ClientException", "Unable to describe task definition.")
    if found["status"] != "ACTIVE":
        raise EcsError("ClientException", "TaskDefinition is inactive")
    return str(found["taskDefinitionArn"])


def _describe_services(data: dict[str, Any]) -> Any:
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    for key in [key for key in ecs._services if key.startswith(f"{cluster}/")]:
        _follow(key)
    return _stock_describe_services(data)


def _list(data: dict[str, Any]) -> dict[str, Any]:
    key, _ = _service(data)
    window, statuses = data.get("createdAt") or {}, data.get("status")
    found = [
        one.brief()
        for one in reversed(_follow(key))
        if (not statuses or one.status in statuses)
        and _seconds(window.get("after"), 0.0) <= one.created <= _seconds(window.get("before"), float("inf"))
    ]
    start, most = int(data.get("nextToken") or 0), int(data.get("maxResults") or 100)
    more = {"nextToken": str(start + most)} if len(found) > start + most else {}
    return {"serviceDeployments": found[start : start + most], **more}


def _seconds(given: Any, otherwise: float) -> float:
    return otherwise if given is None else float(given)


def _describe(data: dict[str, Any]) -> dict[str, Any]:
    wanted = _few(data["serviceDeploymentArns"])
    known = {one.arn: one for one in _all()}
    return {
        "serviceDeployments": [known[arn].described() for arn in wanted if arn in known],
        "failures": [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in known],
    }


def _describe_revisions(data: dict[str, Any]) -> dict[str, Any]:
    wanted = _few(data["serviceRevisionArns"])
    return {
        "serviceRevisions": [_revisions[arn] for arn in wanted if arn in _revisions],
        "failures": [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in _revisions],
    }


def _stop(data: dict[str, Any]) -> dict[str, Any]:
    """Back to what was before: as the circuit breaker does it, whether it is configured or not."""
    arn = data["serviceDeploymentArn"]
    one = next((one for one in _all() if one.arn == arn), None)
    if one is None:
        raise EcsError("ServiceDeploymentNotFoundException", "The service deployment was not found.")
    if data.get("stopType", "ROLLBACK") != "ROLLBACK":
        raise EcsError("InvalidParameterException", "The valid values are ROLLBACK.")
    if one.status in GOING_BACK:
        return {"serviceDeploymentArn": arn}
    if one.status not in UNDER_WAY:
        raise EcsError("ConflictException", f"The service deployment is {one.status}.")
    if not one.sources:
        raise EcsError("InvalidParameterException", "There is no revision before this deployment.")
    cluster, _, name = one.service.partition(":service/")[2].partition("/")
    service = ecs._services[f"{cluster}/{name}"]
    with ecs.resource_lock("ecs-service", f"{cluster}/{name}"):
        rollouts = service["deployments"]
        stopped = next(each for each in rollouts if each["id"] == one.rollout)
        stopped.update(status="ACTIVE", rolloutState="FAILED", rolloutStateReason="stopped on request", desiredCount=0)
        back = next((each for each in rollouts if each["rolloutState"] == "COMPLETED"), None)
        if back is None:
            back = ecs._make_deployment(_revisions[one.sources[0]]["taskDefinition"], 0)
            rollouts.append(back)
        back.update(status="PRIMARY", rolloutState="IN_PROGRESS", rolloutStateReason=ROLLING_BACK)
        back["desiredCount"] = service["desiredCount"]
        service["taskDefinition"] = back["taskDefinition"]
    one.reason = "Service deployment rolled back because it was stopped on request."
    _goes_back(one)
    _known_as(one, back["id"], f"{cluster}/{name}")
    ecs._reconcile_service_tasks(cluster, f"{cluster}/{name}")
    ecs._schedule_service_deployment_completion(cluster, f"{cluster}/{name}", get_account_id(), get_region())
    return {"serviceDeploymentArn": arn}


def _known_as(one: ServiceDeployment, rollout: str, key: str) -> None:
    """A rollback belongs to the service deployment that it takes back, and is none of its own."""
    if rollout not in {each.rollout for each in _deployments[key]}:
        one.rollout = rollout


def _all() -> Iterator[ServiceDeployment]:
    for key in list(_deployments.keys()):
        yield from _follow(key)


def _few(arns: list[str]) -> list[str]:
    if len(arns) > MOST_PER_CALL:
        raise EcsError("InvalidParameterException", f"at most {MOST_PER_CALL} ARNs")
    return arns


def _service(data: dict[str, Any], member: str = "service") -> tuple[str, dict[str, Any]]:
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    if cluster is None or cluster not in ecs._clusters:
        raise EcsError("ClusterNotFoundException", "Cluster not found.")
    name = (ecs._resolve_service_ref(data.get(member, "")) or ("",))[0]
    key = f"{cluster}/{name}"
    if key not in ecs._services:
        raise EcsError("ServiceNotFoundException", "Service not found.")
    return key, ecs._services[key]


def _call(act: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], Any]:
    def answer(data: dict[str, Any]) -> Any:
        try:
            return json_response(json.loads(json.dumps(act(data))))
        except EcsError as error:
            return error_response_json(error.code, str(error), 400)

    return answer


def reset() -> None:
    _deployments.clear()
    _revisions.clear()


def apply() -> None:
    global _stock_run_task, _stock_create_service, _stock_update_service, _stock_describe_services  # noqa: PLW0603
    global _stock_complete, _stock_task_failed, _stock_task_stopped  # noqa: PLW0603
    _stock_run_task = hook(ecs, "_run_task", _run_task)
    _stock_create_service = hook(ecs, "_create_service", _create_service)
    _stock_update_service = hook(ecs, "_update_service", _update_service)
    _stock_describe_services = hook(ecs, "_describe_services", _describe_services)
    _stock_complete = hook(ecs, "_complete_service_deployment", _complete)
    _stock_task_failed = hook(ecs, "_record_service_task_failure", _task_failed)
    _stock_task_stopped = hook(ecs, "_mark_task_stopped", _task_stopped)
    hook(ecs, "_ECS_DEPLOYMENT_STEADY_DELAY", SECONDS + 0.1)
    hook(ecs, "_ACTION_MAP", ecs._ACTION_MAP)
    ecs._ACTION_MAP.update(
        {
            "RunTask": _run_task,
            "CreateService": _create_service,
            "UpdateService": _update_service,
            "DescribeServices": _describe_services,
            "ListServiceDeployments": _call(_list),
            "DescribeServiceDeployments": _call(_describe),
            "StopServiceDeployment": _call(_stop),
            "DescribeServiceRevisions": _call(_describe_revisions),
        }
    )


_stock_run_task: Any = None
_stock_create_service: Any = None
_stock_update_service: Any = None
_stock_describe_services: Any = None
_stock_complete: Any = None
_stock_task_failed: Any = None
_stock_task_stopped: Any = None
