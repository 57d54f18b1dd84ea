"""The story of an incident as a drawing: one self-contained SVG, for the control room and for the report.

Each step has a row; the bar of the alarm on top is red, amber once contained, green once green. Seconds count from red
on a logarithmic scale: what matters happens in the first seconds, and people come after hours. Texts have the colour
of what is around them and shapes have colours with contrast on white and on black, so that it needs no style.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from selfheal.control_room.durations import length
from selfheal.control_room.markup import Markup, join, tag
from selfheal.frozen import dataclass
from selfheal.story import Moment

RED, AMBER, GREEN, BLUE, GREY = "#d9402a", "#c77d0a", "#2e9a3c", "#3184d9", "#808a94"
OF_STAGE = {"contain": AMBER, "remediate": BLUE, "recover": GREEN, "probe": "#9469d6", "person": RED}
MAX_ROWS = 16
_ROW, _TOP, _BAR, _FONT = 22, 30, 12, 11
_TICKS = ((1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3_600, "1 h"), (21_600, "6 h"), (86_400, "1 d"),
          (604_800, "7 d"), (2_592_000, "30 d"), (31_536_000, "1 y"))  # fmt: skip
_MILESTONES = {"contained": AMBER, "green": GREEN, "escalated": RED, "closed": GREY}
_STATUS = 84
"""Room at the right, for a bar's word."""
_AFTER = 0.02
"""Of the plot: what ends now must be seen to end."""


def svg(moments: Sequence[Moment], red_at: float, width: int = 720, *, now: float | None = None) -> str:
    """The drawing, `width` pixels wide. `red_at` and `now` in epoch seconds; what goes on still, goes on until `now`,
    or without it until the last moment. Every text in it is escaped."""
    return _Drawing(moments, red_at, max(320, width), now).whole()


@dataclass(frozen=True)
class _Scale:
    """Seconds from red to pixels."""

    left: float
    right: float
    end_s: float

    def x(self, seconds: float) -> float:
        share = math.log1p(max(0.0, seconds)) / math.log1p(self.end_s)
        return round(self.left + min(1.0, share) * (self.right - self.left), 1)


