"""SQS in memory, for the bench: visibility, receipts, batches of ten, MD5, and move tasks at 500 messages a second."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import time
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
MOVED_PER_S = 500
TICK_S = 0.02
POLL_S = 0.02
LONGEST_POLL_S = 2
"""Who waits for more at the end waits no longer than this; no rate is measured there."""


def number_of(body: str) -> str:
    """Which letter of the bench it is."""
    return body[:14]


def md5_of(body: str) -> str:
    """As SQS tells it."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


class Refused(Exception):
    """SQS's code for what it does not take."""


@dataclass
class Message:
    """One message; `receipt` is that of its last receive."""

    body: str
    md5: str
    attributes: Mapping[str, Any]
    source: str = ""
    sent_at: float = 0.0
    name: str = field(default_factory=lambda: str(uuid.uuid4()))
    received: int = 0
    visible_at: float = 0.0


class Queue:
    """One standard queue. `numbers` counts how often each letter of the bench has arrived."""

    def __init__(self, name: str, redrive: str = "") -> None:
        self.name = name
        self.redrive = redrive
        self.messages: dict[str, Message] = {}
        self.numbers: Counter[str] = Counter()
        self._ready: deque[str] = deque()
        self._hidden: list[tuple[float, str]] = []

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}"

    def put(self, message: Message) -> None:
        """At its end."""
        self.messages[message.name] = message
        self._ready.append(message.name)
        self.numbers[number_of(message.body)] += 1

    def take(self, most: int, hidden_s: float) -> list[Message]:
        """Up to `most` visible messages."""
        now = time.time()
        while self._hidden and self._hidden[0][0] <= now:
            until, name = heapq.heappop(self._hidden)
            if name in self.messages and self.messages[name].visible_at == until:
                self._ready.append(name)
        taken: list[Message] = []
        while self._ready and len(taken) < most:
            message = self.messages.get(self._ready.popleft())
            if message is not None:
                message.received += 1
                self.hide(message, now + hidden_s)
                taken.append(message)
        return taken

    def hide(self, message: Message, until: float) -> None:
        message.visible_at = until
        heapq.heappush(self._hidden, (until, message.name))

    def counts(self) -> tuple[int, int]:
        """Visible and hidden."""
        now = time.time()
        hidden = sum(message.visible_at > now for message in self.messages.values())
        return len(self.messages) - hidden, hidden


