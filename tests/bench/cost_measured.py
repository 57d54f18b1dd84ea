"""What the cost model computes with: counted on the stage, or kept by other figures."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from selfheal.clients import client

from tests.bench.calls import _on_stage
from tests.bench.calls_incident import Counted, Story
from tests.bench.figure import REPOSITORY, kept
from tests.bench.peers import base_environment, python
from tests.bench.processes import Command, spend

HOURS = 730
CALL_MS = 10
"""Of one AWS call in the same region: not measured here, and small beside what INIT takes."""
PLATFORM_BYTES = 600
"""Lambda's own two lines of an invocation, as JSON (platform.start, platform.report), with 26 bytes each that
CloudWatch Logs adds to an event."""


@dataclass
class Printed:
    """What was written to the log by some invocations."""

    bytes: int = 0
    metrics: set[tuple[str, ...]] = field(default_factory=set)
    """Custom metrics: namespace, name, and the value of each dimension."""


@dataclass(frozen=True)
class Seen:
    """An hour without an alarm, and one incident, as counted on the stage; durations in ms of CPU."""

    idle: Counted
    idle_printed: Printed
    idle_cpu_ms: float
    incident: Counted
    incident_printed: Printed
    incident_cpu_ms: float
    actions: tuple[str, ...]


def watch(say: Callable[[str], None]) -> Seen:
    """Play both. CPU is with the stand-in for AWS, which runs in this process: more than what Lambda would bill."""
    with _on_stage(REPOSITORY / "layers" / "runbooks") as (here, watched):
        os.environ["UNRECORDED_QUEUE"] = str(client("sqs").create_queue(QueueName="unrecorded")["QueueUrl"])
        try:
            story = Story(here, watched)
            say("an hour of the clock")
            with _printed() as idle_printed:
                began = time.process_time()
                idle = _sum(story.an_idle_hour())
                idle_cpu = (time.process_time() - began) * 1000 / 61
            say("an incident")
            with _printed() as incident_printed:
                began = time.process_time()
                incident = _sum([story.alarm("ALARM"), *story.to_the_end().values()])
                incident_cpu = (time.process_time() - began) * 1000 / max(1, incident.invocations)
        finally:
            del os.environ["UNRECORDED_QUEUE"]
    return Seen(idle, idle_printed, idle_cpu, incident, incident_printed, incident_cpu, tuple(story.actions))


def _sum(parts: list[Counted]) -> Counted:
    whole = Counted()
    for one in parts:
        whole.calls += one.calls
        whole.write_units += one.write_units
        whole.read_units += one.read_units
        whole.entries += one.entries
        whole.invocations += one.invocations
    return whole


@contextmanager
def _printed() -> Iterator[Printed]:
    """Everything that goes to standard output meanwhile: Lambda puts it into the log."""
    printed = Printed()
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        real = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield printed
        finally:
            sys.stdout.flush()
            os.dup2(real, 1)
            os.close(real)
        file.seek(0)
        lines = file.read().splitlines()
    for line in lines:
        printed.bytes += len(line) + 26
        if b'"_aws"' in line:
            printed.metrics |= set(_metrics(json.loads(line)))


def _metrics(line: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for group in line["_aws"]["CloudWatchMetrics"]:
        for dimensions in group["Dimensions"]:
            for metric in group["Metrics"]:
                yield (group["Namespace"], metric["Name"], *(str(line[name]) for name in dimensions))


def by_service(counted: Counted) -> Counter[str]:
    """Calls per service, as IAM names it."""
    return Counter(call.name.partition(":")[0] for call in counted.calls)


def warm_ms(what: str, otherwise: float, calls: int) -> float:
    """Of one invocation: as measured on the local stack, or its CPU here and its calls."""
    figure = kept("alarm_to_contained") or {"facts": {}}
    value = figure["facts"].get(f"{what}_warm_ms") or 0.0
    return float(value) or otherwise + calls * CALL_MS


def init_ms(what: str) -> float:
    """Of a cold start, as the cold start figure kept it; else the CPU that it takes here to import the handler."""
    figure = kept("cold_start") or {"facts": {}}
    names = [name for name in figure["facts"] if name.endswith("_init_wall_ms")]
    value = figure["facts"].get(f"{what}_init_wall_ms") or max((figure["facts"][name] for name in names), default=None)
    return _import_ms(what) if value is None else float(value)


def _import_ms(what: str) -> float:
    env = base_environment(PYTHONPATH=".:layers/selfheal", LEDGER_TABLE="ledger", EVENT_BUS="bus")
    return spend(Command([python(), "-c", f"import functions.{what}.app"], env, REPOSITORY)).cpu_ms
