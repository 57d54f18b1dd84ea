"""Contract of ``eventbridge_targets``: what a rule's target gets, and what its failure leaves behind."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def rule(account: Account, target: str, **settings: object) -> tuple[str, str]:
    """A bus with one rule for everything that comes from "test"; returns the bus's name and the rule's ARN."""
    events, bus = account.client("events"), account.name("bus")
    events.create_event_bus(Name=bus)
    arn = events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source": ["test"]}')["RuleArn"]
    events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "1", "Arn": target, **settings}])
    return bus, str(arn)


def put(account: Account, bus: str) -> None:
    account.client("events").put_events(
        Entries=[{"Source": "test", "DetailType": "t", "Detail": '{"a": 1}', "EventBusName": bus}]
    )


def total(account: Account, bus: str, metric: str) -> float:
    now = datetime.now(UTC)
    answer = account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Events",
        MetricName=metric,
        Statistics=["Sum"],
        Period=60,
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Dimensions=[{"Name": "RuleName", "Value": "all"}, {"Name": "EventBusName", "Value": bus}],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


def test_function_gets_the_event_asynchronously_and_its_error_is_not_the_rule_s(account: Account) -> None:
    function = account.function(environment={"FAIL": "no luck"})
    bus, arn = rule(account, function.arn)
    account.permit(function, "events.amazonaws.com", arn)

    put(account, bus)

    account.wait(lambda: len(function.calls()) == 2, "the second attempt")
    assert function.events()[0]["detail"] == {"a": 1}
    assert total(account, bus, "Invocations") == 1
    assert total(account, bus, "FailedInvocations") == 0


def test_missing_permission_goes_to_the_dead_letter_queue_with_its_reason(account: Account) -> None:
    url, queue = account.queue("events.amazonaws.com")
    function = account.function()
    bus, arn = rule(account, function.arn, DeadLetterConfig={"Arn": queue}, Input='{"not": "this"}')

    put(account, bus)

    message = account.message(url)
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (told["RULE_ARN"], told["TARGET_ARN"], told["ERROR_CODE"]) == (arn, function.arn, "NO_PERMISSIONS")
    assert json.loads(message["Body"])["detail"] == {"a": 1}
    assert total(account, bus, "FailedInvocations") == 1
    assert function.calls() == []


def test_queue_s_own_policy_must_let_the_rule_in(account: Account) -> None:
    closed, closed_arn = account.queue()
    bus, _ = rule(account, closed_arn)

    put(account, bus)

    account.wait(lambda: total(account, bus, "FailedInvocations") == 1, "the failure")
    assert "Messages" not in account.client("sqs").receive_message(QueueUrl=closed)
