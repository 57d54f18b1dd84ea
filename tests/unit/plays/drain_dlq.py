"""A redrive that keeps no archive: SQS moves what the canary has left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from selfheal.clients import client

from tests.unit.dead_letters import by_nobody
from tests.unit.play import Play


def redrive_by_sqs(stage: Any, number: int) -> Play:
    """Two letters: the canary goes as ever, the other one is SQS's."""
    play: Play = stage.redrive_dlq(number)
    stage.here.fill(by_nobody("the rest"))
    options = {"per_second": 1000, "archive": False}
    started = replace(play, effects=("sqs.start_message_move_task",), most=None, more={"options": options})
    stage.tasks = []
    return started


def answers(stage: Any) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """The move tasks of SQS, which moto does not have: one ends as soon as it has begun."""

    def start(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        queue = asked["SourceArn"].rpartition(":")[2]
        listening, stage.wire.listening = stage.wire.listening, False
        client("sqs").purge_queue(QueueUrl=stage.here.url(queue))
        stage.wire.listening = listening
        stage.tasks.insert(0, {"Status": "COMPLETED", "StartedTimestamp": int(stage.clock.now() * 1000)})
        stage.tasks[0] |= {"ApproximateNumberOfMessagesMoved": 1, "ApproximateNumberOfMessagesToMove": 1}
        return {"TaskHandle": "handle"}

    return {
        "sqs.list_message_move_tasks": lambda asked: {"Results": stage.tasks[:1]},
        "sqs.start_message_move_task": start,
    }


PLAYS = (redrive_by_sqs,)
VARIANTS = {"redrive_by_sqs": "redrive_dlq"}
