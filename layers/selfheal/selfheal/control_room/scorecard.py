"""The scorecard: what each response would have done, and whether it has earned `auto`."""

from __future__ import annotations

from selfheal.control_room.markup import Markup
from selfheal.control_room.parts import View, badge, card, name, note, table
from selfheal.control_room.room import Room
from selfheal.scores import EARNED_AFTER

MAX_SHOWN = 30
_COUNTERS = ("suggested", "needed", "acted", "healed", "escalated")


def section(room: Room, view: View) -> Markup:
    """A table, those with incidents first."""
    del view
    if not room.scores:
        return card("Scorecard", note("There is no runbook with a response."))
    told = [one.as_dict(EARNED_AFTER) for one in room.scores]
    told.sort(key=lambda one: (-one["incidents"], one["system"], one["response"]))
    rows = [
        (
            name(one["system"], 40),
            name(one["response"], 50),
            one["mode"],
            *(one[counter] or "-" for counter in _COUNTERS),
            badge("earned", "good") if one["earned_auto"] else one["why"],
        )
        for one in told[:MAX_SHOWN]
    ]
    more = note(f"and {len(told) - MAX_SHOWN} more") if len(told) > MAX_SHOWN else None
    return card("Scorecard", table(("system", "response", "mode", *_COUNTERS, "auto"), rows), more)
