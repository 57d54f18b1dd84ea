"""The alarm is read again: still red, the same state change, neither muted nor suppressed?"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from selfheal.action import Decline
from selfheal.aws_errors import AwsError, unreadable
from selfheal.clients import client
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal

TOLERANCE_MS = 1_000
"""Transports round a state change's time differently; a real change is further away than this."""


def check(context: GuardContext) -> Decline | None:
    """Goes ahead if at least one alarm of the request is still red for the same state change.

    A request without alarms (by hand, or a rung that a failed probe asked for) has nothing to read.
    """
    references = context.request.alarms
    if not references:
        return None
    names = [reference.name for reference in references]
    alarms = context.ahead.alarms(names) if context.ahead else read_alarms(names)
    found = {alarm["AlarmArn"]: alarm for alarm in alarms}
    declined: Decline | None = None
    for reference in references:
        declined = _judge(found.get(reference.arn), reference.name, reference.state_at)
        if declined is None:
            return None
    return declined


def read_alarms(names: list[str]) -> list[dict[str, Any]]:
    """The metric and composite alarms of these exact names, 100 per call. Raises Unreadable.

    Without AlarmTypes, DescribeAlarms leaves composite alarms out.
    """
    alarms: list[dict[str, Any]] = []
    for start in range(0, len(names), 100):
        try:
            answer = client("cloudwatch").describe_alarms(
                AlarmNames=names[start : start + 100], AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100
            )
        except AwsError as error:
            raise unreadable(error, "cloudwatch") from error
        alarms += [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
    return alarms


def _judge(alarm: dict[str, Any] | None, name: str, state_at: str) -> Decline | None:
    if alarm is None:
        return Decline(Refusal.NOT_RED, f"alarm {name} does not exist any more")
    if alarm["StateValue"] != "ALARM":
        return Decline(Refusal.NOT_RED, f"alarm {name} is {alarm['StateValue']}")
    if alarm.get("ActionsSuppressedBy"):
        return Decline(Refusal.ALARM_MUTED, f"alarm {name} is suppressed by {alarm['ActionsSuppressedBy']}")
    changed: datetime | None = alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp")
    if changed is not None and state_at and changed.timestamp() * 1000 > float(state_at) + TOLERANCE_MS:
        return Decline(Refusal.ALARM_MOVED_ON, f"alarm {name} went red again at {changed:%H:%M:%S}")
    return None
