"""Steps that wait for a person, with the buttons to decide."""

from __future__ import annotations

from selfheal.approvals import Waiting
from selfheal.control_room.markup import Markup, tag
from selfheal.control_room.parts import View, button, buttons, card, cut, name, note
from selfheal.control_room.room import Room


def section(room: Room, view: View) -> Markup | None:
    """A card, or nothing where nothing waits."""
    if not room.waiting:
        return None
    shown = [_one(one, view) for one in room.waiting]
    return card("Waits for your decision", *shown, count=len(room.waiting), class_="sh-asks")


def _one(one: Waiting, view: View) -> Markup:
    target = {"incident": one.request.get("incident"), "action_id": one.id}
    what = ", ".join(f"{key} {value}" for key, value in (one.request.get("target") or {}).items())
    system = str(one.request.get("system") or "")
    about = f"{one.label} of {system}"
    return tag(
        "div",
        tag("div", tag("strong", name(one.label)), tag("span", name(system), class_="sh-of"), class_="sh-head"),
        note(cut(what), f". Until {view.at(one.until)} ({view.left(one.until)} left); then it is denied."),
        buttons(
            button("Approve", view.approve, {"action": "approve", "target": target},
                   f"Approve {about}? It starts at once, in your name.", "primary"),
            button("Deny", view.approve, {"action": "deny", "target": target}, f"Deny {about}? It is never started."),
        ),
        class_="sh-waiting",
    )  # fmt: skip
