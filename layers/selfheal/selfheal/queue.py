"""One SQS queue by its name: count, receive, release, delete, send a batch.

Batch calls answer 200 with a list of entries that failed; those are tried again here, and what still fails is
returned, never swallowed. A batch that is sent is never tried again: SQS can't tell a repetition from another message.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client, client_bulk, client_bulk_once
from selfheal.frozen import dataclass

BATCH = 10
"""Entries that SQS takes in one call."""
MAX_BATCH_BYTES = 1_048_576
"""Of all messages of one SendMessageBatch together (botocore's model of it: 1 MiB)."""
TRIES = 3
RETRY_PAUSE_S = 0.2

_FORWARDED_TYPES = ("StringValue", "BinaryValue", "DataType")


@dataclass(frozen=True)
class Counts:
    """Approximate, and settled only about a minute after the last producer stopped (SQS's own words)."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All three kinds: a message that somebody holds is still in the queue."""
        return self.visible + self.in_flight + self.delayed

    def as_dict(self) -> dict[str, int]:
        """For evidence."""
        return {"visible": self.visible, "in_flight": self.in_flight, "delayed": self.delayed, "total": self.total}


@dataclass(frozen=True)
class Attributes:
    """What SQS tells about a queue."""

    arn: str
    counts: Counts
    redrive_policy: Mapping[str, Any] | None
    """None where the queue has no dead-letter queue of its own."""
    fifo: bool
    visibility_s: int
    retention_s: int


@dataclass(frozen=True)
class Outgoing:
    """A message to send. `name`: how the caller knows it; `group`, `deduplication` are empty on a standard queue."""

    name: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    group: str = ""
    deduplication: str = ""

    def entry(self) -> dict[str, Any]:
        """As SendMessageBatch takes it, without its Id. System attributes, the trace header among them, stay behind."""
        entry: dict[str, Any] = {"MessageBody": self.body}
        if self.attributes:
            entry["MessageAttributes"] = {
                name: {part: value[part] for part in _FORWARDED_TYPES if part in value}
                for name, value in self.attributes.items()
            }
        order = {"MessageGroupId": self.group, "MessageDeduplicationId": self.deduplication}
        return entry | {name: value for name, value in order.items() if value}

    @property
    def size(self) -> int:
        """Bytes that count against MAX_BATCH_BYTES: the body, and each attribute's name, type and value."""
        size = len(self.body.encode("utf-8", "surrogatepass"))
        for name, value in self.attributes.items():
            text = str(value.get("StringValue", ""))
            size += len(name) + len(value["DataType"]) + len(text.encode("utf-8", "surrogatepass"))
            size += len(value.get("BinaryValue", b""))
        return size


@dataclass(frozen=True)
class Receipt:
    """What SQS said of one message: the id that it gave it, or why it did not take it.

    `is_clear`: the sender's fault, so it was surely not sent; the service's own failure leaves that open.
    """

    message_id: str | None = None
    why_not: str = ""
    is_clear: bool = False


class Queue:
    """Calls for one queue. They raise TargetNotFound, TargetForbidden, Unreadable, NotApplied."""

    def __init__(
        self, name: str, url: str | None = None, sleep: Callable[[float], None] = time.sleep, *, bulk: bool = False
    ) -> None:
        """`bulk`: thousands of messages will be received and deleted, by several threads."""
        self.name = name
        self._client = client_bulk if bulk else client
        self._known_url = url
        self._sleep = sleep

    @cached_property
    def url(self) -> str:
        """From the name: nobody has to know the account."""
        if self._known_url:
            return self._known_url
        try:
            return str(client("sqs").get_queue_url(QueueName=self.name)["QueueUrl"])
        except AwsError as error:
            translate(error, f"queue {self.name}")

    def attributes(self) -> Attributes:
        """Read them all: an empty list of names would be answered with nothing."""
        try:
            answer = client("sqs").get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        except AwsError as error:
            translate(error, f"attributes of queue {self.name}")
        seen = answer.get("Attributes", {})
        policy = seen.get("RedrivePolicy")
        return Attributes(
            arn=str(seen.get("QueueArn", "")),
            counts=Counts(
                visible=int(seen.get("ApproximateNumberOfMessages", 0)),
                in_flight=int(seen.get("ApproximateNumberOfMessagesNotVisible", 0)),
                delayed=int(seen.get("ApproximateNumberOfMessagesDelayed", 0)),
            ),
            redrive_policy=json.loads(policy) if policy else None,
            fifo=str(seen.get("FifoQueue", "false")).lower() == "true",
            visibility_s=int(seen.get("VisibilityTimeout", 30)),
            retention_s=int(seen.get("MessageRetentionPeriod", 345_600)),
        )

    def source_urls(self) -> list[str]:
        """URLs of the queues that use this one as their dead-letter queue."""
        try:
            pages = client("sqs").get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=self.url)
            return [str(url) for page in pages for url in page.get("queueUrls", [])]
        except AwsError as error:
            translate(error, f"sources of queue {self.name}")

    def receive(self, *, visibility_s: int, most: int = BATCH, wait_s: int = 2) -> list[Mapping[str, Any]]:
        """Up to `most` (≤ 10) messages, hidden for `visibility_s`. A long poll asks every server of the queue."""
        try:
            answer = self._client("sqs").receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(most, BATCH),
                VisibilityTimeout=visibility_s,
                WaitTimeSeconds=wait_s,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
        except AwsError as error:
            translate(error, f"messages of queue {self.name}")
        messages: list[Mapping[str, Any]] = answer.get("Messages", [])
        return messages

    def release(self, receipts: Mapping[str, str]) -> list[str]:
        """Make messages visible again at once. Returns the ids of those that stay hidden until their time is over."""
        return self._batches("change_message_visibility_batch", receipts, {"VisibilityTimeout": 0})

    def delete(self, receipts: Mapping[str, str]) -> list[str]:
        """Delete by message id → latest receipt handle. Returns the ids that were not deleted."""
        return self._batches("delete_message_batch", receipts, {})

    def send(self, messages: Sequence[Outgoing]) -> dict[str, Receipt]:
        """Up to 10 messages in one call, once. What SQS said of each, by its name.

        Raises botocore's own error: only the caller knows what an unclear answer means for the messages.
        """
        by_place = {str(place): message for place, message in enumerate(messages)}
        entries = [{"Id": place, **message.entry()} for place, message in by_place.items()]
        answer = client_bulk_once("sqs").send_message_batch(QueueUrl=self.url, Entries=entries)
        said = {by_place[one["Id"]].name: Receipt(one["MessageId"]) for one in answer.get("Successful", [])}
        for one in answer.get("Failed", []):
            why = f"{one.get('Code', 'no code')}: {one.get('Message', '')}".rstrip(": ")
            said[by_place[one["Id"]].name] = Receipt(why_not=why, is_clear=bool(one.get("SenderFault")))
        unmentioned = Receipt(why_not="SQS did not mention it in its answer")
        return {message.name: said.get(message.name, unmentioned) for message in messages}

    def _batches(self, method: str, receipts: Mapping[str, str], more: Mapping[str, Any]) -> list[str]:
        failed: list[str] = []
        for ids in _chunks(list(receipts)):
            failed += self._batch(method, {message_id: receipts[message_id] for message_id in ids}, more)
        return failed

    def _batch(self, method: str, receipts: Mapping[str, str], more: Mapping[str, Any]) -> list[str]:
        """One batch; entries that failed by SQS's own fault are tried again, a bad receipt is not."""
        hopeless: list[str] = []
        left = dict(receipts)
        for attempt in range(TRIES):
            if attempt:
                self._sleep(RETRY_PAUSE_S * attempt)
            by_place = dict(enumerate(left))
            entries = [
                {"Id": str(place), "ReceiptHandle": left[message_id], **more} for place, message_id in by_place.items()
            ]
            try:
                answer = getattr(self._client("sqs"), method)(QueueUrl=self.url, Entries=entries)
            except AwsError as error:
                translate(error, f"{method} on queue {self.name}")
            failures = {by_place[int(entry["Id"])]: entry for entry in answer.get("Failed", [])}
            hopeless += [message_id for message_id, entry in failures.items() if entry.get("SenderFault")]
            left = {message_id: left[message_id] for message_id in failures if message_id not in hopeless}
            if not left:
                break
        return [*hopeless, *left]


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
