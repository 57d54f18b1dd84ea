"""polymarket-staging on the local stack: releases that fail go back, room is made, evidence comes before everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.demos.polymarket import NAME as SYSTEM
from tests.local.scenario import Systems, steps_of

pytestmark = pytest.mark.local

CLUSTER = f"{SYSTEM}-cluster"
BACKEND = {"cluster": CLUSTER, "service": SYSTEM}
LOG = f"/ecs/{SYSTEM}"
SECRET = f"{SYSTEM}/database"
TOKEN = "selfheal/github"
WORKFLOW = {"repository": "example/polymarket", "workflow": "rollback.yml", "token": TOKEN}
LEADERBOARD = "/api/v1/traders/leaderboard"
HOST = "https://staging.polymarket.example.com"


@pytest.fixture(autouse=True)
def well(systems: Systems) -> Iterator[None]:
    systems.health.pages["/health"] = {"status": "ok", "migrations": "head"}
    systems.health.pages[LEADERBOARD] = {"traders": []}
    yield
    systems.weather.values.clear()


class Backend:
    """The service as ECS's API has it, and how a pipeline releases it."""

    def __init__(self, systems: Systems) -> None:
        self.systems, self.ecs = systems, systems.client("ecs")

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_services(cluster=CLUSTER, services=[SYSTEM])["services"][0]
        return found

    @property
    def revision(self) -> str:
        return str(self.look()["taskDefinition"])

    def deployments(self) -> list[dict[str, Any]]:
        """The oldest first."""
        found = self.ecs.list_service_deployments(cluster=CLUSTER, service=SYSTEM)["serviceDeployments"]
        return sorted(found, key=lambda one: one["createdAt"])

    def release(self, image: str) -> str:
        """A new revision with this image is on its way; answers its ARN."""
        now = self.ecs.describe_task_definition(taskDefinition=self.revision)["taskDefinition"]
        kept = ("family", "cpu", "memory", "networkMode", "requiresCompatibilities")
        containers = [{**now["containerDefinitions"][0], "image": f"registry.example.com/polymarket{image}"}]
        made = self.ecs.register_task_definition(**{name: now[name] for name in kept}, containerDefinitions=containers)
        arn = str(made["taskDefinition"]["taskDefinitionArn"])
        self.ecs.update_service(**BACKEND, taskDefinition=arn)
        return arn

    def settled(self) -> None:
        """The newest deployment is over, and every task runs."""

        def is_settled() -> bool:
            seen = self.look()
            done = self.deployments()[-1]["status"] in {"SUCCESSFUL", "ROLLBACK_SUCCESSFUL"}
            return done and seen["runningCount"] == seen["desiredCount"]

        self.systems.wait(is_settled, "the deployment to end")


@pytest.fixture
def backend(systems: Systems) -> Iterator[Backend]:
    found = Backend(systems)
    found.settled()
    good = found.revision
    yield found
    if found.revision != good or found.look()["desiredCount"] != 2:  # a test that failed spoils no other
        found.ecs.update_service(**BACKEND, taskDefinition=good, desiredCount=2)


def not_passed(findings: Mapping[str, str]) -> dict[str, str]:
    return {key: verdict for key, verdict in findings.items() if not verdict.startswith("pass")}


# -- sweeps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "checks"), [("before a release", 7), ("after a release", 6)])
def test_a_sweep_passes_on_a_good_day(systems: Systems, backend: Backend, name: str, checks: int) -> None:
    findings = systems.sweep(SYSTEM, name)

    assert not_passed(findings) == {}
    assert len(findings) == checks


def test_after_a_release_it_is_named_what_does_not_answer_and_which_migrations_are_missing(systems: Systems) -> None:
    systems.health.pages["/health"] = {"status": "ok", "migrations": "behind"}
    del systems.health.pages[LEADERBOARD]

    wrong = not_passed(systems.sweep(SYSTEM, "after a release"))

    assert sorted(wrong) == [f"url {HOST}{LEADERBOARD}", f"url {HOST}/health"]
    assert "503" in wrong[f"url {HOST}{LEADERBOARD}"]
    assert "migrations is behind" in wrong[f"url {HOST}/health"]


