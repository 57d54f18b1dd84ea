"""What the sections are made of: cards, tables, badges, and buttons that call a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timezone
from typing import Any

from selfheal.control_room import durations
from selfheal.control_room.markup import Child, Markup, join, parameters, tag
from selfheal.frozen import dataclass

MAX_TEXT = 300
MAX_NAME = 90
MAX_HINT = 1_000
MAX_CONFIRMATION = 240


@dataclass(frozen=True)
class View:
    """For whom the page is made: when, in which time zone, how wide, and the functions that its buttons call."""

    now: float
    zone: timezone
    width: int
    approve: str
    undo: str

    def at(self, moment: float) -> str:
        """`14:05`, with the day if it was another one."""
        return durations.moment(moment, self.now, self.zone)

    def ago(self, moment: float) -> str:
        """`2 min 5 s`."""
        return durations.length(self.now - moment)

    def left(self, moment: float) -> str:
        """How long until then."""
        return durations.length(moment - self.now)


def card(title: str, *children: Child, count: int | None = None, class_: str = "") -> Markup:
    """A titled box; `count` stands beside the title."""
    counted = None if count is None else tag("span", count, class_="sh-count")
    return tag("div", tag("h2", title, counted), *children, class_=f"sh-card {class_}".strip())


def badge(text: str, kind: str = "") -> Markup:
    """A word in a coloured frame. `kind`: bad, warn, good, info or none."""
    return tag("span", text, class_=f"sh-badge {f'sh-{kind}' if kind else ''}".strip())


def note(*children: Child) -> Markup:
    """A quiet line."""
    return tag("p", *children, class_="sh-note")


def table(headings: Sequence[str], rows: Sequence[Sequence[Child]], class_: str = "") -> Markup:
    """Headings and rows; a narrow widget scrolls within it, or as `sh-list` shows each row as a paragraph."""
    head = tag("thead", tag("tr", *(tag("th", one, scope="col") for one in headings)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body), class_=f"sh-scroll {class_}".strip())


def name(text: str, longest: int = MAX_NAME) -> Markup:
    """A name in full when the pointer rests on it."""
    short = cut(text, longest)
    return tag("span", short, class_="sh-name", title=cut(text, MAX_HINT) if short != text else None)


def cut(text: str, longest: int = MAX_TEXT) -> str:
    """No longer than that."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def button(label: str, endpoint: str, request: Mapping[str, Any], confirmation: str, kind: str = "") -> Markup:
    """A button that calls a function after a question. CloudWatch ties an action to the element right before it, and
    invokes with the rights of the person who looks. Without an endpoint there is none."""
    if not endpoint:
        return join()
    pressed = tag("span", label, class_=f"btn sh-btn {f'sh-btn-{kind}' if kind else ''}".strip(), role="button")
    action = tag(
        "cwdb-action",
        parameters({**request, "mode": "act"}),
        action="call",
        display="popup",
        endpoint=endpoint,
        confirmation=cut(confirmation, MAX_CONFIRMATION),
    )
    return join(pressed, action)


def buttons(*made: Markup) -> Markup:
    """Several of them in a row."""
    return tag("div", *made, class_="sh-buttons")
