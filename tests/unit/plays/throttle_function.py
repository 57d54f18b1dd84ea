"""Plays of throttle_function: a function whose dead letters are kept, and a queue that feeds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from selfheal.clients import client

from tests.unit.dead_letters import FUNCTION, SOURCE_ARN
from tests.unit.play import Play

if TYPE_CHECKING:
    from tests.unit.stage import Stage

CONCURRENCY = ("lambda.put_function_concurrency", "lambda.delete_function_concurrency")


def stop_function(stage: Stage, number: int) -> Play:
    """Of a function that had no limit."""
    return _set(stage, number, "stop_function", (None, 0), {})


def limit_function(stage: Stage, number: int) -> Play:
    """Of a function that had a higher one."""
    return _set(stage, number, "limit_function", (40, 5), {"options": {"concurrency": 5}})


def _set(stage: Stage, number: int, action: str, moved: tuple[int | None, int], more: Mapping[str, Any]) -> Play:
    (before, done), name, aws = moved, f"shop-worker-{number}", client("lambda")
    role = aws.get_function_configuration(FunctionName=FUNCTION)["Role"]
    aws.create_function(
        FunctionName=name, Role=role, Runtime="python3.13", Handler="app.handler", Code={"ZipFile": b"-"},
        DeadLetterConfig={"TargetArn": SOURCE_ARN}, Publish=True,
    )  # fmt: skip
    aws.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    if before is not None:
        aws.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=before)

    def look() -> int | None:
        found: int | None = aws.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        return found

    return Play(number, action, {"function": name}, look, done, CONCURRENCY, more={**stage.by_an_alarm, **more})


def pause_source(stage: Stage, number: int) -> Play:
    """A queue's messages wait meanwhile."""
    aws = client("lambda")
    uuid = aws.create_event_source_mapping(FunctionName=FUNCTION, EventSourceArn=_queue(number))["UUID"]
    return Play(
        number, "pause_source", {"event_source": uuid}, lambda: aws.get_event_source_mapping(UUID=uuid)["State"],
        "Disabled", ("lambda.update_event_source_mapping",), more=stage.by_an_alarm,
    )  # fmt: skip


def _queue(number: int) -> str:
    name, sqs = f"fed-{number}", client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


def answers(stage: Stage) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """What moto does not know."""
    return {"lambda.list_provisioned_concurrency_configs": lambda asked: {"ProvisionedConcurrencyConfigs": []}}


PLAYS = (stop_function, limit_function, pause_source)
