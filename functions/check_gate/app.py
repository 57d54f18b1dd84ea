"""The gate between two steps of a rollout: do the rules that were enabled so far work?

Alarm: none; a rollout asks after each of its steps, every few minutes while it settles and a last time at its end.
Action: `check_gate` reads CloudWatch and answers `acted` (clean), `failed` (red) or `inconclusive`.
Precondition: the rules exist.

Red is any of: more FailedInvocations than allowed, an error of a Lambda function that a rule invokes (EventBridge
invokes it asynchronously, so that its errors are no FailedInvocations), an alarm of the system in ALARM. EventBridge
sends FailedInvocations only when there are some: no data is no proof of health. So the last look asks for Invocations
of the newest rule as well, and without a single one it is inconclusive, unless the runbook says `quiet_ok`.

Metrics of a rule on a custom bus have the dimensions EventBusName and RuleName; RuleName alone means the default bus.
Only an answer that CloudWatch calls Complete counts; with any other the gate is asked again.

Never: changes anything, or takes silence for success.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import Unreadable
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.runbook import fits
from selfheal.words import Direction, Verdict

FINE_UP_TO_S = 3 * 3600
"""Minutes up to here, five minutes beyond."""
USUAL_WINDOW_S = 300
"""Where nobody says since when."""
MAX_WINDOW_S = 8 * 86_400
MAX_RULES = 100
MAX_QUERIES = 500
RULE_METRICS = ("FailedInvocations", "Invocations")
VERDICTS = {"clean": Verdict.HOLDS, "red": Verdict.DOES_NOT_HOLD, "inconclusive": Verdict.UNKNOWN}


class CheckGate(Action):
    """AWS calls: 1 per rule, 1 for all metrics (per 500), 1 per alarm pattern of the system."""

    name = "check_gate"
    permissions = ("cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "events:ListTargetsByRule")
    reversible = False
    verify_for_s = 0.0

    def observe(self, request: Request) -> State:
        """Sums since the newest step, by what they count; None where there is no data. Raises Unreadable."""
        options = request.options
        rules = [*_keys(options["rules"] or ()), *_keys(options["earlier"] or ())]
        if not options["rules"] or not all(rules) or len(rules) > MAX_RULES:
            return {"bad": f"rules and earlier must list up to {MAX_RULES} rules as bus/name, and rules at least one"}
        end = time.time() // 60 * 60 + 60  # exclusive, so the minute that runs counts
        start = (options["since"] or time.time() - USUAL_WINDOW_S) // 60 * 60.0
        if not end - MAX_WINDOW_S < start < end:
            return {"bad": f"since must be within the last {MAX_WINDOW_S // 86_400} days, in epoch seconds"}
        functions = sorted({function for rule in rules for function in _functions_of(rule)})
        wanted = {f"{metric} {rule}": _of_rule(rule, metric) for rule in rules for metric in RULE_METRICS}
        wanted |= {f"Errors {function}": _errors_of(function) for function in functions}
        return {"sums": _sums(wanted, start, end), "red_alarms": _red_alarms(options["alarms"] or ()), "rules": rules}

    def decide(self, state: State, request: Request) -> Decision:
        """Judge what was read; nothing is changed by it."""
        if "bad" in state:
            return Decline(Refusal.BAD_OPTIONS, state["bad"])
        verdict, why = judge(state, request.options)
        return Change(Direction.READ, why, plan={"verdict": verdict, "seen": dict(state)})

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Only the numbers for the record."""
        return {"gate": change.plan["verdict"], "seen": change.plan["seen"]}

    def verify(self, request: Request, change: Change) -> Verification:
        """The verdict as the outcome."""
        return Verification(VERDICTS[change.plan["verdict"]], detail=f"{change.plan['verdict']}: {change.summary}")


def judge(state: State, options: Mapping[str, Any]) -> tuple[str, str]:
    """`clean`, `red` or `inconclusive`, and why. Pure."""
    sums, allowed = state["sums"], options["failed_invocations"]
    red = [f"{name} is in ALARM" for name in state["red_alarms"]]
    for name, value in sums.items():
        what, _, which = name.partition(" ")
        if what == "FailedInvocations" and (value or 0) > allowed:
            red.append(f"{value:.0f} FailedInvocations of {which}, at most {allowed} are allowed")
        if what == "Errors" and (value or 0) > 0:
            red.append(f"{value:.0f} errors of function {which}")
    if red:
        return "red", "; ".join(red)
    used = {rule: sums[f"Invocations {rule}"] or 0 for rule in options["rules"]}
    silent = [rule for rule, count in used.items() if not count]
    if silent and options["last"] and not options["quiet_ok"]:
        return "inconclusive", f"no event came through {', '.join(silent)}: nothing failed, and nothing is proven"
    return "clean", "; ".join(f"{rule}: {count:.0f} invocations, none failed" for rule, count in used.items())


