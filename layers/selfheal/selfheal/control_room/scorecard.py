"""The scorecard: what each response would have done, and whether it has earned `auto`."""

from __future__ import annotations

from typing import Any

from selfheal.control_room.markup import Markup, tag
from selfheal.control_room.parts import View, badge, card, cut, name, note, table
from selfheal.control_room.room import Room
from selfheal.scores import EARNED_AFTER

MAX_SHOWN = 30
_COUNTERS = ("suggested", "needed", "acted", "healed", "escalated")


def section(room: Room, view: View) -> Markup:
    """A table of those that had an incident; the others are counted, and unfold."""
    del view
    if not room.scores:
        return card("Scorecard", note("There is no runbook with a response."))
    told = [one.as_dict(EARNED_AFTER) for one in room.scores]
    told.sort(key=lambda one: (-one["incidents"], one["system"], one["response"]))
    proven = [one for one in told if one["incidents"]]
    idle = [one for one in told if not one["incidents"]]
    shown = _table(proven[:MAX_SHOWN]) if proven else None
    more = note(f"and {len(proven) - MAX_SHOWN} more") if len(proven) > MAX_SHOWN else None
    responses = "response has" if len(idle) == 1 else "responses have"
    rest = tag("details", tag("summary", f"{len(idle)} {responses} had no incident yet"), _names(idle))
    return card("Scorecard", shown, more, rest if idle else None)


def _table(told: list[dict[str, Any]]) -> Markup:
    rows = [
        (
            name(one["system"], 40),
            name(one["response"], 50),
            one["mode"],
            *(tag("span", one[counter] or "-", class_="sh-figure") for counter in _COUNTERS),
            badge("earned", "good") if one["earned_auto"] else one["why"],
        )
        for one in told
    ]
    return table(("system", "response", "mode", *_COUNTERS, "auto"), rows)


def _names(told: list[dict[str, Any]]) -> Markup:
    """Each system with its responses, in one line."""
    by_system: dict[str, list[str]] = {}
    for one in told:
        by_system.setdefault(one["system"], []).append(one["response"])
    lines = [(system, ", ".join(responses)) for system, responses in by_system.items()]
    return tag("ul", *(tag("li", name(system, 40), ": ", cut(responses)) for system, responses in lines[:MAX_SHOWN]))
