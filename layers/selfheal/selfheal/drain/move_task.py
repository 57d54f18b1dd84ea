"""SQS's own move of a whole dead-letter queue, for a redrive that keeps no archive.

StartMessageMoveTask (API reference; one task a queue, at most 500 messages a second, 36 hours): each message goes back
to the queue it came from under a new id, no message is left out, and one that came from no queue fails the task. A
second start moves nothing twice, so a run that does not know whether its start took effect may look, and start again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.drain.timing import Timing
from selfheal.drain.way import Plan
from selfheal.errors import NotApplied
from selfheal.replay_record import ReplayRecord

MAX_PER_SECOND = 500
POLL_S = 5.0
CLOCKS_DIFFER_S = 5.0


def follow(plan: Plan, record: ReplayRecord, timing: Timing) -> Mapping[str, Any] | None:
    """Start the move unless that was done, and wait for its end. None: it goes on, and the next run follows it.

    Evidence: `moved`, `to_move`, and `stopped` with SQS's reason where it did not end well. Raises TargetNotFound,
    TargetForbidden, NotApplied, Unreadable.
    """
    asked_at = record.so_far.task_asked_at or _ask(record, timing)
    while True:
        task = _latest(plan["arn"])
        if task is None or task["StartedTimestamp"] / 1000 < asked_at - CLOCKS_DIFFER_S:
            if task is not None and task["Status"] in {"RUNNING", "CANCELLING"}:
                raise NotApplied(f"SQS is moving the messages of {plan['queue']} already: wait for it, or cancel it")
            _start(plan)
        elif task["Status"] not in {"RUNNING", "CANCELLING"}:
            return _evidence(task)
        if not timing.wait_until(timing.now() + POLL_S):
            return None


def _ask(record: ReplayRecord, timing: Timing) -> float:
    """Written down before the call: a task that is younger is ours."""
    return record.advance(task_asked_at=timing.now()).task_asked_at


def _latest(arn: str) -> Mapping[str, Any] | None:
    try:
        tasks = client("sqs").list_message_move_tasks(SourceArn=arn, MaxResults=1).get("Results", [])
    except AwsError as error:
        translate(error, f"message move tasks of {arn}")
    return tasks[0] if tasks else None


def _start(plan: Plan) -> None:
    rate = min(plan["per_second"], MAX_PER_SECOND)
    try:
        client("sqs").start_message_move_task(SourceArn=plan["arn"], MaxNumberOfMessagesPerSecond=rate)
    except AwsError as error:
        translate(error, f"start of SQS's move of {plan['queue']}")


def _evidence(task: Mapping[str, Any]) -> Mapping[str, Any]:
    moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
    evidence = {"moved": moved, "to_move": int(task.get("ApproximateNumberOfMessagesToMove", moved))}
    if task["Status"] == "COMPLETED":
        return evidence
    why = task.get("FailureReason") or "somebody cancelled it"
    return {**evidence, "stopped": f"SQS's move is {task['Status']}: {why}"}
