"""What selfheal changed and nobody has switched back: halted flags, disabled schedules, with their age."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.control_room.markup import Markup, tag
from selfheal.control_room.parts import View, button, buttons, card, cut, name, note
from selfheal.control_room.room import Room

MAX_SHOWN = 20


def section(room: Room, view: View) -> Markup:
    """A list, the newest first, with an undo for each."""
    if not room.changes:
        return card("In force", note("Nothing that selfheal changed is in force."), count=0)
    shown = [_one(change, view) for change in room.changes[:MAX_SHOWN]]
    more = note(f"and {len(room.changes) - MAX_SHOWN} more") if len(room.changes) > MAX_SHOWN else None
    return card("In force", *shown, more, count=len(room.changes))


def _one(change: Mapping[str, Any], view: View) -> Markup:
    target = change.get("target")
    names = " ".join(map(str, target.values())) if isinstance(target, Mapping) else ""
    what = f"{change['action']} {names}"
    request = {"action": "undo", "target": {"incident": "-", "action_id": change["action_id"]}}
    age = tag("span", f"for {view.ago(float(change['at']))}", class_="sh-age")
    return tag(
        "div",
        tag("strong", name(what, 70)),
        note(cut(str(change.get("summary") or ""), 160), f" ({change['system']})" if change.get("system") else None),
        buttons(button("Undo", view.undo, request, f"Put back what {what} changed?", "small"), age),
        class_="sh-item",
    )
