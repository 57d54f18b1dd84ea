"""The local stack as the bench uses it: one system, broken and reset again and again, and its workers' CPU."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from local import release, stack, system

ALARM = system.ALARMS[0]
HELD_S = 60
"""The alarm's period here: what is set by hand stands so long."""
QUIET_S = 0.6
"""So long nothing of an incident may move before the next one begins."""
PATIENCE_S = 40.0
FUNCTIONS = {
    "Respond": "Respond",
    "halt_trading": "SwitchTrading",
    "disable_schedule": "SwitchSchedule",
    "roll_back_alias": "RollBackAlias",
    "telling people": "Notify",
}
"""What is measured → logical id."""
_LINE = re.compile(r'"function_name":"([^"]+)".*"function_request_id":"([^"]+)"')
_REPORT = re.compile(r"REPORT RequestId: (\S+)\tDuration: ([\d.]+) ms")


@dataclass(frozen=True)
class Healed:
    """One incident: its document, the records of its actions by name, the workers' CPU (ms) by what they do."""

    incident: Mapping[str, Any]
    records: Mapping[str, Mapping[str, Any]]
    cpu_ms: Mapping[str, float]
    took_ms: Mapping[str, list[float]]
    """How long each invocation took, as the platform reports it."""

    def since_red_ms(self, at: float) -> float:
        """From the alarm's state change to a moment (epoch seconds)."""
        return at * 1000 - float(self.incident["red_at_ms"])

    @property
    def contained_ms(self) -> float:
        """Until both safe steps were answered."""
        return self.since_red_ms(self.incident["contained_at"])

    @property
    def whole_ms(self) -> float:
        """Until the rollback was answered as well."""
        return self.since_red_ms(self.incident["remediated_at"])


