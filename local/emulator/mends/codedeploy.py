"""CodeDeploy for functions: deployments that really shift an alias's weights, and can be stopped and rolled back.

Stock ministack 1.5.33 has no CodeDeploy: every call is refused, and so is a template with one of its types.

AWS (https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-steps-lambda.html, …/deployments-stop.html,
…/deployments-rollback-and-redeploy.html, https://docs.aws.amazon.com/codedeploy/latest/APIReference): while it shifts,
the alias keeps the current version and the target version is an additional one that takes more and more of the traffic;
then the alias points at the target alone. A deployment that is stopped with rollback is followed by a new one, whose
creator is ``codeDeployRollback``; stopped without, the alias stays weighted and the next deployment fails. Deployments
are listed for an application together with a group, or for neither.

The model is the Lambda platform alone, without hooks and alarms: what is needed to meet, stop and undo a shift. Through
CloudFormation an application and a group are registered, and the alias moves at once. A minute of a deployment
configuration is ``CODEDEPLOY_MINUTE_SECONDS`` here.
"""

from __future__ import annotations

import contextvars
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml
from ministack.core import iam_actions, router
from ministack.core.responses import (
    AccountRegionScopedDict,
    get_account_id,
    get_region,
    new_uuid,
)
from ministack.services import eventbridge, lambda_svc
from ministack.services.cloudformation import provisioners

from local.emulator.json_api import ApiError, handler, operation_of
from local.emulator.mends import MendError, hook

MINUTE = float(os.environ.get("CODEDEPLOY_MINUTE_SECONDS", "60"))
ACTIVE = {"Created", "Queued", "InProgress", "Baking", "Ready"}
BATCH_LIMIT = 25
_EVENTS = {"InProgress": "START", "Succeeded": "SUCCESS", "Failed": "FAILURE", "Stopped": "STOP"}

_applications = AccountRegionScopedDict()
_groups = AccountRegionScopedDict()
_deployments = AccountRegionScopedDict()


@dataclass
class Deployment:
    """One shift of one alias."""

    application: str
    group: str
    config: str
    revision: dict[str, Any]
    function: str
    alias: str
    current: str
    target: str
    creator: str = "user"
    rollback: dict[str, str] = field(default_factory=dict)
    status: str = "Created"
    error: dict[str, str] = field(default_factory=dict)
    weight: float = 0.0  # percent
    identifier: str = field(default_factory=lambda: "d-" + secrets.token_hex(5).upper()[:9])
    created: float = field(default_factory=time.time)
    completed: float | None = None
    auto_rollback: dict[str, Any] = field(default_factory=dict)
    wake: threading.Event = field(default_factory=threading.Event)

    def described(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "applicationName": self.application,
            "deploymentGroupName": self.group,
            "deploymentId": self.identifier,
            "deploymentConfigName": self.config,
            "revision": self.revision,
            "status": self.status,
            "createTime": self.created,
            "startTime": self.created,
            "completeTime": self.completed,
            "creator": self.creator,
            "computePlatform": "Lambda",
            "errorInformation": self.error or None,
            "rollbackInfo": self.rollback or None,
            "autoRollbackConfiguration": self.auto_rollback or None,
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        }
        return {name: value for name, value in told.items() if value is not None}

    @property
    def target_id(self) -> str:
        return f"{self.function}:{self.alias}"

    def described_target(self) -> dict[str, Any]:
        info = {
            "functionName": self.function,
            "functionAlias": self.alias,
            "currentVersion": self.current,
            "targetVersion": self.target,
            "targetVersionWeight": self.weight,
        }
        return {
            "deploymentTargetType": "LambdaTarget",
            "lambdaTarget": {
                "deploymentId": self.identifier,
                "targetId": self.target_id,
                "status": self.status,
                "targetArn": f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{self.target_id}",
                "lastUpdatedAt": time.time(),
                "lambdaFunctionInfo": info,
                "lifecycleEvents": [],
            },
        }


def _create_application(data: dict[str, Any]) -> dict[str, Any]:
    name = data["applicationName"]
    if name in _applications:
        raise ApiError("ApplicationAlreadyExistsException", f"Application already exists: {name}")
    if data.get("computePlatform", "Server") != "Lambda":
        raise ApiError("InvalidComputePlatformException", "this emulator deploys functions only")
    _applications[name] = {
        "applicationName": name,
        "applicationId": new_uuid(),
        "createTime": time.time(),
        "linkedToGitHub": False,
        "computePlatform": "Lambda",
    }
    return {"applicationId": _applications[name]["applicationId"]}


