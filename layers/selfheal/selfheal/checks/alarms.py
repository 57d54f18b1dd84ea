"""Are the alarms OK, do they see data, and are they there at all? Metric and composite ones, 100 names per call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from selfheal.checks import pages
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field
from selfheal.clients import client

KIND = CheckKind(
    "alarms",
    "metric and composite alarms are OK, see data, and exist",
    {
        "prefix": Field(str, help="every alarm whose name starts so"),
        "names": Field(list, help="exact names, at most 100"),
        "stage": Field(str, help="with `prefix`: a dash-separated word that the name must contain (dev, prod)"),
        "at_least": Field(int, 1, help="with `prefix`: how many alarms must exist"),
        "may_lack_data": Field(bool, False, help="INSUFFICIENT_DATA is no finding (rare events)"),
    },
    either=("prefix", "names"),
    named_by=("prefix", "names"),
)
SERVICES = ("cloudwatch",)
PERMISSIONS = ("cloudwatch:DescribeAlarms",)

PER_CALL = 100
BLIND = ("PARTIAL_DATA", "EVALUATION_ERROR", "EVALUATION_FAILURE")
"""Evaluation states in which an alarm's OK means nothing (API reference of DescribeAlarms)."""

Alarm = Mapping[str, Any]


def look_all(checks: Sequence[Check]) -> list[list[Finding]]:
    """Findings per check, in their order. Names of all checks are asked for together, each prefix once."""
    names = sorted({name for check in checks for name in check["names"] or ()})
    found = {alarm["AlarmName"]: alarm for alarm in _by_names(names)}
    prefixes = {check["prefix"] for check in checks if check["prefix"]}
    by_prefix = {prefix: list(_alarms(AlarmNamePrefix=prefix)) for prefix in sorted(prefixes)}
    return [_prefix(check, by_prefix[check["prefix"]]) if check["prefix"] else _names(check, found) for check in checks]


def _by_names(names: Sequence[str]) -> Iterable[Alarm]:
    for start in range(0, len(names), PER_CALL):
        yield from _alarms(AlarmNames=names[start : start + PER_CALL])


def _alarms(**which: Any) -> Iterable[Alarm]:
    """Without AlarmTypes, composite alarms are never returned."""
    asked = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": PER_CALL, **which}
    found = pages.read(client("cloudwatch").describe_alarms, "alarms", **asked)
    return [alarm for page in found for kind in ("MetricAlarms", "CompositeAlarms") for alarm in page.get(kind, [])]


def _names(check: Check, found: Mapping[str, Alarm]) -> list[Finding]:
    advice = "correct the name, or deploy the alarm: what is not there cannot go red"
    missing = [name for name in check["names"] if name not in found]
    gone = [Finding(check.kind, name, Mark.FAIL, "there is no such alarm", "it exists", advice) for name in missing]
    there = [found[name] for name in check["names"] if name in found]
    return gone + (_judged(check, there) if there else [])


def _prefix(check: Check, alarms: Sequence[Alarm]) -> list[Finding]:
    stage = check["stage"]
    there = [alarm for alarm in alarms if not stage or stage in alarm["AlarmName"].split("-")]
    too_few: list[Finding] = []
    if len(there) < check["at_least"]:
        expected = f"at least {check['at_least']}" + (f" of stage {stage}" if stage else "")
        advice = "correct the prefix, or deploy the alarms: what is not there cannot go red"
        too_few = findings(check, [Problem(f"{len(there)} alarms", expected, advice)], "")
    return too_few + (_judged(check, there) if there else [])


def _judged(check: Check, alarms: Sequence[Alarm]) -> list[Finding]:
    told = [finding for alarm in alarms for finding in _judge(check, alarm)]
    fine = len(alarms) - len({finding.resource for finding in told})
    return [*told, *([Finding(check.kind, check.resource, Mark.PASS, f"{fine} alarms are OK")] if fine else [])]


def _judge(check: Check, alarm: Alarm) -> list[Finding]:
    name, state = alarm["AlarmName"], alarm["StateValue"]
    reason = str(alarm.get("StateReason", ""))[:256]
    if state == "ALARM":
        return findings(check, [Problem(f"ALARM: {reason}", "OK", "see its runbook")], "", name)
    if alarm.get("EvaluationState") in BLIND:
        advice = "an alarm that cannot be evaluated stays as it is; see its metric"
        blind = Problem(f"{state}, but blind: {alarm['EvaluationState']}", "evaluated", advice, Mark.UNKNOWN)
        return findings(check, [blind], "", name)
    if state == "INSUFFICIENT_DATA" and not check["may_lack_data"]:
        advice = "if its events are rare, treat missing data as not breaching, or set may_lack_data here"
        return findings(check, [Problem(f"no data: {reason}", "OK", advice, Mark.UNKNOWN)], "", name)
    return []
