"""What alarms did: events from a file, or CloudWatch's alarm history written as the events that it once sent.

CloudWatch keeps the history of an alarm for 30 days, that of deleted ones included (API reference of
DescribeAlarmHistory). An item says nothing of dimensions and account, so these are taken from the alarm as it is now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal.alarm import CONTRIBUTOR_CHANGE, STATE_CHANGE, Alarm, read
from selfheal.alarm_shapes import epoch_ms, json_object, pick
from selfheal.arns import Home
from selfheal.aws_errors import AwsError
from selfheal.clients import client
from selfheal.errors import Refused, Unreadable
from selfheal.frozen import dataclass
from selfheal.guards.alarm import read_alarms

MAX_DAYS = 30
KINDS = {"StateUpdate": STATE_CHANGE, "AlarmContributorStateUpdate": CONTRIBUTOR_CHANGE}
_SUMMARY = re.compile(r"from (OK|ALARM|INSUFFICIENT_DATA) to (OK|ALARM|INSUFFICIENT_DATA)")

Event = Mapping[str, Any]
Item = Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """One alarm (or what was not one) as it was delivered; `at` in epoch seconds."""

    at: float
    alarm: Alarm | Refused
    event: Any


def deliveries(events: Iterable[Any], home: Home) -> list[Delivery]:
    """The alarms of events of any shape in the order of delivery. What tells no time comes with the one before it."""
    found: list[Delivery] = []
    for event in events:
        for entry, alarm in zip(_entries(event), read(event, home), strict=False):
            at = _delivered_at(entry, alarm)
            found.append(Delivery(at if at is not None else found[-1].at if found else 0.0, alarm, event))
    return sorted(found, key=lambda one: one.at)


def _entries(event: Any) -> list[Any]:
    records = pick(event, "Records")
    return records if isinstance(records, list) and records else [event]


def _delivered_at(entry: Any, alarm: Alarm | Refused) -> float | None:
    """When it was sent, and never before the change itself: EventBridge tells its time in whole seconds."""
    times = [epoch_ms(pick(entry, "time")), epoch_ms(pick(pick(entry, "Sns"), "Timestamp"))]
    if isinstance(alarm, Alarm):
        times.append(alarm.state_at)
    known = [at for at in times if at is not None]
    return max(known) / 1000 if known else None


def home_of(events: Iterable[Any]) -> Home | None:
    """The account and region that the first alarm's ARN names; None: there is no alarm."""
    for event in events:
        for text in re.findall(r"arn:aws[\w-]*:cloudwatch:[\w-]+:\d{12}:alarm:", json.dumps(event, default=str)):
            return Home.of(text)
    return None


def events_in(document: Any, home: Home | None = None) -> list[Any]:
    """The events in a parsed file: one, a list, `{"events": […]}`, or what DescribeAlarmHistory answers."""
    if isinstance(document, list):
        return document
    listed = pick(document, "events")
    if isinstance(listed, list):
        return listed
    items = pick(document, "AlarmHistoryItems")
    return written_as_events(items, home or Home("aws", "us-east-1", "000000000000"), {}) if items else [document]


def fetch(since: datetime, until: datetime, wanted: Callable[[str], bool]) -> list[Item]:
    """The state changes of every alarm that is wanted. Raises Unreadable."""
    pages = client("cloudwatch").get_paginator("describe_alarm_history")
    found: list[Item] = []
    for kind in KINDS:
        request = {
            "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],  # without them composite alarms are left out
            "HistoryItemType": kind,
            "StartDate": since,
            "EndDate": until,
            "ScanBy": "TimestampAscending",
            "PaginationConfig": {"PageSize": 100},
        }
        try:
            found += [item for page in pages.paginate(**request) for item in page["AlarmHistoryItems"]]
        except AwsError as error:
            raise Unreadable("alarm history", str(error)) from error
    return [item for item in found if wanted(item["AlarmName"])]


def describe(items: Iterable[Item]) -> dict[str, dict[str, Any]]:
    """The alarms of these items as they are now, by name. Raises Unreadable."""
    return {one["AlarmName"]: one for one in read_alarms(sorted({item["AlarmName"] for item in items}))}


def written_as_events(items: Iterable[Item], home: Home, described: Mapping[str, Item]) -> list[Event]:
    """Each item as the EventBridge event of its state change."""
    events = [
        _event(item, home, described.get(item["AlarmName"], {})) for item in items if item["HistoryItemType"] in KINDS
    ]
    return sorted(events, key=lambda event: str(event["time"]))


def _event(item: Item, home: Home, described: Item) -> Event:
    at = item["Timestamp"]
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    time = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    arn = f"arn:{home.partition}:cloudwatch:{home.region}:{home.account}:alarm:{item['AlarmName']}"
    state, previous = _states(item)
    contributor = {"id": item.get("AlarmContributorId"), "attributes": item.get("AlarmContributorAttributes", {})}
    return {
        "detail-type": KINDS[item["HistoryItemType"]],
        "source": "aws.cloudwatch",
        "account": home.account,
        "region": home.region,
        "time": time,
        "resources": [arn],
        "detail": {
            "alarmName": item["AlarmName"],
            "state": {**state, "timestamp": time},
            "previousState": previous,
            "configuration": _configuration(described, item),
            **({"alarmContributor": contributor} if contributor["id"] else {}),
        },
    }


def _states(item: Item) -> tuple[dict[str, Any], dict[str, Any]]:
    """New and old state. HistoryData ends after 4095 characters, and may be no JSON then; the summary says it too."""
    data = json_object(item.get("HistoryData"))
    if data is not None:
        return _state(pick(data, "newState")), _state(pick(data, "oldState"))
    summary = _SUMMARY.search(item.get("HistorySummary", ""))
    old, new = summary.groups() if summary else (None, None)
    return {"value": new, "reason": item.get("HistorySummary", "")}, {"value": old}


def _state(state: Any) -> dict[str, Any]:
    told = {
        "value": pick(state, "stateValue"),
        "reason": pick(state, "stateReason"),
        "actionsSuppressedBy": pick(state, "actionsSuppressedBy"),
        "actionsSuppressedReason": pick(state, "actionsSuppressedReason"),
    }
    reason_data = pick(state, "stateReasonData")
    kept = {name: value for name, value in told.items() if value is not None}
    return kept if reason_data is None else {**kept, "reasonData": json.dumps(reason_data)}


def _configuration(described: Item, item: Item) -> dict[str, Any]:
    told: dict[str, Any] = {"description": described.get("AlarmDescription", "")}
    if item.get("AlarmType") == "CompositeAlarm" or "AlarmRule" in described:
        return {**told, "alarmRule": described.get("AlarmRule", "")}
    if described.get("Metrics"):
        return {**told, "metrics": described["Metrics"]}
    if "MetricName" not in described:
        return told
    dimensions = {one["Name"]: one["Value"] for one in described.get("Dimensions", ())}
    metric = {"namespace": described.get("Namespace"), "name": described["MetricName"], "dimensions": dimensions}
    return {**told, "metrics": [{"id": "m1", "metricStat": {"metric": metric, "period": described.get("Period")}}]}
