"""What a guard may look at. Reads are made once and shared by the guards that need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from selfheal.ledger import Ledger
from selfheal.request import Request
from selfheal.runbook import Runbook
from selfheal.words import Direction, ResponseMode


@dataclass(frozen=True)
class GuardContext:
    """One decided change on its way to being made. `now` in epoch seconds."""

    request: Request
    direction: Direction
    now: float
    max_mode: ResponseMode
    ledger: Ledger
    runbook: Runbook | None
    arns: tuple[str, ...] = ()
    """ARNs of the target whose tags can exempt it; none where AWS has no tags for it."""

    @cached_property
    def pauses(self) -> Mapping[str, Mapping[str, Any]]:
        """Pause items in force for everything, this system and this incident, by what they pause.

        Raises LedgerUnavailable.
        """
        names = ["*", self.request.system, self.request.incident]
        items = self.ledger.get_many([("PAUSE", name) for name in names if name])
        return {item["sk"]: item["doc"] for item in items if item.get("paused_until", 0) > self.now}
