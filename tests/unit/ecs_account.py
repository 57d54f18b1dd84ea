"""ECS and Application Auto Scaling in memory: services whose deployments take time, succeed, fail and are taken back.

For what moto lacks (service deployments and revisions) or does not do (a deployment that moves, limits that force the
count). Answers by the name of the call, as `tests.unit.wire` wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.unit.conftest import ACCOUNT, REGION
from tests.unit.doubles import Clock

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
NO_SUSPENSION = dict.fromkeys(
    ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"), False
)
ENDED = ("SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED")


def refused(code: str, message: str = "injected") -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, "Ecs")  # type: ignore[arg-type]


class EcsAccount:
    """One account. `broken` task definitions never come up: their deployment is taken back after `takes_s`."""

    def __init__(self, clock: Clock, takes_s: float = 1.0) -> None:
        self.clock = clock
        self.takes_s = takes_s
        self.services: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.definitions: dict[str, dict[str, Any]] = {}
        self.revisions: dict[str, dict[str, Any]] = {}
        self.targets: dict[str, dict[str, Any]] = {}
        self.scheduled: dict[str, list[str]] = {}
        self.broken: set[str] = set()
        self.tasks: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.number = 0

    # -- what a test sets up --------------------------------------------------------------------------------------

    def register(self, family: str, *images: str) -> str:
        """A new revision; answers its ARN."""
        revision = 1 + sum(one["family"] == family for one in self.definitions.values())
        arn = f"{ARN}:task-definition/{family}:{revision}"
        self.definitions[arn] = {
            "taskDefinitionArn": arn,
            "family": family,
            "status": "ACTIVE",
            "registeredAt": self._now(),
            "containerDefinitions": [
                {"name": f"c{n}", "image": image} for n, image in enumerate(images or (f"shop:{revision}",))
            ],
        }
        return arn

    def create(self, name: str, definition: str, desired: int = 2, **more: Any) -> dict[str, Any]:
        """A service whose first deployment is over."""
        self.services[name] = {
            "serviceName": name,
            "status": "ACTIVE",
            "desiredCount": desired,
            "runningCount": desired,
            "pendingCount": 0,
            "taskDefinition": definition,
            "deploymentController": {"type": "ECS"},
            "schedulingStrategy": "REPLICA",
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "loadBalancers": [],
            "deployments": [],
            **more,
        }
        self.history[name] = []
        self.deploy(name, definition)
        self.settle()
        return self.services[name]

    def deploy(self, name: str, definition: str, *, stuck: bool = False) -> dict[str, Any]:
        """Somebody deploys; answers the service deployment. One that is stuck does not end by itself."""
        service = self.services[name]
        old = [one for one in service["deployments"] if one["status"] == "PRIMARY"]
        for one in old:
            one["status"] = "ACTIVE"
        self.number += 1
        revision = f"{ARN}:service-revision/shop/{name}/{self.number}"
        digest = f"sha256:{self.definitions[definition]['containerDefinitions'][0]['image']}"
        images = [{"containerName": "c0", "imageDigest": digest}]
        self.revisions[revision] = {
            "serviceRevisionArn": revision, "taskDefinition": definition, "containerImages": images,
        }  # fmt: skip
        done = [one for one in self.history[name] if one["status"] == "SUCCESSFUL"]
        made = {
            "serviceDeploymentArn": f"{ARN}:service-deployment/shop/{name}/d{self.number}",
            "status": "IN_PROGRESS",
            "createdAt": self._now(),
            "targetServiceRevisionArn": revision,
            "sources": [done[-1]["targetServiceRevisionArn"]] if done else [],
            "deployment": f"ecs-svc/{self.number}",
            "since": self.clock.now(),
            "stuck": stuck,
        }
        for one in self.history[name]:
            if one["status"] == "IN_PROGRESS":
                one["status"] = "STOPPED"
        self.history[name].append(made)
        primary = {
            "id": made["deployment"], "status": "PRIMARY", "taskDefinition": definition,
            "rolloutState": "IN_PROGRESS", "desiredCount": service["desiredCount"], "createdAt": self._now(),
        }  # fmt: skip
        service["deployments"].insert(0, primary)
        service["taskDefinition"] = definition
        return made

    def scale(self, name: str, low: int, high: int, **suspended: bool) -> None:
        """A scalable target."""
        self.targets[f"service/shop/{name}"] = {
            "MinCapacity": low, "MaxCapacity": high, "SuspendedState": NO_SUSPENSION | suspended,
        }  # fmt: skip

    def settle(self) -> None:
        """Let every deployment end."""
        self.clock.advance(self.takes_s)
        self.go_on()

    def go_on(self) -> None:
        """What became of deployments with the time."""
        for name, history in self.history.items():
            for one in history:
                waits = one["stuck"] and one["status"] == "IN_PROGRESS"
                if one["status"] not in ENDED and not waits and self.clock.now() - one["since"] >= self.takes_s:
                    self._end(self.services[name], one)

    def _end(self, service: dict[str, Any], one: dict[str, Any]) -> None:
        definition = self.revisions[one["targetServiceRevisionArn"]]["taskDefinition"]
        (rolled,) = [each for each in service["deployments"] if each["id"] == one["deployment"]]
        if one["status"] in {"PENDING", "IN_PROGRESS"} and definition not in self.broken:
            one["status"], rolled["rolloutState"] = "SUCCESSFUL", "COMPLETED"
            service["deployments"] = [rolled]
            service["runningCount"] = service["desiredCount"]
            return
        self.tasks.append({"startedBy": one["deployment"], "stoppedReason": "Essential container in task exited",
                           "containers": [{"name": "c0", "exitCode": 1}]})  # fmt: skip
        source = self.revisions[one["sources"][0]]["taskDefinition"]
        one["status"] = "ROLLBACK_SUCCESSFUL"
        rolled.update(rolloutState="FAILED", rolloutStateReason="circuit breaker", status="INACTIVE")
        back = {**rolled, "id": f"{rolled['id']}b", "status": "PRIMARY", "taskDefinition": source}
        service["deployments"] = [back | {"rolloutState": "COMPLETED"}, rolled]
        service["taskDefinition"] = source

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def backdate(self, name: str, until: float) -> None:
        """What there is of a service was made before this moment (epoch seconds)."""
        for back, one in enumerate(reversed(self.history[name])):
            one["createdAt"] = datetime.fromtimestamp(until - 60 * (back + 1), UTC)
        for definition in self.definitions.values():
            if definition["family"] == name:
                definition["registeredAt"] = datetime.fromtimestamp(until - 3600, UTC)

    # -- what AWS answers -----------------------------------------------------------------------------------------

    def answers(self) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
        """By the name of the call; time goes on before each."""
        calls: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "ecs.describe_services": self._describe_services,
            "ecs.update_service": self._update_service,
            "ecs.list_service_deployments": self._list_deployments,
            "ecs.describe_service_deployments": self._describe_deployments,
            "ecs.stop_service_deployment": self._stop_deployment,
            "ecs.describe_service_revisions": self._describe_revisions,
            "ecs.describe_task_definition": lambda asked: {"taskDefinition": self._definition(asked["taskDefinition"])},
            "ecs.list_task_definitions": self._list_definitions,
            "ecs.list_tasks": lambda asked: {"taskArns": [f"{ARN}:task/{n}" for n in range(len(self.tasks))]},
            "ecs.describe_tasks": lambda asked: {"tasks": self.tasks},
            "application-autoscaling.describe_scalable_targets": self._describe_targets,
            "application-autoscaling.register_scalable_target": self._register_target,
            "application-autoscaling.describe_scheduled_actions": self._describe_scheduled,
        }
        return {name: self._later(call) for name, call in calls.items()}

    def _later(self, call: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Callable[..., Mapping[str, Any]]:
        def answer(asked: Mapping[str, Any]) -> Mapping[str, Any]:
            self.go_on()
            return call(asked)

        return answer

    def _service(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked["service"] not in self.services:
            raise refused("ServiceNotFoundException")
        return self.services[asked["service"]]

    def _describe_services(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if asked["cluster"] != "shop":
            raise refused("ClusterNotFoundException", "Cluster not found.")
        found = [self.services[name] for name in asked["services"] if name in self.services]
        return {"services": found, "failures": [] if found else [{"reason": "MISSING"}]}

    def _update_service(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        service = self._service(asked)
        self.updates.append({name: value for name, value in asked.items() if name != "url_path"})
        if service["deploymentController"]["type"] != "ECS" and {"taskDefinition", "forceNewDeployment"} & asked.keys():
            raise refused("InvalidParameterException", "Unable to update task definition")
        if "desiredCount" in asked:
            self._count(service, asked["desiredCount"])
        definition = service["taskDefinition"]
        if "taskDefinition" in asked:
            found = self._definition(asked["taskDefinition"])
            if found["status"] != "ACTIVE":
                raise refused("ClientException", "TaskDefinition is inactive")
            definition = found["taskDefinitionArn"]
        if asked.get("forceNewDeployment") or definition != service["taskDefinition"]:
            self.deploy(asked["service"], definition)
        return {"service": service}

    def _count(self, service: dict[str, Any], desired: int) -> None:
        if service["schedulingStrategy"] == "DAEMON":
            raise refused(
                "InvalidParameterException", "The daemon scheduling strategy does not support a desired count"
            )
        service.update(desiredCount=desired, runningCount=desired)

    def _list_deployments(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Two at a time, and not in order."""
        history = self.history[self._service(asked)["serviceName"]]
        found = [one for one in history[::2] + history[1::2] if one["status"] in asked.get("status", [one["status"]])]
        start = int(asked.get("nextToken", "0"))
        more = {"nextToken": str(start + 2)} if len(found) > start + 2 else {}
        return {"serviceDeployments": found[start : start + 2], **more}

    def _deployment(self, arn: str) -> tuple[str, dict[str, Any]]:
        for name, history in self.history.items():
            for one in history:
                if one["serviceDeploymentArn"] == arn:
                    return name, one
        raise refused("ServiceDeploymentNotFoundException")

    def _describe_deployments(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        found = [self._deployment(arn)[1] for arn in asked["serviceDeploymentArns"]]
        told = [{**one, "sourceServiceRevisions": [{"arn": arn} for arn in one["sources"]]} for one in found]
        return {"serviceDeployments": told}

    def _stop_deployment(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        name, one = self._deployment(asked["serviceDeploymentArn"])
        if one["status"] in ENDED:
            raise refused("ConflictException", "it is over")
        if one["status"] in {"PENDING", "IN_PROGRESS"}:
            one.update(status="ROLLBACK_IN_PROGRESS", since=self.clock.now())
            service = self.services[name]
            service["taskDefinition"] = self.revisions[one["sources"][0]]["taskDefinition"]
        return {"serviceDeploymentArn": one["serviceDeploymentArn"]}

    def _describe_revisions(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        assert len(asked["serviceRevisionArns"]) <= 20
        found = [self.revisions[arn] for arn in asked["serviceRevisionArns"] if arn in self.revisions]
        return {"serviceRevisions": found, "failures": []}

    def _definition(self, name: str) -> dict[str, Any]:
        arn = name if name.startswith("arn:") else f"{ARN}:task-definition/{name}"
        if arn not in self.definitions:
            raise refused("ClientException", "Unable to describe task definition.")
        return self.definitions[arn]

    def _list_definitions(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The family as a prefix."""
        found = [
            arn
            for arn, one in self.definitions.items()
            if one["status"] == asked["status"] and one["family"].startswith(asked["familyPrefix"])
        ]
        return {"taskDefinitionArns": found[::-1]}

    def _describe_targets(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Iterable[str] = (one for one in asked["ResourceIds"] if one in self.targets)
        return {"ScalableTargets": [{"ResourceId": one, **self.targets[one]} for one in found]}

    def _register_target(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        target = self.targets.setdefault(asked["ResourceId"], {"SuspendedState": NO_SUSPENSION})
        if asked.get("MinCapacity", 0) > asked.get("MaxCapacity", target.get("MaxCapacity", 0)):
            raise refused("ValidationException", "Maximum capacity cannot be less than minimum capacity")
        target.update({name: asked[name] for name in ("MinCapacity", "MaxCapacity", "SuspendedState") if name in asked})
        service = self.services[asked["ResourceId"].split("/")[2]]
        if service["status"] == "ACTIVE":
            self._count(service, min(max(service["desiredCount"], target["MinCapacity"]), target["MaxCapacity"]))
        return {}

    def _describe_scheduled(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        names = self.scheduled.get(asked["ResourceId"].split("/")[2], [])
        return {"ScheduledActions": [{"ScheduledActionName": name} for name in names]}
