"""Virtual time: real code in threads of which one runs at a time, and a clock that jumps to whatever happens next.

The same run gives the same numbers: a thread lets go of the baton only where it waits (`sleep`), and who waits for the
same moment goes on in the order in which they began to wait.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any
from unittest import mock

STACK_BYTES = 512 * 1024


class _Process:
    """One thread. `go` lets it run; whatever it belongs to is in `owner`."""

    def __init__(self, work: Callable[[], Any], owner: Any) -> None:
        self.go = threading.Semaphore(0)
        self.work = work
        self.owner = owner
        self.began = False


class Time:
    """A clock in seconds, `start` being epoch seconds, and the processes that live by it."""

    def __init__(self, start: float) -> None:
        self.at = start
        self.start = start
        self.failures: list[BaseException] = []
        self._later: list[tuple[float, int, _Process]] = []
        self._count = itertools.count()
        self._back = threading.Semaphore(0)
        self._running: _Process | None = None

    def now(self) -> float:
        """Epoch seconds."""
        return self.at

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return self.at - self.start

    @property
    def owner(self) -> Any:
        """Of the process that runs now."""
        return self._running.owner if self._running else None

    def spawn(self, work: Callable[[], Any], *, after: float = 0.0, owner: Any = None) -> None:
        """Begin `work` in a thread of its own, `after` seconds from now."""
        self._wait(_Process(work, owner), after)

    def sleep(self, seconds: float) -> None:
        """Let the process that runs now wait."""
        mine = self._running
        if mine is None:
            raise RuntimeError("nobody sleeps outside of a process")
        self._wait(mine, seconds)
        self._back.release()
        mine.go.acquire()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Until nobody waits, or `until` says so. Raises what a process raised."""
        threading.stack_size(STACK_BYTES)
        while self._later and not until():
            self.at, _, process = heapq.heappop(self._later)
            self._running = process
            if process.began:
                process.go.release()
            else:
                process.began = True
                threading.Thread(target=copy_context().run, args=(self._live, process), daemon=True).start()
            self._back.acquire()
            if self.failures:
                raise self.failures[0]
        self._running = None

    def _live(self, process: _Process) -> None:
        try:
            process.work()
        except BaseException as error:  # noqa: BLE001 - it is raised by run
            self.failures.append(error)
        self._back.release()

    def _wait(self, process: _Process, seconds: float) -> None:
        heapq.heappush(self._later, (self.at + max(seconds, 0.0), next(self._count), process))

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Within the block, `time.time`, `time.monotonic` and `time.sleep` are of this clock."""
        with (
            mock.patch.object(time, "time", self.now),
            mock.patch.object(time, "monotonic", self.now),
            mock.patch.object(time, "sleep", self.sleep),
        ):
            yield


class Quota:
    """A token bucket of AWS: `rate` calls a second, as many at once. `throttled` and `taken` count."""

    def __init__(self, rate: float, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._left = rate
        self._at = now()
        self.taken = self.throttled = 0

    def take(self) -> bool:
        """False: too many; AWS answers 429."""
        now = self._now()
        self._left, self._at = min(self._rate, self._left + (now - self._at) * self._rate), now
        if self._left < 1:
            self.throttled += 1
            return False
        self._left -= 1
        self.taken += 1
        return True
