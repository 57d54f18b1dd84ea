"""The words of what the clock tells by itself: maintenance ahead, deployments, watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from selfheal.spans import span

Words = tuple[tuple[str, ...], str]
"""Lines, the first of which is the subject, and the severity."""


def _ahead(detail: Mapping[str, Any]) -> Words:
    system, before = detail["system"], detail["before"]
    lines = [
        f"Maintenance of {system} begins at {_local(detail, 'begins')}, in {span(detail['begins'] - detail['at'])}",
        f"Until: {detail['until']} ({detail['timezone']})",
        "What it means: what selfheal does by itself and is risky waits for the end; what is safe goes on",
    ]
    lines += [f"Before it, at {_local(detail, 'begins', -detail['before_s'])}: {', '.join(before)}"] if before else []
    return (*lines, f"Next: {detail['owner']} tells those who use {system}"), "P4"


def _prepared(detail: Mapping[str, Any]) -> Words:
    failed = [step["step"] for step in detail["steps"] if not step["ok"]]
    told = f"NOT everything is done: {', '.join(failed)}" if failed else "everything is done"
    lines = (
        f"Before the maintenance of {detail['system']} at {_local(detail, 'begins')}: {told}",
        *(f"- {step['step']}: {step['outcome']}: {step['detail']}" for step in detail["steps"]),
        f"Next: {'do it by hand, or put the maintenance off' if failed else 'nothing'}",
    )
    return lines, "P2" if failed else "P4"


def _deployed(detail: Mapping[str, Any]) -> Words:
    watches = [f"{one['name']} for {span(one['for_s'])}" for one in detail["watches"]]
    lines = (
        f"Deployed: {detail['system']} {detail['version']}".rstrip(),
        f"What: {', '.join(detail['targets']) or 'the system'}, by {detail['by'] or 'somebody'} ({detail['source']})",
        f"Watched: {', '.join(watches) or 'no; the runbook has no watch for it'}",
        "Next: nothing; you will hear when the watch is over" if watches else "Next: look at it yourself",
    )
    return lines, "P4"


def _watched(detail: Mapping[str, Any]) -> Words:
    system, name, verdict = detail["system"], detail["name"], detail["verdict"]
    lasted = span(detail["for_s"])
    told = {
        "clean": f"watched {lasted}: clean",
        "red": f"RED after {detail['looks']} clean looks",
        "unknown": "it can't be told whether it works",
    }[verdict]
    after = f"{detail['version']} " if detail["version"] else ""
    good = [f"{one['target']} {one['version']}" for one in detail["good"]]
    lines = [
        f"{system} after deployment {after}({name}): {told}",
        f"Seen: {detail['detail'] or 'nothing'}",
        *([f"Last known good now: {', '.join(good)}"] if good else []),
        *([f"Not recorded as good: {detail['not_good']}"] if detail["not_good"] else []),
        "Next: nothing"
        if verdict == "clean"
        else "Next: look at it now; a red alarm is answered by its response, a failing check is answered by you",
    ]
    return tuple(lines), {"clean": "P4", "red": "P1", "unknown": "P2"}[verdict]


WORDS: Mapping[str, Callable[[Mapping[str, Any]], Words]] = {
    "maintenance_ahead": _ahead,
    "maintenance_prepared": _prepared,
    "deployed": _deployed,
    "watched": _watched,
}


def _local(detail: Mapping[str, Any], name: str, shift_s: float = 0) -> str:
    moment = datetime.fromtimestamp(float(detail[name]) + shift_s, ZoneInfo(detail["timezone"]))
    return f"{moment:%a %Y-%m-%d %H:%M} ({detail['timezone']})"