def _get_application(data: dict[str, Any]) -> dict[str, Any]:
    return {"application": _application(data["applicationName"])}


def _list_applications(_data: dict[str, Any]) -> dict[str, Any]:
    return {"applications": sorted(_applications.keys())}


def _delete_application(data: dict[str, Any]) -> dict[str, Any]:
    name = data["applicationName"]
    _applications.pop(name, None)
    for key in [key for key in _groups if key[0] == name]:
        del _groups[key]
    return {}


def _create_group(data: dict[str, Any]) -> dict[str, Any]:
    _application(data["applicationName"])
    key = (data["applicationName"], data["deploymentGroupName"])
    if key in _groups:
        raise ApiError("DeploymentGroupAlreadyExistsException", f"Deployment group already exists: {key[1]}")
    _groups[key] = {
        "deploymentConfigName": "CodeDeployDefault.LambdaAllAtOnce",
        **data,
        "deploymentGroupId": new_uuid(),
        "computePlatform": "Lambda",
    }
    return {"deploymentGroupId": _groups[key]["deploymentGroupId"]}


def _update_group(data: dict[str, Any]) -> dict[str, Any]:
    key = (data["applicationName"], data["currentDeploymentGroupName"])
    group = _group(*key)
    changes = {
        name: value
        for name, value in data.items()
        if name not in {"currentDeploymentGroupName", "newDeploymentGroupName"}
    }
    del _groups[key]
    name = data.get("newDeploymentGroupName") or key[1]
    _groups[key[0], name] = {**group, **changes, "deploymentGroupName": name}
    return {"hooksNotCleanedUp": []}


def _get_group(data: dict[str, Any]) -> dict[str, Any]:
    group = dict(_group(data["applicationName"], data["deploymentGroupName"]))
    done = _of_group(data["applicationName"], data["deploymentGroupName"])
    for name, found in (
        ("lastAttemptedDeployment", done[:1]),
        ("lastSuccessfulDeployment", [each for each in done if each.status == "Succeeded"][:1]),
    ):
        for deployment in found:
            group[name] = {
                "deploymentId": deployment.identifier,
                "status": deployment.status,
                "createTime": deployment.created,
                **({"endTime": deployment.completed} if deployment.completed else {}),
            }
    return {"deploymentGroupInfo": group}


def _list_groups(data: dict[str, Any]) -> dict[str, Any]:
    name = data["applicationName"]
    _application(name)
    return {"applicationName": name, "deploymentGroups": sorted(key[1] for key in _groups if key[0] == name)}


def _delete_group(data: dict[str, Any]) -> dict[str, Any]:
    _groups.pop((data["applicationName"], data["deploymentGroupName"]), None)
    return {"hooksNotCleanedUp": []}


def _create_deployment(data: dict[str, Any]) -> dict[str, Any]:
    application, name = data["applicationName"], data.get("deploymentGroupName")
    if not name:
        raise ApiError("DeploymentGroupNameRequiredException", "The deployment group name was not specified.")
    _application(application)
    group = _group(application, name)
    for other in _of_group(application, name):
        if other.status in ACTIVE:
            raise ApiError(
                "DeploymentLimitExceededException",
                f"The Deployment Group '{name}' already has an active Deployment '{other.identifier}'",
            )
    revision = data.get("revision") or {}
    deployment = Deployment(
        application,
        name,
        data.get("deploymentConfigName") or group["deploymentConfigName"],
        revision,
        *_function_of(revision),
        auto_rollback=data.get("autoRollbackConfiguration") or group.get("autoRollbackConfiguration") or {},
    )
    _begin(deployment, _shift)
    return {"deploymentId": deployment.identifier}


def _get_deployment(data: dict[str, Any]) -> dict[str, Any]:
    return {"deploymentInfo": _deployment(data["deploymentId"]).described()}


def _batch_get_deployments(data: dict[str, Any]) -> dict[str, Any]:
    wanted = data["deploymentIds"]
    if len(wanted) > BATCH_LIMIT:
        raise ApiError("BatchLimitExceededException", "The maximum number of names or IDs is 25.")
    return {"deploymentsInfo": [_deployments[each].described() for each in wanted if each in _deployments]}


