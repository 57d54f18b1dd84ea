"""algo-trading-prod on the local stack: orders fail, the engine is brought back, a person resumes after the checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.demos.algo_trading import NAME as SYSTEM
from tests.local.scenario import Systems, steps_of

pytestmark = pytest.mark.local

CLUSTER, ENGINE = f"{SYSTEM}-cluster", f"{SYSTEM}-trading"
SERVICE = {"cluster": CLUSTER, "service": ENGINE}
FLAG = "/algo-trading/prod/trading_enabled"
WELL = {"broker": "connected", "feed": "live", "positions": "reconciled"}


@pytest.fixture(autouse=True)
def well(systems: Systems) -> Iterator[None]:
    systems.health.pages["/health"] = WELL
    yield
    systems.weather.values.clear()


def service(systems: Systems) -> dict[str, Any]:
    found: dict[str, Any] = systems.client("ecs").describe_services(cluster=CLUSTER, services=[ENGINE])["services"][0]
    return found


def flag(systems: Systems) -> str:
    return str(systems.client("ssm").get_parameter(Name=FLAG)["Parameter"]["Value"])


def resume(systems: Systems) -> dict[str, Any]:
    options = {"after_sweep": "recovery checks", "within_minutes": 15}
    return systems.ask("resume_trading", {"parameter": FLAG}, options=options, system=SYSTEM)


@pytest.mark.parametrize("name", ["morning checklist", "evening checklist"])
def test_a_checklist_passes_on_a_good_day(systems: Systems, name: str) -> None:
    findings = systems.sweep(SYSTEM, name)

    assert [one for one in findings.items() if not one[1].startswith("pass")] == []
    assert len(findings) >= 5


def test_a_checklist_names_what_is_wrong(systems: Systems) -> None:
    systems.health.pages["/health"] = {**WELL, "feed": "stale"}

    findings = systems.sweep(SYSTEM, "morning checklist")

    assert [key for key in findings if findings[key].startswith("fail")] == ["url https://trading.example.com/health"]


def test_the_engine_is_restarted_and_trading_resumes_only_by_a_person_after_the_checks(systems: Systems) -> None:
    old = service(systems)["deployments"][0]["id"]
    systems.weather.let(
        "algo-trading", "OrderErrors", lambda: 5.0 if service(systems)["deployments"][0]["id"] == old else 0.0
    )

    incident = systems.closed(SYSTEM, "trading engine failing")

    assert incident["verdict"] == "healed"
    assert flag(systems) == "false", "halted at once"
    statuses = steps_of(incident)
    assert statuses["restart_service"] == "done"
    assert statuses["roll_back_service"] == "skipped", "green before it was needed"
    assert statuses["resume_trading"] == "needs_person"
    restarted = next(step for step in incident["steps"] if step["action"] == "restart_service")
    bucket, _, key = restarted["captured"].removeprefix("s3://").partition("/")
    evidence = json.loads(systems.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    assert evidence["has"]["service"], "kept before the tasks were replaced"

    systems.health.pages["/health"] = {**WELL, "positions": "differ"}
    systems.sweep(SYSTEM, "recovery checks")
    refused = resume(systems)
    assert (refused["outcome"], refused["reason"]) == ("refused", "checks_not_passed")
    assert flag(systems) == "false"

    systems.health.pages["/health"] = WELL
    systems.sweep(SYSTEM, "recovery checks")
    assert resume(systems)["outcome"] == "acted"
    assert flag(systems) == "true"


def test_the_engine_is_stopped_to_zero_and_comes_back_as_it_was(systems: Systems) -> None:
    scaling = systems.client("application-autoscaling")
    where = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{CLUSTER}/{ENGINE}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(**where, MinCapacity=2, MaxCapacity=4)

    stopped = systems.ask("stop_service", SERVICE)

    assert stopped["outcome"] in {"acted", "in_progress"}, stopped
    assert service(systems)["desiredCount"] == 0
    target = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[where["ResourceId"]])
    assert target["ScalableTargets"][0]["SuspendedState"]["DynamicScalingOutSuspended"] is True

    systems.wait(lambda: service(systems)["runningCount"] == 0, "the tasks to end")
    again = systems.ask("stop_service", SERVICE, action_id=stopped["action_id"], mode="resume")
    assert again["outcome"] == "acted", again
    undone = systems.ask("stop_service", SERVICE, undo_of=stopped["action_id"], origin="undo")
    assert undone["outcome"] in {"acted", "in_progress"}, undone
    assert service(systems)["desiredCount"] == 2
    restored = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[where["ResourceId"]])
    assert (restored["ScalableTargets"][0]["MinCapacity"], restored["ScalableTargets"][0]["MaxCapacity"]) == (2, 4)


def test_positions_are_closed_by_the_users_own_hook(systems: Systems) -> None:
    closed = systems.ask(
        "run_hook",
        {"function": f"{SYSTEM}-close-positions", "alias": "live"},
        options={"payload": {"positions": "all"}},
    )

    assert closed["outcome"] == "acted", closed


def test_the_database_is_backed_up_once_for_each_request(systems: Systems) -> None:
    first = systems.ask("snapshot_database", {"database": f"{SYSTEM}-db"})
    again = systems.ask("snapshot_database", {"database": f"{SYSTEM}-db"}, action_id=first["action_id"])

    assert (first["outcome"], again["outcome"]) == ("acted", "acted"), (first, again)
    listed = systems.client("rds").describe_db_snapshots(DBInstanceIdentifier=f"{SYSTEM}-db")["DBSnapshots"]
    assert len(listed) == 1


def test_reports_come_back_beside_the_backup(systems: Systems) -> None:
    s3 = systems.client("s3")
    day = s3.list_objects_v2(Bucket="algo-trading-prod-data", Prefix="backups/")["Contents"][0]["Key"].split("/")[1]

    restored = systems.ask(
        "restore_backup", {"bucket": "algo-trading-prod-data", "prefix": "backups/"}, options={"date": day}
    )

    assert restored["outcome"] == "acted", restored
    found = s3.list_objects_v2(Bucket="algo-trading-prod-data", Prefix="restore/")["Contents"]
    assert sorted(one["Key"].rsplit("/", 1)[1] for one in found) == ["positions.csv", "trades.csv"]