class Broken:
    """The demo system on a running stack: broken, healed, measured."""

    def __init__(self, running: stack.Stack) -> None:
        self.stack = running
        self.client: Callable[[str], Any] = running.account.client
        self.ledger = running.account.outputs(stack.NAME)["LedgerTable"]
        running.system.publish_faulty()
        self._hold_the_alarm()

    @cached_property
    def names(self) -> dict[str, str]:
        """What is measured → physical name of its function."""
        described = self.client("cloudformation").describe_stack_resources(StackName=stack.NAME)["StackResources"]
        physical = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in described}
        return {what: physical[logical] for what, logical in FUNCTIONS.items()}

    # -- the system -----------------------------------------------------------------------------------------------

    def break_it(self) -> None:
        """As it was when the alarm went red: the faulty version live, trading on, the schedule on, nothing known."""
        self._wait_until_quiet()
        self.release_faulty()
        self.client("ssm").put_parameter(Name=system.FLAG, Value="true", Overwrite=True)
        scheduler = self.client("scheduler")
        found = scheduler.get_schedule(Name=system.SCHEDULE)
        fields = scheduler.meta.service_model.operation_model("UpdateSchedule").input_shape.members
        kept = {name: value for name, value in found.items() if name in fields}
        scheduler.update_schedule(**{**kept, "State": "ENABLED"})
        self.lift_limit()
        self.set_alarm("OK")
        self._wait_until_quiet()
        self.forget()

    def release_faulty(self) -> None:
        """The faulty version live."""
        release.point(self.stack.account, system.FUNCTION, system.ALIAS, system.FAULTY)

    def lift_limit(self) -> None:
        """No reserved concurrency."""
        self.client("lambda").delete_function_concurrency(FunctionName=system.FUNCTION)

    @property
    def limit(self) -> int | None:
        """The function's reserved concurrency."""
        found = self.client("lambda").get_function_concurrency(FunctionName=system.FUNCTION)
        limit: int | None = found.get("ReservedConcurrentExecutions")
        return limit

    def break_it_silently(self) -> None:
        """The same with the alarm red, and without Respond hearing of it: a single action is to be asked for."""
        self.break_it()
        self.client("events").disable_rule(**self._rule)
        try:
            self.set_alarm("ALARM")
            time.sleep(0.2)
        finally:
            self.client("events").enable_rule(**self._rule)

    @cached_property
    def _rule(self) -> dict[str, str]:
        """The rule that takes alarms to Respond."""
        for rule in self.client("events").list_rules()["Rules"]:
            if "CloudWatch Alarm State Change" in rule.get("EventPattern", ""):
                return {"Name": rule["Name"], "EventBusName": rule["EventBusName"]}
        raise AssertionError("no rule takes alarms to Respond")

    def configuration(self, logical_id: str) -> Mapping[str, Any]:
        """A function of selfheal as it was deployed."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=stack.NAME, LogicalResourceId=logical_id
        )["StackResourceDetail"]
        answer: Mapping[str, Any] = self.client("lambda").get_function_configuration(
            FunctionName=found["PhysicalResourceId"]
        )
        return answer

    def set_alarm(self, state: str) -> None:
        """The alarm's state, for as long as HELD_S."""
        self.client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="the bench")

    def forget(self) -> None:
        """Empty the ledger."""
        for item in self._items():
            self.client("dynamodb").delete_item(TableName=self.ledger, Key={"pk": item["pk"], "sk": item["sk"]})

    def heal(self, *, cold: bool) -> Healed:
        """Red; what selfheal makes of it until it has rolled back. `cold`: with no process of its functions left."""
        self.break_it()
        if cold:
            self._end_workers()
        before = self._cpu()
        began = round(time.time() * 1000)
        self.set_alarm("ALARM")
        incident = self._until(lambda found: found["remediated_at"])
        assert incident["contained_at"], incident
        self._wait_until_quiet()
        after = self._cpu()
        spent = {
            what: sum(ms - before.get(what, {}).get(pid, 0.0) for pid, ms in pids.items())
            for what, pids in after.items()
        }
        return Healed(incident, self._records(), spent, self._reported(began))

    def reference(self) -> dict[str, str]:
        """The red alarm as a request names it."""
        found = self.client("cloudwatch").describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]
        at = str(round(found["StateUpdatedTimestamp"].timestamp() * 1000))
        return {"name": ALARM, "arn": found["AlarmArn"], "state_at": at}

    # -- what happened --------------------------------------------------------------------------------------------

    def _until(self, done: Callable[[Mapping[str, Any]], object]) -> Mapping[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            time.sleep(0.25)
            for item in self._items():
                if item["pk"]["S"] == "OPEN" and done(found := json.loads(item["doc"]["S"])):
                    incident: Mapping[str, Any] = found
                    return incident
        raise AssertionError(f"not healed within {PATIENCE_S:.0f} s: {list(self._items())}")

    def _records(self) -> dict[str, Mapping[str, Any]]:
        found = {}
        for item in self._items():
            if item["pk"]["S"].startswith("ACTION#") and item["sk"]["S"] == "ACTION" and item["run"]["S"] == "done":
                document = json.loads(item["doc"]["S"])
                found[document["request"]["action"]] = document
        return found

    def _items(self) -> list[Mapping[str, Any]]:
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.ledger, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def _hold_the_alarm(self) -> None:
        cloudwatch = self.client("cloudwatch")
        alarm = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]
        settings = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
        kept = {name: value for name, value in alarm.items() if name in settings}
        cloudwatch.put_metric_alarm(**{**kept, "Period": HELD_S})

    def _reported(self, since_ms: int) -> dict[str, list[float]]:
        """The durations (ms) that the platform has reported, without INIT. The functions share a log group: whose a
        report is, its request's own lines say."""
        group = self.configuration("Respond")["LoggingConfig"]["LogGroup"]
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since_ms)
        lines = [event["message"] for page in pages for event in page["events"]]
        whose = {found[2]: found[1] for line in lines if (found := _LINE.search(line))}
        names = {name: what for what, name in self.names.items()}
        took: dict[str, list[float]] = {what: [] for what in FUNCTIONS}
        for line in lines:
            if (found := _REPORT.search(line)) and (what := names.get(whose.get(found[1], ""))):
                took[what].append(float(found[2]))
        return took

    # -- workers --------------------------------------------------------------------------------------------------

    def _cpu(self) -> dict[str, dict[int, float]]:
        """CPU (ms) that each worker has used since it was started, by what it does; of all its threads."""
        return {what: {pid: _cpu_ms(pid) for pid in pids} for what, pids in self._workers().items()}

    def _workers(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {what: set() for what in FUNCTIONS}
        endpoint = f"AWS_ENDPOINT_URL={self.stack.emulator.endpoint}".encode()
        named = {f"AWS_LAMBDA_FUNCTION_NAME={name}".encode(): what for what, name in self.names.items()}
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                variables = set(path.read_bytes().split(b"\0"))
                if endpoint in variables and (what := named.keys() & variables):
                    found[named[what.pop()]].add(int(path.parent.name))
        return found

    def _end_workers(self) -> None:
        for pids in self._workers().values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        while any(self._workers().values()):
            time.sleep(0.05)

    def _wait_until_quiet(self) -> None:
        """Until no worker has used CPU for a while: what is still on its way would be counted to the next incident."""
        known, since, deadline = self._cpu(), time.monotonic(), time.monotonic() + PATIENCE_S
        while time.monotonic() < min(since + QUIET_S, deadline):
            time.sleep(0.1)
            now = self._cpu()
            if any(abs(ms - known[what].get(pid, 0.0)) > 1 for what, pids in now.items() for pid, ms in pids.items()):
                known, since = now, time.monotonic()


def _cpu_ms(pid: int) -> float:
    """Of another process: the kernel's clock of its CPU time, whose id is made from the process's."""
    try:
        return time.clock_gettime((~pid << 3) | 2) * 1000
    except OSError:  # gone
        return 0.0
