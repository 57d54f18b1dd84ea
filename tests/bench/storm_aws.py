"""An account with a thousand functions in virtual time, its quotas enforced, for the figure of the storm."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.retries.standard import ExponentialBackoff, RetryContext
from selfheal.pace import Bucket
from selfheal.replay.memory import MemoryTable

from tests.bench.storm_time import Quota, Time

LATENCY_S = 0.02
"""Of every call of AWS."""
HOP_S = 0.1
"""From a bus, a queue or an asynchronous Invoke to the function."""
LAMBDA_A_SECOND = 15
ALARMS_A_SECOND = 9
REGION, ACCOUNT = "us-east-1", "111111111111"
START = datetime(2026, 11, 20, 9, 0, 12, 345_000, UTC).timestamp()
MADE_AT = "2026-11-20T08:50:00.000+0000"
ATTEMPTS = {"lambda": 3, "cloudwatch": 3, "dynamodb": 2}
"""As `selfheal.clients` configures them: botocore's standard retries."""


def function(number: int) -> str:
    """The name of one of the functions."""
    return f"shop-{number:05d}"


def arn_of(alarm: str) -> str:
    """The ARN of an alarm."""
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm}"


class Account:
    """What AWS knows and counts. Every call takes LATENCY_S; the clients are made by `client`, for `clients.instead`.

    Each function has the versions 1, 2 and 3, and its alias `live` is on 3, which is broken.
    """

    def __init__(self, time: Time, functions: int) -> None:
        self.time = time
        self.random = random.Random(20261120)  # noqa: S311 - jitter that repeats
        self.table = MemoryTable()
        self.versions = {function(number): "3" for number in range(functions)}
        self.revisions = dict.fromkeys(self.versions, 1)
        self.writes: Counter[str] = Counter()
        self.rolled_back_at: dict[str, float] = {}
        self.red_at: dict[str, float] = {}
        self.switched_at: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self.control_plane = Quota(LAMBDA_A_SECOND, time.now)
        self.describe_alarms = Quota(ALARMS_A_SECOND, time.now)
        self.queue: list[dict[str, Any]] = []
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None
        self.on_invoke: Callable[[str, dict[str, Any]], None] = lambda name, event: None

    def call(
        self,
        service: str,
        operation: str,
        effect: Callable[[], Any] = lambda: None,
        quota: Quota | None = None,
        *,
        turn: Callable[[], None] = lambda: None,
        attempts: int | None = None,
        pause: Callable[[int], float] | None = None,
    ) -> Any:
        """One call with the SDK's own repetitions where AWS throttles; `turn` is waited for before each attempt.

        Raises ClientError after the last of them.
        """
        attempts, pause = attempts or ATTEMPTS.get(service, 3), pause or self._standard
        for attempt in range(1, attempts + 1):
            turn()
            self.time.sleep(LATENCY_S)
            self.calls[f"{service}.{operation}"] += 1
            if quota is None or quota.take():
                return effect()
            if attempt < attempts:
                self.time.sleep(pause(attempt))
        error: Any = {
            "Error": {"Code": "TooManyRequestsException", "Message": "Rate exceeded"},
            "ResponseMetadata": {"HTTPStatusCode": 429},
        }
        raise ClientError(error, operation)

    def _standard(self, attempt: int) -> float:
        return float(ExponentialBackoff(random=self.random.random).delay_amount(RetryContext(attempt_number=attempt)))

    def client(self, service: str) -> Any:
        """What stands in for a client of this service."""
        return {
            "dynamodb": Table, "lambda": Functions, "cloudwatch": Alarms, "sqs": Queue, "events": Bus,
            "ssm": Flags, "scheduler": Schedules, "resourcegroupstaggingapi": Tags,
        }[service](self)  # fmt: skip


class _Service:
    def __init__(self, aws: Account) -> None:
        self.aws = aws


class Table(_Service):
    """DynamoDB."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        effect = getattr(self.aws.table, method)
        return lambda **request: self.aws.call("dynamodb", method, lambda: effect(**request))


class Functions(_Service):
    """Lambda. A call of the control plane waits for the turn of its execution environment, if that is paced."""

    class exceptions:  # noqa: N801 - as boto3 names it
        """Nothing else works on these functions."""

        class ResourceConflictException(Exception):
            """Never raised here."""

    def _plane(self, operation: str, effect: Callable[[], Any]) -> Any:
        pace = self.aws.time.owner

        def turn() -> None:
            if isinstance(pace, Bucket):
                pace.take()

        return self.aws.call("lambda", operation, effect, self.aws.control_plane, turn=turn)

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:  # noqa: N803
        """GetAlias."""
        return dict(self._plane("get_alias", lambda: self.alias(FunctionName)))

    def alias(self, name: str) -> dict[str, Any]:
        """Where `live` is."""
        return {
            "Name": "live",
            "FunctionVersion": self.aws.versions[name],
            "RevisionId": f"r{self.aws.revisions[name]}",
        }

    def update_alias(self, **asked: Any) -> dict[str, Any]:
        """UpdateAlias, with compare-and-set where a RevisionId is sent."""

        def write() -> dict[str, Any]:
            name = asked["FunctionName"]
            if asked.get("RevisionId", f"r{self.aws.revisions[name]}") != f"r{self.aws.revisions[name]}":
                error: Any = {"Error": {"Code": "PreconditionFailedException", "Message": "it was changed"}}
                raise ClientError(error, "UpdateAlias")
            return self.write(name, asked["FunctionVersion"])

        return dict(self._plane("update_alias", write))

    def write(self, name: str, version: str) -> dict[str, Any]:
        """The effect of UpdateAlias."""
        self.aws.versions[name] = version
        self.aws.revisions[name] += 1
        self.aws.writes[name] += 1
        self.aws.rolled_back_at.setdefault(name, self.aws.time.passed)
        return self.alias(name)

    def list_versions_by_function(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        """ListVersionsByFunction, in one page."""
        return dict(self._plane("list_versions_by_function", lambda: {"Versions": versions_of(FunctionName)}))

    def get_paginator(self, method: str) -> _Pages:
        """As boto3's."""
        return _Pages(getattr(self, method))

    def invoke(self, FunctionName: str, Payload: str, InvocationType: str) -> None:  # noqa: N803
        """An asynchronous Invoke, which has a quota of its own."""
        self.aws.call("lambda", "invoke")
        self.aws.on_invoke(FunctionName, json.loads(Payload))