def test_before_a_release_it_is_named_what_is_stopped_and_which_secret_is_missing(
    systems: Systems, backend: Backend
) -> None:
    secrets = systems.client("secretsmanager")
    stopped = systems.ask("stop_service", BACKEND, system=SYSTEM)
    secrets.delete_secret(SecretId=TOKEN, RecoveryWindowInDays=7)

    wrong = not_passed(systems.sweep(SYSTEM, "before a release"))

    secrets.restore_secret(SecretId=TOKEN)
    undone = systems.ask("stop_service", BACKEND, undo_of=stopped["action_id"], origin="undo")
    assert undone["outcome"] in {"acted", "in_progress"}, undone
    backend.settled()
    assert sorted(key.partition(" ")[0] for key in wrong) == ["changes", "secrets"], wrong
    assert any(key == f"secrets {TOKEN}" and "to be deleted" in wrong[key] for key in wrong), wrong
    assert backend.look()["runningCount"] == 2


# -- releases ---------------------------------------------------------------------------------------------------------


def test_a_finished_release_that_is_unhealthy_goes_back_and_its_evidence_stays(
    systems: Systems, backend: Backend
) -> None:
    good, before = backend.revision, len(backend.deployments())
    bad = backend.release("@sha256:" + "2" * 64)
    backend.settled()
    assert backend.deployments()[-1]["status"] == "SUCCESSFUL", "nothing to stop: it is finished"
    systems.weather.let("polymarket", "UnhealthyHosts", lambda: float(Backend(systems).revision == bad))

    incident = systems.closed(SYSTEM, "unhealthy after a release")

    assert incident["verdict"] == "healed"
    statuses = [(step["action"], step["status"]) for step in incident["steps"]]
    assert statuses == [
        ("check_health", "done"),
        ("roll_back_service", "done"),
        ("restart_service", "skipped"),
        ("check_health", "done"),
    ]
    assert [probe["status"] for probe in incident["probes"]] == ["done"]
    assert incident["steps"][3]["detail"].endswith("7 passed, 0 failed, 0 unknown")
    assert backend.revision == good
    added = backend.deployments()[before:]
    assert [one["status"] for one in added] == ["SUCCESSFUL", "SUCCESSFUL"], "the release, and one way back"
    (led_to,) = backend.ecs.describe_service_revisions(serviceRevisionArns=[added[-1]["targetServiceRevisionArn"]])[
        "serviceRevisions"
    ]
    assert led_to["taskDefinition"] == good

    evidence = systems.kept(incident["steps"][1]["captured"])
    has = evidence["has"]
    assert evidence["reason"].startswith("before roll_back_service")
    assert has["service"]["taskDefinition"] == bad, "as it was before the rollback"
    assert has["service_deployments"]["deployments"][0]["serviceDeploymentArn"] == added[0]["serviceDeploymentArn"]
    stopped = has["stopped_tasks"]["tasks"]
    assert (good, "ServiceSchedulerInitiated") in {(one["taskDefinitionArn"], one["stopCode"]) for one in stopped}