class Queues:
    """The calls that a drain makes, each a method of the same name."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.queues: dict[str, Queue] = {}
        self.task: dict[str, Any] | None = None
        self.first_at = self.last_at = 0.0

    def make(self, letters: int, size: int, *, by_lambda: bool) -> None:
        """A fresh queue and its dead-letter queue, full; who wrote the letters tells where they may go."""
        redrive = '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead", "maxReceiveCount": 1}'
        self.queues = {"dead": Queue("dead"), "orders": Queue("orders", redrive)}
        self.task, self.first_at, self.last_at = None, 0.0, 0.0
        text = {"DataType": "String", "StringValue": "0123456789abcdef"}
        attributes: dict[str, Any] = {"trace": text}
        if by_lambda:
            attributes = {"RequestID": text, "ErrorCode": {"DataType": "Number", "StringValue": "200"}}
        source = "" if by_lambda else self.queues["orders"].arn
        for number in range(letters):
            body = f'{{"n":"{number:07}","filler":"{"x" * (size - 28)}"}}'
            self.queues["dead"].put(Message(body, md5_of(body), attributes, source, time.time() - 60))

    def _queue(self, asked: Mapping[str, Any]) -> Queue:
        found = self.queues.get(str(asked["QueueUrl"]).rsplit("/", 1)[-1])
        if found is None:
            raise Refused("QueueDoesNotExist")
        return found

    def url(self, name: str) -> str:
        return f"{self._endpoint}/{ACCOUNT}/{name}"

    async def get_queue_url(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {"QueueUrl": self.url(asked["QueueName"])}

    async def get_queue_attributes(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue(asked)
        visible, hidden = queue.counts()
        told = {
            "QueueArn": queue.arn,
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "ApproximateNumberOfMessagesDelayed": "0",
            "VisibilityTimeout": "1",
        }
        return {"Attributes": told | ({"RedrivePolicy": queue.redrive} if queue.redrive else {})}

    async def list_dead_letter_source_queues(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {"queueUrls": [self.url("orders")]}

    async def list_queue_tags(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {"Tags": {}}

    async def receive_message(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue(asked)
        self.first_at = self.first_at or time.time()
        most, hidden_s = asked.get("MaxNumberOfMessages", 1), asked.get("VisibilityTimeout", 30)
        until = time.time() + min(LONGEST_POLL_S, asked.get("WaitTimeSeconds", 0))
        while not (taken := queue.take(most, hidden_s)) and time.time() < until:
            await asyncio.sleep(POLL_S)
        return {"Messages": [_told(message) for message in taken]} if taken else {}

    async def send_message(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._sent(self._queue(asked), asked)

    async def send_message_batch(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue(asked)
        return {"Successful": [{"Id": one["Id"], **self._sent(queue, one)} for one in _ten(asked)], "Failed": []}

    def _sent(self, queue: Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        body = asked["MessageBody"]
        md5 = md5_of(body)
        message = Message(body, md5, asked.get("MessageAttributes", {}), sent_at=time.time())
        queue.put(message)
        return {"MessageId": message.name, "MD5OfMessageBody": md5}

    async def delete_message(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._gone(self._queue(asked), asked)
        return {}

    async def delete_message_batch(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue(asked)
        return {"Successful": [{"Id": self._gone(queue, one)} for one in _ten(asked)], "Failed": []}

    def _gone(self, queue: Queue, asked: Mapping[str, Any]) -> str:
        queue.messages.pop(asked["ReceiptHandle"].split("#")[0], None)
        self.last_at = time.time()
        return str(asked.get("Id", ""))

    async def change_message_visibility_batch(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue(asked)
        for one in _ten(asked):
            message = queue.messages.get(one["ReceiptHandle"].split("#")[0])
            if message is not None:
                queue.hide(message, time.time() + one["VisibilityTimeout"])
        return {"Successful": [{"Id": one["Id"]} for one in asked["Entries"]], "Failed": []}

    # -- move tasks ---------------------------------------------------------------------------------------------------

    async def start_message_move_task(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        queue = self.queues[asked["SourceArn"].rsplit(":", 1)[-1]]
        if self.task is not None and self.task["Status"] == "RUNNING":
            raise Refused("InvalidParameterValue")
        self.task = {
            "Status": "RUNNING",
            "StartedTimestamp": int(time.time() * 1000),
            "ApproximateNumberOfMessagesMoved": 0,
            "ApproximateNumberOfMessagesToMove": len(queue.messages),
        }
        self.first_at = time.time()
        self._moving = asyncio.ensure_future(self._move(queue, asked.get("MaxNumberOfMessagesPerSecond", MOVED_PER_S)))
        return {"TaskHandle": "handle"}

    async def list_message_move_tasks(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {"Results": [self.task] if self.task else []}

    async def _move(self, queue: Queue, per_second: int) -> None:
        task, began, moved = self.task or {}, time.time(), 0
        while queue.messages:
            await asyncio.sleep(TICK_S)
            for one in queue.take(int((time.time() - began) * per_second) - moved, 60):
                self.queues["orders"].put(Message(one.body, one.md5, one.attributes, sent_at=time.time()))
                del queue.messages[one.name]
                moved += 1
            task["ApproximateNumberOfMessagesMoved"] = moved
            self.last_at = time.time()
        task["Status"] = "COMPLETED"


def _ten(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = asked["Entries"]
    if not 1 <= len(entries) <= 10:
        raise Refused("TooManyEntriesInBatchRequest")
    return entries


def _told(message: Message) -> dict[str, Any]:
    system = {"SentTimestamp": str(int(message.sent_at * 1000)), "ApproximateReceiveCount": str(message.received)}
    if message.source:
        system["DeadLetterQueueSourceArn"] = message.source
    return {
        "MessageId": message.name,
        "ReceiptHandle": f"{message.name}#{message.received}",
        "Body": message.body,
        "MD5OfBody": message.md5,
        "Attributes": system,
        "MessageAttributes": message.attributes,
    }