def _list_deployments(data: dict[str, Any]) -> dict[str, Any]:
    application, group = data.get("applicationName"), data.get("deploymentGroupName")
    if application and not group:
        raise ApiError("DeploymentGroupNameRequiredException", "The deployment group name was not specified.")
    if group and not application:
        raise ApiError(
            "ApplicationNameRequiredException", "The minimum number of required application names was not specified."
        )
    if application and group:
        _application(application)
        _group(application, group)
    statuses = data.get("includeOnlyStatuses")
    found = _of_group(application, group) if application and group else _newest(list(_deployments.values()))
    return {"deployments": [each.identifier for each in found if not statuses or each.status in statuses]}


def _list_targets(data: dict[str, Any]) -> dict[str, Any]:
    return {"targetIds": [_deployment(data["deploymentId"]).target_id]}


def _get_target(data: dict[str, Any]) -> dict[str, Any]:
    deployment = _deployment(data["deploymentId"])
    if data["targetId"] != deployment.target_id:
        raise ApiError("DeploymentTargetDoesNotExistException", f"no target {data['targetId']}")
    return {"deploymentTarget": deployment.described_target()}


def _batch_get_targets(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "deploymentTargets": [
            _get_target({**data, "targetId": each})["deploymentTarget"] for each in data.get("targetIds") or []
        ]
    }


def _stop_deployment(data: dict[str, Any]) -> dict[str, Any]:
    deployment = _deployment(data["deploymentId"])
    if deployment.status not in ACTIVE:
        raise ApiError(
            "DeploymentAlreadyCompletedException", f"The deployment {deployment.identifier} is already complete."
        )
    _finish(deployment, "Stopped")
    wanted = data.get("autoRollbackEnabled")
    configured = deployment.auto_rollback
    by_default = configured.get("enabled") and "DEPLOYMENT_STOP_ON_REQUEST" in (configured.get("events") or [])
    if by_default if wanted is None else wanted:
        _roll_back(deployment)
    return {"status": "Succeeded", "statusMessage": "No more traffic is shifted."}


def _roll_back(stopped: Deployment) -> None:
    rollback = Deployment(
        stopped.application,
        stopped.group,
        "CodeDeployDefault.LambdaAllAtOnce",
        stopped.revision,
        stopped.function,
        stopped.alias,
        stopped.target,
        stopped.current,
        creator="codeDeployRollback",
        rollback={"rollbackTriggeringDeploymentId": stopped.identifier},
    )
    stopped.rollback = {
        "rollbackDeploymentId": rollback.identifier,
        "rollbackMessage": f"Deployment {stopped.identifier} is rolled back by {rollback.identifier}.",
    }
    _begin(rollback, _restore)


def _begin(deployment: Deployment, work: Callable[[Deployment], None]) -> None:
    _deployments[deployment.identifier] = deployment
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work, deployment), daemon=True, name="codedeploy").start()


def _shift(deployment: Deployment) -> None:
    alias = (lambda_svc._functions.get(deployment.function) or {"aliases": {}})["aliases"].get(deployment.alias)
    if alias is None or alias["FunctionVersion"] != deployment.current or alias.get("RoutingConfig"):
        found = "missing" if alias is None else f"{alias['FunctionVersion']} {alias.get('RoutingConfig', '')}"
        deployment.error = {
            "code": "INVALID_LAMBDA_CONFIGURATION",
            "message": f"The alias is {found}, not version {deployment.current} alone.",
        }
        _finish(deployment, "Failed")
        return
    _enter(deployment, "InProgress")
    for percent, minutes in _plan(deployment.config):
        if not _set_alias(deployment, deployment.current, percent):
            return
        if deployment.wake.wait(minutes * MINUTE):
            return
    if _set_alias(deployment, deployment.target, 100.0):
        _finish(deployment, "Succeeded")


def _restore(deployment: Deployment) -> None:
    _enter(deployment, "InProgress")
    time.sleep(0.2)  # AWS: seconds; long enough to be seen
    if _set_alias(deployment, deployment.target, 100.0):
        _finish(deployment, "Succeeded")


