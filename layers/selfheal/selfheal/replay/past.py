"""The world of a replay: a ledger in memory, alarms as they stood at that time, a bus that keeps what it is told.

It hands out what stands in for AWS's clients. What it does not know is not answered (a read: the guard that asked
counts as unreadable) or is a defect (anything else raises WriteInReplay).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from selfheal.alarm import Alarm
from selfheal.alarm_shapes import epoch_ms
from selfheal.outcome import INCIDENT_UPDATE
from selfheal.replay.memory import MemoryTable
from selfheal.replay.readonly import WriteInReplay, is_read

Client = Callable[[str], Any]

_MUTED = re.compile(r"muted by (\S+)(?: until (\S+))?")

_TIME_IN_REASON = re.compile(r"\((\d\d/\d\d/\d\d \d\d:\d\d:\d\d)\)")
"""CloudWatch names the newest datapoint first: `[3.0 (20/11/26 08:59:00), …]`, day first, UTC."""


class Past:
    """`now` in epoch seconds. `read` makes clients that really read (the tags as they are now); without it nothing of
    AWS is looked at."""

    def __init__(self, now: Callable[[], float], read: Client | None) -> None:
        self.alarms = PastAlarms(now)
        self.bus = PastBus()
        self._known: dict[str, Any] = {
            "dynamodb": MemoryTable(),
            "cloudwatch": self.alarms,
            "events": self.bus,
            "resourcegroupstaggingapi": read("resourcegroupstaggingapi") if read else Untagged(),
            "sqs": EmptyQueues(),
        }

    def client(self, service: str) -> Any:
        """What stands in for the client of `service`."""
        return self._known.setdefault(service, Nobody())


class Nobody:
    """A service that a replay does not know."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        operation = "".join(word.title() for word in method.split("_"))

        def call(*_: Any, **__: Any) -> Any:
            if not is_read(operation):
                raise WriteInReplay(f"{operation} is no read; a replay changes nothing")
            raise ClientError({"Error": {"Code": "NotReplayed", "Message": "the past does not tell"}}, operation)

        return call


