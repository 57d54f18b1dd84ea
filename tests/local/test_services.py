"""Services of ECS on the emulator, under the statements of ManageService in template.yaml and no others.

The actions' own four functions, without the engine: what it adds is the same for every action.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse
from selfheal import clients
from selfheal.action import Action, Change, Verification
from selfheal.errors import TargetForbidden
from selfheal.request import Request, read_request
from selfheal.words import Verdict

from functions.manage_service.app import RestartService, RollBackService, ScaleService, StopService
from local.emulator.control import ACCOUNT, REGION, Emulator
from local.emulator.environments import REPOSITORY
from tests.local.emulator.account import Account
from tests.local.emulator.test_application_autoscaling import Scaled
from tests.local.emulator.test_cloudformation import deploy

pytestmark = pytest.mark.local

PATTERN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/"


@pytest.fixture
def account(emulator: Emulator, tmp_path: Path) -> Account:
    return Account(emulator, tmp_path)


@pytest.fixture
def service(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scaled]:
    """A service, and selfheal's clients with the credentials of ManageService."""
    made = Scaled(account, 1)
    made.wait("SUCCESSFUL")
    credentials = role(account, PATTERN + made.name + "/*")
    settings = {
        "AWS_ENDPOINT_URL": account.emulator.endpoint,
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    clients.forget()
    yield made
    clients.forget()


def role(account: Account, *protected: str) -> dict[str, str]:
    """Credentials of a role with the template's statements for services, its intrinsic functions resolved as there."""
    template = yaml_parse((REPOSITORY / "template.yaml").read_text(encoding="utf-8"))
    policies = template["Resources"]["ManageService"]["Properties"]["Policies"]
    document = next(one["Fn::If"][1] for one in policies if one.get("Fn::If", [""])[0] == "HasServices")
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    made = deploy(
        account,
        {
            "Parameters": {"ProtectedServices": {"Type": "CommaDelimitedList"}},
            "Resources": {
                "Role": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {
                        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [root]},
                        "Policies": [{"PolicyName": "services", "PolicyDocument": document}],
                    },
                }
            },
        },
        ProtectedServices=",".join(protected),
    )
    arn = account.client("iam").get_role(RoleName=made["Role"])["Role"]["Arn"]
    answer = account.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")
    return dict(answer["Credentials"])


def ask(action: type[Action], service: Scaled, **options: Any) -> Request:
    event = {"action": action.name, "action_id": "a-1", "target": service.where, "mode": "act", "options": options}
    return read_request(event, (action.name,), "a-1")


def carried_out(service: Scaled, action: type[Action], **options: Any) -> tuple[Change, Verification]:
    """Observed, decided, applied, and looked at until it is over."""
    return followed(service, action, ask(action, service, **options))


def undone(service: Scaled, action: type[Action], change: Change) -> Verification:
    request = ask(action, service)
    return followed(service, action, Request(**{**vars(request), "wanted": change.before}))[1]


def followed(service: Scaled, action: type[Action], request: Request) -> tuple[Change, Verification]:
    one = action()
    change = one.decide(one.observe(request), request)
    assert isinstance(change, Change), change
    one.apply(request, change)
    deadline = time.monotonic() + service.account.patience
    while (seen := one.verify(request, change)).verdict is Verdict.NOT_YET and time.monotonic() < deadline:
        time.sleep(0.1)
    return change, seen


def state(service: Scaled) -> tuple[int, int, int, int]:
    look, target = service.look(), service.target()
    return look["desiredCount"], look["runningCount"], target["MinCapacity"], target["MaxCapacity"]


def test_a_restart_holds_once_its_tasks_run(service: Scaled) -> None:
    before = service.look()["deployments"][0]["id"]
    change, seen = carried_out(service, RestartService)
    assert seen.verdict is Verdict.HOLDS, seen
    assert "shop:1" in change.summary
    assert service.look()["deployments"][0]["id"] != before


def test_what_does_not_come_up_is_told_with_the_reason_of_its_tasks(service: Scaled) -> None:
    """The one before is registered, and its image is gone: the rollback fails as well, and is not tried twice."""
    gone = service.register("shop:broken")
    service.update(taskDefinition=service.register("shop:2"))
    service.wait("SUCCESSFUL")

    _, seen = carried_out(service, RollBackService, to_revision=gone.rpartition("/")[2])

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert "CannotPullContainerError" in seen.detail


def test_a_deployment_in_flight_is_rolled_back_and_one_that_is_over_as_well(service: Scaled) -> None:
    first = service.look()["taskDefinition"]
    service.update(taskDefinition=service.register("shop:2"))
    change, seen = carried_out(service, RollBackService)
    assert "stop" in change.plan
    assert (seen.verdict, service.look()["taskDefinition"]) == (Verdict.HOLDS, first), seen

    service.update(taskDefinition=service.register("shop:3"))
    service.wait("SUCCESSFUL")
    change, seen = carried_out(service, RollBackService)
    assert "stop" not in change.plan
    assert (seen.verdict, service.look()["taskDefinition"]) == (Verdict.HOLDS, first), seen
    assert "other images in web" in change.summary
    assert undone(service, RollBackService, change).verdict is Verdict.HOLDS
    assert service.look()["taskDefinition"].endswith(":3")


def test_scaled_and_stopped_it_stays_so_and_comes_back(service: Scaled) -> None:
    service.limits(MinCapacity=1, MaxCapacity=2)
    scaled, seen = carried_out(service, ScaleService, desired=3)
    assert (seen.verdict, state(service)) == (Verdict.HOLDS, (3, 3, 3, 3)), seen

    stopped, seen = carried_out(service, StopService)
    assert (seen.verdict, state(service)) == (Verdict.HOLDS, (0, 0, 0, 0)), seen
    service.limits()  # whoever registers it again does not start it
    assert state(service) == (0, 0, 0, 0)

    assert undone(service, StopService, stopped).verdict is Verdict.HOLDS
    assert state(service) == (3, 3, 3, 3)
    assert undone(service, ScaleService, scaled).verdict is Verdict.HOLDS
    assert state(service) == (1, 1, 1, 2)


def test_another_service_is_out_of_reach(service: Scaled) -> None:
    other = Scaled(service.account, 1)
    for action in (RestartService, RollBackService, StopService):
        with pytest.raises(TargetForbidden):
            action().observe(ask(action, other))
