"""The time of one run of a drain: how long it works, what it waits for, and how fast it sends."""

from __future__ import annotations

import threading
import time

RESERVE_S = 60.0
"""Left for verify, the record and the outcome; of an invocation shorter than two minutes, half of it."""


class Timing:
    """Begins with the run. The only place of the drain that asks for the time, or sleeps."""

    def __init__(self, remaining_s: float) -> None:
        self._deadline = time.monotonic() + remaining_s - min(RESERVE_S, remaining_s / 2)
        self._next_send = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def is_late(self) -> bool:
        """The time to work is over; the next run goes on."""
        return time.monotonic() >= self._deadline

    def wait_until(self, moment: float) -> bool:
        """Wait if this invocation lasts so long; False: the clock goes on later, and waiting costs nothing."""
        left = moment - time.time()
        if left > self._deadline - time.monotonic():
            return False
        time.sleep(max(0.0, left))
        return True

    def pace(self, messages: int, per_second: int) -> None:
        """Before a call that sends so many: wait until the rate allows it. Threads share the rate."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_send)
            self._next_send = turn + messages / per_second
        if turn > now:
            time.sleep(turn - now)
