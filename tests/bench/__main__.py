"""Measure: `python -m tests.bench [NAME …]`; without names every figure. Writes docs/benchmarks.md and its charts.

Each figure has a process of its own (`--here NAME`): some take the tests' shortcuts, which hold for the whole process.
"""

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
    if sys.argv[1:2] == ["--here"]:
        _measure(sys.argv[2])
        return 0
    names = sys.argv[1:] or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        sys.stderr.write(f"error: no figure named {', '.join(unknown)}; there are {', '.join(FIGURES)}\n")
        return 2
    failed = [name for name in names if not _in_a_process_of_its_own(name)]
    if failed:
        sys.stderr.write(f"error: not measured: {', '.join(failed)}\n")
    return 1 if failed else 0


def _in_a_process_of_its_own(name: str) -> bool:
    """Show what it tells, without the log lines of the functions that it runs."""
    say = Progress()
    say(f"measuring {name}")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench", "--here", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as measuring:
        assert measuring.stdout is not None
        for line in measuring.stdout:
            if line.startswith("…"):
                say(line[1:].strip())
            elif not line.startswith('{"'):
                say.line(line.rstrip())
    return measuring.returncode == 0


def _measure(name: str) -> None:
    say = Progress()
    drawing = environment("bench")
    began = time.monotonic()
    figure = importlib.import_module(f"tests.bench.{name}").measure(lambda what: print(f"…{what}", flush=True))
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


if __name__ == "__main__":
    sys.exit(main())
