"""Mute rules: which alarms CloudWatch keeps quiet at this moment. DescribeAlarms does not tell.

A rule names up to 100 alarms and says itself whether it mutes now (API reference of GetAlarmMuteRule).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound
from selfheal.frozen import dataclass
from selfheal.observability import logger

PERMISSIONS = ("cloudwatch:GetAlarmMuteRule", "cloudwatch:ListAlarmMuteRules")


@dataclass(frozen=True)
class Mutes:
    """Alarm name → why it is muted now. `not_read`: why nothing is known, empty if it is."""

    by_alarm: Mapping[str, str] = field(default_factory=dict)
    not_read: str = ""

    def of(self, name: str, otherwise: str) -> str:
        """Why this alarm is muted, empty if it is not; `otherwise` where that can't be told."""
        return otherwise if self.not_read else self.by_alarm.get(name, "")


def active() -> Mutes:
    """The rules that mute now: one call, and one more for each of them. Raises Unreadable: ask again later.

    Without the permission, or where there is no such operation, asking again changes nothing: `not_read` says so.
    """
    try:
        return Mutes(dict(_muted()))
    except (TargetForbidden, NotApplied) as error:
        logger.warning("mute rules can't be read here", cause=str(error))
        return Mutes(not_read=str(error))


def _muted() -> Iterator[tuple[str, str]]:
    more: dict[str, Any] = {}
    while True:
        page = _call("list_alarm_mute_rules", Statuses=["ACTIVE"], **more)
        for summary in page.get("AlarmMuteRuleSummaries", ()):
            name = summary["AlarmMuteRuleArn"].rpartition(":alarm-mute-rule:")[2]
            for alarm in _alarms_of(name):
                yield alarm, f"muted by {name}"
        if not page.get("NextToken"):
            return
        more = {"NextToken": page["NextToken"]}


def _alarms_of(rule: str) -> list[str]:
    """None once its time is over, or when it was deleted in between."""
    try:
        found = _call("get_alarm_mute_rule", AlarmMuteRuleName=rule)
    except TargetNotFound:
        return []
    return list(found.get("MuteTargets", {}).get("AlarmNames", ())) if found.get("Status") == "ACTIVE" else []


def _call(method: str, **arguments: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = getattr(client("cloudwatch"), method)(**arguments)
    except AwsError as error:
        translate(error, "mute rules")
    return answer
