"""What is paused, by whom, until when and why; and the buttons to pause and to resume."""

from __future__ import annotations

from selfheal.control_room.markup import Markup, tag
from selfheal.control_room.parts import View, badge, button, buttons, card, cut, name, note
from selfheal.control_room.room import Room
from selfheal.pauses import Pause

_WHOLE = "*"


def section(room: Room, view: View) -> Markup:
    """The pauses in force, then what can be paused."""
    systems = sorted({one.response.system for one in room.scores})
    shown = [_one(pause, view) for pause in room.of_systems]
    nothing = None if shown else note("Nothing is paused.")
    rest = [_pausing(system, view) for system in systems]
    each = tag("details", tag("summary", "Pause one system"), *rest) if rest and view.approve else None
    whole = None if room.pause_of(_WHOLE) else _pausing(_WHOLE, view)
    return card("Pauses", *shown, nothing, whole, each, count=len(shown) if shown else None)


def _one(pause: Pause, view: View) -> Markup:
    about = "everything" if pause.name == _WHOLE else pause.name
    what = "all actions" if pause.what == "all" else "risky actions"
    request = {"action": "resume", "target": {"pause": pause.name}}
    return tag(
        "div",
        tag("div", badge("paused", "warn"), tag("strong", name(about, 60)), what, class_="sh-head"),
        note(
            f"by {cut(pause.who, 60)}, until {view.at(pause.until_at)} "
            f"({view.left(pause.until_at)} left): {cut(pause.reason, 200) or 'no reason given'}"
        ),
        button("Resume", view.approve, request, f"End the pause of {about} now?", "small"),
        class_="sh-item",
    )


def _pausing(system: str, view: View) -> Markup:
    about = "selfheal" if system == _WHOLE else system

    def ask(what: str, minutes: int) -> dict[str, object]:
        return {"action": "pause", "target": {"pause": system}, "options": {"what": what, "minutes": minutes}}

    named = None if system == _WHOLE else tag("span", name(system, 40), class_="sh-of")
    return buttons(
        *([named] if named else []),
        button("Pause what is risky, 1 h", view.approve, ask("risky", 60),
               f"Pause risky actions of {about} for an hour? Halts and disables go on.", "small"),
        button("Pause all, 1 h", view.approve, ask("all", 60),
               f"Pause all of {about} for an hour? Nothing is halted or disabled either.", "small"),
    )  # fmt: skip