def _keys(given: Sequence[object]) -> Iterator[str]:
    """`bus/name`; what is none becomes empty."""
    for rule in given:
        yield rule if isinstance(rule, str) and all(rule.rpartition("/")[::2]) else ""


def _which(rule: str) -> tuple[str, str]:
    bus, _, name = rule.rpartition("/")
    return bus, name


def _functions_of(rule: str) -> Iterator[str]:
    """`name` or `name:alias` of the Lambda functions that a rule invokes."""
    bus, name = _which(rule)
    try:
        pages = client("events").get_paginator("list_targets_by_rule").paginate(Rule=name, EventBusName=bus)
        targets = [target["Arn"] for page in pages for target in page.get("Targets", ())]
    except AwsError as error:
        translate(error, f"targets of rule {rule}")
    for arn in targets:
        service, function = arn.split(":")[2:3], arn.partition(":function:")[2]
        if service == ["lambda"] and function:
            yield function


def _of_rule(rule: str, metric: str) -> dict[str, Any]:
    bus, name = _which(rule)
    dimensions = [{"Name": "RuleName", "Value": name}]
    if bus != "default":
        dimensions.insert(0, {"Name": "EventBusName", "Value": bus})
    return {"Namespace": "AWS/Events", "MetricName": metric, "Dimensions": dimensions}


def _errors_of(function: str) -> dict[str, Any]:
    """An alias is a dimension of its own beside the function's name."""
    name, _, alias = function.partition(":")
    dimensions = [{"Name": "FunctionName", "Value": name}]
    if alias:
        dimensions.append({"Name": "Resource", "Value": function})
    return {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": dimensions}


def _sums(wanted: Mapping[str, Mapping[str, Any]], start: float, end: float) -> dict[str, float | None]:
    """Each metric's sum from `start` to `end`; None: no data at all, which is not zero."""
    period = 60 if end - start <= FINE_UP_TO_S else 300
    names = list(wanted)
    sums: dict[str, float | None] = {}
    for first in range(0, len(names), MAX_QUERIES):
        chunk = names[first : first + MAX_QUERIES]
        queries = [
            {"Id": f"m{place}", "MetricStat": {"Metric": wanted[name], "Period": period, "Stat": "Sum"}}
            for place, name in enumerate(chunk)
        ]
        values, status = _read(queries, start // period * period, end)
        if bad := sorted({each for each in status.values() if each != "Complete"}):
            raise Unreadable("metrics of the gate", f"CloudWatch answered {', '.join(bad)}")
        sums |= {name: sum(values[f"m{place}"]) if values[f"m{place}"] else None for place, name in enumerate(chunk)}
    return sums


def _read(queries: list[dict[str, Any]], start: float, end: float) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Values and the last status of each query: before the last page an answer is only partial."""
    values: dict[str, list[float]] = {query["Id"]: [] for query in queries}
    status = dict.fromkeys(values, "Missing")
    try:
        pages = (
            client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(
                MetricDataQueries=queries,
                StartTime=datetime.fromtimestamp(start, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
            )
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                values[result["Id"]] += result["Values"]
                status[result["Id"]] = result.get("StatusCode", "Complete")
    except AwsError as error:
        translate(error, "metrics of the gate")
    return values, status


def _red_alarms(patterns: Sequence[str]) -> list[str]:
    """Alarms of the system that are in ALARM, metric and composite ones. Raises Unreadable."""
    found: set[str] = set()
    for pattern in patterns:
        prefix = pattern.partition("*")[0].partition("?")[0]
        which = {"AlarmNamePrefix": prefix} if prefix else {}
        try:
            pages = (
                client("cloudwatch")
                .get_paginator("describe_alarms")
                .paginate(StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"], **which)
            )
            names = [
                alarm["AlarmName"]
                for page in pages
                for kind in ("MetricAlarms", "CompositeAlarms")
                for alarm in page.get(kind, [])
            ]
        except AwsError as error:
            translate(error, f"alarms {pattern}")
        found |= {name for name in names if fits(pattern, name)}
    return sorted(found)


lambda_handler = handler_for(CheckGate)