def _set_alias(deployment: Deployment, version: str, percent: float) -> bool:
    """Write the alias as the plan says; False when the deployment was stopped or Lambda refused."""
    if deployment.status not in ACTIVE:
        return False
    weights = {} if percent >= 100 else {deployment.target: percent / 100}
    answer = lambda_svc._update_alias(
        deployment.function,
        deployment.alias,
        {"FunctionVersion": version, "RoutingConfig": {"AdditionalVersionWeights": weights}},
    )
    if answer[0] >= 400:
        deployment.error = {"code": "INVALID_LAMBDA_CONFIGURATION", "message": answer[2].decode()}
        _finish(deployment, "Failed")
        return False
    deployment.weight = percent
    return True


def _finish(deployment: Deployment, status: str) -> None:
    deployment.completed = time.time()
    _enter(deployment, status)
    deployment.wake.set()


def _enter(deployment: Deployment, status: str) -> None:
    deployment.status = status
    scope = f"{get_region()}:{get_account_id()}"
    detail = {
        "application": deployment.application,
        "deploymentGroup": deployment.group,
        "state": _EVENTS[status],
        "deploymentId": deployment.identifier,
        "region": get_region(),
        "instanceGroupId": new_uuid(),
    }
    eventbridge._put_events(
        {
            "Entries": [
                {
                    "Source": "aws.codedeploy",
                    "DetailType": "CodeDeploy Deployment State-change Notification",
                    "Detail": json.dumps(detail),
                    "Resources": [
                        f"arn:aws:codedeploy:{scope}:deploymentgroup:{deployment.application}/{deployment.group}"
                    ],
                }
            ]
        },
        allow_aws_source=True,
    )


def _plan(config: str) -> list[tuple[float, float]]:
    """Percent and minutes of each step before the last, from a predefined configuration's name."""
    canary = re.search(r"LambdaCanary(\d+)Percent(\d+)Minutes?$", config)
    if canary:
        return [(float(canary[1]), float(canary[2]))]
    linear = re.search(r"LambdaLinear(\d+)PercentEvery(\d+)Minutes?$", config)
    if linear:
        return [(float(percent), float(linear[2])) for percent in range(int(linear[1]), 100, int(linear[1]))]
    return []


def _function_of(revision: dict[str, Any]) -> tuple[str, str, str, str]:
    """Function, alias, current and target version of an AppSpec (JSON or YAML, whatever the case of its keys)."""
    content = (revision.get("appSpecContent") or revision.get("string") or {}).get("content")
    if not content:
        raise ApiError("RevisionRequiredException", "The revision ID was not specified.")
    try:
        resources = _lowered(yaml.safe_load(content))["resources"]
        [properties] = [each["properties"] for resource in resources for each in resource.values()]
        return (
            str(properties["name"]),
            str(properties["alias"]),
            str(properties["currentversion"]),
            str(properties["targetversion"]),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ApiError("InvalidRevisionException", f"The AppSpec file is not valid: {error!r}") from error


def _lowered(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key).lower(): _lowered(value) for key, value in node.items()}
    return [_lowered(each) for each in node] if isinstance(node, list) else node


def _application(name: str) -> Any:
    if name not in _applications:
        raise ApiError("ApplicationDoesNotExistException", f"No application found for name: {name}")
    return _applications[name]


def _group(application: str, name: str) -> Any:
    if (application, name) not in _groups:
        raise ApiError("DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {name}")
    return _groups[application, name]


def _deployment(identifier: str) -> Deployment:
    found = _deployments.get(identifier)
    if not isinstance(found, Deployment):
        raise ApiError("DeploymentDoesNotExistException", f"The deployment {identifier} could not be found")
    return found


def _of_group(application: str, group: str) -> list[Deployment]:
    return _newest([each for each in _deployments.values() if (each.application, each.group) == (application, group)])


def _newest(deployments: list[Deployment]) -> list[Deployment]:
    return sorted(deployments, key=lambda each: each.created, reverse=True)


_OPERATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "CreateApplication": _create_application,
    "GetApplication": _get_application,
    "ListApplications": _list_applications,
    "DeleteApplication": _delete_application,
    "CreateDeploymentGroup": _create_group,
    "UpdateDeploymentGroup": _update_group,
    "GetDeploymentGroup": _get_group,
    "ListDeploymentGroups": _list_groups,
    "DeleteDeploymentGroup": _delete_group,
    "CreateDeployment": _create_deployment,
    "GetDeployment": _get_deployment,
    "BatchGetDeployments": _batch_get_deployments,
    "ListDeployments": _list_deployments,
    "StopDeployment": _stop_deployment,
    "ListDeploymentTargets": _list_targets,
    "GetDeploymentTarget": _get_target,
    "BatchGetDeploymentTargets": _batch_get_targets,
}


