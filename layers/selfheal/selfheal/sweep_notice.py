"""The words for people of a sweep that found something new: what changed, the worst first, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_TOLD = 20
SEVERITIES = {"fail": "P2", "unknown": "P3", "pass": "P4"}


def severity(detail: Mapping[str, Any]) -> str:
    """As bad as what is new; that something is over, or that all is well, wakes nobody."""
    verdicts = {one["verdict"] for one in detail["new"]}
    return SEVERITIES["fail" if "fail" in verdicts else "unknown" if "unknown" in verdicts else "pass"]


def lines(detail: Mapping[str, Any], stack: str) -> tuple[str, ...]:
    """The message; its first line is the subject."""
    what = []
    if detail["new_count"]:
        what.append(f"{detail['new_count']} new finding{'s' * (detail['new_count'] != 1)}")
    if detail["over_count"]:
        what.append(f"{detail['over_count']} as expected again")
    if not what:
        what.append("all as expected")
    told = [
        f"{detail['system']} {detail['sweep']}: {', '.join(what)}",
        f"Seen: {detail['passed']} passed, {detail['failed']} failed, {detail['unknown']} unknown"
        + (" (the first report of this sweep)" if detail["first"] else ""),
    ]
    for one in detail["new"]:
        expected = f"; expected {one['expected']}" if one["expected"] else ""
        told += ["", f"- {one['verdict'].upper()} {one['check']} {one['resource']}: {one['seen']}{expected}"]
        told += [f"  selfheal did: {one['did']}"] if one.get("did") else []
        told += [f"  selfheal suggests: {one['advice']}"] if one["advice"] else []
    if detail["new_count"] > len(detail["new"]):
        told += ["", f"and {detail['new_count'] - len(detail['new'])} more new ones, in the report"]
    if detail["over"]:
        told += ["", *(f"- again as expected: {label}" for label in detail["over"])]
    if detail["still"]:
        told += ["", f"As before and not told again: {detail['still']} findings, in the report"]
    if detail["red"]:
        told += ["", f"{detail['red']} alarms are red; selfheal answers those that a runbook names within 5 minutes"]
    told += ["", f"Report: {detail['report'] or 'not stored: ' + detail['note']}"]
    told += [f"Look again: {command(detail['system'], detail['sweep'], stack)}"]
    return tuple(told)


def command(system: str, sweep: str, stack: str) -> str:
    """The command that runs a sweep now."""
    event = {"target": {"system": system}, "options": {"sweep": sweep}, "mode": "act", "requested_by": "YOUR NAME"}
    return f"sam remote invoke CheckHealth --stack-name {stack} --event '{json.dumps(event)}'"
