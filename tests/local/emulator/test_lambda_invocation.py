"""Contract of ``lambda_invocation``: weights, reserved concurrency and metrics, whatever the qualifier."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def total(account: Account, metric: str, **dimensions: str) -> float:
    """Sum of an AWS/Lambda metric over the last ten minutes."""
    now = datetime.now(UTC)
    answer = account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Statistics=["Sum"],
        Period=60,
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


def test_alias_routes_by_weight_and_names_the_executed_version(account: Account) -> None:
    function, client = account.function(), account.client("lambda")
    account.alias(function)
    client.update_function_configuration(FunctionName=function.name, Description="second")
    version = client.publish_version(FunctionName=function.name)["Version"]
    client.update_alias(
        FunctionName=function.name, Name="live", RoutingConfig={"AdditionalVersionWeights": {version: 0.5}}
    )

    answers: list[Any] = [client.invoke(FunctionName=function.name, Qualifier="live") for _ in range(40)]

    executed = Counter(answer["ExecutedVersion"] for answer in answers)
    assert executed == Counter(json.loads(answer["Payload"].read())["version"] for answer in answers)
    assert min(executed["1"], executed["2"]) >= 5
    assert {call["arn"] for call in function.calls()} == {f"{function.arn}:live"}


def test_reserved_concurrency_of_zero_stops_every_qualifier(account: Account) -> None:
    function, client = account.function(), account.client("lambda")
    account.alias(function)
    client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)

    for qualifier in ("$LATEST", "1", "live"):
        with pytest.raises(ClientError) as error:
            client.invoke(FunctionName=function.name, Qualifier=qualifier)
        assert error.value.response["Error"]["Code"] == "TooManyRequestsException"

    assert function.calls() == []
    assert total(account, "Throttles", FunctionName=function.name) == 3
    assert total(account, "Invocations", FunctionName=function.name) == 0


def test_every_invocation_is_counted_for_function_alias_and_version(account: Account) -> None:
    function, client = account.function(environment={"FAIL": "always"}), account.client("lambda")
    account.alias(function)

    client.invoke(FunctionName=function.name)
    client.invoke(FunctionName=function.name, Qualifier="live")

    resource = f"{function.name}:live"
    assert total(account, "Errors", FunctionName=function.name) == 2
    assert total(account, "Errors", FunctionName=function.name, Resource=resource) == 1
    assert total(account, "Invocations", FunctionName=function.name, Resource=resource, ExecutedVersion="1") == 1
    assert total(account, "Duration", FunctionName=function.name) > 0


def test_queue_s_batch_is_an_invocation_of_the_alias(account: Account) -> None:
    function = account.function()
    alias = account.alias(function)
    url, queue = account.queue()
    account.client("lambda").create_event_source_mapping(FunctionName=alias, EventSourceArn=queue)
    account.client("sqs").send_message(QueueUrl=url, MessageBody="x")

    account.wait(function.calls, "the batch")

    assert function.calls()[0]["arn"] == alias
