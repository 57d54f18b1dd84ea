"""Contract of ``ecs_deployments``: deployments take time, come up or fail, and are listed, stopped and taken back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
NO_BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}


class Service:
    """A service with a family of its own."""

    def __init__(self, account: Account, desired: int = 1, **settings: Any) -> None:
        self.account, self.name, self.ecs = account, account.name("service"), account.client("ecs")
        self.where = {"cluster": self.name, "service": self.name}
        self.ecs.create_cluster(clusterName=self.name)
        first = self.register()
        given = {"desiredCount": desired, "deploymentConfiguration": BREAKER, **settings}
        self.ecs.create_service(cluster=self.name, serviceName=self.name, taskDefinition=first, **given)

    def register(self, image: str = "shop:1", **container: Any) -> str:
        one = {"name": "web", "image": image, "memory": 64, **container}
        made = self.ecs.register_task_definition(family=self.name, containerDefinitions=[one])
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def look(self) -> dict[str, Any]:
        return dict(self.ecs.describe_services(cluster=self.name, services=[self.name])["services"][0])

    def update(self, **change: Any) -> None:
        self.ecs.update_service(**self.where, **change)

    def deployments(self, **more: Any) -> list[dict[str, Any]]:
        return list(self.ecs.list_service_deployments(**self.where, **more)["serviceDeployments"])

    def wait(self, status: str) -> dict[str, Any]:
        """The newest service deployment, once it has this status."""

        def found() -> dict[str, Any]:
            newest = sorted(self.deployments(), key=lambda one: one["createdAt"])[-1:]
            return newest[0] if newest and newest[0]["status"] == status else {}

        return self.account.wait(found, f"a deployment that is {status}")


@pytest.fixture
def service(account: Account) -> Service:
    made = Service(account)
    made.wait("SUCCESSFUL")
    return made


def test_a_deployment_takes_time_and_the_old_task_runs_so_long(account: Account) -> None:
    service = Service(account)
    assert service.look()["runningCount"] == 0
    assert [one["status"] for one in service.deployments()] == ["IN_PROGRESS"]
    service.wait("SUCCESSFUL")
    first = service.look()
    assert (first["runningCount"], first["deployments"][0]["rolloutState"]) == (1, "COMPLETED")

    service.update(forceNewDeployment=True)

    during = service.look()
    assert [one["rolloutState"] for one in during["deployments"]] == ["IN_PROGRESS", "COMPLETED"]
    assert during["runningCount"] == 1
    assert during["taskDefinition"] == first["taskDefinition"]
    service.wait("SUCCESSFUL")
    (only,) = service.look()["deployments"]
    assert only["id"] != first["deployments"][0]["id"]
    assert len(service.deployments()) == 2
    (arn,) = service.ecs.list_tasks(cluster=service.name, serviceName=service.name, desiredStatus="STOPPED")["taskArns"]
    (replaced,) = service.ecs.describe_tasks(cluster=service.name, tasks=[arn])["tasks"]
    assert replaced["stopCode"] == "ServiceSchedulerInitiated"
    assert replaced["stoppedReason"] == f"Scaling activity initiated by (deployment {first['deployments'][0]['id']})"


def test_a_deployment_knows_its_revision_and_where_it_came_from(account: Account) -> None:
    service = Service(account)
    service.wait("SUCCESSFUL")
    second = service.register("shop@sha256:" + "2" * 64)
    service.update(taskDefinition=second)
    made = service.wait("SUCCESSFUL")

    ecs = service.ecs
    assert service.look()["currentServiceDeployment"] == made["serviceDeploymentArn"]
    (told,) = ecs.describe_service_deployments(serviceDeploymentArns=[made["serviceDeploymentArn"]])[
        "serviceDeployments"
    ]
    (source,) = told["sourceServiceRevisions"]
    target = made["targetServiceRevisionArn"]
    assert told["targetServiceRevision"]["arn"] == target
    answer = ecs.describe_service_revisions(serviceRevisionArns=[target, source["arn"], target + "0"])
    first, before = answer["serviceRevisions"]
    assert [one["reason"] for one in answer["failures"]] == ["MISSING"]
    assert first["taskDefinition"] == second
    assert first["containerImages"][0]["imageDigest"] == "sha256:" + "2" * 64
    assert before["containerImages"][0]["imageDigest"].startswith("sha256:")
    assert [one["status"] for one in service.deployments(status=["IN_PROGRESS"])] == []
    page = ecs.list_service_deployments(**service.where, maxResults=1)
    assert len(page["serviceDeployments"]) == 1
    assert page["nextToken"]


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"environment": [{"name": "FAIL", "value": "1"}]}, "Essential container in task exited"),
        ({"image": "shop:2-broken"}, "CannotPullContainerError"),
    ],
)
def test_what_does_not_come_up_is_taken_back_by_the_circuit_breaker(
    service: Service, container: dict[str, Any], reason: str
) -> None:
    first = service.look()["taskDefinition"]
    service.update(taskDefinition=service.register(**container))

    taken_back = service.wait("ROLLBACK_SUCCESSFUL")

    after = service.look()
    assert (after["taskDefinition"], after["runningCount"]) == (first, 1)
    assert "circuit breaker" in taken_back["statusReason"]
    failed = next(one for one in after["deployments"] if one["rolloutState"] == "FAILED")
    assert failed["status"] == "INACTIVE", "replaced completely"
    arns = service.ecs.list_tasks(cluster=service.name, serviceName=service.name, desiredStatus="STOPPED")["taskArns"]
    tasks = service.ecs.describe_tasks(cluster=service.name, tasks=arns)["tasks"]
    why = [task["stoppedReason"] for task in tasks if task["startedBy"] == failed["id"]]
    assert why
    assert all(reason in one for one in why)


def test_without_rollback_the_breaker_only_stops(account: Account) -> None:
    service = Service(account, deploymentConfiguration=NO_BREAKER)
    service.wait("SUCCESSFUL")
    bad = service.register("shop:broken")
    service.update(taskDefinition=bad)

    service.wait("STOPPED")

    after = service.look()
    assert (after["taskDefinition"], after["deployments"][0]["rolloutState"]) == (bad, "FAILED")


@pytest.mark.parametrize("breaker", [False, True])
def test_failed_tasks_are_counted_until_one_runs(account: Account, breaker: bool) -> None:
    service = Service(
        account, deploymentConfiguration={"deploymentCircuitBreaker": {"enable": breaker, "rollback": False}}
    )
    service.wait("SUCCESSFUL")
    service.update(taskDefinition=service.register("shop:broken"))

    account.wait(lambda: service.look()["deployments"][0]["failedTasks"] >= 2, "two failed tasks")

    service.update(taskDefinition=service.register("shop:2"))
    service.wait("SUCCESSFUL")
    assert [one["failedTasks"] for one in service.look()["deployments"]] == [0]


def test_a_deployment_in_flight_is_stopped_with_rollback_and_once(service: Service) -> None:
    first = service.look()["taskDefinition"]
    service.update(taskDefinition=service.register("shop:2"))
    (arn,) = [one["serviceDeploymentArn"] for one in service.deployments(status=["IN_PROGRESS"])]

    service.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    service.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")  # goes on rolling back
    stopped = service.wait("ROLLBACK_SUCCESSFUL")

    assert stopped["serviceDeploymentArn"] == arn
    assert len(service.deployments()) == 2
    after = service.look()
    assert (after["taskDefinition"], after["runningCount"]) == (first, 1)
    stop = service.ecs.stop_service_deployment
    refused(stop, "ConflictException", serviceDeploymentArn=arn, stopType="ROLLBACK")
    refused(stop, "ServiceDeploymentNotFoundException", serviceDeploymentArn=arn + "0", stopType="ROLLBACK")


def test_a_newer_deployment_takes_the_place_of_one_in_flight(service: Service) -> None:
    service.update(taskDefinition=service.register("shop:2"))
    service.update(taskDefinition=service.register("shop:3"))
    service.wait("SUCCESSFUL")
    statuses = sorted(one["status"] for one in service.deployments())
    assert statuses == ["STOPPED", "SUCCESSFUL", "SUCCESSFUL"]


def test_an_update_takes_active_task_definitions_alone(service: Service) -> None:
    gone, latest = service.register("shop:2"), service.register("shop:3")
    service.ecs.deregister_task_definition(taskDefinition=gone)
    update = service.ecs.update_service

    refused(update, "ClientException", **service.where, taskDefinition=gone)
    refused(update, "ClientException", **service.where, taskDefinition=f"{service.name}:9")
    service.update(taskDefinition=service.name)
    assert service.look()["taskDefinition"] == latest
    service.ecs.deregister_task_definition(taskDefinition=latest)
    service.update(taskDefinition=service.name)
    assert service.look()["taskDefinition"].endswith(":1")


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_another_controller_deploys_and_ecs_only_counts(account: Account, controller: str) -> None:
    service = Service(account, deploymentController={"type": controller})
    update = service.ecs.update_service
    refused(update, "InvalidParameterException", **service.where, taskDefinition=service.register("shop:2"))
    refused(update, "InvalidParameterException", **service.where, forceNewDeployment=True)
    service.update(desiredCount=2)
    assert service.look()["desiredCount"] == 2


def test_a_daemon_has_no_desired_count(account: Account) -> None:
    service = Service(account, schedulingStrategy="DAEMON")
    refused(service.ecs.update_service, "InvalidParameterException", **service.where, desiredCount=2)
    service.update(forceNewDeployment=True)


def test_a_service_that_is_gone_is_not_updated(service: Service) -> None:
    service.ecs.delete_service(**service.where, force=True)
    refused(service.ecs.update_service, "ServiceNotActiveException", **service.where, desiredCount=2)
    nowhere = {**service.where, "service": "nothing"}
    refused(service.ecs.list_service_deployments, "ServiceNotFoundException", **nowhere)


def test_a_deployment_is_stopped_by_who_may_touch_its_service(service: Service) -> None:
    service.update(taskDefinition=service.register("shop:2"))
    (arn,) = [one["serviceDeploymentArn"] for one in service.deployments(status=["IN_PROGRESS"])]
    own = service.look()["serviceArn"]
    anything = "arn:aws:ecs:us-east-1:111111111111:service-deployment/*"
    derived = own.replace(":service/", ":service-deployment/") + "/*"

    def stopper(*resources: str) -> Any:
        statement = {"Action": "ecs:StopServiceDeployment", "Resource": list(resources)}
        return service.account.client("ecs", service.account.credentials(statement)).stop_service_deployment

    refused(stopper(anything, own + "-other"), "AccessDeniedException", serviceDeploymentArn=arn)
    refused(stopper(own), "AccessDeniedException", serviceDeploymentArn=arn)
    stopper(own, derived)(serviceDeploymentArn=arn)
