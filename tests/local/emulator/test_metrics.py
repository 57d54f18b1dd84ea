"""Contracts of ``embedded_metrics`` and ``sqs_metrics``: alarms on what functions and queues say of themselves."""

from __future__ import annotations

import json

import pytest

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def test_metric_in_a_log_line_turns_its_alarm_red(account: Account) -> None:
    alarm = account.alarm(Namespace="Ours", MetricName="Beat", Dimensions=[{"Name": "service", "Value": "test"}])
    line = {
        "_aws": {
            "CloudWatchMetrics": [
                {"Namespace": "Ours", "Dimensions": [["service"]], "Metrics": [{"Name": "Beat", "Unit": "Count"}]}
            ]
        },
        "service": "test",
        "Beat": [1.0],
    }
    code = f"def handler(event, context):\n    print({json.dumps(line)!r})\n    print('{{\"_aws\": 1}}')\n"

    account.client("lambda").invoke(FunctionName=account.function(code).name)

    account.wait(lambda: account.state(alarm)["StateValue"] == "ALARM", "ALARM")


def test_message_in_a_queue_turns_its_alarm_red(account: Account) -> None:
    url, arn = account.queue()
    alarm = account.alarm(
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Statistic="Maximum",
        Dimensions=[{"Name": "QueueName", "Value": arn.rpartition(":")[2]}],
    )
    account.client("sqs").send_message(QueueUrl=url, MessageBody="x")

    account.wait(lambda: account.state(alarm)["StateValue"] == "ALARM", "ALARM")
