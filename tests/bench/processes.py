"""CPU and wall time of whole processes, as the operating system counts them, measured in turn.

In turn, because a shared machine drifts: what is compared runs in the same minutes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """A command line with its whole environment (nothing is inherited but PATH)."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path | None = None


@dataclass(frozen=True)
class Spent:
    """What one process spent: CPU (user and system, its children that it waited for included) and wall, in ms."""

    cpu_ms: float
    wall_ms: float
    peak_mb: float
    status: int
    output: str = ""


def spend(command: Command) -> Spent:
    """Run it once; what it prints is kept for the case that it fails."""
    env = {"PATH": os.environ.get("PATH", os.defpath), **command.env}
    began = time.monotonic()
    process = subprocess.Popen(
        list(command.argv), env=env, cwd=command.cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return Spent(
        cpu_ms=(usage.ru_utime + usage.ru_stime) * 1000,
        wall_ms=wall * 1000,
        peak_mb=usage.ru_maxrss / 1024,
        status=process.returncode,
        output=printed.decode(errors="replace"),
    )


@dataclass(frozen=True)
class Middle:
    """Median, least and most of repeated measurements."""

    median: float
    least: float
    most: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:,.0f} ({self.least:,.0f} to {self.most:,.0f})"


def middle(values: Sequence[float]) -> Middle:
    """Of at least one value."""
    return Middle(statistics.median(values), min(values), max(values), len(values))


def in_turn(measures: Mapping[str, Callable[[], T]], rounds: int, say: Callable[[str], None]) -> dict[str, list[T]]:
    """A B C A B C …: what each measure answered in each round, after one round that does not count."""
    answers: dict[str, list[T]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            say(f"round {number} of {rounds}: {name}" if number else f"warming up: {name}")
            answer = measure()
            if number:
                answers[name].append(answer)
    return answers
