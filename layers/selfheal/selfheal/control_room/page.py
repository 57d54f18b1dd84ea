"""The page of the control room: all sections, for the one who looks."""

from __future__ import annotations

from collections.abc import Mapping

from selfheal.control_room import decisions, in_force, incidents, pausing, scorecard, style, summary, sweeping, waiting
from selfheal.control_room.markup import Child, Markup, join, stylesheet, tag
from selfheal.control_room.parts import View, card, note
from selfheal.control_room.room import Room

NARROW = 860
_SIDE = 374
"""Pixels that the column at the side takes, its gap included."""


def page(room: Room, view: View, *, dark: bool, filled_in: Mapping[str, str]) -> str:
    """The whole page as HTML."""
    wide = view.width >= NARROW
    main = View(view.now, view.zone, view.width - _SIDE if wide else view.width, view.approve, view.undo)
    left = [incidents.section(room, main), decisions.section(room, main)]
    right = [in_force.section(room, view), pausing.section(room, view), sweeping.section(room, view)]
    columns = tag(
        "div", tag("div", *left, class_="sh-column"), tag("div", *right, class_="sh-column"), class_="sh-main"
    )
    fields = summary.who_asks(filled_in) if view.approve or view.undo else None
    return _framed(
        view, dark, summary.section(room, view), fields, waiting.section(room, view), columns,
        scorecard.section(room, view),
    )  # fmt: skip


def not_known(view: View, cause: str, *, dark: bool) -> str:
    """Instead of the page, when the ledger does not answer: an empty one would say that nothing is open."""
    told = card(
        "The ledger does not answer",
        tag("p", "Whether anything is open, halted or paused is not known. It does not mean that nothing is."),
        note("Alarms are still answered: what is safe (halt, disable) goes ahead without the ledger; the rest waits."),
        note(cause),
        class_="sh-down",
    )
    return _framed(view, dark, told)


def _framed(view: View, dark: bool, *sections: Child) -> Markup:
    classes = ["sh", "sh-dark" if dark else "", "sh-narrow" if view.width < NARROW else ""]
    no_defaults = tag("div", class_="cwdb-no-default-styles")
    return join(stylesheet(style.RULES), no_defaults, tag("div", *sections, class_=" ".join(filter(None, classes))))
