"""An action's calls during one run: what AWS answers, or fails to answer, in the engine's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from selfheal.action import Action, Change, State, Verification
from selfheal.errors import (
    ChangedMeanwhile,
    NotApplied,
    Refused,
    SelfhealError,
    TargetForbidden,
    TargetNotFound,
    Throttled,
    Unreadable,
)
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Verdict

FIRST_POLL_S = 0.2
LONGEST_POLL_S = 2.0
FIRST_THROTTLED_S = 1.0
LONGEST_THROTTLED_S = 8.0
LEFT_FOR_THE_RECORD_S = 10.0
"""Verification ends so long before the invocation does: the result must still be recorded."""

_REFUSALS: Mapping[type[SelfhealError], Refusal] = {
    TargetNotFound: Refusal.TARGET_NOT_FOUND,
    TargetForbidden: Refusal.TARGET_FORBIDDEN,
}


def refusal_of(error: SelfhealError) -> Refusal | None:
    """The refusal for an error that names one by itself."""
    return _REFUSALS.get(type(error))


class Calls:
    """The calls of one action for one request. `now` and `sleep` in seconds, as in the engine's world.

    `in_line`: it came out of a queue and can go back into it. What AWS throttles is tried again for as long as this
    invocation can wait, and then raised as Throttled.
    """

    def __init__(
        self,
        action: Action,
        request: Request,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        *,
        in_line: bool = False,
    ) -> None:
        self._action = action
        self._request = request
        self._in_line = in_line
        self._now = now
        self._sleep = sleep
        self._ends = now() + action.remaining_s - LEFT_FOR_THE_RECORD_S

    def observe(self) -> State:
        """What the target looks like. Raises Refused when that can't be known."""
        return self._seen(self._action.observe)

    def look(self) -> State:
        """What of it the action writes. Raises as `observe`."""
        return self._seen(self._action.look)

    def _seen(self, read: Callable[[Request], State]) -> State:
        try:
            return self._patiently(lambda: read(self._request))
        except Throttled as error:
            if self._in_line:
                raise
            raise Refused(Refusal.TARGET_UNREADABLE, str(error)) from error
        except (TargetNotFound, TargetForbidden, Unreadable, NotApplied, ChangedMeanwhile) as error:
            raise Refused(refusal_of(error) or Refusal.TARGET_UNREADABLE, str(error)) from error

    def apply(self, change: Change) -> Mapping[str, Any]:
        """Make the change. Raises what the action raises; Throttled means that AWS has not even looked at it."""
        return self._patiently(lambda: self._action.apply(self._request, change))

    def _patiently(self, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Again while AWS throttles, for as long as this invocation can wait."""
        pause = FIRST_THROTTLED_S
        while True:
            try:
                return call()
            except Throttled:
                if not self._in_line or self._now() + pause > self._ends:
                    raise
                self._sleep(pause)
                pause = min(pause * 2, LONGEST_THROTTLED_S)

    def image(self) -> dict[str, Any] | None:
        """The fields that the action writes, as they are now; None if it has no image or can't be read."""
        if not self._action.reversible:
            return None
        try:
            return dict(self._action.image(self.look()))
        except Refused:
            return None

    def verify(self, change: Change) -> Verification:
        """Ask until it holds, does not hold, or patience is over: the action's, or that of the invocation."""
        end = min(self._now() + self._action.verify_for_s, self._ends)
        pause = FIRST_POLL_S
        while True:
            try:
                seen = self._action.verify(self._request, change)
            except Throttled as error:
                if self._in_line and self._now() + pause > end:
                    raise
                seen = Verification(Verdict.UNKNOWN, detail=str(error))
            except (TargetNotFound, TargetForbidden, Unreadable, NotApplied, ChangedMeanwhile) as error:
                seen = Verification(Verdict.UNKNOWN, detail=str(error))
            if seen.verdict not in {Verdict.NOT_YET, Verdict.UNKNOWN} or self._now() + pause > end:
                return seen
            self._sleep(pause)
            pause = min(pause * 2, LONGEST_POLL_S)
