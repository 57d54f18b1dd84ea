"""Contract of ``scheduler``: when a schedule starts its target, with which right, and what is kept of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.local.emulator.account import Account, Function
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local


def soon(zone: str = "UTC") -> str:
    """An ``at()`` expression for two seconds from now in ``zone``."""
    moment = datetime.now(UTC).astimezone(ZoneInfo(zone)) + timedelta(seconds=2)
    return f"at({moment:%Y-%m-%dT%H:%M:%S})"


def starting(account: Account, function: Function, **target: Any) -> dict[str, Any]:
    """A target whose role may start the function."""
    role = account.role([{"Action": "lambda:InvokeFunction", "Resource": function.arn}], "scheduler.amazonaws.com")
    return {"Arn": function.arn, "RoleArn": role, **target}


def create(account: Account, **settings: Any) -> str:
    name = account.name("schedule")
    account.client("scheduler").create_schedule(**{"Name": name, "FlexibleTimeWindow": {"Mode": "OFF"}, **settings})
    return name


def test_schedule_starts_within_a_second_or_two_in_its_own_time_zone(account: Account) -> None:
    function = account.function()
    name = create(
        account,
        ScheduleExpression=soon("Asia/Kolkata"),
        ScheduleExpressionTimezone="Asia/Kolkata",
        ActionAfterCompletion="DELETE",
        Target=starting(account, function, Input='{"when": "<aws.scheduler.scheduled-time>"}'),
    )
    due = datetime.now(UTC) + timedelta(seconds=2)

    account.wait(function.calls, "the start")

    assert datetime.now(UTC) - due < timedelta(seconds=3)
    assert function.events() == [{"when": f"{due:%Y-%m-%dT%H:%M:%SZ}"}]
    account.wait(lambda: not account.client("scheduler").list_schedules(NamePrefix=name)["Schedules"], "the deletion")


def test_role_without_the_permission_ends_in_the_dead_letter_queue(account: Account) -> None:
    url, queue = account.queue()
    function = account.function()
    role = account.role([{"Action": "sqs:SendMessage", "Resource": queue}], "scheduler.amazonaws.com")
    create(
        account,
        ScheduleExpression=soon(),
        Target={"Arn": function.arn, "RoleArn": role, "Input": '{"a": 1}', "DeadLetterConfig": {"Arn": queue}},
    )

    message = account.message(url)

    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (told["ERROR_CODE"], told["TARGET_ARN"]) == ("NO_PERMISSIONS", function.arn)
    assert json.loads(json.loads(message["Body"])["Payload"]) == {"a": 1}
    assert function.calls() == []


def test_update_overwrites_every_field(account: Account) -> None:
    client, function = account.client("scheduler"), account.function()
    _, queue = account.queue()
    full = starting(
        account,
        function,
        DeadLetterConfig={"Arn": queue},
        RetryPolicy={"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 1},
    )
    name = create(
        account,
        ScheduleExpression="cron(35 9 ? * MON-FRI *)",
        Description="open",
        Target=full,
        ScheduleExpressionTimezone="America/New_York",
        ClientToken="once",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
    )
    before = client.get_schedule(Name=name)
    assert {key: before[key] for key in ("Description", "ScheduleExpressionTimezone", "Target", "State")} == {
        "Description": "open",
        "ScheduleExpressionTimezone": "America/New_York",
        "Target": full,
        "State": "ENABLED",
    }

    client.update_schedule(
        Name=name,
        ScheduleExpression="rate(1 hour)",
        State="DISABLED",
        ClientToken="twice",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=starting(account, function),
    )

    after = client.get_schedule(Name=name)
    assert (after["ScheduleExpressionTimezone"], after["State"]) == ("UTC", "DISABLED")
    assert "Description" not in after
    assert "DeadLetterConfig" not in after["Target"]


def test_wrong_expressions_and_a_start_in_the_past_are_refused(account: Account) -> None:
    client, target = account.client("scheduler"), starting(account, account.function())
    valid = {"Name": account.name("schedule"), "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}

    for expression in ("rate(0 minutes)", "every minute", "cron(0 9 * * *)"):
        refused(client.create_schedule, "ValidationException", **valid, ScheduleExpression=expression)
    refused(
        client.create_schedule,
        "ValidationException",
        **valid,
        ScheduleExpression="rate(1 hour)",
        StartDate=datetime.now(UTC) - timedelta(minutes=10),
    )
    refused(
        client.create_schedule,
        "ValidationException",
        **valid,
        ScheduleExpression="rate(1 hour)",
        ScheduleExpressionTimezone="Mars/Olympus",
    )


def test_schedules_are_listed_by_group_and_state_in_pages(account: Account) -> None:
    client, target = account.client("scheduler"), starting(account, account.function())
    group = account.name("group")
    client.create_schedule_group(Name=group)
    states = ["ENABLED", "DISABLED", "ENABLED"]
    names = [
        create(account, GroupName=group, ScheduleExpression="rate(1 hour)", State=state, Target=target)
        for state in states
    ]

    pages = client.get_paginator("list_schedules").paginate(
        GroupName=group, State="ENABLED", PaginationConfig={"PageSize": 1}
    )

    found = [[schedule["Name"] for schedule in page["Schedules"]] for page in pages]
    assert sorted(name for page in found for name in page) == sorted([names[0], names[2]])
    assert max(map(len, found)) == 1