def test_a_deployment_whose_tasks_fail_is_explained_and_stopped_with_rollback(
    systems: Systems, backend: Backend
) -> None:
    good, before = backend.revision, len(backend.deployments())
    bad = backend.release(":broken")
    assert backend.revision == bad
    systems.wait(lambda: backend.look()["deployments"][0]["failedTasks"] >= 3, "tasks that fail")

    wrong = not_passed(systems.sweep(SYSTEM, "why is it unhealthy"))
    rolled = systems.ask("roll_back_service", BACKEND)
    backend.settled()

    assert list(wrong) == [f"service {CLUSTER}/{SYSTEM}"]
    (told,) = wrong.values()
    assert told.startswith("fail: deployment ")
    assert "its tasks do not come up" in told
    assert "its image can't be pulled" in told
    assert rolled["outcome"] in {"acted", "in_progress"}, rolled
    assert rolled["after"] == {"task_definition": good}
    assert backend.revision == good
    (stopped,) = backend.deployments()[before:]
    assert stopped["status"] == "ROLLBACK_SUCCESSFUL", "stopped, and no deployment of ours beside it"
    assert stopped["serviceDeploymentArn"].endswith(rolled["evidence"]["stopped"])
    reasons = systems.kept(rolled["evidence"]["captured"])["has"]["stopped_tasks"]["tasks"]
    assert any("CannotPullContainerError" in one["stoppedReason"] for one in reasons)

    again = systems.ask("roll_back_service", BACKEND, action_id=rolled["action_id"])
    assert again["outcome"] in {"acted", "in_progress"}, again
    assert (backend.revision, len(backend.deployments())) == (good, before + 1), "once"
    assert not_passed(systems.sweep(SYSTEM, "why is it unhealthy")) == {}


@pytest.mark.parametrize("mode", ["plan", "act"])
def test_what_code_deploy_deploys_is_not_rolled_back_here(systems: Systems, backend: Backend, mode: str) -> None:
    blue = {"cluster": CLUSTER, "service": f"{SYSTEM}-blue"}
    backend.ecs.create_service(
        cluster=CLUSTER,
        serviceName=blue["service"],
        taskDefinition=backend.revision,
        desiredCount=1,
        launchType="FARGATE",
        deploymentController={"type": "CODE_DEPLOY"},
    )
    try:
        refused = systems.ask("roll_back_service", blue, mode=mode)
        (seen,) = backend.ecs.describe_services(cluster=CLUSTER, services=[blue["service"]])["services"]
    finally:
        backend.ecs.delete_service(**blue, force=True)

    assert (refused["outcome"], refused["reason"]) == ("refused", "other_controller")
    assert "deployed by CodeDeploy" in refused["detail"]
    assert "aws deploy create-deployment" in refused["detail"], "what is right"
    assert seen["taskDefinition"] == backend.revision


def test_after_a_deployment_it_is_looked_again_and_again_until_something_is_wrong(
    systems: Systems, backend: Backend
) -> None:
    def watch() -> Mapping[str, Any] | None:
        found = (item for item in systems.items() if (item["pk"]["S"], item["sk"]["S"][:1]) == ("WATCH", SYSTEM[0]))
        return next((item for item in found if '"version": "2.0.0"' in item["doc"]["S"]), None)

    def looks() -> dict[str, str]:
        """Request → outcome, of those that are over."""
        return {
            item["pk"]["S"]: item["outcome"]["S"]
            for item in systems.items()
            if item["pk"]["S"].startswith(f"ACTION#watch.{SYSTEM}.") and item["run"]["S"] == "done"
        }

    def look_now() -> dict[str, str]:
        """The clock's next look is due; its answer."""
        open_one, before = watch(), looks()
        assert open_one
        key = {name: open_one[name] for name in ("pk", "sk")}
        table = systems.stack.account.outputs("selfheal")["LedgerTable"]
        due = str(time.time() - 301 * (1 + int(open_one["looks"]["N"])))
        systems.client("dynamodb").update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET began_at = :due",
            ExpressionAttributeValues={":due": {"N": due}},
        )
        systems.invoke("Respond", {"clock": "tick"})
        found = systems.wait(lambda: {key: now for key, now in looks().items() if key not in before}, "a look")
        systems.invoke("Respond", {"clock": "tick"})
        return found

    told = systems.invoke("Respond", {"deployment": {"system": SYSTEM, "version": "2.0.0", "by": "ann"}})

    assert told["decisions"] == [{"decision": "deployed", "system": SYSTEM, "watches": ["after a release"]}]
    assert list(look_now().values()) == ["acted"]
    open_one = watch()
    assert open_one, "a clean look is followed by others"
    assert open_one["looks"]["N"] == "1"
    del systems.health.pages[LEADERBOARD]
    assert list(look_now().values()) == ["failed"]
    assert watch() is None, "it is over when something is wrong"
    ended = [item for item in systems.items() if item["pk"]["S"] == f"DEPLOYMENT#{SYSTEM}"]
    assert any('"verdict": "red"' in item["doc"]["S"] and "2.0.0" in item["doc"]["S"] for item in ended)


