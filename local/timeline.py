"""What the local stack shows a person: steps with their seconds, a timeline. Colour on a terminal only.

A terminal gets its lines wrapped where it ends, below where they began; a pipe gets them whole.
"""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

WAIT_IS_LONG_S = 2.0
NARROWEST = 24
"""Columns of text; a terminal with less wraps by itself."""
_TEXT_AT = 23
"""Where the text of a timeline begins."""

STYLES = {
    "system": "magenta",
    "alarm": "bold red",
    "incident": "bold",
    "contain": "yellow",
    "remediate": "cyan",
    "probe": "cyan",
    "recover": "blue",
    "refused": "bold yellow",
    "escalated": "bold red",
    "green": "bold green",
    "closed": "bold green",
    "person": "bold yellow",
    "told": "dim",
    "resource": "white",
}
"""Kind of a line → how it looks on a terminal."""


@dataclass(frozen=True)
class Line:
    """One thing that happened. ``at`` in epoch seconds."""

    at: float
    kind: str
    text: str


class Screen:
    """Where it is shown; ``NO_COLOR`` and a stream that is no terminal are respected."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.console = Console(
            file=out, highlight=False, soft_wrap=True, color_system=None if os.environ.get("NO_COLOR") else "auto"
        )
        self.wraps = self.console.is_terminal
        self.red_at: float | None = None

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Something that takes a while: a spinner on a terminal, then one line with its seconds."""
        began = time.monotonic()
        if self._live is None:
            yield
        else:
            task = self._live.add_task(what)
            try:
                yield
            finally:
                self._live.remove_task(task)
        self.say(f"  {time.monotonic() - began:6.1f} s  {what}")

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around several steps, which may overlap."""
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        if not self.console.is_terminal:
            yield
            return
        with Progress(*columns, console=self.console, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = self._wait = None
                self._awaited = ""

    def waiting(self, what: str) -> None:
        """What is waited for now, if anything: a spinner with its seconds, or a line when it lasts."""
        now = time.monotonic()
        if what != self._awaited:
            self._awaited, self._since, self._said = what, now, False
            if self._live is not None:
                if self._wait is not None:
                    self._live.remove_task(self._wait)
                self._wait = self._live.add_task(f"          waiting    {what}") if what else None
        if what and self._live is None and not self._said and now - self._since > WAIT_IS_LONG_S:
            self.say(f"            waiting    {what}")
            self._said = True

    def heading(self, text: str) -> None:
        """A new part."""
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def say(self, text: str, style: str = "") -> None:
        """One line as it is: nothing that is to be copied is wrapped."""
        self.console.print(escape(text), style=style)

    def sentence(self, text: str, style: str = "", *, first: str = "", indent: int = 0) -> None:
        """Text after `first`; if it goes on, it goes on below, `indent` from the left."""
        self.console.print(escape(self._wrapped(text, first, indent)), style=style)

    def line(self, line: Line) -> None:
        """One line of the timeline: seconds since the alarm went red, what kind, what happened."""
        offset = "" if self.red_at is None else f"{round(line.at - self.red_at, 1) + 0.0:+.1f} s"
        kind = f"[{STYLES.get(line.kind, '')}]{line.kind:<10}[/]" if line.kind in STYLES else f"{line.kind:<10}"
        text = self._wrapped(line.text, " " * _TEXT_AT, _TEXT_AT)[_TEXT_AT:]
        self.console.print(f"  {offset:>8}  {kind} {escape(text)}")

    def check(self, *, good: bool, what: str) -> None:
        """One line of the end state."""
        mark, style = ("✓", "green") if good else ("✗", "bold red")
        self.console.print(f"  [{style}]{mark}[/] {escape(what)}")

    def _wrapped(self, text: str, first: str, indent: int) -> str:
        """No word is cut: a name that is broken can't be copied."""
        room = self.console.width
        if not self.wraps or room < indent + NARROWEST:
            return first + text
        lines = textwrap.wrap(text, room - 1, initial_indent=first, subsequent_indent=" " * indent,
                              break_long_words=False, break_on_hyphens=False, drop_whitespace=True)  # fmt: skip
        return "\n".join(lines) or first

    _live: Progress | None = None
    _wait: TaskID | None = None
    _awaited = ""
    _since = 0.0
    _said = False