class _Drawing:
    def __init__(self, moments: Sequence[Moment], red_at: float, width: int, now: float | None) -> None:
        self._red_at, self._width = red_at, width
        rows = [one for one in moments if one.step is not None]
        self._rows, self._left_out = rows[:MAX_ROWS], max(0, len(rows) - MAX_ROWS)
        self._milestones = {one.kind: one for one in moments if one.kind in _MILESTONES}
        closed = self._milestones.get("closed")
        times = [one.until or one.at for one in moments] + ([now] if now is not None and not closed else [])
        self._end = closed.at if closed else max(times, default=red_at)
        end_s = max(10.0, (max(times, default=red_at) - red_at) * (1 + _AFTER))
        self._flags: list[tuple[float, float]] = []
        self._labels = min(230, width * 0.3)
        self._scale = _Scale(self._labels + 10, width - _STATUS, end_s)
        self._height = _TOP + _ROW * (len(self._rows) + 1) + (_ROW if self._left_out else 0) + 24

    def whole(self) -> Markup:
        return tag(
            "svg",
            tag("title", self._told()),
            self._axis(),
            self._alarm(),
            *(self._row(number + 1, one) for number, one in enumerate(self._rows)),
            self._more(),
            *(self._milestone(one) for one in self._milestones.values() if one.kind in {"contained", "green"}),
            self._escalated(),
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {self._width} {self._height}",
            width=self._width,
            height=self._height,
            role="img",
            font_family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif",
            font_size=_FONT,
            fill="currentColor",
        )

    def _told(self) -> str:
        """For who does not see it."""
        told = [f"{one.title} after {length(one.at - self._red_at)}" for one in self._milestones.values()]
        return f"Timeline of {len(self._rows)} steps from red. {'; '.join(told) or 'Not contained yet'}."

    def _axis(self) -> Markup:
        """Ticks with room for their texts, a line for each."""
        bottom, last, ticks = self._height - 20, self._scale.left - 40.0, []
        for seconds, name in ((0, "red"), *_TICKS):
            x = self._scale.x(seconds)
            if seconds > self._scale.end_s or x - last < 38 or (seconds and x > self._scale.right - 8):
                continue
            last = x
            ticks.append(tag("line", x1=x, x2=x, y1=_TOP - 6, y2=bottom, stroke="currentColor", opacity=0.13))
            ticks.append(tag("text", name, x=x, y=bottom + 14, text_anchor="middle", opacity=0.7, font_size=10))
        return join(ticks)

    def _alarm(self) -> Markup:
        """What people would have felt: red, contained, green."""
        contained, green = (self._since(self._milestones.get(kind)) for kind in ("contained", "green"))
        end = self._end - self._red_at
        red_until = min(one for one in (contained, green, end) if one is not None)
        parts = [self._bar(0, 0.0, red_until, RED)]
        if contained is not None:
            parts.append(self._bar(0, contained, green if green is not None else end, AMBER))
        if green is not None:
            parts.append(self._bar(0, green, max(green, end), GREEN))
        return join(self._label(0, "alarm", RED, bold=True), parts)

    def _row(self, number: int, one: Moment) -> Markup:
        colour = _colour(one)
        what, _, status = one.title.rpartition(": ")
        began, ended = one.at - self._red_at, (one.until or self._end) - self._red_at
        room = self._width - self._scale.x(ended) - 7
        told = fitting(status or one.title, room, _FONT)
        shape = self._bar(number, began, ended, colour, faint=one.until is None)
        said = tag("text", told, x=self._width - room, y=self._middle(number) + 4, opacity=0.85)
        took = f", took {length(ended - began)}" if one.until else ""
        hint = tag("title", f"{one.title} {length(began)} after red{took}. {one.detail}"[:400])
        return tag("g", hint, self._label(number, what or one.title, OF_STAGE.get(one.kind, GREY)), shape, said)

    def _label(self, number: int, name: str, colour: str, *, bold: bool = False) -> Markup:
        y = self._middle(number)
        mark = tag("rect", x=0, y=y - 5, width=4, height=10, rx=1, fill=colour)
        text = fitting(name, self._labels - 12, _FONT)
        return join(mark, tag("text", text, x=10, y=y + 4, font_weight="600" if bold else None))

    def _bar(self, number: int, began: float, ended: float, colour: str, *, faint: bool = False) -> Markup:
        x, end = self._scale.x(began), self._scale.x(ended)
        return tag(
            "rect",
            x=x,
            y=self._middle(number) - _BAR / 2,
            width=round(max(5.0, end - x), 1),
            height=_BAR,
            rx=2,
            fill=colour,
            fill_opacity=0.55 if faint else None,
        )

    def _milestone(self, one: Moment) -> Markup:
        """A dashed line through all rows, with its time on top."""
        x, colour = self._scale.x(one.at - self._red_at), _MILESTONES[one.kind]
        line = tag("line", x1=x, x2=x, y1=18, y2=self._height - 20, stroke=colour, stroke_dasharray="3 3")
        return join(line, self._flag(x, f"{one.kind} {length(one.at - self._red_at)}", 12))

    def _escalated(self) -> Markup:
        """A person was called: a mark on the alarm's bar."""
        one = self._milestones.get("escalated")
        if one is None:
            return join()
        x, y = self._scale.x(one.at - self._red_at), self._middle(0)
        hint = tag("title", f"a person was called {length(one.at - self._red_at)} after red: {one.detail}"[:400])
        return tag("g", hint, tag("circle", cx=x, cy=y, r=5, fill=RED, stroke="currentColor", stroke_width=1.5))

    def _flag(self, x: float, text: str, y: float) -> Markup:
        half = _width_of(text, 10.5) / 2
        at = min(max(x, half), self._width - half)
        at = self._clear(at, half)
        return tag("text", text, x=round(at, 1), y=y, text_anchor="middle", font_size=10.5, font_weight="600")

    def _clear(self, at: float, half: float) -> float:
        """Beside the flag that is there already."""
        for begin, end in self._flags:
            if at - half < end + 6 and at + half > begin - 6:
                at = end + 6 + half if end + 6 + 2 * half <= self._width else begin - 6 - half
        self._flags.append((at - half, at + half))
        return at

    def _more(self) -> Markup:
        if not self._left_out:
            return join()
        y = self._middle(len(self._rows) + 1) + 4
        return tag("text", f"and {self._left_out} more steps", x=10, y=y, opacity=0.7)

    def _middle(self, number: int) -> float:
        return _TOP + _ROW * number + _ROW / 2

    def _since(self, one: Moment | None) -> float | None:
        return None if one is None else max(0.0, one.at - self._red_at)


def _colour(one: Moment) -> str:
    """Of a bar: how it went; of what goes on, its stage's."""
    if one.good is not None:
        return GREEN if one.good else RED
    return GREY if one.until is not None else OF_STAGE.get(one.kind, GREY)


def _width_of(text: str, size: float) -> float:
    """About as wide as it is drawn; letters of East Asia take a whole square."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return (len(text) - wide) * size * 0.56 + wide * size


def fitting(text: str, pixels: float, size: float) -> str:
    """As much of a text as there is room for."""
    if len(text) < 1_000 and _width_of(text, size) <= pixels:
        return text
    text = text[: max(0, int(pixels / (size * 0.56)))]
    while text and _width_of(text, size) + size > pixels:
        text = text[:-1]
    return f"{text.rstrip()}…"
