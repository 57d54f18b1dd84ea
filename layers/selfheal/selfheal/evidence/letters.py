"""A dead-letter queue: its counts, and a sample where a look does no harm."""

from __future__ import annotations

import time

from selfheal.evidence.found import Found, Look
from selfheal.letter_sample import describe, sample
from selfheal.queue import Queue

PERMISSIONS = ("sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage")
SAMPLE = 10
HIDDEN_S = 30
"""If the run dies: what comes next wants to see these letters soon."""


def letters_of(look: Look) -> Found:
    """As inspect_dlq describes it. A queue with a redrive policy of its own is only counted: a look there counts as a
    receive and would push messages on."""
    queue = Queue(look.target["queue"])
    seen = queue.attributes()
    counts = seen.counts.as_dict()
    if seen.redrive_policy is not None:
        return Found(f"{counts['total']} messages; no sample: it has a redrive policy itself", {"counts": counts})
    letters, still_hidden = sample(queue, SAMPLE, HIDDEN_S) if counts["visible"] else ([], [])
    told = describe(counts, letters, still_hidden, look.target.fields, time.time())
    return Found(f"{counts['total']} messages, {len(letters)} of them sampled", told)
