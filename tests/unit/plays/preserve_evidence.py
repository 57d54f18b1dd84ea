"""Evidence of an alias, a service, a queue and a database; and a log group whose lines are kept for longer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from selfheal.clients import client

from tests.unit.dead_letters import BUCKET, FUNCTION, by_lambda
from tests.unit.play import Play
from tests.unit.plays.manage_service import _service, _target

if TYPE_CHECKING:
    from tests.unit.stage import Stage

GROUP = f"/aws/lambda/{FUNCTION}"
QUERY = "fields @timestamp, @message | filter level = 'ERROR'"


def keep_logs(stage: Stage, number: int) -> Play:
    """From 30 days to 90."""
    name = f"/ecs/shop-{number}"
    client("logs").create_log_group(logGroupName=name)
    client("logs").put_retention_policy(logGroupName=name, retentionInDays=30)

    def look() -> int | None:
        found: list[Any] = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        days: int | None = next(one.get("retentionInDays") for one in found if one["logGroupName"] == name)
        return days

    more = {**stage.by_an_alarm, "options": {"days": 90}}
    return Play(
        number, "keep_logs", {"log_group": name}, look, 90, effects=("logs.put_retention_policy",), most=None, more=more
    )


def capture_evidence(stage: Stage, number: int) -> Play:
    """Everything there is of an alias."""
    alias, group = f"live{number}", f"shop-{number}"
    client("lambda").create_alias(FunctionName=FUNCTION, Name=alias, FunctionVersion="3")
    stage.deployments[f"d-{number}"] = {"group": group, "status": "Succeeded"}
    log_group(GROUP)
    code_deploy = {"application": "shop", "deployment_group": group}
    target = {"function": FUNCTION, "alias": alias, "code_deploy": code_deploy}
    return _captured(stage, number, target, {"query": QUERY, "traces": True, "trail": True})


def capture_a_service(stage: Stage, number: int) -> Play:
    """A service with one stopped task."""
    ecs, name = _service(stage, number)
    (container,) = ecs.definitions[ecs.services[name]["taskDefinition"]]["containerDefinitions"]
    container["logConfiguration"] = {"logDriver": "awslogs", "options": {"awslogs-group": f"/ecs/{name}"}}
    ecs.tasks.append({"stopCode": "EssentialContainerExited", "containers": [{"name": "web", "exitCode": 137}]})
    log_group(f"/ecs/{name}")
    return _captured(stage, number, _target(name), {})


def capture_a_queue(stage: Stage, number: int) -> Play:
    """Two dead letters, which stay."""
    stage.here.use(f"dead-{number}")
    stage.here.fill(by_lambda({"n": 1}), by_lambda({"n": 2}))
    return _captured(stage, number, {"queue": f"dead-{number}"}, {})


def capture_a_database(stage: Stage, number: int) -> Play:
    """Its events."""
    return _captured(stage, number, {"database": f"shop-{number}"}, {})


def _captured(stage: Stage, number: int, target: Mapping[str, Any], options: Mapping[str, Any]) -> Play:
    more = {**stage.by_an_alarm, "options": dict(options)}
    prefix = f"evidence/{more['incident']}/"

    def look() -> bool:
        found = client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
        return any(one["Key"].endswith(".json") for one in found)

    return Play(number, "capture_evidence", target, look, True, most=None, more=more)


def log_group(name: str) -> None:
    """With a line in it."""
    logs = client("logs")
    with suppress(ClientError):
        logs.create_log_group(logGroupName=name)
        logs.create_log_stream(logGroupName=name, logStreamName="one")
        event = {"timestamp": 1_799_999_000_000, "message": "ERROR password=hunter2 it broke"}
        logs.put_log_events(logGroupName=name, logStreamName="one", logEvents=[event])


def answers(stage: Any) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """X-Ray and CloudTrail, of which moto knows little, and what it does not know of RDS and of queries."""
    event = {
        "EventId": "e-1",
        "EventName": "UpdateAlias",
        "EventSource": "lambda.amazonaws.com",
        "Username": "ann",
        "ReadOnly": "false",
        "CloudTrailEvent": json.dumps({"sourceIPAddress": "198.51.100.7", "requestParameters": {"f": FUNCTION}}),
    }
    return {
        "cloudtrail.lookup_events": lambda asked: {"Events": [event]},
        "logs.start_query": lambda asked: {"queryId": "q-1"},
        "logs.get_query_results": lambda asked: {
            "status": "Complete",
            "results": [[{"field": "@message", "value": "ERROR it broke"}]],
        },
        "rds.describe_events": lambda asked: {"Events": [{"Message": "failover", "SourceIdentifier": "shop"}]},
        "xray.get_trace_summaries": lambda asked: {"TraceSummaries": [{"Id": "1-a", "HasFault": True}]},
        "xray.batch_get_traces": lambda asked: {"Traces": [{"Id": "1-a", "Segments": [{"Document": "{}"}]}]},
    }


PLAYS = (keep_logs, capture_evidence, capture_a_service, capture_a_queue, capture_a_database)
VARIANTS = {
    "capture_a_service": "capture_evidence",
    "capture_a_queue": "capture_evidence",
    "capture_a_database": "capture_evidence",
}
