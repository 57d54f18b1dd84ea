"""The cost model: how many units of what, times prices. No number of its own but those named here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.cost_measured import CALL_MS, HOURS, PLATFORM_BYTES, Seen, by_service, init_ms, warm_ms
from tests.bench.cost_stack import LEDGER_GB, MINUTES, POLLS_PER_MIN, Stack
from tests.bench.figure import kept
from tests.bench.prices import Line, total, usd

LOG_MONTHS = 3
"""Retention is 90 days."""
SSM_STEPS, TRANSITIONS = 3, 5
"""Of one action as a runbook of SSM Automation (read, change, wait) and as a state machine around one function."""
FARGATE_VCPU, FARGATE_GB = 0.25, 0.5
METRICS_OF_AN_ACTION = 2
"""Its outcome and how long it took."""
GB = 1e9


def at_rest(stack: Stack, seen: Seen) -> list[Line]:
    """A month without an alarm: the clock ticks, alarms watch, Lambda polls its queue."""
    calls = by_service(seen.idle)
    hours = stack.ticks / 60
    per_tick = len(seen.idle.calls) / seen.idle.invocations
    took_ms = seen.idle_cpu_ms + per_tick * CALL_MS
    log_gb = stack.ticks * (seen.idle_printed.bytes / seen.idle.invocations + PLATFORM_BYTES) / GB
    return [
        Line("the clock: EventBridge Scheduler", stack.ticks, "schedule"),
        Line("the clock: invocations of Respond", stack.ticks, "lambda_request"),
        Line(
            f"the clock: {took_ms:.0f} ms of Respond a tick",
            stack.ticks * took_ms / 1000 * stack.respond_gb,
            "lambda_gb_s",
        ),
        Line("the clock: reads of the ledger", hours * seen.idle.read_units, "dynamodb_read"),
        Line("the clock: writes to the ledger", hours * seen.idle.write_units, "dynamodb_write"),
        Line("the clock: looks at alarms and mute rules", hours * calls["cloudwatch"], "cloudwatch_call"),
        Line("the clock: looks at the queue of what is not recorded", hours * calls["sqs"], "sqs"),
        Line("the clock: its log, and Lambda's", log_gb, "log_gb"),
        Line("the log, kept", log_gb * 0.15 * LOG_MONTHS, "log_kept_gb"),
        Line("custom metrics of the clock", len(seen.idle_printed.metrics), "metric"),
        Line("selfheal's own alarms", stack.alarms, "alarm"),
        Line("Lambda polls the paced queue", stack.mappings * POLLS_PER_MIN * MINUTES, "sqs"),
        Line("the ledger, kept", LEDGER_GB, "dynamodb_gb"),
        Line("the ledger, to any point in time", LEDGER_GB, "dynamodb_pitr_gb"),
    ]


@dataclass(frozen=True)
class Calls:
    """What the figure `calls` kept."""

    write_units: float
    read_units: float
    entries: float
    respond: float
    actions: float
    calls: float
    duplicate_write_units: float
    puts: int

    @classmethod
    def read(cls, actions: Sequence[str]) -> Calls:
        """Raises LookupError if that figure was never measured."""
        figure = kept("calls")
        if figure is None:
            raise LookupError("the cost model needs the figure calls: make bench ONE=calls")
        facts = figure["facts"]
        told = {
            row["who"].partition(" (")[0]: str(row["values"].get("target's calls", ""))
            for table in figure["tables"]
            for row in table["rows"]
        }
        puts = sum(
            int(match[1] or 1) for name in actions for match in re.finditer(r"(\d+ )?s3:PutObject", told.get(name, ""))
        )
        return cls(
            write_units=facts["dynamodb_write_units_per_incident"],
            read_units=facts["dynamodb_read_units_per_incident"],
            entries=facts["put_events_entries_per_incident"],
            respond=facts["respond_invocations_per_incident"],
            actions=facts["actions_per_incident"],
            calls=facts["calls_per_incident"] - facts["calls_per_incident_respond"],
            duplicate_write_units=facts["dynamodb_write_units_per_duplicate_alarm"],
            puts=puts,
        )


def incident(stack: Stack, seen: Seen, calls: Calls) -> list[Line]:
    """One incident from red to closed, Respond warm (its clock ticks), everything else cold."""
    per_respond = len(seen.incident.calls) / max(1, seen.incident.invocations)
    respond_ms = warm_ms("respond", seen.incident_cpu_ms, round(per_respond))
    per_action = calls.calls / calls.actions
    action_ms = warm_ms("roll_back_alias", seen.incident_cpu_ms, round(per_action))
    told_ms = warm_ms("telling_people", seen.idle_cpu_ms, 1)
    cold_ms, cold = init_ms("roll_back_alias"), len(set(seen.actions)) + 1
    told = calls.entries + 1
    invocations = calls.respond + calls.actions + told
    log_bytes = seen.incident_printed.bytes / max(1, seen.incident.invocations) + PLATFORM_BYTES
    metrics = len(seen.incident_printed.metrics - seen.idle_printed.metrics) + METRICS_OF_AN_ACTION * (cold - 1)

    def gb_s(times: float, took_ms: float, gb: float) -> float:
        return times * took_ms / 1000 * gb

    function_gb = stack.function_gb
    return [
        Line("SNS: the alarm, if it comes that way", 1, "sns"),
        Line("EventBridge: custom events", calls.entries, "event"),
        Line(
            f"Respond: {calls.respond:.0f} invocations of {respond_ms:.0f} ms",
            gb_s(calls.respond, respond_ms, stack.respond_gb),
            "lambda_gb_s",
        ),
        Line(
            f"Actions: {calls.actions:.0f} of {action_ms:.0f} ms",
            gb_s(calls.actions, action_ms, function_gb),
            "lambda_gb_s",
        ),
        Line(
            f"Actions and Notify: {cold} cold starts of {cold_ms:.0f} ms",
            gb_s(cold, cold_ms, function_gb),
            "lambda_gb_s",
        ),
        Line(f"Notify and the report: {told:.0f} of {told_ms:.0f} ms", gb_s(told, told_ms, function_gb), "lambda_gb_s"),
        Line("All invocations", invocations, "lambda_request"),
        Line("DynamoDB: writes", calls.write_units, "dynamodb_write"),
        Line("DynamoDB: reads", calls.read_units, "dynamodb_read"),
        Line("SQS: through the paced queue", 3, "sqs"),
        Line("S3: letters, evidence, reports", calls.puts + 4, "s3_put"),
        Line("SNS: people's topic", calls.entries, "sns"),
        Line("SNS: a mail for each", calls.entries, "sns_mail"),
        Line("Logs", invocations * log_bytes / GB, "log_gb"),
        Line("Custom metrics, for the hour in which they are told", metrics / HOURS, "metric"),
    ]


def of_one_action(stack: Stack, seen: Seen, calls: Calls) -> float:
    """USD of one action of an incident, with its share of everything but metrics and mails."""
    doing = [line for line in incident(stack, seen, calls) if line.price not in {"metric", "sns_mail"}]
    return total(doing) / calls.actions


def others(actions: float) -> dict[str, tuple[float, float, float]]:
    """Who else: USD of an incident of so many actions, of a month at rest, of 1,000 alarms with one action each."""
    ssm = SSM_STEPS * usd("ssm_step")
    machine = TRANSITIONS * usd("step_functions")
    fargate = HOURS * (FARGATE_VCPU * usd("fargate_vcpu_h") + FARGATE_GB * usd("fargate_gb_h"))
    return {
        f"SSM Automation, {SSM_STEPS} steps an action": (actions * ssm, 0.0, 1000 * ssm),
        f"Step Functions Standard, {TRANSITIONS} transitions an action": (actions * machine, 0.0, 1000 * machine),
        "always on: Fargate, 0.25 vCPU": (0.0, fargate, 0.0),
        "always on: t4g.small": (0.0, HOURS * usd("t4g_small_h"), 0.0),
        "always on: m4.xlarge (StackStorm's documented size)": (0.0, HOURS * usd("m4_xlarge_h"), 0.0),
    }


def storm_of_one_system(stack: Stack, seen: Seen, calls: Calls) -> float:
    """USD of 1,000 alarms of one system: one incident, and 999 that join it or are delivered again."""
    respond_ms = warm_ms("respond", seen.incident_cpu_ms, 2)
    each = (
        usd("lambda_request")
        + respond_ms / 1000 * stack.respond_gb * usd("lambda_gb_s")
        + calls.duplicate_write_units * usd("dynamodb_write")
        + (PLATFORM_BYTES * 2) / GB * usd("log_gb")
    )
    return total(incident(stack, seen, calls)) + 999 * each


def storm_of_many(stack: Stack, seen: Seen, calls: Calls) -> float:
    """USD of 1,000 alarms over 1,000 functions, an action each. Metrics have the same names: they are paid once."""
    once = sum(line.usd for line in incident(stack, seen, calls) if line.price == "metric")
    return 1000 * of_one_action(stack, seen, calls) + once
