"""What of the template costs something while nothing happens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfheal_build.pages import template

MINUTES = 30 * 24 * 60
"""Of a month."""
POLLS_PER_MIN = 15
"""Of an idle queue by Lambda: five long polls of 20 s at a time (Lambda developer guide has five to begin with)."""
LEDGER_GB = 0.05


@dataclass(frozen=True)
class Stack:
    """Counts, ticks a month, and the memory of Respond and of most others."""

    alarms: int
    dashboards: int
    mappings: int
    ticks: float
    respond_gb: float
    function_gb: float


def stack() -> Stack:
    """Read off template.yaml. Alarms are counted by the metrics that they look at."""
    found: Mapping[str, Any] = template()
    resources = found["Resources"].values()
    functions = [one for one in resources if one["Type"] == "AWS::Serverless::Function"]
    events = [event for one in functions for event in one["Properties"].get("Events", {}).values()]
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    rates = [str(event["Properties"]["ScheduleExpression"]) for event in events if event["Type"] == "ScheduleV2"]
    usual = found["Globals"]["Function"]["MemorySize"] / 1024
    return Stack(
        alarms=sum(sum("MetricStat" in one for one in alarm.get("Metrics", [])) or 1 for alarm in alarms),
        dashboards=sum(one["Type"] == "AWS::CloudWatch::Dashboard" for one in resources),
        mappings=sum(event["Type"] == "SQS" for event in events),
        ticks=sum(MINUTES / float(match[1]) for rate in rates if (match := re.match(r"rate\((\d+) minutes?\)", rate))),
        respond_gb=found["Resources"]["Respond"]["Properties"].get("MemorySize", usual * 1024) / 1024,
        function_gb=usual,
    )
