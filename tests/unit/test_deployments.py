"""Deployment events: whose they are, from where, and that each is recorded once."""

from __future__ import annotations

import importlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import deployments, watches
from selfheal.arns import Home
from selfheal.errors import Refused
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.respond import Respond
from selfheal.runbook import Runbooks, Sweep, Watch

from tests.unit.aws import event
from tests.unit.doubles import timed_out
from tests.unit.responding import Scene
from tests.unit.test_rollout import runbook_with

HOME = Home("aws", "eu-central-1", "123456789012")
WATCH = Watch("after a deployment", "all", 300, 1800, ())
TARGETS: dict[str, dict[str, Any]] = {
    "live": {
        "function": "shop-web",
        "alias": "live",
        "code_deploy": {"application": "shop", "deployment_group": "web"},
    },
    "engine": {"cluster": "shop", "service": "shop-engine"},
    "flag": {"parameter": "/shop/enabled"},
}
BOOKS = Runbooks(
    (
        replace(
            runbook_with("a"),
            targets=TARGETS,
            sweeps=(Sweep("all", "", None, "UTC", ()),),
            watches=(WATCH, Watch("engine only", "all", 300, 1800, ("eng*",))),
        ),
    )
)


def code_deploy(**changes: Any) -> dict[str, Any]:
    """As in the CodeDeploy user guide."""
    return {
        "version": "0",
        "source": "aws.codedeploy",
        "account": "123456789012",
        "region": "eu-central-1",
        "time": "2026-11-21T09:00:00Z",
        "detail-type": "CodeDeploy Deployment State-change Notification",
        "resources": [
            "arn:aws:codedeploy:eu-central-1:123456789012:application:shop",
            "arn:aws:codedeploy:eu-central-1:123456789012:deploymentgroup:shop/web",
        ],
        "detail": {
            "region": "eu-central-1",
            "deploymentId": "d-123456789",
            "instanceGroupId": "9fd2fbef-2157-40d8-91e7-6845af69e2d2",
            "deploymentGroup": "web",
            "state": "SUCCESS",
            "application": "shop",
        },
        **changes,
    }


def ecs(**changes: Any) -> dict[str, Any]:
    """As in the ECS developer guide."""
    return {
        "version": "0",
        "source": "aws.ecs",
        "account": "123456789012",
        "region": "eu-central-1",
        "detail-type": "ECS Deployment State Change",
        "resources": ["arn:aws:ecs:eu-central-1:123456789012:service/shop/shop-engine"],
        "detail": {
            "eventType": "INFO",
            "eventName": "SERVICE_DEPLOYMENT_COMPLETED",
            "deploymentId": "ecs-svc/123",
            "updatedAt": "2026-11-21T09:00:00Z",
            "reason": "ECS deployment ecs-svc/123 completed.",
        },
        **changes,
    }


def by_hand(**more: Any) -> dict[str, Any]:
    return {"deployment": {"system": "shop", "version": "1.2.3", "by": "ann", **more}}


