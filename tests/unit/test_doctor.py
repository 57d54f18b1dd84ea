"""`make doctor`: what is missing is named with what to do about it; it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws
from selfheal.arns import Home
from selfheal.runbook import Runbooks

from local import doctor
from local.doctor import Account, Mark, Told
from tests.unit.responding import response, runbooks, step

HOME = Home("aws", "eu-central-1", "123456789012")
FLAG = "/the-alchemiser/dev/trading_enabled"
OUTPUTS = {"PeopleTopicArn": "arn:aws:sns:eu-central-1:123456789012:people"}


class NoStacks:
    """CloudFormation without a stack (moto's needs more than is installed)."""

    def describe_stacks(self, **asked: str) -> Mapping[str, Any]:
        raise ClientError({"Error": {"Code": "ValidationError", "Message": "does not exist"}}, "DescribeStacks")


@pytest.fixture
def client() -> Iterator[Callable[[str], Any]]:
    with mock_aws():
        session: Any = boto3.Session()

        def client(service: str) -> Any:
            return NoStacks() if service == "cloudformation" else session.client(service)

        yield client


def account(client: Callable[[str], Any], **parameters: str) -> Account:
    return Account(client, "selfheal", HOME, parameters, dict(OUTPUTS))


def told(found: Iterator[Told]) -> str:
    return "\n".join(f"{one.mark.value} {one.what} | {one.advice}" for one in found)


def alarm(client: Callable[[str], Any], name: str, state: str = "OK") -> None:
    client("cloudwatch").put_metric_alarm(
        AlarmName=name, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")


# -- account and stack --------------------------------------------------------------------------------------------


def test_without_credentials_it_says_so_and_looks_no_further() -> None:
    def client(service: str) -> Any:
        raise NoCredentialsError

    (one,) = doctor.look(client, "selfheal")
    assert (one.mark, one.advice) == (Mark.BAD, "sign in first, and set AWS_REGION")


def test_without_the_stack_it_still_looks_at_the_account(client: Callable[[str], Any]) -> None:
    alarm(client, "nobody-knows-it")
    text = told(doctor.look(client, "selfheal"))

    assert "✗ stack selfheal is not there" in text
    assert "| make deploy" in text
    assert "! without a response: nobody-knows-it" in text
    assert "MaxMode" not in text


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        ("UPDATE_COMPLETE", Mark.GOOD),
        ("CREATE_COMPLETE", Mark.GOOD),
        ("UPDATE_ROLLBACK_COMPLETE", Mark.BAD),
        ("ROLLBACK_FAILED", Mark.BAD),
        ("DELETE_COMPLETE", Mark.BAD),
        ("UPDATE_IN_PROGRESS", Mark.BAD),
    ],
)
def test_a_stack_that_is_not_whole_is_bad(status: str, mark: Mark) -> None:
    class Cloudformation:
        def describe_stacks(self, **asked: str) -> Mapping[str, Any]:
            return {"Stacks": [{"StackStatus": status}]}

    *_, one = doctor._stack(lambda service: Cloudformation(), "selfheal")
    assert one.mark is mark


@pytest.mark.parametrize(("free", "mark"), [(10, Mark.NOTE), (99, Mark.NOTE), (100, Mark.GOOD), (1000, Mark.GOOD)])
def test_a_small_quota_of_executions_is_noted(free: int, mark: Mark) -> None:
    class Lambda:
        def get_account_settings(self) -> Mapping[str, Any]:
            return {"AccountLimit": {"ConcurrentExecutions": free, "UnreservedConcurrentExecutions": free}}

    (one,) = doctor._concurrency(account(lambda service: Lambda()))
    assert one.mark is mark


def test_what_may_not_be_looked_at_is_noted_and_the_rest_is_looked_at(client: Callable[[str], Any]) -> None:
    def some_of_it(service: str) -> Any:
        if service == "lambda":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetAccountSettings")
        return client(service)

    text = told(doctor.look(some_of_it, "selfheal"))
    assert "! not looked at: " in text
    assert "alarms have a response" in text


# -- people -------------------------------------------------------------------------------------------------------


