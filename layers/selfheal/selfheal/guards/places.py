"""Places: how many different things may have something within a time; taken in the same transaction as the target.

A list of who has a place and since when, in one item with a revision. The guard reads it with everything else; the
write that takes the place holds only if the item is still as it was read, so that two who see the last place free don't
both get it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import ledger as table
from selfheal.action import Decline
from selfheal.frozen import dataclass
from selfheal.ledger import Item, Write
from selfheal.refusal import Refusal

SKEW_S = 300
"""How far the clocks of two functions may be apart: so long is kept what is over for one of them."""


@dataclass(frozen=True)
class Place:
    """One place wanted by `name` in the list under `pk` and `sk`.

    `windows` are (seconds, most): no more than so many within so long. `renews`: whoever has a place already has it
    from now on again. `what` says in the plural what is counted, for a person.
    """

    pk: str
    sk: str
    name: str
    windows: tuple[tuple[int, int], ...]
    refusal: Refusal
    what: str
    renews: bool = False

    def full(self, item: Item | None, now: float) -> Decline | None:
        """No place is free, and `name` has none. `item` is the list as it was read."""
        if self._has(item, now):
            return None
        for seconds, most in self.windows:
            within = sorted(at for at in _taken(item).values() if at > now - seconds)
            if len(within) >= most:
                detail = f"{len(within)} {self.what} in {_span(seconds)}; at most {most}"
                return Decline(self.refusal, detail, until=within[-most] + seconds)
        return None

    def write(self, item: Item | None, now: float) -> Write | None:
        """The write that takes the place; None: `name` has it, and there is nothing to write."""
        if self._has(item, now) and not self.renews:
            return None
        recent = {name: at for name, at in _taken(item).items() if at > now - self._longest - SKEW_S}
        mine = max(now, recent.get(self.name, now))
        revision = int((item or {}).get("revision", 0))
        condition, values = "attribute_not_exists(pk)", None
        if revision:
            condition, values = "revision = :read", {"read": revision}
        return table.put(
            self.pk,
            self.sk,
            {"taken": {**recent, self.name: mine}},
            condition,
            values,
            revision=revision + 1,
            expires=int(now + self._longest + table.DAY_S),
        )

    @property
    def _longest(self) -> int:
        return max(seconds for seconds, _ in self.windows)

    def _has(self, item: Item | None, now: float) -> bool:
        return _taken(item).get(self.name, 0.0) > now - self._longest


def _taken(item: Item | None) -> dict[str, float]:
    """Who has a place, and since when."""
    doc: Mapping[str, Any] = (item or {}).get("doc", {})
    return {name: float(at) for name, at in doc.get("taken", {}).items()}


def _span(seconds: int) -> str:
    return {3_600: "one hour", 86_400: "one day"}.get(seconds, f"{seconds} s")