@pytest.fixture
def scene(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(monkeypatch)
    scene.respond = Respond(scene.ledger, BOOKS, scene.respond.start, lambda: scene.at)
    return scene


def takes(scene: Scene, one: dict[str, Any], record_id: str = "r-1") -> dict[str, Any]:
    (decision,) = deployments.take(scene.respond, one, HOME, record_id)
    return decision


def watched(scene: Scene) -> list[str]:
    return [item["doc"]["name"] for item in scene.seen.query("WATCH") if not item["sk"].startswith(watches.NEWS)]


@pytest.mark.parametrize(
    ("one", "names"),
    [
        (code_deploy(), ["after a deployment"]),
        (ecs(), ["after a deployment", "engine only"]),
        (by_hand(), ["after a deployment", "engine only"]),
        (by_hand(target="live"), ["after a deployment"]),
    ],
    ids=["CodeDeploy", "ECS", "by hand", "by hand of one target"],
)
def test_a_deployment_is_recorded_and_watched_once(scene: Scene, one: dict[str, Any], names: list[str]) -> None:
    assert takes(scene, one) == {"decision": "deployed", "system": "shop", "watches": names}
    assert takes(scene, one) == {"decision": "duplicate", "system": "shop"}

    assert watched(scene) == names
    (recorded,) = scene.seen.query("DEPLOYMENT#shop")
    assert recorded["doc"]["by"]
    assert len(list(scene.seen.query("WATCH", watches.NEWS))) == 1


def test_another_one_by_hand_is_another(scene: Scene) -> None:
    takes(scene, by_hand(), "r-1")

    assert takes(scene, by_hand(), "r-2")["decision"] == "deployed"


def test_what_no_runbook_names_is_not_ours_and_leaves_nothing(scene: Scene) -> None:
    other = ecs(resources=["arn:aws:ecs:eu-central-1:123456789012:service/shop/other"])

    assert takes(scene, other)["decision"] == "not_ours"
    assert takes(scene, ecs(resources=["arn:aws:ecs:eu-central-1:123456789012:service/shop-engine"]))[
        "decision"
    ] == "not_ours"  # fmt: skip
    assert watched(scene) == []
    assert scene.events == []


@pytest.mark.parametrize("part", ["eu-central-1", "123456789012"])
@pytest.mark.parametrize("one", [code_deploy(), ecs()], ids=["CodeDeploy", "ECS"])
def test_account_and_region_come_from_the_arn_and_from_nothing_else(
    scene: Scene, one: dict[str, Any], part: str
) -> None:
    elsewhere = {"eu-central-1": "us-east-1", "123456789012": "210987654321"}[part]
    told_otherwise = {**one, "account": "210987654321", "region": "us-east-1"}
    foreign = {**one, "resources": [arn.replace(part, elsewhere) for arn in one["resources"]]}

    answer = takes(scene, foreign)
    assert (answer["decision"], answer["reason"]) == ("refused", Refusal.FOREIGN_DEPLOYMENT.value)
    assert elsewhere in answer["detail"]
    assert watched(scene) == []
    assert takes(scene, told_otherwise)["decision"] == "deployed"


@pytest.mark.parametrize(
    "one",
    [
        code_deploy(detail={**code_deploy()["detail"], "state": "FAILURE"}),
        code_deploy(resources=[]),
        code_deploy(resources=None),
        code_deploy(resources=["arn:aws:codedeploy:eu-central-1:123456789012:application:shop"]),
        code_deploy(resources=[7, "arn", "arn:aws:ecs:eu-central-1:123456789012:deploymentgroup:shop/web"]),
        code_deploy(detail=None),
        code_deploy(**{"detail-type": "CodeDeploy Instance State-change Notification"}),
        ecs(detail={"eventName": "SERVICE_DEPLOYMENT_FAILED"}),
        ecs(detail={"eventName": "SERVICE_DEPLOYMENT_COMPLETED", "deploymentId": 7}),
        ecs(source="aws.codedeploy"),
        {"deployment": "shop"},
        {"deployment": None},
        {**by_hand(), "mode": "act"},
        by_hand(force=True),
        by_hand(version=7),
        by_hand(version="x" * 101),
        by_hand(by="a\nb"),
    ],
)
def test_what_is_no_deployment_is_refused_by_name(scene: Scene, one: dict[str, Any]) -> None:
    answer = takes(scene, one)

    assert (answer["decision"], answer["reason"]) == ("refused", Refusal.NOT_A_DEPLOYMENT.value)
    assert watched(scene) == []


@pytest.mark.parametrize("more", [{"system": "cart"}, {"system": None}, {"target": "web"}])
def test_what_is_not_there_is_refused_with_what_is(scene: Scene, more: dict[str, Any]) -> None:
    answer = takes(scene, by_hand(**more))

    assert answer["reason"] == "bad_target"
    assert "known are" in answer["detail"]


def test_without_a_ledger_it_is_delivered_again(scene: Scene) -> None:
    scene.faults.names, scene.faults.error = ("dynamodb",), timed_out

    assert takes(scene, ecs())["retry"] is True


def test_the_handler_takes_all_of_them(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, lambda_context: Any) -> None:
    app = importlib.import_module("functions.respond.app")
    monkeypatch.setattr(app.runbook, "load", lambda: BOOKS)

    for one in (code_deploy(), ecs(), by_hand()):
        assert app.lambda_handler(one, lambda_context)["decisions"][0]["decision"] == "deployed"


def test_the_event_file_is_a_deployment_by_hand() -> None:
    assert set(event("deployment")["deployment"]) <= set(deployments.KNOWN)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from(["detail", "resources", "detail-type", "source", "deployment"]), value=anything)
def test_nothing_makes_it_fail(key: str, value: Any) -> None:
    one = {**json.loads(json.dumps(code_deploy())), key: value}
    read = deployments._by_hand(one, BOOKS, "r") if "deployment" in one else deployments._by_aws(one, BOOKS, HOME)

    with suppress(Refused):
        assert all(found.system for found in read)
