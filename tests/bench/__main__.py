"""Measure: `python -m tests.bench [NAME …]`; without names every figure. Writes docs/benchmarks.md and its charts."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time

from rich.console import Console
from rich.markup import escape

from tests.bench import FIGURES, page
from tests.bench.figure import KEPT, REPOSITORY, keep
from tests.bench.peers import environment


class Progress:
    """What is measured now: a line that changes on a terminal, else one line each."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()

    def __call__(self, what: str) -> None:
        if not self._console.is_terminal:
            return
        elapsed = time.monotonic() - self._began
        self._console.print(f"\r\033[2K  {elapsed:6.1f} s  {escape(what)}"[: self._console.width + 8], end="")

    def line(self, text: str, style: str = "") -> None:
        if self._console.is_terminal:
            self._console.print("\r\033[2K", end="")
        self._console.print(escape(text), style=style)


def main() -> int:
    names = sys.argv[1:] or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        sys.stderr.write(f"error: no figure named {', '.join(unknown)}; there are {', '.join(FIGURES)}\n")
        return 2
    say = Progress()
    drawing = environment("bench")
    for name in names:
        began = time.monotonic()
        figure = importlib.import_module(f"tests.bench.{name}").measure(say)
        took = time.monotonic() - began
        path = keep(figure, took)
        subprocess.run(
            [drawing / "bin" / "python", REPOSITORY / "tests" / "bench" / "chart.py", path, KEPT / f"{name}.svg"],
            check=True,
        )
        page.write()
        say.line(f"{figure.title} ({took:.0f} s)", "bold")
        for goal in figure.goals:
            mark, style = ("✓", "green") if goal.met else ("✗", "red")
            say.line(f"  {mark} {goal.what}: {goal.measured} (wanted: {goal.wanted})", style)
    say.line(f"written: {page.PAGE.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
