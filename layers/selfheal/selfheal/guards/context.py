"""What a guard may look at. Reads are made once and shared by the guards that need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from selfheal.errors import LedgerUnavailable, Misconfigured, Unreadable
from selfheal.ledger import Ledger
from selfheal.request import Request
from selfheal.runbook import Runbook
from selfheal.words import Direction, Origin, ResponseMode

BY_ITSELF = frozenset({Origin.ALARM, Origin.LADDER, Origin.SWEEP, Origin.DRILL})
"""Origins behind which no person stands at this moment."""


@dataclass(frozen=True)
class GuardContext:
    """One decided change on its way to being made. `now` in epoch seconds."""

    request: Request
    direction: Direction
    now: float
    max_mode: ResponseMode
    ledger: Ledger | None
    """None when it did not answer in this run: asking again would cost a timeout each."""
    runbook_of: Callable[[str], Runbook | None]
    arns: tuple[str, ...] = ()
    """ARNs of the target whose tags can exempt it; none where AWS has no tags for it."""

    @cached_property
    def runbook(self) -> Runbook | None:
        """The runbook of the request's system. Raises Unreadable: a broken file must not stop a safe action."""
        if self.request.system is None:
            return None
        try:
            return self.runbook_of(self.request.system)
        except Misconfigured as error:
            raise Unreadable("runbook", str(error)) from error

    @cached_property
    def pauses(self) -> Mapping[str, Mapping[str, Any]]:
        """Pause items in force, by what they pause: this incident, this system, everything, in this order.

        Raises LedgerUnavailable.
        """
        if self.ledger is None:
            raise LedgerUnavailable("it did not answer earlier in this run")
        names = [name for name in (self.request.incident, self.request.system, "*") if name]
        items = {item["sk"]: item for item in self.ledger.get_many([("PAUSE", name) for name in names])}
        return {name: items[name]["doc"] for name in names if items.get(name, {}).get("paused_until", 0) > self.now}
