"""Lambda's control plane takes 15 calls a second from an account, reads included (Lambda quotas: "all other control
plane API", not adjustable): a function that changes many things one after the other spends its share and no more.

A token bucket: BURST calls at once, so that a single incident never waits, then so many a second as the stack's
template gives this function (LAMBDA_CALLS_PER_SECOND). Invoke has a quota of its own and is not counted. Each attempt
counts, also those that the SDK makes by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

from selfheal import settings

BURST = 6
"""More than one rollback makes. Of two workers, 12 at once: fewer than Lambda takes in a second."""
NOT_COUNTED = ("Invoke", "InvokeAsync", "InvokeWithResponseStream")


class Bucket:
    """`rate` calls a second, after `burst` at once. `now` and `sleep` in seconds."""

    def __init__(
        self,
        rate: float,
        burst: int = BURST,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._sleep = sleep
        self._left = float(burst)
        self._at = self._now()
        self._lock = Lock()

    def take(self, within_s: float = math.inf) -> bool:
        """Wait for the turn of one call. False, at once and without taking it, if it comes after `within_s`."""
        with self._lock:
            now = self._now()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
            wait = (1 - self._left) / self._rate
            if wait > 0 and wait >= within_s:
                return False
            self._left -= 1
        if wait > 0:
            self._sleep(wait)
        return True


@cache
def bucket() -> Bucket | None:
    """This function's; None where the template gives it none."""
    rate = settings.lambda_calls_per_s()
    return Bucket(rate) if rate else None


def on(aws: Any) -> None:
    """Let every call of this Lambda client wait for its turn, right before each attempt is sent."""
    if bucket() is not None:
        aws.meta.events.register("before-send.lambda", _wait)


def _wait(event_name: str, **_: Any) -> None:
    mine = bucket()
    if mine is not None and event_name.rpartition(".")[2] not in NOT_COUNTED:
        mine.take()
