"""Contract of ``sqs_move_tasks``: the redrive of a dead-letter queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local


def pair(account: Account) -> tuple[str, str, str, str]:
    """A queue and its dead-letter queue: URL and ARN of each."""
    dead, dead_arn = account.queue()
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url, arn = account.queue(RedrivePolicy=policy, VisibilityTimeout="0")
    return url, arn, dead, dead_arn


def bury(account: Account, url: str, *bodies: str) -> None:
    """Have messages fail until they are in the dead-letter queue."""
    sqs = account.client("sqs")
    for body in bodies:
        sqs.send_message(
            QueueUrl=url, MessageBody=body, MessageAttributes={"kept": {"DataType": "String", "StringValue": "yes"}}
        )
    for _ in range(2 * len(bodies)):
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)


def task(account: Account, source: str) -> dict[str, Any]:
    return dict(account.client("sqs").list_message_move_tasks(SourceArn=source)["Results"][0])


def test_messages_go_back_to_where_they_came_from_under_a_new_id(account: Account) -> None:
    url, _, dead, dead_arn = pair(account)
    sqs = account.client("sqs")
    bury(account, url, "one")
    account.wait(lambda: depth(account, dead) == 1, "the dead letter")

    handle = sqs.start_message_move_task(SourceArn=dead_arn)["TaskHandle"]

    account.wait(lambda: task(account, dead_arn)["Status"] == "COMPLETED", "the end of the task")
    moved = account.message(url)
    assert handle
    assert (moved["Body"], moved["MessageAttributes"]["kept"]["StringValue"]) == ("one", "yes")
    assert moved["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in moved["Attributes"]
    assert task(account, dead_arn)["ApproximateNumberOfMessagesMoved"] == 1
    assert "TaskHandle" not in task(account, dead_arn)


def test_queue_that_is_nobody_s_dead_letter_queue_is_refused(account: Account) -> None:
    _, arn = account.queue()

    response = refused(account.client("sqs").start_message_move_task, "InvalidParameterValue", SourceArn=arn)

    assert "must be configured as a Dead Letter Queue" in response["Error"]["Message"]


def test_message_of_unknown_origin_fails_the_task(account: Account) -> None:
    _, _, dead, dead_arn = pair(account)
    account.client("sqs").send_message(QueueUrl=dead, MessageBody="from nowhere")

    account.client("sqs").start_message_move_task(SourceArn=dead_arn)

    account.wait(lambda: task(account, dead_arn)["Status"] == "FAILED", "the failure")
    assert task(account, dead_arn)["FailureReason"] == "CouldNotDetermineMessageSource"
    assert depth(account, dead) == 1


def test_one_task_at_a_time_at_the_rate_asked_for_until_cancelled(account: Account) -> None:
    url, arn, dead, dead_arn = pair(account)
    sqs = account.client("sqs")
    for number in range(5):
        sqs.send_message(QueueUrl=dead, MessageBody=str(number))
    handle = sqs.start_message_move_task(SourceArn=dead_arn, DestinationArn=arn, MaxNumberOfMessagesPerSecond=1)[
        "TaskHandle"
    ]

    refused(sqs.start_message_move_task, "InvalidParameterValue", SourceArn=dead_arn)
    assert sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] <= 2

    account.wait(lambda: task(account, dead_arn)["Status"] == "CANCELLED", "the cancellation")
    assert depth(account, dead) >= 3
    assert depth(account, dead) + depth(account, url) == 5


def test_dead_letter_queue_knows_its_sources(account: Account) -> None:
    url, _, dead, _ = pair(account)

    found = account.client("sqs").list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"]

    assert [each.rpartition("/")[2] for each in found] == [url.rpartition("/")[2]]


def test_redrive_needs_the_permissions_of_both_queues(account: Account) -> None:
    _, arn, _, dead_arn = pair(account)
    start = {"Action": "sqs:StartMessageMoveTask", "Resource": dead_arn}
    read = {"Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], "Resource": dead_arn}
    write = {"Action": "sqs:SendMessage", "Resource": arn}

    for statements in ([start], [start, read], [start, write]):
        client = account.client("sqs", account.credentials(*statements))
        refused(client.start_message_move_task, "AccessDenied", SourceArn=dead_arn, DestinationArn=arn)

    account.client("sqs", account.credentials(start, read, write)).start_message_move_task(
        SourceArn=dead_arn, DestinationArn=arn
    )


def depth(account: Account, url: str) -> int:
    attributes = account.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])
