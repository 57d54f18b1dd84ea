"""The play of check_health: a check of every kind, with every call that it may make; not all is well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from selfheal.checks import flag, function, schedule
from selfheal.checks.rules import FEW_RULES
from selfheal.clients import client

from tests.unit.dead_letters import ACCOUNT, FUNCTION, SOURCE_ARN
from tests.unit.play import Play

if TYPE_CHECKING:
    from tests.unit.stage import Stage

NAMED = [
    {"queue": "empty"},
    {"alias": {"function": FUNCTION, "alias": "live"}},
    {"alarms": {"prefix": "shop-"}},
    {"schedule": "daily"},
    {"rules": {"bus": "selfheal", "names": ["rule"]}},
    {"table": {"name": "ledger", "ttl": "expires"}},
    {"topic": "arn:aws:sns:eu-central-1:123456789012:people"},
    {"bus": "selfheal"},
    {"flag": "/shop/flag"},
    {"invocations": FUNCTION},
    {"throttles": FUNCTION},
    {"permission": {"function": FUNCTION, "actions": ["sqs:SendMessage"], "resources": [SOURCE_ARN]}},
    {"function": FUNCTION},
    {"event_source": {"function": FUNCTION}},
    {"timestream": "market"},
    {"stack": "shop"},
    {"api": {"rest_api": "web", "stage": "live"}},
    {"url": "https://shop.example.com/health"},
    {"database": {"database": "orders"}},
    {"database": {"database_cluster": "ledger"}},
    {"cache": {"replication_group": "prices"}},
    {"cache": {"cache_cluster": "sessions"}},
    {"cache": {"serverless_cache": "quotes"}},
    {"logs": "/shop/health"},
    {"metric": {"namespace": "AWS/RDS", "name": "CPUUtilization", "at_most": 80}},
    {"limits": {"function": FUNCTION, "alias": "live"}},
    {"api_errors": {"http_api": "web", "stage": "live"}},
    {"archive": {"bus": "archived"}},
    {"backup": {"bucket": "selfheal-archive", "prefix": "db/"}},
    {"deployment": {"application": "health", "deployment_group": "web"}},
    {"incidents": {"system": "shop"}},
    {"changes": {"system": "shop"}},
]


def check_health(stage: Stage, number: int) -> Play:
    checks = [*NAMED, *_made(stage, number)]
    return Play(
        number, "check_health", {"system": f"s{number}"}, lambda: None, None, more={"options": {"checks": checks}}
    )


def many_checks() -> list[Mapping[str, Any]]:
    """So many of a kind that AWS's lists are read."""
    return [
        *[{"function": FUNCTION}] * (function.FEW + 1),
        *[{"schedule": "daily"}] * (schedule.FEW + 1),
        *[{"flag": "/shop/flag"}] * (flag.FEW + 1),
        {"rules": {"bus": "selfheal", "names": ["rule"] * (FEW_RULES + 1)}},
    ]


def _made(stage: Stage, number: int) -> list[Mapping[str, Any]]:
    """What has a name of AWS's own, or is there only after several calls."""
    return [
        {"event_source": {"event_source": _event_source()}},
        {"service": {"cluster": "health", "service": _service(stage)}},
        {"archive": {"bus": "archived", "archive": _archive()}},
        {"targets": _target_group(number)},
        {"security_group": {"group": _security_group(number), "port": 5432, "from_cidr": "10.0.0.0/16"}},
        {"secrets": {"names": [_secret(number)], "function": FUNCTION, "alias": "live"}},
    ]


def _archive() -> str:
    """Of a bus that nobody writes to: moto would carry events into it, and lacks a library for that."""
    if not client("events").list_event_buses(NamePrefix="archived")["EventBuses"]:
        bus = client("events").create_event_bus(Name="archived")
        client("events").create_archive(ArchiveName="all", EventSourceArn=bus["EventBusArn"])
    return "all"


def _deployment(stage: Stage) -> dict[str, Any]:
    """One that hangs."""
    began = datetime.fromtimestamp(stage.clock.now() - 3_600, UTC)
    return {"deploymentId": "d-health", "status": "InProgress", "createTime": began}


def _event_source() -> str:
    queue = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:empty"
    known = client("lambda").list_event_source_mappings(FunctionName=FUNCTION)["EventSourceMappings"]
    made = known[0] if known else client("lambda").create_event_source_mapping(
        FunctionName=FUNCTION, EventSourceArn=queue
    )  # fmt: skip
    return str(made["UUID"])


def _service(stage: Stage) -> str:
    """A service that lacks a task, in a cluster of its own; services of other clusters are the stage's."""
    service = {"serviceName": "web", "status": "ACTIVE", "desiredCount": 2, "runningCount": 1, "deployments": []}
    seen: dict[str, dict[str, Any]] = {
        "ecs.describe_services": {"services": [service]},
        "ecs.list_tasks": {"taskArns": ["arn:aws:ecs:eu-central-1:123456789012:task/health/1"]},
        "codedeploy.list_deployments": {"deployments": ["d-health"]},
        "codedeploy.get_deployment": {"deploymentInfo": _deployment(stage)},
        "codedeploy.list_deployment_targets": {"targetIds": ["web:live"]},
        "codedeploy.get_deployment_target": {"deploymentTarget": {"lambdaTarget": {"lifecycleEvents": []}}},
        "logs.filter_log_events": {"events": [{"timestamp": 1, "message": "ERROR"}]},
        "ecs.describe_tasks": {"tasks": [{"containers": [{"exitCode": 137}], "stopCode": "EssentialContainerExited"}]},
    }

    def instead(name: str, others: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        stage.wire.answers[name] = lambda asked: seen[name] if _is_of_health(asked) else others(asked)

    for name in seen:
        instead(name, stage.wire.answers.get(name, lambda asked: {}))
    return "web"


def _is_of_health(asked: Mapping[str, Any]) -> bool:
    if "logGroupName" in asked:
        return True
    return bool({"health", "d-health"} & {asked.get(name) for name in ("cluster", "applicationName", "deploymentId")})


def _target_group(number: int) -> str:
    vpc = client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    made = client("elbv2").create_target_group(Name=f"web-{number}", Protocol="HTTP", Port=80, VpcId=vpc)
    return str(made["TargetGroups"][0]["TargetGroupName"])


def _security_group(number: int) -> str:
    return str(client("ec2").create_security_group(GroupName=f"db-{number}", Description="db")["GroupId"])


def _secret(number: int) -> str:
    name = f"shop/key-{number}"
    client("secretsmanager").create_secret(Name=name, SecretString="first")
    client("secretsmanager").put_secret_value(SecretId=name, SecretString="next", VersionStages=["AWSPENDING"])
    return name


def answers(stage: Stage) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """A serverless cache, which moto has not, and a stack, for which it wants more than is installed."""
    cache = {"ServerlessCacheName": "quotes", "Status": "available"}
    stack = {"StackName": "shop", "StackStatus": "UPDATE_COMPLETE"}
    return {
        "cloudformation.describe_stacks": lambda asked: {"Stacks": [stack]},
        "elasticache.describe_serverless_caches": lambda asked: {"ServerlessCaches": [cache]},
    }


PLAYS = (check_health,)