class PastAlarms(Nobody):
    """CloudWatch, whose alarms are as they were at the time that the replay has reached."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._described: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._muted: dict[str, tuple[str, float]] = {}
        """Name of an alarm → its mute rule, and until when, in epoch seconds."""

    def know(self, arn: str, description: dict[str, Any]) -> None:
        """How the alarm is configured, as DescribeAlarms tells it."""
        names = ("Period", "EvaluationPeriods", "ActionsEnabled")
        self._settings[arn] = {name: description[name] for name in names if name in description}

    def change(self, alarm: Alarm) -> None:
        """The alarm has changed its state. Of its contributors, only one that is red says something of the whole."""
        known = self._described.get(alarm.arn)
        at = datetime.fromtimestamp(alarm.state_at / 1000, UTC)
        late = known is not None and known["StateTransitionedTimestamp"] > at
        if late or (alarm.contributor is not None and alarm.state != "ALARM"):
            return
        self._mute(alarm)
        suppressed = alarm.muted if alarm.muted.startswith("suppressed by") else ""
        self._described[alarm.arn] = {
            "AlarmName": alarm.name,
            "AlarmArn": alarm.arn,
            "StateValue": alarm.state,
            "StateReason": alarm.reason,
            "StateReasonData": json.dumps({"evaluatedDatapoints": _newest_datapoint(alarm)}),
            "StateTransitionedTimestamp": at,
            "StateUpdatedTimestamp": at,
            "ActionsEnabled": True,
            **({"ActionsSuppressedBy": suppressed} if suppressed else {}),
            **({"AlarmRule": ""} if alarm.kind == "composite" else _evaluation(alarm)),
            **self._settings.get(alarm.arn, {}),
        }

    def _mute(self, alarm: Alarm) -> None:
        """A rule mutes until the end that the event tells, or else until an event says that none does."""
        rule = _MUTED.match(alarm.muted)
        until = epoch_ms(rule[2]) if rule else None
        if rule:
            self._muted[alarm.name] = (rule[1], float("inf") if until is None else until / 1000)
        else:
            self._muted.pop(alarm.name, None)

    def is_red(self, arn: str) -> bool:
        """It is in ALARM."""
        return arn in self._described and self._described[arn]["StateValue"] == "ALARM"

    @property
    def some_are_red(self) -> bool:
        """At least one is in ALARM."""
        return any(map(self.is_red, self._described))

    def describe_alarms(self, **request: Any) -> dict[str, Any]:
        """DescribeAlarms, in one page."""
        names, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix", "")
        found = [
            one
            for one in self._described.values()
            if (names is None or one["AlarmName"] in names)
            and one["AlarmName"].startswith(prefix)
            and request.get("StateValue", one["StateValue"]) == one["StateValue"]
        ]
        kinds = request.get("AlarmTypes", ["MetricAlarm"])
        return {
            "MetricAlarms": [one for one in found if "AlarmRule" not in one and "MetricAlarm" in kinds],
            "CompositeAlarms": [one for one in found if "AlarmRule" in one and "CompositeAlarm" in kinds],
        }

    def list_alarm_mute_rules(self, **_: Any) -> dict[str, Any]:
        """ListAlarmMuteRules: those that are active. Only events tell of them; the history does not."""
        arns = [f"arn:aws:cloudwatch:::alarm-mute-rule:{rule}" for rule in self._active()]
        return {"AlarmMuteRuleSummaries": [{"AlarmMuteRuleArn": arn, "Status": "ACTIVE"} for arn in arns]}

    def get_alarm_mute_rule(self, *, AlarmMuteRuleName: str) -> dict[str, Any]:  # noqa: N803
        """GetAlarmMuteRule."""
        muted = self._active().get(AlarmMuteRuleName, [])
        return {"Status": "ACTIVE" if muted else "EXPIRED", "MuteTargets": {"AlarmNames": muted}}

    def _active(self) -> dict[str, list[str]]:
        rules: dict[str, list[str]] = {}
        for alarm, (rule, until) in self._muted.items():
            if until > self._now():
                rules.setdefault(rule, []).append(alarm)
        return rules

    def get_paginator(self, method: str) -> _Pages:
        """As boto3's."""
        return _Pages(getattr(self, method))


class _Pages:
    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self._call = call

    def paginate(self, *, PaginationConfig: object = None, **request: Any) -> Iterator[dict[str, Any]]:  # noqa: ARG002, N803
        """The one page that there is."""
        yield self._call(**request)


class PastBus(Nobody):
    """EventBridge, which keeps the news of incidents: they are what people would have been told."""

    def __init__(self) -> None:
        self._news: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        """PutEvents."""
        self._news += [json.loads(entry["Detail"]) for entry in Entries if entry["DetailType"] == INCIDENT_UPDATE]
        return {"FailedEntryCount": 0, "Entries": []}

    def take(self) -> list[dict[str, Any]]:
        """The news since the last time."""
        news, self._news = self._news, []
        return news


class Untagged(Nobody):
    """The tagging API, when nothing of AWS is to be looked at."""

    def get_resources(self, **_: Any) -> dict[str, Any]:
        """GetResources."""
        return {"ResourceTagMappingList": []}


class EmptyQueues(Nobody):
    """SQS, where nothing of selfheal's own waits."""

    def receive_message(self, **_: Any) -> dict[str, Any]:
        """ReceiveMessage."""
        return {}


def _newest_datapoint(alarm: Alarm) -> list[dict[str, Any]]:
    """As told, or as the reason for people names it: SNS carries no reason data, and DescribeAlarms would."""
    at = alarm.last_datapoint_at
    found = _TIME_IN_REASON.search(alarm.reason) if at is None else None
    if found is not None:
        newest = datetime.strptime(found[1], "%d/%m/%y %H:%M:%S").replace(tzinfo=UTC)
    elif at is not None:
        newest = datetime.fromtimestamp(at / 1000, UTC)
    else:
        return []
    return [{"timestamp": newest.isoformat(), "value": 0.0}]


def _evaluation(alarm: Alarm) -> dict[str, int]:
    period = alarm.period_s or alarm.window_s
    return {"Period": period, "EvaluationPeriods": alarm.window_s // period} if period else {}
