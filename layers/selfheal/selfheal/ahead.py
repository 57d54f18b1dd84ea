"""What the requests of one batch read together: alarms and tags, up to 100 per call instead of one call each.

CloudWatch takes 9 DescribeAlarms a second from an account: a thousand rollbacks that each read their own alarm would
take two minutes for that alone, and nobody else would get an answer meanwhile. The first request that asks reads for
all that still wait behind it. An answer is used for FRESH_S and no longer; then it is read again, for those that are
left. What could not be read was read for nobody: each request asks again and is answered for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfheal.arns import Home, arns_of
from selfheal.guards import alarm, opt_out
from selfheal.guards.storm import Mark
from selfheal.request import Request

FRESH_S = 5.0
"""A guard's look at an alarm may be so old when it is judged; CloudWatch evaluates alarms every 10 s at most."""
AT_ONCE = 100
"""As many names as DescribeAlarms takes, as many ARNs as GetResources takes."""

Found = dict[str, Any]


@dataclass
class _Together:
    """One kind of thing, read for all that still wait. `key` is the field of an answer that says for whom it is."""

    read: Callable[[list[str]], list[Found]]
    key: str
    now: Callable[[], float]
    waiting: dict[str, None] = field(default_factory=dict)
    _known: dict[str, tuple[float, list[Found]]] = field(default_factory=dict)

    def get(self, wanted: list[str]) -> list[Found]:
        began = self.now()
        if any(self._age(name, began) >= FRESH_S for name in wanted):
            names = list(dict.fromkeys([*wanted, *self.waiting]))[: max(AT_ONCE, len(wanted))]
            found = self.read(names)
            self._known |= {name: (began, [one for one in found if one[self.key] == name]) for name in names}
        for name in wanted:
            self.waiting.pop(name, None)
        return [one for name in dict.fromkeys(wanted) for one in self._known[name][1]]

    def _age(self, name: str, now: float) -> float:
        return now - self._known[name][0] if name in self._known else FRESH_S


class Ahead:
    """The look-ahead of one batch of `requests`; `home` as in the engine's world, `now` in seconds."""

    def __init__(self, requests: Sequence[Request], home: Home, now: Callable[[], float]) -> None:
        self._size = len(requests)
        names = [reference.name for request in requests for reference in request.alarms]
        arns = [arn for request in requests for arn in arns_of(request.target, home)]
        self._alarms = _Together(alarm.read_alarms, "AlarmName", now, dict.fromkeys(names))
        self._now = now
        self._marks: list[Mark] = []
        self._marked_at: float | None = None
        self._tags = _Together(opt_out.read_tags, "ResourceARN", now, dict.fromkeys(arns))

    def __len__(self) -> int:
        return self._size

    def alarms(self, names: list[str]) -> list[Found]:
        """As `alarm.read_alarms`, at most FRESH_S old. Raises Unreadable."""
        return self._alarms.get(names)

    def tags(self, arns: list[str]) -> list[Found]:
        """As `opt_out.read_tags`, at most FRESH_S old. Raises Unreadable."""
        return self._tags.get(arns)

    def marks(self, read: Callable[[], list[Mark]]) -> list[Mark]:
        """As `storm.read_marks`, at most FRESH_S old: a storm leaves a mark for each of its incidents, and all of them
        are read each time. Raises LedgerUnavailable."""
        now = self._now()
        if self._marked_at is None or now - self._marked_at >= FRESH_S:
            self._marks, self._marked_at = read(), now
        return self._marks
