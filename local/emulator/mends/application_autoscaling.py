"""Application Auto Scaling for ECS services: limits that are kept, and that force the desired count at once.

Stock ministack 1.5.33 has no Application Auto Scaling: every call is refused.

AWS (https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html and its siblings;
service authorization reference, list_awsapplicationautoscaling): a new target needs both limits, an existing one keeps
what is not named. Either way the service is forced into the limits at once, even if the call names none and whatever
is suspended. Requests are authorised on the target's ARN, with the namespace and the dimension as condition keys.

The model is the limits alone, of services of ECS: no scaling policy, no alarm, and a scheduled action is kept and
never carried out. Nothing scales by itself here.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from ministack.core import iam_actions, iam_evaluator, router
from ministack.core.responses import (
    AccountRegionScopedDict,
    get_account_id,
    get_region,
)
from ministack.services import ecs

from local.emulator.json_api import ApiError, handler, operation_of
from local.emulator.mends import MendError, hook, iam_requests

NAME = "application-autoscaling"
DIMENSION = "ecs:service:DesiredCount"
SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
MOST_CAPACITY = 2**31 - 1

_targets = AccountRegionScopedDict()
_scheduled = AccountRegionScopedDict()
"""(resource, name) → scheduled action."""


class ScalingError(ApiError):
    """An error of the API; most of its errors have one code."""

    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(code, message)


def _register(data: dict[str, Any]) -> dict[str, Any]:
    resource = _resource(data)
    key = _service_key(resource)
    before = _targets.get(resource)
    least, most = (data.get(name, (before or {}).get(name)) for name in ("MinCapacity", "MaxCapacity"))
    if least is None or most is None:
        raise ScalingError("You must specify values for the minimum and maximum capacity of a new scalable target.")
    if not 0 <= least <= MOST_CAPACITY or not 0 <= most <= MOST_CAPACITY:
        raise ScalingError("Capacity must be 0 or more.")
    if least > most:
        raise ScalingError("Maximum capacity cannot be less than minimum capacity")
    target = before or {
        "ServiceNamespace": "ecs",
        "ResourceId": resource,
        "ScalableDimension": DIMENSION,
        "RoleARN": f"arn:aws:iam::{get_account_id()}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com",
        "CreationTime": time.time(),
        "SuspendedState": dict.fromkeys(SUSPENDED, False),
        "ScalableTargetARN": f"{_prefix()}{secrets.token_hex(16)}",
    }
    suspended = {**target["SuspendedState"], **(data.get("SuspendedState") or {})}
    _targets[resource] = {**target, "MinCapacity": least, "MaxCapacity": most, "SuspendedState": suspended}
    _force(key, least, most)
    return {"ScalableTargetARN": target["ScalableTargetARN"]}


def _force(key: str, least: int, most: int) -> None:
    service = ecs._services[key]
    inside = min(max(service["desiredCount"], least), most)
    if inside != service["desiredCount"]:
        cluster, name = key.split("/")
        ecs._update_service({"cluster": cluster, "service": name, "desiredCount": inside})


def _describe(data: dict[str, Any]) -> dict[str, Any]:
    _namespace(data)
    wanted = data.get("ResourceIds")
    return {"ScalableTargets": [one for one in _targets.values() if not wanted or one["ResourceId"] in wanted]}


def _deregister(data: dict[str, Any]) -> dict[str, Any]:
    resource = _resource(data)
    if _targets.pop(resource, None) is None:
        message = f"No scalable target found for service namespace: ecs, resource ID: {resource}"
        raise ScalingError(f"{message}, scalable dimension: {DIMENSION}", "ObjectNotFoundException")
    for key in [key for key in _scheduled if key[0] == resource]:
        del _scheduled[key]
    return {}


def _put_scheduled(data: dict[str, Any]) -> dict[str, Any]:
    resource, name = _resource(data), data["ScheduledActionName"]
    if resource not in _targets:
        raise ScalingError(f"No scalable target registered for {resource}", "ObjectNotFoundException")
    made = {
        "ScheduledActionARN": f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scheduledAction:{name}",
        "Schedule": "",
        "CreationTime": time.time(),
    }
    _scheduled[resource, name] = {**made, **(_scheduled.get((resource, name)) or {}), **data}
    return {}


def _describe_scheduled(data: dict[str, Any]) -> dict[str, Any]:
    _namespace(data)
    asked = {name: data[name] for name in ("ResourceId", "ScalableDimension") if data.get(name)}
    found = [one for one in _scheduled.values() if all(one[name] == value for name, value in asked.items())]
    return {"ScheduledActions": found}


def _delete_scheduled(data: dict[str, Any]) -> dict[str, Any]:
    if _scheduled.pop((_resource(data), data["ScheduledActionName"]), None) is None:
        raise ScalingError(f"No scheduled action {data['ScheduledActionName']}", "ObjectNotFoundException")
    return {}


def _namespace(data: dict[str, Any]) -> None:
    if data.get("ServiceNamespace") != "ecs":
        raise ScalingError("this emulator scales services of ECS only")


def _resource(data: dict[str, Any]) -> str:
    _namespace(data)
    if data.get("ScalableDimension") != DIMENSION:
        raise ScalingError(f"Unsupported service namespace, resource type or scalable dimension: {DIMENSION} is known")
    resource = str(data.get("ResourceId", ""))
    if resource.count("/") != 2 or not resource.startswith("service/"):
        raise ScalingError(f"Unsupported resource ID: {resource}")
    return resource


def _service_key(resource: str) -> str:
    key = resource.removeprefix("service/")
    if (ecs._services.get(key) or {}).get("status") != "ACTIVE":
        raise ScalingError(f"ECS service doesn't exist: {resource}")
    return key


def _prefix() -> str:
    return f"arn:aws:{NAME}:{get_region()}:{get_account_id()}:scalable-target/"


_OPERATIONS = {
    "RegisterScalableTarget": _register,
    "DescribeScalableTargets": _describe,
    "DeregisterScalableTarget": _deregister,
    "PutScheduledAction": _put_scheduled,
    "DescribeScheduledActions": _describe_scheduled,
    "DeleteScheduledAction": _delete_scheduled,
}


def _arn(service: str, method: str, path: str, *rest: Any) -> str:
    """``rest`` is headers, body, query, region, account. Reads know no resource."""
    if service != NAME:
        stock: str = _stock_resource(service, method, path, *rest)
        return stock
    headers, body, _, region, account = rest
    if operation_of(headers).startswith("Describe"):
        return "*"
    known = _targets.get(json.loads(body or b"{}").get("ResourceId"))
    return str(known["ScalableTargetARN"]) if known else f"arn:aws:{NAME}:{region}:{account}:scalable-target/new"


def _enforce(access_key: str, action: str, service: str, region: str, **named: Any) -> Any:
    """With the condition keys of the call."""
    if service == NAME:
        data = iam_requests.json_of_request()
        keys = {"service-namespace": "ServiceNamespace", "scalable-dimension": "ScalableDimension"}
        found = {f"{NAME}:{key}": str(data[member]) for key, member in keys.items() if data.get(member)}
        named["service_context"] = {**(named.get("service_context") or {}), **found}
    return _stock_enforce(access_key, action, service, region, **named)


def reset() -> None:
    _targets.clear()
    _scheduled.clear()


def apply() -> None:
    global _stock_resource, _stock_enforce  # noqa: PLW0603
    from ministack import app  # noqa: PLC0415 - reads the environment when it is imported

    if NAME in app.SERVICE_HANDLERS:
        raise MendError("there is an Application Auto Scaling already")
    router.SERVICE_PATTERNS[NAME] = {"target_prefixes": ["AnyScaleFrontendService"], "host_patterns": [rf"{NAME}\."]}
    app.SERVICE_HANDLERS[NAME] = handler(NAME, _OPERATIONS)
    iam_actions.SERVICE_TO_IAM_NAMESPACE[NAME] = NAME
    _stock_resource = hook(iam_actions, "extract_resource_arn", _arn)
    _stock_enforce = hook(iam_evaluator, "enforce", _enforce)


_stock_resource: Any = None
_stock_enforce: Any = None