# -- room -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def room(systems: Systems, backend: Backend) -> Iterator[Callable[[], tuple[int, int, int]]]:
    """Application Auto Scaling holds the service between 2 and 3; answers its limits and the desired count."""
    scaling = systems.client("application-autoscaling")
    where = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{CLUSTER}/{SYSTEM}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(**where, MinCapacity=2, MaxCapacity=3)

    def look() -> tuple[int, int, int]:
        answer = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[where["ResourceId"]])
        (limits,) = answer["ScalableTargets"]
        return limits["MinCapacity"], limits["MaxCapacity"], backend.look()["desiredCount"]

    yield look
    scaling.deregister_scalable_target(**where)


def test_room_lasts_under_auto_scaling_and_an_undo_takes_it_back(
    systems: Systems, backend: Backend, room: Callable[[], tuple[int, int, int]]
) -> None:
    assert room() == (2, 3, 2)
    wanted = {"desired": 4, "most": 6}

    scaled = systems.ask("scale_service", BACKEND, options=wanted)

    assert scaled["outcome"] in {"acted", "in_progress"}, scaled
    assert room() == (4, 4, 4), "scaling does not take away what was added"
    backend.settled()

    again = systems.ask("scale_service", BACKEND, options=wanted)
    repeated = systems.ask("scale_service", BACKEND, options=wanted, action_id=scaled["action_id"])
    beyond = systems.ask("scale_service", BACKEND, options={"desired": 7, "most": 6})

    assert again["outcome"] == "already_done", again
    assert repeated["outcome"] in {"acted", "in_progress"}, repeated
    assert (beyond["outcome"], beyond["reason"]) == ("refused", "beyond_most")
    assert room() == (4, 4, 4)

    undone = systems.ask("scale_service", BACKEND, undo_of=scaled["action_id"], origin="undo")

    assert undone["outcome"] in {"acted", "in_progress"}, undone
    assert room() == (2, 3, 2)


# -- security ---------------------------------------------------------------------------------------------------------


def days(systems: Systems) -> int | None:
    (group,) = systems.client("logs").describe_log_groups(logGroupNamePrefix=LOG)["logGroups"]
    found: int | None = group.get("retentionInDays")
    return found


def test_of_a_security_incident_evidence_comes_first_and_the_rest_waits_for_a_person(systems: Systems) -> None:
    response, findings = "security incident", [1.0]
    assert days(systems) == 30
    secret = current(systems)
    systems.weather.let("polymarket", "Findings", lambda: findings[0])

    def contained() -> bool:
        steps = steps_of(systems.incident(SYSTEM, response) or {"steps": [], "probes": []})
        return steps.get("keep_logs") == "done"

    systems.wait(contained, "the logs to be kept", 40.0)
    findings[0] = 0.0
    incident = systems.closed(SYSTEM, response)

    evidence, logs, back, logout = incident["steps"]
    assert [(one["action"], one["status"]) for one in (evidence, logs)] == [
        ("capture_evidence", "done"),
        ("keep_logs", "done"),
    ]
    assert evidence["asked_at"] <= logs["asked_at"]
    assert [(one["action"], one["status"]) for one in (back, logout)] == [
        ("roll_back_secret", "needs_person"),
        ("run_hook", "needs_person"),
    ]
    assert current(systems) == secret, "nobody has moved it"
    document = systems.kept(evidence["captured"])
    assert set(document["has"]) >= {"lines", "service", "service_deployments", "trail"}, document["missing"]
    assert document["incident"] == incident["id"]

    assert days(systems) == 400
    lower = systems.ask("keep_logs", {"log_group": LOG}, options={"days": 90})
    assert lower["outcome"] == "already_done", lower
    assert days(systems) == 400, "never lowered"


