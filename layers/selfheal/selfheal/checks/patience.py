"""How long a sweep may wait for AWS, and how fast it may ask Lambda.

A call that is throttled is made again, later each time and never at the same moment as others, as long as the sweep has
time. What can't be read in time is unknown.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError

from selfheal.errors import Throttled
from selfheal.pace import Bucket

T = TypeVar("T")

FIRST_WAIT_S = 0.25
MAX_WAIT_S = 4.0
LAMBDA_BURST = 20
LAMBDA_PER_S = 5
"""Lambda allows 15 control-plane calls a second for an account, reads included: a rollback must get its share."""

_until: ContextVar[float] = ContextVar("until", default=0.0)


class OutOfTime(BotoCoreError):
    """The call was not made: its turn would have come after the end of the sweep."""

    fmt = "too many calls to Lambda before this one: it was not made within the time of the sweep"


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Within the block, calls may wait until `deadline` (of `time.monotonic`)."""
    token = _until.set(deadline)
    try:
        yield
    finally:
        _until.reset(token)


def left_s() -> float:
    """Seconds that calls may still wait; outside of a sweep none."""
    return _until.get() - time.monotonic()


def patiently(ask: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What `ask` answers; asked again while AWS throttles and there is time. Raises what `ask` raises."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return ask()
        except Throttled:
            pause_s = random.uniform(wait_s / 2, wait_s)  # noqa: S311 - jitter
            if pause_s >= left_s():
                raise
        sleep(pause_s)
        wait_s = min(MAX_WAIT_S, wait_s * 2)


class Pace:
    """So many calls at once, and so many a second after that; each attempt counts."""

    def __init__(self, burst: int, per_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._bucket = Bucket(per_s, burst, sleep=sleep)

    def take(self, **_: Any) -> None:
        """Wait for a place. Raises OutOfTime if it would come too late."""
        if not self._bucket.take(left_s()):
            raise OutOfTime