def versions_of(name: str) -> list[dict[str, Any]]:
    """As the list has them."""
    return [
        {
            "Version": number, "CodeSha256": f"{name}-{number}", "ConfigSha256": "c", "State": "Active",
            "LastUpdateStatus": "Successful", "LastModified": MADE_AT,
        }
        for number in ("$LATEST", "1", "2", "3")
    ]  # fmt: skip


class _Pages:
    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self._call = call

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """The one page that there is."""
        yield self._call(**request)


class Alarms(_Service):
    """CloudWatch: an alarm is red from `red_at` on."""

    def describe_alarms(self, AlarmNames: list[str], **_: Any) -> dict[str, Any]:  # noqa: N803
        """DescribeAlarms of up to 100 names."""
        found = [self._described(name) for name in AlarmNames[:100] if name in self.aws.red_at]
        quota = self.aws.describe_alarms
        return dict(self.aws.call("cloudwatch", "describe_alarms", lambda: {"MetricAlarms": found}, quota))

    def _described(self, name: str) -> dict[str, Any]:
        at = datetime.fromtimestamp(self.aws.red_at[name], UTC)
        return {
            "AlarmName": name, "AlarmArn": arn_of(name), "StateValue": "ALARM", "StateReason": "red",
            "StateTransitionedTimestamp": at, "StateUpdatedTimestamp": at, "ActionsEnabled": True,
            "Period": 60, "EvaluationPeriods": 1,
        }  # fmt: skip

    def list_alarm_mute_rules(self, **_: Any) -> dict[str, Any]:
        """None."""
        return {"AlarmMuteRuleSummaries": []}


class Queue(_Service):
    """SQS: the one paced queue."""

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        """SendMessage."""
        self.aws.call("sqs", "send_message")
        number = self.aws.calls["sqs.send_message"]
        self.aws.queue.append(
            {"messageId": f"m{number}", "receiptHandle": f"m{number}", "eventSource": "aws:sqs", "body": MessageBody}
        )

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[Mapping[str, Any]]) -> None:  # noqa: N803
        """Counted; what comes back is put back by whoever delivers."""
        self.aws.call("sqs", "change_message_visibility_batch")

    def receive_message(self, **_: Any) -> dict[str, Any]:
        """Nothing is unrecorded."""
        return {}


class Bus(_Service):
    """EventBridge: what is told goes to whoever has a rule for it."""

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        """PutEvents."""
        self.aws.call("events", "put_events")
        for entry in Entries:
            self.aws.on_event(
                {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
            )
        return {"FailedEntryCount": 0, "Entries": [{} for _ in Entries]}


class Tags(_Service):
    """The tagging API: nothing has a tag."""

    def get_resources(self, **_: Any) -> dict[str, Any]:
        """GetResources."""
        return dict(self.aws.call("tagging", "get_resources", lambda: {"ResourceTagMappingList": []}))


class Flags(_Service):
    """SSM: flags that are true until they are switched."""

    def get_parameter(self, Name: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """GetParameter."""
        off = Name in self.aws.switched_at
        value = {"Name": Name, "Value": "false" if off else "true", "Version": 2 if off else 1, "Type": "String"}
        return dict(self.aws.call("ssm", "get_parameter", lambda: {"Parameter": value}))

    def get_parameter_history(self, Name: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """GetParameterHistory."""
        one = {"Name": Name, "Value": "true", "Version": 1, "Type": "String", "Tier": "Standard"}
        return dict(self.aws.call("ssm", "get_parameter_history", lambda: {"Parameters": [one]}))

    def get_paginator(self, method: str) -> _Pages:
        """As boto3's."""
        return _Pages(getattr(self, method))

    def put_parameter(self, Name: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """PutParameter."""
        self.aws.call("ssm", "put_parameter")
        self.aws.switched_at.setdefault(Name, self.aws.time.passed)
        return {"Version": 2}


@cache
def _scheduler() -> Any:
    return boto3.client("scheduler", region_name=REGION)


class Schedules(_Service):
    """EventBridge Scheduler: schedules that are enabled until they are switched."""

    @property
    def meta(self) -> Any:
        """The API's model, by which the action knows what UpdateSchedule takes."""
        return _scheduler().meta

    class exceptions:  # noqa: N801 - as boto3 names it
        """As little as is caught."""

        class ResourceNotFoundException(Exception):
            """Never raised here."""

    def get_schedule(self, Name: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """GetSchedule."""
        seen = {
            "Name": Name, "GroupName": "default", "ScheduleExpression": "rate(1 hour)",
            "State": "DISABLED" if Name in self.aws.switched_at else "ENABLED",
            "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": {"Arn": "arn:aws:lambda:::function:f", "RoleArn": "r"},
        }  # fmt: skip
        return dict(self.aws.call("scheduler", "get_schedule", lambda: seen))

    def update_schedule(self, Name: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """UpdateSchedule."""
        self.aws.call("scheduler", "update_schedule")
        self.aws.switched_at.setdefault(Name, self.aws.time.passed)
        return {}
