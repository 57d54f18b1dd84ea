"""Is a metric of CloudWatch where it should be? CPU, latency, connections, replication lag, whatever is measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.metrics import Sums, Wanted, window_of

STATS = ("Sum", "Average", "Minimum", "Maximum", "SampleCount")
_OTHER_STAT = re.compile(r"(p|tm|tc|ts|wm)\d{1,3}(\.\d+)?|IQM")
"""Percentiles and their like (CloudWatch statistics definitions)."""


def _wrong(fields: Mapping[str, Any]) -> str:
    if fields["stat"] in STATS or _OTHER_STAT.fullmatch(fields["stat"]):
        return ""
    return f"stat must be one of {list(STATS)} or such as p95, got {fields['stat']!r:.40}"


KIND = CheckKind(
    "metric",
    "a metric of CloudWatch is at most, or at least, a number",
    {
        "namespace": named("such as AWS/RDS"),
        "name": named("metric name"),
        "dimensions": Field(dict, help="name → value, exactly those that the metric has"),
        "stat": Field(str, "Average", help="Sum, Average, Minimum, Maximum, SampleCount, or such as p95"),
        "minutes": Field(int, 15, help="look back this long, at most 1440"),
        "at_most": Field(float, help="the worst period is no higher (of a Sum: the whole window)"),
        "at_least": Field(float, help="the worst period is no lower"),
        "may_lack_data": Field(bool, False, help="no data is no finding"),
    },
    either=("at_most", "at_least"),
    named_by=("namespace", "name", "dimensions"),
    wrong=_wrong,
)
SERVICES = ("cloudwatch",)
PERMISSIONS = ("cloudwatch:GetMetricData",)


def wanted(check: Check) -> tuple[Wanted, ...]:
    """Sums are added up; of anything else the worst period counts."""
    added = check["stat"] in {"Sum", "SampleCount"}
    fold = "sum" if added else "max" if check["at_most"] is not None else "min"
    dimensions = tuple(sorted((check["dimensions"] or {}).items()))
    return (Wanted(check["namespace"], check["name"], dimensions, window_of(check), check["stat"], fold),)


def judge(check: Check, sums: Sums) -> list[Finding]:
    """No data is not zero: a metric that is not written, or that has other dimensions, proves nothing."""
    (asked,) = wanted(check)
    value, window = sums[asked], f"in the last {asked.minutes} minutes"
    most, least = check["at_most"], check["at_least"]
    expected = f"at most {most:g}" if most is not None else f"at least {least:g}"
    if value is None:
        if check["may_lack_data"]:
            return findings(check, [], f"no data {window}, which is as expected")
        advice = "give exactly the metric's dimensions, or set may_lack_data if it is rarely written"
        return findings(check, [Problem(f"no data {window}", expected, advice, Mark.UNKNOWN)], "")
    told = f"{check['stat']} {value:g} {window}"
    if value > most if most is not None else value < least:
        return findings(check, [Problem(told, expected, "see what drives it; its alarm has the runbook")], "")
    return findings(check, [], told)
