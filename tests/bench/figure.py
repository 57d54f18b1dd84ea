"""One figure of the bench: a table, its goals and its chart, as JSON in docs/benchmarks/."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / "docs" / "benchmarks"
"""`<name>.json` and `<name>.svg` of every figure, as measured last."""


@dataclass(frozen=True)
class Row:
    """One line of the table: who, and a value for each column (numbers as numbers, in the column's unit)."""

    who: str
    values: Mapping[str, float | int | str | None]
    ours: bool = False


@dataclass(frozen=True)
class Table:
    """`columns` with their units in their names, for instance "init + first event, CPU ms"."""

    columns: Sequence[str]
    rows: Sequence[Row]
    title: str = ""


@dataclass(frozen=True)
class Goal:
    """What it must reach. `why`: where it was missed, the reason as profiling showed it."""

    what: str
    wanted: str
    measured: str
    met: bool
    why: str = ""


@dataclass(frozen=True)
class Bar:
    """One bar of the chart."""

    label: str
    value: float
    ours: bool = False


@dataclass(frozen=True)
class Chart:
    """Horizontal bars. `logarithmic` where the peers are orders of magnitude away."""

    title: str
    unit: str
    bars: Sequence[Bar]
    logarithmic: bool = False


@dataclass(frozen=True)
class Figure:
    """What one module measured.

    `question`: the one sentence that it answers. `how`: what was measured and against what, a sentence each. `notes`:
    what the numbers do not say. `versions`: whatever peers were used. `facts`: numbers that another figure computes
    with (the cost model reads durations), by name, the unit in the name.
    """

    name: str
    title: str
    question: str
    tables: Sequence[Table]
    goals: Sequence[Goal]
    chart: Chart
    how: Sequence[str] = ()
    notes: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)


def keep(figure: Figure, took_s: float) -> Path:
    """Write the figure down with the machine and the day; answers the file."""
    document = {
        **asdict(figure),
        "measured": {
            "on": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": machine(),
            "took_s": round(took_s),
            "command": f"make bench ONE={figure.name}",
        },
    }
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{figure.name}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def kept(name: str) -> dict[str, Any] | None:
    """The figure as it was kept; None if it was never measured."""
    path = KEPT / f"{name}.json"
    if not path.is_file():
        return None
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def machine() -> str:
    """What it was measured on, without the machine's name."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    cores = sum(line.startswith("processor") for line in _lines("/proc/cpuinfo")) or "?"
    memory = next((int(line.split()[1]) / 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return f"{cores} cores of {cpu}, {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:  # not Linux
        return []
