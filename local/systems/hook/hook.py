"""A hook of the user's own: works once for each `action_id`, and says what it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_done: dict[str, dict[str, Any]] = {}


def lambda_handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """`{"selfheal": {"action_id": …}, …}` → `{"ok": true, "did": …}`."""
    wanted = {name: value for name, value in event.items() if name != "selfheal"}
    return {"ok": True, "did": _done.setdefault(event["selfheal"]["action_id"], wanted)}
