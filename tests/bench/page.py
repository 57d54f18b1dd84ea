"""docs/benchmarks.md, from every figure as it was measured last."""

from __future__ import annotations

from typing import Any

from tests.bench import FIGURES
from tests.bench.figure import REPOSITORY, kept

PAGE = REPOSITORY / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

What selfheal costs in time, CPU and calls, beside others in the same run. `make bench` measures everything anew and
writes this page; `make bench ONE=drain` measures one figure. Peers are installed by the bench in environments of
their own, pinned in `requirements/`.

Read ratios, not milliseconds: they are what carries over to another machine. CPU is user and system time of whole
processes, as the operating system counts it; repeated measurements run in turn, and the median stands here. Nothing
was measured on AWS: endpoints are on this machine, and a latency is only there where it says so.
"""


def write() -> None:
    """Write the page."""
    PAGE.write_text(text())


def text() -> str:
    """The page; figures that were never measured are left out."""
    figures = [figure for name in FIGURES if (figure := kept(name)) is not None]
    return "\n".join([_HEAD, *_goals(figures), *(line for figure in figures for line in _section(figure))]) + "\n"


def _goals(figures: list[dict[str, Any]]) -> list[str]:
    lines = ["## Goals", "", "| figure | goal | wanted | measured | |", "|---|---|---|---|---|"]
    for figure in figures:
        for goal in figure["goals"]:
            met = "met" if goal["met"] else "**missed**"
            where = f"[{figure['title']}](#{_anchor(figure['title'])})"
            lines.append(f"| {where} | {goal['what']} | {goal['wanted']} | {goal['measured']} | {met} |")
    missed = [goal for figure in figures for goal in figure["goals"] if not goal["met"]]
    lines += ["", *(f"Missed: {goal['what']}. {goal['why']}\n" for goal in missed)]
    return lines


def _section(figure: dict[str, Any]) -> list[str]:
    measured = figure["measured"]
    lines = [f"## {figure['title']}", "", figure["question"], ""]
    lines += [f"![{figure['chart']['title']}](benchmarks/{figure['name']}.svg)", ""]
    for table in figure["tables"]:
        if table["title"]:
            lines += [f"**{table['title']}**", ""]
        lines.append("| " + " | ".join(["", *table["columns"]]) + " |")
        lines.append("|---" + "|--:" * len(table["columns"]) + "|")
        for row in table["rows"]:
            who = f"**{row['who']}**" if row["ours"] else row["who"]
            lines.append(
                "| " + " | ".join([who, *(_cell(row["values"].get(name)) for name in table["columns"])]) + " |"
            )
        lines.append("")
    lines += [f"* {line}" for line in (*figure["how"], *figure["notes"])]
    versions = ", ".join(f"{name} {version}" for name, version in figure["versions"].items())
    lines += ["", f"`{measured['command']}` on {measured['on']}, {measured['took_s']} s; {measured['machine']}."]
    lines += [f"Versions: {versions}.", ""] if versions else [""]
    return lines


def _cell(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _anchor(title: str) -> str:
    kept_characters = "".join(character for character in title.lower() if character.isalnum() or character in " -_")
    return kept_characters.replace(" ", "-")
