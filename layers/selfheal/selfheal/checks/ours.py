"""What selfheal itself has changed and nobody has undone: a stop on purpose is no failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal import changes, world
from selfheal.errors import LedgerUnavailable

Change = Mapping[str, Any]


def open_change(target_key: str, *actions: str) -> Change | None:
    """The newest open change of one of these actions on this target; None as well where the ledger does not answer."""
    try:
        listed = changes.still_open(world.ledger(), target_key)
    except LedgerUnavailable:
        return None
    ours = [one for one in listed if one["action"] in actions]
    return max(ours, key=lambda one: float(one["at"]), default=None)


def told(change: Change) -> str:
    """Which action it was, when, and under which id a person undoes it."""
    since = datetime.fromtimestamp(float(change["at"]), UTC).isoformat(timespec="minutes")
    return f"{change['action']} by selfheal since {since} (undo {change['action_id']})"
