"""What a guard may look at. Reads are made once and shared by the guards that need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, Protocol

from selfheal.errors import LedgerUnavailable, Misconfigured, Unreadable
from selfheal.frozen import dataclass
from selfheal.ledger import Item, Ledger
from selfheal.request import Request
from selfheal.runbook import Limits, Runbook, response_key
from selfheal.words import Direction, Origin, ResponseMode

BY_ITSELF = frozenset({Origin.ALARM, Origin.LADDER, Origin.SWEEP, Origin.DRILL})
"""Origins behind which no person stands at this moment."""

TARGET_ITEMS = ("OWNER", "LEASE", "COOLDOWN")


class Ahead(Protocol):
    """What the requests of one batch read together, and how many they are (`selfheal.ahead`)."""

    def __len__(self) -> int: ...

    def alarms(self, names: list[str]) -> list[dict[str, Any]]:
        """As `alarm.read_alarms`, a few seconds old at most. Raises Unreadable."""

    def tags(self, arns: list[str]) -> list[dict[str, Any]]:
        """As `opt_out.read_tags`, a few seconds old at most. Raises Unreadable."""

    def marks(self, read: Callable[[], list[tuple[float, str]]]) -> list[tuple[float, str]]:
        """As `storm.read_marks`, a few seconds old at most. Raises LedgerUnavailable."""


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
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the action has seen on the way (`Change.facts`)."""
    ahead: Ahead | None = None
    """None for a request that came alone."""

    @cached_property
    def runbook(self) -> Runbook | None:
        """The runbook of the request's system. Raises Unreadable: a broken file must not stop a safe action."""
        if self.request.system is None:
            return None
        try:
            return self.runbook_of(self.request.system)
        except Misconfigured as error:
            raise Unreadable("runbook", str(error)) from error

    @property
    def response_key(self) -> str:
        """The name under which the limits of the request's response are kept."""
        return response_key(self.request.system or "-", self.request.response or "-")

    @property
    def limits(self) -> Limits:
        """Those of the request's response; the usual ones where there is none. Raises Unreadable."""
        response = self.runbook.response(self.request.response) if self.runbook and self.request.response else None
        return response.limits if response else Limits()

    @property
    def pauses(self) -> Mapping[str, Mapping[str, Any]]:
        """Pause items in force, by what they pause: this incident, this system, everything, in this order.

        Raises LedgerUnavailable.
        """
        found = {name: self.item("PAUSE", name) or {} for name in self._paused}
        return {name: item["doc"] for name, item in found.items() if item.get("paused_until", 0) > self.now}

    def item(self, pk: str, sk: str) -> Item | None:
        """One of the items that guards know by name, all read in one call. Raises LedgerUnavailable."""
        if isinstance(self._items, LedgerUnavailable):
            raise self._items
        return self._items.get((pk, sk))

    @property
    def _paused(self) -> list[str]:
        return [name for name in (self.request.incident, self.request.system, "*") if name]

    @cached_property
    def _items(self) -> dict[tuple[str, str], Item] | LedgerUnavailable:
        """A failure is kept as well: it costs a timeout."""
        if self.ledger is None:
            return LedgerUnavailable("it did not answer earlier in this run")
        keys = [("PAUSE", name) for name in (*self._paused, self.response_key)]
        keys += [(f"TARGET#{self.request.target.key}", name) for name in TARGET_ITEMS]
        keys += [("RATE", self.response_key), ("RADIUS", self.request.system or "-")]
        try:
            return {(item["pk"], item["sk"]): item for item in self.ledger.get_many(keys)}
        except LedgerUnavailable as error:
            return error
