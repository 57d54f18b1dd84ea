"""Look into a dead-letter queue without losing or consuming a message: how many, whose, why, and what to do about them.

Alarm: messages in a dead-letter queue, or a failing function that has one; usually the first step of a response.
Action: `inspect_dlq` counts all three kinds (visible, in flight, delayed), takes a sample, classifies each message and
puts it back. It writes nothing.
Precondition: the queue has no redrive policy of its own: each look counts as a receive, and would push messages on.

SQS cannot show a message without receiving it: the sample is hidden for a short while, at most for the time below if
the run dies, and its receive counts go up by one. In a FIFO queue the groups of the sample wait for so long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.handler import handler_for
from selfheal.letter_sample import describe, sample
from selfheal.queue import Queue
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

VISIBILITY_S = 90
FIFO_VISIBILITY_S = 60
"""Shorter, because each message holds up its whole group."""
MAX_SAMPLE = 50


class InspectDlq(Action):
    """AWS calls: 2 to observe, then one per ten messages to receive and one to release."""

    name = "inspect_dlq"
    permissions = (
        "sqs:GetQueueUrl",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:ChangeMessageVisibility",
    )
    reversible = False

    def observe(self, request: Request) -> State:
        """Counts, and whether a look would do harm."""
        queue = Queue(request.target["queue"])
        seen = queue.attributes()
        return {
            "url": queue.url,
            "counts": seen.counts.as_dict(),
            "has_redrive": seen.redrive_policy is not None,
            "fifo": seen.fifo,
        }

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse a look that would push messages on."""
        size = request.options["sample"]
        if size > MAX_SAMPLE:
            return Decline(Refusal.BAD_OPTIONS, f"sample is {size}; at most {MAX_SAMPLE}")
        name, counts = request.target["queue"], state["counts"]
        if state["has_redrive"]:
            detail = f"{name} has a redrive policy itself and {counts['total']} messages"
            return Decline(Refusal.QUEUE_HAS_REDRIVE, detail, {"counts": counts})
        return Change(
            direction=Direction.READ,
            summary=f"{name} holds {counts['total']} messages ({counts['visible']} visible); look at up to {size}",
            plan={"url": state["url"], "counts": counts, "fifo": state["fifo"], "sample": size},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Receive, put back, describe."""
        plan = change.plan
        queue = Queue(request.target["queue"], plan["url"])
        hidden_s = FIFO_VISIBILITY_S if plan["fifo"] else VISIBILITY_S
        letters, still_hidden = sample(queue, plan["sample"], hidden_s)
        return describe(plan["counts"], letters, still_hidden, request.target.fields, time.time())

    def verify(self, request: Request, change: Change) -> Verification:
        """Nothing was changed, so there is nothing to wait for."""
        return Verification(Verdict.HOLDS, detail=change.summary)


lambda_handler = handler_for(InspectDlq)