def _resource(service: str, method: str, path: str, *rest: Any) -> str:
    """Deployments are authorised by their group, except where AWS knows no resource."""
    if service != "codedeploy":
        stock: str = _stock_resource(service, method, path, *rest)
        return stock
    headers, body, _, region, account = rest
    operation = operation_of(headers)
    data = json.loads(body or b"{}")
    deployment = _deployments.get(data.get("deploymentId") or next(iter(data.get("deploymentIds") or []), None))
    application = data.get("applicationName") or (deployment.application if deployment else None)
    group = (
        data.get("deploymentGroupName")
        or data.get("currentDeploymentGroupName")
        or (deployment.group if deployment else None)
    )
    if operation == "StopDeployment" or "Target" in operation or not application:
        return "*"
    if group is None:
        return f"arn:aws:codedeploy:{region}:{account}:application:{application}"
    return f"arn:aws:codedeploy:{region}:{account}:deploymentgroup:{application}/{group}"


def _member(name: str) -> str:
    return name[:1].lower() + name[1:]


def _cloudformation_application(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    name = properties.get("ApplicationName") or provisioners._physical_name(stack, logical_id, max_len=100)
    if name not in _applications:
        _create_application({"applicationName": name, "computePlatform": properties.get("ComputePlatform", "Lambda")})
    return name, {}


def _cloudformation_group(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    name = properties.get("DeploymentGroupName") or provisioners._physical_name(stack, logical_id, max_len=100)
    application = properties["ApplicationName"]
    _groups.pop((application, name), None)
    given = {_member(key): value for key, value in properties.items() if key not in {"Tags", "DeploymentGroupName"}}
    rollback = properties.get("AutoRollbackConfiguration") or {}
    _create_group(
        {
            **given,
            "deploymentGroupName": name,
            "autoRollbackConfiguration": {
                "enabled": rollback.get("Enabled") in {True, "true"},
                "events": rollback.get("Events") or [],
            },
        }
    )
    return name, {}


def _cloudformation_delete_group(physical_id: str, properties: dict[str, Any]) -> None:
    _groups.pop((properties["ApplicationName"], physical_id), None)


def _cloudformation_delete_application(physical_id: str, _properties: dict[str, Any]) -> None:
    _delete_application({"applicationName": physical_id})


def _keep(physical_id: str, _old: dict[str, Any], _new: dict[str, Any], _stack: str) -> Any:
    return physical_id, {}


def _update_cloudformation_group(physical_id: str, _old: dict[str, Any], new: dict[str, Any], stack: str) -> Any:
    return _cloudformation_group(physical_id, {**new, "DeploymentGroupName": physical_id}, stack)


def reset() -> None:
    for deployment in _deployments.all_values():
        deployment.wake.set()
    for store in (_applications, _groups, _deployments):
        store.clear()


def apply() -> None:
    global _stock_resource  # noqa: PLW0603
    from ministack import app  # noqa: PLC0415 - reads the environment when it is imported

    if "codedeploy" in app.SERVICE_HANDLERS:
        raise MendError("there is a CodeDeploy already")
    router.SERVICE_PATTERNS["codedeploy"] = {
        "target_prefixes": ["CodeDeploy_20141006"],
        "host_patterns": [r"codedeploy\."],
    }
    app.SERVICE_HANDLERS["codedeploy"] = handler("codedeploy", _OPERATIONS)
    iam_actions.SERVICE_TO_IAM_NAMESPACE["codedeploy"] = "codedeploy"
    _stock_resource = hook(iam_actions, "extract_resource_arn", _resource)
    provisioners._RESOURCE_HANDLERS["AWS::CodeDeploy::Application"] = {
        "create": _cloudformation_application,
        "update": _keep,
        "delete": _cloudformation_delete_application,
    }
    provisioners._RESOURCE_HANDLERS["AWS::CodeDeploy::DeploymentGroup"] = {
        "create": _cloudformation_group,
        "update": _update_cloudformation_group,
        "delete": _cloudformation_delete_group,
    }


_stock_resource: Any = None
