"""What a play is; apart from the stage, so that the plays can make one without a circle of imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Play:
    """One action on one fresh resource. `look` shows the resource; `effects` are the calls that change it, `most` how
    many of them one action may make in all (None: AWS or the ledger deduplicates them)."""

    number: int
    action: str
    target: Mapping[str, Any]
    look: Callable[[], Any]
    done: Any
    effects: tuple[str, ...] = ()
    most: int | None = 1
    more: Mapping[str, Any] = field(default_factory=dict)
    before: Any = None

    def __post_init__(self) -> None:
        self.before = self.look()

    @property
    def request(self) -> dict[str, Any]:
        """The event that its function gets."""
        event = {"action": self.action, "action_id": f"{self.action}-{self.number}", "target": dict(self.target)}
        return {**event, "mode": "act", **self.more}
