"""One row of the catalogue of actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from selfheal.frozen import dataclass


@dataclass(frozen=True)
class Option:
    """One option of an action: its type on the wire, its default (None: must be given or stays unset)."""

    type: type
    default: object = None
    help: str = ""

    @property
    def is_needed(self) -> bool:
        """Without it the action always refuses; its help ends by saying so."""
        return self.help.endswith("; needed")


@dataclass(frozen=True)
class Entry:
    """One action.

    `paced`: reached through the queue that keeps the account's Lambda control-plane rate (15 calls/s), not by Invoke.
    `person`: never runs without a person who asks for it (`requested_by`).
    `contains`: may stand in the contain stage, because it can be safe or only reads.
    """

    name: str
    function: str
    kinds: tuple[str, ...]
    summary: str
    options: Mapping[str, Option] = field(default_factory=dict)
    paced: bool = False
    person: bool = False
    contains: bool = False
    undo: str | None = None
