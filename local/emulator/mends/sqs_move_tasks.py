"""SQS moves a dead-letter queue's messages back: the four calls around message move tasks.

Stock ministack 1.5.33 answers ``InvalidAction`` to StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask
and ListDeadLetterSourceQueues.

AWS (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html and
…/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html): only from a queue that is some queue's dead-letter
queue; one active task per queue; 1 to 500 messages a second; moved messages get a new id and a new enqueue
time; without a destination a message goes to the queue that it came from, and the task fails with
``CouldNotDetermineMessageSource`` when it came from none; the handle is told only while the task runs; a cancelled
task does not move back.
"""

from __future__ import annotations

import contextvars
import copy
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from ministack.core.concurrency import esm_wake
from ministack.core.responses import new_uuid
from ministack.services import sqs

from local.emulator.mends import MendError

DEFAULT_RATE = 500  # messages a second; AWS chooses for itself
TASKS_KEPT = 10


@dataclass
class Task:
    """One move of what was in the source when it started."""

    source: str
    destination: str | None
    rate: int | None
    messages: list[str]
    started: float = field(default_factory=time.time)
    handle: str = field(default_factory=new_uuid)
    status: str = "RUNNING"
    moved: int = 0
    failure: str | None = None

    def described(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "SourceArn": self.source,
            "Status": self.status,
            "StartedTimestamp": int(self.started * 1000),
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": len(self.messages),
            "DestinationArn": self.destination,
            "MaxNumberOfMessagesPerSecond": self.rate,
            "FailureReason": self.failure,
            "TaskHandle": self.handle if self.status == "RUNNING" else None,
        }
        return {name: value for name, value in told.items() if value is not None}


_tasks: dict[str, list[Task]] = {}


def sources(queue_arn: str) -> list[dict[str, Any]]:
    """The queues whose dead-letter queue this is."""
    found = []
    for queue in sqs._queues.values():
        policy = queue["attributes"].get("RedrivePolicy")
        if policy and json.loads(policy).get("deadLetterTargetArn") == queue_arn:
            found.append(queue)
    return found


def source_of(handle: str) -> str | None:
    """The ARN of the queue that the task with this handle empties."""
    return next((task.source for history in _tasks.values() for task in history if task.handle == handle), None)


def _start(data: dict[str, Any], _url: str) -> dict[str, Any]:
    source, destination = data.get("SourceArn") or "", data.get("DestinationArn") or None
    queue = _existing(source)
    if not sources(source):
        raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.", 400)
    if destination:
        _existing(destination)
    rate = data.get("MaxNumberOfMessagesPerSecond")
    if rate is not None and not 1 <= int(rate) <= 500:
        raise sqs._Err(
            "InvalidParameterValue",
            "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and 500.",
            400,
        )
    history = _tasks.setdefault(source, [])
    if any(task.status in {"RUNNING", "CANCELLING"} for task in history):
        raise sqs._Err(
            "InvalidParameterValue",
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            400,
        )
    now = time.time()
    task = Task(
        source,
        destination,
        None if rate is None else int(rate),
        [message["id"] for message in queue["messages"] if message["visible_at"] <= now],
    )
    history.insert(0, task)
    del history[TASKS_KEPT:]
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_move, task), daemon=True, name="sqs-move").start()
    return {"TaskHandle": task.handle}


def _move(task: Task) -> None:
    queue = sqs._queue_by_arn(task.source)
    pause = 1 / (task.rate or DEFAULT_RATE)
    for identifier in list(task.messages):
        if task.status != "RUNNING" or queue is None:
            break
        message = next(
            (entry for entry in queue["messages"] if entry["id"] == identifier and entry["visible_at"] <= time.time()),
            None,
        )
        if message is not None:
            destination = task.destination or message["sys"].get("DeadLetterQueueSourceArn")
            target = sqs._queue_by_arn(destination) if destination else None
            if target is None:
                task.status, task.failure = (
                    "FAILED",
                    (
                        "CouldNotDetermineMessageSource"
                        if not destination
                        else "AWS.SimpleQueueService.NonExistentQueue"
                    ),
                )
                return
            _hand_over(queue, target, message)
            task.moved += 1
        time.sleep(pause)
    task.status = "CANCELLED" if task.status == "CANCELLING" else "COMPLETED"


def _hand_over(queue: dict[str, Any], target: dict[str, Any], message: dict[str, Any]) -> None:
    moved = copy.deepcopy(message)
    now = time.time()
    moved.update(
        id=new_uuid(), receipt_handle=None, receive_count=0, first_receive_at=None, visible_at=now, enqueued_at=now
    )
    moved["sys"] = {name: value for name, value in moved["sys"].items() if name != "DeadLetterQueueSourceArn"}
    moved["sys"]["SentTimestamp"] = str(int(now * 1000))
    moved["sent_at"] = now
    queue["messages"].remove(message)
    target["messages"].append(moved)
    esm_wake.set()


def _list(data: dict[str, Any], _url: str) -> dict[str, Any]:
    source = data.get("SourceArn") or ""
    _existing(source)
    return {"Results": [task.described() for task in _tasks.get(source, [])[: int(data.get("MaxResults") or 1)]]}


def _cancel(data: dict[str, Any], _url: str) -> dict[str, Any]:
    for task in (task for history in _tasks.values() for task in history):
        if task.handle == data.get("TaskHandle"):
            if task.status != "RUNNING":
                break
            task.status = "CANCELLING"
            return {"ApproximateNumberOfMessagesMoved": task.moved}
    raise sqs._Err("ResourceNotFoundException", "Task does not exist.", 404)


def _list_sources(_data: dict[str, Any], url: str) -> dict[str, Any]:
    queue = sqs._get_q(url)
    return {"queueUrls": [source["url"] for source in sources(queue["attributes"]["QueueArn"])]}


def _existing(arn: str) -> dict[str, Any]:
    queue = sqs._queue_by_arn(arn)
    if queue is None:
        raise sqs._Err(
            "ResourceNotFoundException",
            "The resource that you specified for the SourceArn parameter doesn't exist.",
            404,
        )
    found: dict[str, Any] = queue
    return found


def reset() -> None:
    _tasks.clear()


def apply() -> None:
    known = sqs._HANDLERS
    for name, action in {
        "StartMessageMoveTask": _start,
        "ListMessageMoveTasks": _list,
        "CancelMessageMoveTask": _cancel,
        "ListDeadLetterSourceQueues": _list_sources,
    }.items():
        if name in known:
            raise MendError(f"{name} exists already")
        known[name] = action