class Sns:
    """A topic with these subscriptions."""

    def __init__(self, *subscriptions: tuple[str, str, str]) -> None:
        self._pages = [
            {"Subscriptions": [{"Protocol": a, "Endpoint": b, "SubscriptionArn": c} for a, b, c in subscriptions]}
        ]

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_subscriptions_by_topic"
        return self

    def paginate(self, **asked: str) -> Any:
        return self._pages


CONFIRMED = ("email", "oncall@example.com", "arn:aws:sns:eu-central-1:123456789012:people:1")
WAITING = ("email", "late@example.com", "PendingConfirmation")
DRILL = ("sqs", "arn:aws:sqs:eu-central-1:123456789012:drill", "arn:aws:sns:eu-central-1:123456789012:people:2")


@pytest.mark.parametrize(
    ("subscriptions", "marks"),
    [
        ([DRILL], [Mark.BAD]),
        ([DRILL, WAITING], [Mark.BAD]),
        ([DRILL, WAITING, CONFIRMED], [Mark.NOTE, Mark.GOOD]),
        ([CONFIRMED], [Mark.GOOD]),
    ],
)
def test_who_has_not_confirmed_hears_nothing(subscriptions: list[tuple[str, str, str]], marks: list[Mark]) -> None:
    found = list(doctor._people(account(lambda service: Sns(*subscriptions))))
    assert [one.mark for one in found] == marks


# -- alarms and reach ---------------------------------------------------------------------------------------------


def test_alarms_of_others_and_of_selfheal_need_no_response(client: Callable[[str], Any]) -> None:
    for name in ("the-alchemiser-v2-dev-errors", "selfheal-HeartbeatAlarm-1", "TargetTracking-table/x", "orders-late"):
        alarm(client, name)
    text = told(doctor._unanswered(account(client), _books()))

    assert "✓ 1 of 2 alarms have a response" in text
    assert "without a response: orders-late |" in text


def test_an_own_alarm_that_is_red_is_bad(client: Callable[[str], Any]) -> None:
    alarm(client, "selfheal-HeartbeatAlarm-1")
    assert "✓ none of selfheal's own 1 alarms is red" in told(doctor._own_alarms(account(client)))

    alarm(client, "selfheal-HeartbeatAlarm-1", "ALARM")
    assert "✗ selfheal's own alarms are red: selfheal-HeartbeatAlarm-1" in told(doctor._own_alarms(account(client)))


def _books() -> Runbooks:
    halt = step("halt_trading", {"parameter": FLAG})
    return runbooks(response(contain=(halt,), remediate=(), recover=(), alarms=("the-alchemiser-v2-dev-*",)))


@pytest.mark.parametrize(
    ("pattern", "mark"),
    [
        (f"arn:aws:ssm:eu-central-1:123456789012:parameter{FLAG}", Mark.GOOD),
        ("arn:aws:ssm:*:*:parameter/the-alchemiser/*", Mark.GOOD),
        ("arn:aws:ssm:*:*:parameter/other/*", Mark.NOTE),
        ("", Mark.NOTE),
    ],
)
def test_a_target_that_no_parameter_names_is_noted(pattern: str, mark: Mark) -> None:
    found = list(doctor._reach(account(lambda service: None, ProtectedParameters=pattern), _books()))

    assert [one.mark for one in found] == [mark]
    if mark is Mark.NOTE:
        assert found[0].what.startswith("not in ProtectedParameters: 1 target")
        assert found[0].names == (f"arn:aws:ssm:eu-central-1:123456789012:parameter{FLAG}",)
        assert "add them" in found[0].advice


def test_every_kind_that_is_looked_at_has_its_parameter_in_the_template() -> None:
    template = (Path(__file__).parents[2] / "template.yaml").read_text()
    assert [name for name in doctor.PARAMETER_OF.values() if f"  {name}:\n" not in template] == []


def test_the_shipped_runbooks_have_targets_that_can_be_looked_at() -> None:
    books, _ = doctor._runbooks()
    assert books is not None
    found = list(doctor._reach(account(lambda service: None), books))
    assert {one.what.split(":")[0] for one in found} >= {"not in ProtectedFunctions", "not in ProtectedSchedules"}