def labels(systems: Systems) -> dict[str, str]:
    """Label → version."""
    found = systems.client("secretsmanager").describe_secret(SecretId=SECRET)["VersionIdsToStages"]
    return {label: version for version, labels in found.items() for label in labels}


def current(systems: Systems) -> str:
    return labels(systems)["AWSCURRENT"]


def test_a_secret_goes_back_once_and_forth_by_an_undo(systems: Systems) -> None:
    before = labels(systems)
    first, second = before["AWSPREVIOUS"], before["AWSCURRENT"]

    rolled = systems.ask("roll_back_secret", {"secret": SECRET})
    assert rolled["outcome"] == "acted", rolled
    assert current(systems) == first
    value = systems.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"]
    assert '"password": "first"' in value

    again = systems.ask("roll_back_secret", {"secret": SECRET}, action_id=rolled["action_id"])
    assert again["outcome"] == "acted", again
    assert current(systems) == first, "not swapped back"

    undone = systems.ask("roll_back_secret", {"secret": SECRET}, undo_of=rolled["action_id"], origin="undo")
    assert undone["outcome"] == "acted", undone
    assert labels(systems) == {"AWSCURRENT": second, "AWSPREVIOUS": first}


def test_every_user_is_logged_out_by_the_users_own_hook(systems: Systems) -> None:
    done = systems.ask("run_hook", {"function": f"{SYSTEM}-logout", "alias": "live"})

    assert done["outcome"] == "acted", done
    assert done["evidence"]["status"] == 200


# -- GitHub -----------------------------------------------------------------------------------------------------------


def test_a_workflow_is_dispatched_once_and_its_token_stays_where_it_is(systems: Systems) -> None:
    before = len(systems.health.dispatches)
    options = {"ref": "main", "inputs": {"task_definition_revision": f"{SYSTEM}:1", "asked_by": "{action_id}"}}

    planned = systems.ask("dispatch_workflow", WORKFLOW, options=options, mode="plan")
    assert planned["outcome"] == "planned", planned
    assert len(systems.health.dispatches) == before, "a plan starts nothing"
    done = systems.ask("dispatch_workflow", WORKFLOW, options=options)
    again = systems.ask("dispatch_workflow", WORKFLOW, options=options, action_id=done["action_id"])

    assert (done["outcome"], again["outcome"]) == ("acted", "acted"), (done, again)
    (sent,) = systems.health.dispatches[before:]
    assert sent["path"] == "/repos/example/polymarket/actions/workflows/rollback.yml/dispatches"
    assert sent["document"]["ref"] == "main"
    assert sent["document"]["inputs"] == {"task_definition_revision": f"{SYSTEM}:1", "asked_by": done["action_id"]}
    assert sent["token"] == "Bearer not-a-real-token"
    assert done["evidence"]["run"] == before + 1
    assert "not-a-real-token" not in str(systems.items())


@pytest.mark.parametrize("ref", ["4b825dc642cb6eb9a060e54bf8d69288fbee4904", "4b825dc"])
def test_a_commit_is_no_ref(systems: Systems, ref: str) -> None:
    before = len(systems.health.dispatches)

    refused = systems.ask("dispatch_workflow", WORKFLOW, options={"ref": ref})

    assert (refused["outcome"], refused["reason"]) == ("refused", "ref_is_a_commit")
    assert "tag it" in refused["detail"]
    assert len(systems.health.dispatches) == before
