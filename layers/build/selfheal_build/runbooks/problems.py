"""What is wrong with a runbook, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from selfheal_build.errors import BuildError

Path = tuple[str | int, ...]
"""The way from the top of a document to one of its values: keys and list positions."""


@dataclass(frozen=True, order=True)
class Problem:
    """One problem. `line` and `column` count from 1, in characters."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class RunbooksInvalid(BuildError):
    """At least one runbook is wrong; `problems` are all that were found, in the order of the files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Finding:
    """A problem that knows its path and not yet its place. `at_key`: the key itself is wrong, not its value."""

    path: Path
    message: str
    at_key: bool = False


def nearest(word: object, known: Iterable[str]) -> str:
    """The half sentence that helps with a misspelt word: the nearest right one, or all of them."""
    choices = sorted(known)
    # Cutoff: `halt` should still lead to `halt_trading`, and `x` to nothing.
    close = difflib.get_close_matches(str(word), choices, n=1, cutoff=0.55)
    if not close and str(word):  # saturday → sat, P → P…
        close = [choice for choice in choices if choice.startswith(str(word)) or str(word).startswith(choice)]
    if len(close) == 1:
        return f"did you mean `{close[0]}`?"
    if not choices:
        return "there are none to choose from"
    return "known: " + ", ".join(f"`{choice}`" for choice in choices)
