"""Contract of ``application_autoscaling``: limits of ECS services are kept, and force the count at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_ecs_deployments import Service
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local

SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


class Scaled(Service):
    """A service and its limits."""

    def __init__(self, account: Account, desired: int) -> None:
        super().__init__(account, desired)
        self.scaling = account.client("application-autoscaling")
        self.named = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{self.name}/{self.name}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }

    def limits(self, **given: Any) -> None:
        self.scaling.register_scalable_target(**self.named, **given)

    def target(self) -> dict[str, Any]:
        asked = {"ServiceNamespace": "ecs", "ResourceIds": [self.named["ResourceId"]]}
        (found,) = self.scaling.describe_scalable_targets(**asked)["ScalableTargets"]
        return dict(found)

    @property
    def desired(self) -> int:
        return int(self.look()["desiredCount"])


def test_limits_force_the_count_at_once_even_when_none_is_named(account: Account) -> None:
    service = Scaled(account, 1)
    service.limits(MinCapacity=2, MaxCapacity=3)
    assert service.desired == 2
    service.limits(MaxCapacity=5)
    assert (service.target()["MinCapacity"], service.target()["MaxCapacity"]) == (2, 5)

    service.update(desiredCount=0)
    assert service.desired == 0
    service.limits(SuspendedState=dict.fromkeys(SUSPENDED, True))
    assert service.desired == 2

    service.limits(MinCapacity=0, MaxCapacity=0)
    assert service.desired == 0
    assert service.target()["SuspendedState"] == dict.fromkeys(SUSPENDED, True)


def test_what_is_suspended_stays_until_it_is_named(account: Account) -> None:
    service = Scaled(account, 1)
    service.limits(MinCapacity=1, MaxCapacity=2)
    assert not any(service.target()["SuspendedState"].values())
    service.limits(SuspendedState={"ScheduledScalingSuspended": True})
    service.limits(SuspendedState={"DynamicScalingInSuspended": True})
    assert list(service.target()["SuspendedState"].values()) == [True, False, True]


def test_limits_that_can_t_be_are_refused(account: Account) -> None:
    service = Scaled(account, 1)
    register = service.scaling.register_scalable_target
    refused(register, "ValidationException", **service.named, MinCapacity=1)
    refused(register, "ValidationException", **service.named, MinCapacity=3, MaxCapacity=2)
    refused(register, "ValidationException", **service.named, MinCapacity=-1, MaxCapacity=2)
    nowhere = {**service.named, "ResourceId": f"service/{service.name}/nothing"}
    refused(register, "ValidationException", **nowhere, MinCapacity=1, MaxCapacity=2)
    service.limits(MinCapacity=1, MaxCapacity=2)
    refused(register, "ValidationException", **service.named, MinCapacity=3)


def test_scheduled_actions_are_kept_and_targets_are_taken_away(account: Account) -> None:
    service = Scaled(account, 1)
    named = {**service.named, "ScheduledActionName": "night", "Schedule": "cron(0 20 * * ? *)"}
    put = service.scaling.put_scheduled_action
    refused(put, "ObjectNotFoundException", **named, ScalableTargetAction={"MinCapacity": 0, "MaxCapacity": 0})
    service.limits(MinCapacity=1, MaxCapacity=2)
    put(**named, ScalableTargetAction={"MinCapacity": 0, "MaxCapacity": 0})
    (found,) = service.scaling.describe_scheduled_actions(**service.named)["ScheduledActions"]
    assert found["ScheduledActionName"] == "night"

    service.scaling.deregister_scalable_target(**service.named)
    assert service.scaling.describe_scheduled_actions(**service.named)["ScheduledActions"] == []
    refused(service.scaling.deregister_scalable_target, "ObjectNotFoundException", **service.named)


def test_limits_are_set_under_a_target_s_arn_and_the_namespace(account: Account) -> None:
    service = Scaled(account, 1)

    def setter(namespace: str) -> Any:
        statement = {
            "Action": "application-autoscaling:RegisterScalableTarget",
            "Resource": "arn:aws:application-autoscaling:us-east-1:111111111111:scalable-target/*",
            "Condition": {"StringEquals": {"application-autoscaling:service-namespace": namespace}},
        }
        return account.client("application-autoscaling", account.credentials(statement))

    limits = {**service.named, "MinCapacity": 1, "MaxCapacity": 2}
    refused(setter("dynamodb").register_scalable_target, "AccessDeniedException", **limits)
    setter("ecs").register_scalable_target(**limits)
    refused(setter("ecs").describe_scalable_targets, "AccessDeniedException", ServiceNamespace="ecs")
