"""The canary: a few letters are sent first, and the rest waits until they can't come back any more.

202 from Lambda and a MessageId from SQS mean accepted. Whether the cause is mended shows when the retries are over.
"""

from __future__ import annotations

from selfheal.drain.way import Plan

MAX_WATCH_S = 300
"""A canary is watched until its retries are over, but not longer than this."""
MARGIN_S = 15
"""From the last failed attempt to the message in the queue."""
LOOK = 50
"""Messages looked through for the canary before the rest is sent."""


def watch_s(fails_within_s: int) -> int:
    """How long a letter is watched whose last retry has failed after `fails_within_s` at the longest."""
    return min(fails_within_s + MARGIN_S, MAX_WATCH_S)


def watch_until(plan: Plan, now: float) -> float:
    """Epoch seconds; the canary was sent just now."""
    return now + int(plan["way"]["watch_s"])
