"""Which checks are looked at closely this time, where AWS has no call that answers for many.

Of `n` checks every run of the sweep takes a share, the next one each time, so that each is looked at within a known
number of runs. What was not as expected when it was last looked at is looked at every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import TypeVar, cast

from selfheal.checks.finding import Finding, Mark
from selfheal.checks.kind import Check
from selfheal.frozen import dataclass

T = TypeVar("T")
MAX_LABEL = 160


def label_of(kind: str, resource: str) -> str:
    """What a finding is about, in one short text."""
    return f"{kind} {resource}"[:MAX_LABEL]


@dataclass(frozen=True)
class Turn:
    """One run of a sweep: how many there were before with the same checks, and what was not as expected then."""

    number: int = 0
    suspects: frozenset[str] = frozenset()
    checks: str = ""
    """A digest of the checks."""
    _known: dict[str, object] = field(default_factory=dict, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def take(
        self, checks: Sequence[Check], share: int, what: str, as_listed: Callable[[Check], list[Finding] | None]
    ) -> list[list[Finding] | None]:
        """Per check, what `as_listed` finds; None for those that are looked at closely: this run's share, what was not
        as expected the last time, and where the list itself is not as expected. One more finding says of the others
        that `what` was not looked at."""
        turns = turns_of(checks, share)
        told: list[list[Finding] | None] = []
        others: list[int] = []
        for place, check in enumerate(checks):
            close = place % turns == self.number % turns or label_of(check.kind, check.resource) in self.suspects
            found = None if close else as_listed(check)
            told.append(found)
            if found is not None:
                others.append(place)
        if others:
            first = told[others[0]] or []
            told[others[0]] = [*first, self._told([checks[place] for place in others], share, turns, what)]
        return told

    def _told(self, others: Sequence[Check], share: int, turns: int, what: str) -> Finding:
        """Unknown until each was looked at once."""
        some = ", ".join(each.resource for each in others[:3])
        seen = (
            f"{what} of {len(others)} was not looked at this time, such as {some}:"
            f" AWS has no call for many, so each run looks at {share} of them, and at every one within {turns} runs"
        )
        advice = "to look at one now, run check_health with that check alone"
        verdict = Mark.PASS if self.number + 1 >= turns else Mark.UNKNOWN
        return Finding(others[0].kind, "in turn", verdict, seen, "every one was looked at once", advice)

    def once(self, name: str, read: Callable[[], T]) -> T:
        """What `read` answered the first time, for kinds that need the same list."""
        with self._lock:
            if name not in self._known:
                self._known[name] = read()
            return cast("T", self._known[name])


def turns_of(checks: Sequence[Check], share: int) -> int:
    """In how many runs each is looked at once."""
    return -(-len(checks) // share)
