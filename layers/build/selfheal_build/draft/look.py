"""Reads what has a prefix from AWS: lists only, never a value, never an environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from .found import Alarm, Found, Function, Schedule

T = TypeVar("T")
MAX_FUNCTIONS = 30
"""Each costs two calls, and Lambda allows 15 a second for the whole account."""


def look(client: Callable[[str], Any], prefix: str) -> Found:
    """What is there. What can't be read is named in `not_read` and left out."""
    not_read: list[str] = []

    def found(what: str, read: Callable[[Any, str], Iterator[T]], service: str) -> tuple[T, ...]:
        try:
            return tuple(read(client(service), prefix))
        except (ClientError, BotoCoreError) as error:
            not_read.append(f"{what}: {error}")
            return ()

    return Found(
        prefix=prefix,
        functions=found("functions", _functions, "lambda"),
        alarms=found("alarms", _alarms, "cloudwatch"),
        queues=found("queues", _queues, "sqs"),
        schedules=found("schedules", _schedules, "scheduler"),
        flags=found("parameters", _flags, "ssm"),
        services=found("services", _services, "ecs"),
        databases=found("databases", _databases, "rds"),
        not_read=tuple(not_read),
    )


def _functions(aws: Any, prefix: str) -> Iterator[Function]:
    pages = aws.get_paginator("list_functions").paginate()
    listed = [one for page in pages for one in page["Functions"] if one["FunctionName"].startswith(prefix)]
    for one in listed[:MAX_FUNCTIONS]:
        name = one["FunctionName"]
        aliases = aws.list_aliases(FunctionName=name)["Aliases"]
        yield Function(name, tuple(sorted(alias["Name"] for alias in aliases)), _dead_letters(aws, one))


def _dead_letters(aws: Any, function: dict[str, Any]) -> str:
    """Where its failed events go: the dead-letter queue, or the destination on failure."""
    arn = str(function.get("DeadLetterConfig", {}).get("TargetArn", ""))
    try:
        settings = aws.get_function_event_invoke_config(FunctionName=function["FunctionName"])
        arn = settings.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "") or arn
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
    return arn.rsplit(":", 1)[-1] if ":sqs:" in arn else ""


def _alarms(aws: Any, prefix: str) -> Iterator[Alarm]:
    pages = aws.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    for page in pages:
        for one in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())):
            yield Alarm(one["AlarmName"], dict(_dimensions(one)))


def _dimensions(alarm: dict[str, Any]) -> Iterator[tuple[str, str]]:
    metrics = [alarm, *(one.get("MetricStat", {}).get("Metric", {}) for one in alarm.get("Metrics", ()))]
    for metric in metrics:
        for one in metric.get("Dimensions", ()):
            yield one["Name"], one["Value"]


def _queues(aws: Any, prefix: str) -> Iterator[str]:
    for page in aws.get_paginator("list_queues").paginate(QueueNamePrefix=prefix):
        for url in page.get("QueueUrls", ()):
            yield url.rsplit("/", 1)[-1]


def _schedules(aws: Any, prefix: str) -> Iterator[Schedule]:
    for page in aws.get_paginator("list_schedules").paginate(NamePrefix=prefix):
        for one in page["Schedules"]:
            arn = one.get("Target", {}).get("Arn", "")
            function = arn.split(":")[6] if ":lambda:" in arn and arn.count(":") >= 6 else ""
            yield Schedule(one["Name"], one.get("GroupName", "default"), function)


def _flags(aws: Any, prefix: str) -> Iterator[str]:
    """Parameters that look like a flag, below a path that names the system in one way or another."""
    words = {prefix.strip("-_/"), prefix.strip("-_/").rpartition("-")[0]} - {""}
    pages = aws.get_paginator("describe_parameters").paginate(
        ParameterFilters=[{"Key": "Name", "Option": "Contains", "Values": ["enabled"]}]
    )
    for page in pages:
        for one in page["Parameters"]:
            if any(word in one["Name"] for word in words):
                yield one["Name"]


def _services(aws: Any, prefix: str) -> Iterator[tuple[str, str]]:
    clusters = [arn for page in aws.get_paginator("list_clusters").paginate() for arn in page["clusterArns"]]
    for cluster in clusters:
        name = cluster.rsplit("/", 1)[-1]
        for page in aws.get_paginator("list_services").paginate(cluster=cluster):
            for arn in page["serviceArns"]:
                service = arn.rsplit("/", 1)[-1]
                if service.startswith(prefix) or name.startswith(prefix):
                    yield name, service


def _databases(aws: Any, prefix: str) -> Iterator[str]:
    for page in aws.get_paginator("describe_db_instances").paginate():
        for one in page["DBInstances"]:
            if one["DBInstanceIdentifier"].startswith(prefix):
                yield one["DBInstanceIdentifier"]
