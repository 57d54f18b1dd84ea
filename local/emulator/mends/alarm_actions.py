"""A state change of an alarm reaches everybody that AWS tells: EventBridge, SNS in full, a function directly.

Stock ministack 1.5.33 tells SNS topics only, with a message that lacks the alarm's ARN, its actions, milliseconds and
half of the trigger. It publishes no event, does not invoke a function that is an alarm action, keeps the reason data
of an earlier change after SetAlarmState, and rounds the moment of the change to seconds.

AWS publishes ``CloudWatch Alarm State Change`` on the default bus for every change, also when actions are disabled
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html); invokes a function
asynchronously with the alarm's data, as ``lambda.alarms.cloudwatch.amazonaws.com``
(…/monitoring/alarms-and-actions-Lambda.html); and sends SNS the message described in
…/monitoring/Notify_Users_Alarm_Changes.html. The timestamp of a change is unique and the same everywhere.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge, sns

from local.emulator.mends import hook
from local.emulator.mends.alarm_evaluation import aws_time
from local.emulator.mends.lambda_async import NotAllowedError, deliver

PRINCIPAL = "lambda.alarms.cloudwatch.amazonaws.com"
_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_REGIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "EU (Ireland)",
    "eu-central-1": "EU (Frankfurt)",
    "ap-south-1": "Asia Pacific (Mumbai)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
}
_told: dict[str, dict[str, Any]] = {}
"""The state that was last told, by alarm ARN: the next event's ``previousState``."""


def dispatch(alarm: dict[str, Any], old: str, new: str, reason: str) -> None:
    """Tell everybody about the change that ``alarm`` has just gone through."""
    moment = alarm["StateUpdatedTimestamp"]
    if isinstance(moment, int):  # set by stock code, in whole seconds
        moment = int(time.time() * 1000) / 1000
        alarm.update(StateUpdatedTimestamp=moment, StateTransitionedTimestamp=moment)
    arn = alarm["AlarmArn"]
    state = {"value": new, "reason": reason, "timestamp": aws_time(moment)}
    if alarm.get("StateReasonData"):
        state["reasonData"] = alarm["StateReasonData"]
    previous = _told.get(arn)
    if previous is None or previous["value"] != old:
        previous = {
            "value": old,
            "reason": "Unchecked: Initial alarm creation",
            "timestamp": aws_time(alarm["AlarmConfigurationUpdatedTimestamp"]),
        }
    _told[arn] = state
    detail = {
        "alarmName": alarm["AlarmName"],
        "state": state,
        "previousState": previous,
        "configuration": _configuration(alarm),
    }
    eventbridge._put_events(
        {
            "Entries": [
                {
                    "Source": "aws.cloudwatch",
                    "DetailType": "CloudWatch Alarm State Change",
                    "Resources": [arn],
                    "Detail": json.dumps(detail),
                }
            ]
        },
        allow_aws_source=True,
    )
    if alarm.get("ActionsEnabled", True):
        for action in alarm.get(_ACTIONS[new]) or []:
            _act(action, alarm, detail, moment, old)


def _act(action: str, alarm: dict[str, Any], detail: dict[str, Any], moment: float, old: str) -> None:
    service = parse_arn(action).service
    if service == "sns":
        state = detail["state"]["value"]
        subject = f'{state}: "{alarm["AlarmName"]}" in {_REGIONS.get(get_region(), get_region())}'[:100]
        sns.publish_internal(action, json.dumps(_message(alarm, detail, old)), subject)
    elif service == "lambda":
        payload = {
            "source": "aws.cloudwatch",
            "alarmArn": alarm["AlarmArn"],
            "accountId": get_account_id(),
            "time": aws_time(moment),
            "region": get_region(),
            "alarmData": detail,
        }
        try:
            deliver(action, payload, PRINCIPAL, alarm["AlarmArn"])
        except NotAllowedError as error:
            cloudwatch.logger.warning("alarm action: %s", error)


def _configuration(alarm: dict[str, Any]) -> dict[str, Any]:
    described = {"description": alarm["AlarmDescription"]} if alarm.get("AlarmDescription") else {}
    if "AlarmRule" in alarm:
        return {**described, "alarmRule": alarm["AlarmRule"]}
    metric = {
        "namespace": alarm["Namespace"],
        "name": alarm["MetricName"],
        "dimensions": {entry["Name"]: entry["Value"] for entry in alarm.get("Dimensions") or []},
    }
    return {
        **described,
        "metrics": [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, alarm["AlarmArn"])),
                "returnData": True,
                "metricStat": {
                    "metric": metric,
                    "period": alarm["Period"],
                    "stat": alarm.get("ExtendedStatistic") or alarm["Statistic"],
                },
            }
        ],
    }


def _message(alarm: dict[str, Any], detail: dict[str, Any], old: str) -> dict[str, Any]:
    state = detail["state"]
    message = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": get_account_id(),
        "AlarmConfigurationUpdatedTimestamp": aws_time(alarm["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": state["value"],
        "NewStateReason": state["reason"],
        "StateChangeTime": state["timestamp"],
        "Region": _REGIONS.get(get_region(), get_region()),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old,
        **{name: alarm.get(name) or [] for name in ("OKActions", "AlarmActions", "InsufficientDataActions")},
    }
    if "AlarmRule" in alarm:
        triggering = json.loads(alarm.get("StateReasonData") or "{}").get("triggeringAlarms", [])
        children = [
            {"Arn": child["arn"], "State": {"Value": child["state"]["value"], "Timestamp": child["state"]["timestamp"]}}
            for child in triggering
        ]
        return {**message, "AlarmRule": alarm["AlarmRule"], "TriggeringChildren": children}
    extended = alarm.get("ExtendedStatistic")
    return {
        **message,
        "Trigger": {
            "MetricName": alarm["MetricName"],
            "Namespace": alarm["Namespace"],
            "StatisticType": "ExtendedStatistic" if extended else "Statistic",
            **({"ExtendedStatistic": extended} if extended else {"Statistic": alarm["Statistic"].upper()}),
            "Unit": alarm.get("Unit"),
            "Dimensions": [{"value": entry["Value"], "name": entry["Name"]} for entry in alarm.get("Dimensions") or []],
            "Period": alarm["Period"],
            "EvaluationPeriods": alarm["EvaluationPeriods"],
            **({"DatapointsToAlarm": alarm["DatapointsToAlarm"]} if alarm.get("DatapointsToAlarm") else {}),
            "ComparisonOperator": alarm["ComparisonOperator"],
            "Threshold": alarm["Threshold"],
            "TreatMissingData": alarm.get("TreatMissingData") or "missing",
            "EvaluateLowSampleCountPercentile": alarm.get("EvaluateLowSampleCountPercentile") or "",
        },
    }


def _set_alarm_state(params: dict[str, Any], data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
    """Reason data belong to one change: those of the last one go."""
    name = data.get("AlarmName") if is_cbor or is_json else cloudwatch._p(params, "AlarmName")
    alarm = cloudwatch._alarms.get(name)
    if alarm is not None:
        alarm.pop("StateReasonData", None)
    return _stock_set_alarm_state(params, data, is_cbor, is_json)


def reset() -> None:
    _told.clear()


def apply() -> None:
    global _stock_set_alarm_state  # noqa: PLW0603
    hook(cloudwatch, "_dispatch_alarm_actions", dispatch)
    _stock_set_alarm_state = hook(cloudwatch, "_set_alarm_state", _set_alarm_state)


_stock_set_alarm_state: Any = None
