"""Contract of ``alarm_actions``: who is told of an alarm's change, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local

PRINCIPAL = "lambda.alarms.cloudwatch.amazonaws.com"


def on_bus(account: Account, alarm: str) -> str:
    """The URL of a queue that gets the alarm's state changes from the default bus."""
    url, queue = account.queue("events.amazonaws.com")
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [alarm]},
    }
    events = account.client("events")
    events.put_rule(Name=alarm, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=alarm, Targets=[{"Id": "1", "Arn": queue}])
    return url


def test_event_of_a_metric_alarm_is_complete(account: Account) -> None:
    alarm = account.alarm(AlarmDescription="too many", Dimensions=[{"Name": "Stage", "Value": "prod"}])
    account.wait(lambda: account.state(alarm)["StateValue"] == "OK", "OK")
    url = on_bus(account, alarm)

    account.datum(alarm, 3, {"Stage": "prod"})

    event = json.loads(account.message(url)["Body"])
    described = account.state(alarm)
    detail = event["detail"]
    assert event["resources"] == [described["AlarmArn"]]
    assert detail["state"]["value"] == "ALARM"
    assert detail["state"]["reason"] == described["StateReason"]
    data = json.loads(detail["state"]["reasonData"])
    assert {
        "version",
        "queryDate",
        "startDate",
        "statistic",
        "period",
        "recentDatapoints",
        "threshold",
        "evaluatedDatapoints",
    } == set(data)
    assert {"timestamp", "sampleCount", "value"} == set(data["evaluatedDatapoints"][0])
    assert detail["previousState"]["value"] == "OK"
    assert detail["configuration"]["description"] == "too many"
    [metric] = detail["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "period": 10,
        "stat": "Sum",
        "metric": {"namespace": "Test", "name": alarm, "dimensions": {"Stage": "prod"}},
    }
    assert metric["returnData"] is True


def test_drill_is_told_with_one_time_stamp_everywhere(account: Account) -> None:
    topic = account.client("sns").create_topic(Name=account.name("topic"))["TopicArn"]
    function = account.function()
    alias = account.alias(function)
    alarm = account.alarm(AlarmActions=[topic, alias])
    account.wait(lambda: account.state(alarm)["StateValue"] == "OK", "OK")
    arn = account.state(alarm)["AlarmArn"]
    account.permit(function, PRINCIPAL, arn, "live")
    url, queue = account.queue("sns.amazonaws.com")
    account.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    bus = on_bus(account, alarm)

    account.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="drill")

    event = json.loads(account.message(bus)["Body"])
    notification: dict[str, Any] = json.loads(json.loads(account.message(url)["Body"])["Message"])
    account.wait(function.calls, "the direct action")
    [action] = function.events()
    moment = event["detail"]["state"]["timestamp"]
    assert "reasonData" not in event["detail"]["state"]
    assert action == {
        "source": "aws.cloudwatch",
        "alarmArn": arn,
        "accountId": "111111111111",
        "time": moment,
        "region": "us-east-1",
        "alarmData": event["detail"],
    }
    assert moment.endswith("+0000")
    trigger = notification.pop("Trigger")
    updated = notification.pop("AlarmConfigurationUpdatedTimestamp")
    assert updated.endswith("+0000")
    assert notification == {
        "AlarmName": alarm,
        "AlarmDescription": None,
        "AWSAccountId": "111111111111",
        "NewStateValue": "ALARM",
        "NewStateReason": "drill",
        "StateChangeTime": moment,
        "Region": "US East (N. Virginia)",
        "AlarmArn": arn,
        "OldStateValue": "OK",
        "OKActions": [],
        "AlarmActions": [topic, alias],
        "InsufficientDataActions": [],
    }
    assert trigger == {
        "MetricName": alarm,
        "Namespace": "Test",
        "StatisticType": "Statistic",
        "Statistic": "SUM",
        "Unit": None,
        "Dimensions": [],
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "EvaluateLowSampleCountPercentile": "",
    }


def test_only_a_change_is_told(account: Account) -> None:
    alarm = account.alarm()
    account.wait(lambda: account.state(alarm)["StateValue"] == "OK", "OK")
    url = on_bus(account, alarm)
    cloudwatch = account.client("cloudwatch")

    for state in ("ALARM", "ALARM", "OK"):
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="drill")

    told = [json.loads(account.message(url)["Body"])["detail"]["state"]["value"] for _ in range(2)]
    assert told == ["ALARM", "OK"]


def test_direct_action_needs_a_permission_for_its_qualifier(account: Account) -> None:
    function = account.function()
    alias = account.alias(function)
    alarm = account.alarm(AlarmActions=[alias], OKActions=[function.arn])
    account.wait(lambda: account.state(alarm)["StateValue"] == "OK", "OK")
    account.permit(function, PRINCIPAL, account.state(alarm)["AlarmArn"])  # not for the alias
    cloudwatch = account.client("cloudwatch")

    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="drill")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="drill")

    account.wait(function.calls, "the permitted action")
    assert [event["alarmData"]["state"]["value"] for event in function.events()] == ["OK"]
