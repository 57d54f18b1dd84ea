"""The limits between which Application Auto Scaling moves a service's tasks.

RegisterScalableTarget on an existing target forces the service into the limits at once, even when it names none (API
reference). So a desired count alone does not last: whoever sets it moves the limits along, and first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.target import Target

NAMESPACE = "ecs"
DIMENSION = "ecs:service:DesiredCount"
KINDS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
ALL_SUSPENDED = dict.fromkeys(KINDS, True)
LIMITS = ("min", "max", "suspended")


def scaling_of(target: Target) -> dict[str, Any] | None:
    """`{min, max, suspended}`, or None where nothing scales the service."""
    try:
        answer = client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace=NAMESPACE, ResourceIds=[_resource(target)], ScalableDimension=DIMENSION
        )
    except AwsError as error:
        translate(error, f"scaling of service {target['service']}")
    for found in answer["ScalableTargets"]:
        suspended = {**dict.fromkeys(KINDS, False), **found.get("SuspendedState", {})}
        return {"min": found["MinCapacity"], "max": found["MaxCapacity"], "suspended": suspended}
    return None


def scheduled_actions(target: Target) -> list[str]:
    """The names of scheduled actions: they set the limits anew when their time comes."""
    try:
        answer = client("application-autoscaling").describe_scheduled_actions(
            ServiceNamespace=NAMESPACE, ResourceId=_resource(target), ScalableDimension=DIMENSION
        )
    except AwsError as error:
        translate(error, f"scheduled scaling of service {target['service']}")
    return sorted(found["ScheduledActionName"] for found in answer["ScheduledActions"])


def set_scaling(target: Target, limits: Mapping[str, Any]) -> None:
    """One RegisterScalableTarget with all of `limits`: `min` and `max`, and `suspended` if it is there."""
    asked = {"MinCapacity": limits["min"], "MaxCapacity": limits["max"]}
    asked |= {"SuspendedState": dict(limits["suspended"])} if "suspended" in limits else {}
    try:
        client("application-autoscaling").register_scalable_target(
            ServiceNamespace=NAMESPACE, ResourceId=_resource(target), ScalableDimension=DIMENSION, **asked
        )
    except AwsError as error:
        translate(error, f"scaling of service {target['service']}")


def limits_for(wanted: int, desired: int, limits: Mapping[str, Any]) -> dict[str, int]:
    """The limits under which `wanted` lasts: going up, scaling may add to it and not take away; going down, the
    reverse."""
    if wanted > desired:
        return {"min": wanted, "max": max(limits["max"], wanted)}
    return {"min": min(limits["min"], wanted), "max": wanted}


def _resource(target: Target) -> str:
    return f"service/{target['cluster']}/{target['service']}"
