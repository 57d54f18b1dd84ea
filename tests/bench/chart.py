"""Draws one figure: `python tests/bench/chart.py FIGURE.json FIGURE.svg`, in the environment requirements/bench.txt."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OURS, THEIRS, INK, FAINT = "#0f766e", "#94a3b8", "#334155", "#e2e8f0"


def draw(figure: dict[str, Any], out: Path) -> None:
    """Horizontal bars with their values; ours in another colour. The same numbers give the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415 - only the bench's own environment has it

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": figure["name"], "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot as plot  # noqa: PLC0415

    chart = figure["chart"]
    bars = chart["bars"][::-1]
    values = [bar["value"] for bar in bars]
    picture, axes = plot.subplots(figsize=(8.6, 0.9 + 0.36 * len(bars)))
    drawn = axes.barh(
        [bar["label"] for bar in bars], values, color=[OURS if bar["ours"] else THEIRS for bar in bars], height=0.68
    )
    axes.bar_label(drawn, labels=[_number(value) for value in values], padding=4, color=INK, fontsize=9)
    if chart["logarithmic"]:
        axes.set_xscale("log")
        axes.set_xlim(right=max(values) * 3)
    else:
        axes.set_xlim(0, max(values) * 1.14)
    axes.set_title(chart["title"], loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_xlabel(chart["unit"] + (", logarithmic" if chart["logarithmic"] else ""), color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    picture.savefig(out, format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
