"""What one source found, and what all of them look for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Generic, TypeVar

from selfheal.frozen import dataclass
from selfheal.target import Target

T = TypeVar("T")

WITHIN_S = 6.0
"""For all sources. Leaves what is left of the engine's ten seconds (`capture`) to a cold start, S3 and the ledger."""
ONE_CALL_S = 1.5


@dataclass(frozen=True)
class Found:
    """`summary` is one line for a person; `content` goes into the document as JSON."""

    summary: str
    content: Any


Source = Callable[[], Found]


@dataclass(frozen=True)
class Look:
    """Where to look, and from when to when (epoch seconds)."""

    target: Target
    since: float
    until: float
    options: Mapping[str, Any]
    ends: float = field(default_factory=lambda: time.monotonic() + WITHIN_S)
    """When nobody waits any more, on the monotonic clock: what comes in pages ends before that with what it has."""

    @property
    def is_over(self) -> bool:
        """There is no time for one more call."""
        return time.monotonic() > self.ends - ONE_CALL_S

    @property
    def log_groups(self) -> list[str]:
        """Those that were named besides the target's own."""
        return list(self.options.get("log_groups") or ())

    @property
    def times(self) -> tuple[datetime, datetime]:
        """As botocore takes them."""
        return datetime.fromtimestamp(self.since, UTC), datetime.fromtimestamp(self.until, UTC)


class Once(Generic[T]):
    """A call whose answer several sources need: made by the first that asks; the others wait for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = Lock()
        self._answers: list[T] = []

    def __call__(self) -> T:
        """The answer. Raises what the call raises; the next one to ask tries again."""
        with self._lock:
            if not self._answers:
                self._answers.append(self._call())
            return self._answers[0]


def only(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """These fields of an answer: what is not named here (environments, tags) is not kept."""
    return {name: document[name] for name in names if name in document}
