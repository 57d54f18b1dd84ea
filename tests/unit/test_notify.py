"""Notify: an event of the bus becomes one message on the people's topic, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from selfheal.clients import client

from functions.notify import app
from tests.unit.aws import event

Mails = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def mails(aws: None, monkeypatch: pytest.MonkeyPatch) -> Mails:
    """What a subscriber of the people's topic got."""
    topic = client("sns").create_topic(Name="people")["TopicArn"]
    monkeypatch.setenv("PEOPLE_TOPIC", topic)
    queue = client("sqs").create_queue(QueueName="mailbox")["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def got() -> list[dict[str, Any]]:
        answer = client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        return [json.loads(one["Body"]) for one in answer.get("Messages", ())]

    return got


def test_the_event_file_is_told(mails: Mails, lambda_context: Any) -> None:
    answer = app.lambda_handler(event("notify"), lambda_context)
    assert answer == {"told": True, "subject": "[P0] the-alchemiser-v2-dev opened: trading lambda failing"}
    (mail,) = mails()
    assert mail["Subject"] == answer["subject"]
    assert "(the-alchemiser-v2-dev-errors red since" in mail["Message"].splitlines()[0]
    assert {name: one["Value"] for name, one in mail["MessageAttributes"].items()} == {
        "what": "opened",
        "severity": "P0",
    }


def test_what_people_need_not_hear_of_is_not_told(mails: Mails, lambda_context: Any) -> None:
    assert app.lambda_handler({"detail-type": "Unknown", "detail": {}}, lambda_context) == {"told": False}
    assert mails() == []


def test_a_failure_is_raised_so_that_it_is_tried_again(
    aws: None, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    monkeypatch.setenv("PEOPLE_TOPIC", "arn:aws:sns:eu-central-1:123456789012:nobody")
    with pytest.raises(ClientError):
        app.lambda_handler(event("notify"), lambda_context)
