"""A sweep of 10, 100 and 1,000 resources of each kind: calls and time of CheckHealth, of a script, of AWS's lists."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import boto3
from selfheal.checks.patience import LAMBDA_PER_S

from tests.bench.figure import REPOSITORY, Bar, Chart, Figure, Goal, Row, Table
from tests.bench.peers import base_environment, python
from tests.bench.processes import Command, in_turn, spend

SIZES = (10, 100, 1_000)
PART_S = 6
"""So long the script runs on 1,000: to its end it takes minutes."""
ROUNDS = 3
CALLS, FLOOR_RATIO = 45, 1.3
NAIVE = 5
"""Calls that a script makes for each: function, alias, alarm, queue, schedule."""
TO_LOOK = {
    "DescribeAlarms", "GetAlias", "GetFunctionConcurrency", "GetFunctionConfiguration", "GetMetricData",
    "GetQueueAttributes", "GetQueueUrl", "GetSchedule", "ListFunctions", "ListSchedules",
}  # fmt: skip
"""The other calls are the ledger's, the report's and the event's: they do not grow."""
LAMBDA = {"GetAlias", "GetFunctionConcurrency", "GetFunctionConfiguration", "ListFunctions"}


@dataclass(frozen=True)
class Swept:
    """One sweep. `told`: what the process says of it; `calls` by operation."""

    told: Mapping[str, float]
    calls: Mapping[str, int]

    @property
    def to_look(self) -> int:
        """Calls that look at resources, repeated ones included."""
        return sum(count for name, count in self.calls.items() if name in TO_LOOK)

    @property
    def others(self) -> int:
        """Of the ledger, the report and the event."""
        return sum(self.calls.values()) - self.to_look - self.calls.get("throttled", 0)

    @property
    def look_s(self) -> float:
        """Wall seconds of looking."""
        return self.told.get("look_s", self.told["wall_s"])


def measure(say: Callable[[str], None]) -> Figure:
    """First what is measured against the floor, in turn and alone; then, side by side, what waits for AWS's limits."""
    alone: dict[tuple[str, int], Swept] = {}
    for size in SIZES:
        rounds = ROUNDS if size == SIZES[-1] else 1
        say(f"{size} of each, alone")
        with account(size) as one, account(size) as other:
            found = in_turn(
                {
                    "pages": partial(sweep, one, "pages", size),
                    "selfheal_lists": partial(sweep, other, "selfheal_lists", size),
                },
                rounds,
                say,
            )
        alone |= {(who, size): _middle(swept) for who, swept in found.items()}
    say("what waits for AWS's limits, side by side")
    slow = [(who, size, "no") for who in ("serial", "threads", "selfheal") for size in SIZES]
    slow.append(("selfheal_lists", SIZES[-1], "busy"))
    with ThreadPoolExecutor(len(slow)) as pool:
        swept = dict(zip(slow, pool.map(lambda one: _apart(*one), slow), strict=True))
    return _figure(alone, swept)


def _apart(who: str, size: int, busy: str) -> Swept:
    with account(size, busy=busy) as url:
        return sweep(url, who, size)


def _middle(swept: Sequence[Swept]) -> Swept:
    names = swept[0].told
    return Swept({name: median(one.told[name] for one in swept) for name in names}, swept[-1].calls)


@contextmanager
def account(size: int, *, busy: str = "no") -> Iterator[str]:
    """The address of a new account."""
    command = [python(), "-m", "tests.bench.sweep_account", str(size), busy]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def sweep(url: str, who: str, size: int) -> Swept:
    """One process that sweeps. Raises RuntimeError if it did not come to its end."""
    argv = [python(), "-m", "tests.bench.sweep_run", who, str(size), str(PART_S if size == SIZES[-1] else 60)]
    ran = spend(Command(argv, _environment(AWS_ENDPOINT_URL=url), REPOSITORY))
    if ran.status != 0:
        raise RuntimeError(f"{who} of {size} failed: {ran.output[-2000:]}")
    told: dict[str, float] = next(json.loads(line) for line in ran.output.splitlines() if '"cpu_s"' in line)
    with urllib.request.urlopen(f"{url}/calls") as answer:  # noqa: S310 - our own stub
        calls: dict[str, int] = json.load(answer)
    return Swept(told, calls)


def _environment(**more: str) -> dict[str, str]:
    return base_environment(
        PYTHONPATH=":".join((".", "layers/selfheal", "layers/build")),
        ARCHIVE_BUCKET="archive", EVENT_BUS="selfheal", HOME_ACCOUNT="123456789012", HOME_PARTITION="aws",
        LEASE_SECONDS="360", LEDGER_TABLE="ledger", POWERTOOLS_SERVICE_NAME="selfheal", **more,
    )  # fmt: skip


COLUMNS = ("calls to look", "other calls", "throttled", "wall of looking, s", "wall in all, s", "CPU, s", "not known")
NAMES = {
    "serial": "a script, one call after the other",
    "threads": "the script with 16 threads",
    "pages": "AWS's lists alone (floor)",
    "selfheal_lists": "selfheal, lists",
    "selfheal": "selfheal, lists and the share of this run",
}


def _row(who: str, size: int, swept: Swept, more: str = "") -> Row:
    part = f" (the first {swept.told['looked_at']:.0f} in {PART_S} s)" if swept.told["looked_at"] < size else ""
    values: dict[str, Any] = {
        "calls to look": swept.to_look,
        "other calls": swept.others,
        "throttled": swept.calls.get("throttled", 0),
        "wall of looking, s": swept.look_s,
        "wall in all, s": swept.told["wall_s"],
        "CPU, s": swept.told["cpu_s"],
        "not known": int(swept.told["unknown"]),
    }
    return Row(f"{NAMES[who]}{more}{part}", values, ours=who.startswith("selfheal"))


def _figure(alone: Mapping[tuple[str, int], Swept], slow: Mapping[tuple[str, int, str], Swept]) -> Figure:
    most = SIZES[-1]
    tables = []
    for size in SIZES:
        rows = [_row(who, size, slow[who, size, "no"]) for who in ("serial", "threads")]
        rows += [_row(who, size, alone[who, size]) for who in ("pages", "selfheal_lists")]
        rows.append(_row("selfheal", size, slow["selfheal", size, "no"]))
        if size == most:
            rows.append(
                _row("selfheal_lists", size, slow["selfheal_lists", size, "busy"], ", every second call throttled")
            )
        tables.append(Table(COLUMNS, rows, f"{size:,} functions, aliases, alarms, queues and schedules"))
    lists, floor, busy = alone["selfheal_lists", most], alone["pages", most], slow["selfheal_lists", most, "busy"]
    ratio = lists.look_s / floor.look_s
    whole = lists.told["wall_s"] / floor.told["wall_s"]
    share = slow["selfheal", most, "no"]
    closely = share.to_look - lists.to_look
    lambda_calls = sum(share.calls.get(name, 0) for name in LAMBDA)
    goals = [
        Goal(
            f"calls to look at {most:,} of each (a script: {NAIVE * most:,})",
            f"≤ {CALLS}", f"{lists.to_look}", lists.to_look <= CALLS,
        ),
        Goal(
            f"wall of looking at {most:,} of each, by AWS's lists alone",
            f"≤ {FLOOR_RATIO} times", f"{ratio:.2f} times",
            ratio <= FLOOR_RATIO,
            "" if ratio <= FLOOR_RATIO else
            f"it is CPU, {lists.told['cpu_s']:.1f} s against {floor.told['cpu_s']:.1f} s: two metrics of each queue "
            "instead of one, and 3,010 findings",
        ),
        Goal(
            "a sweep of which every second call is throttled", "0 not known, no exception",
            f"{busy.told['unknown']:.0f} not known", not busy.told["unknown"],
            "" if not busy.told["unknown"] else "a minute was too short for so many repeated calls",
        ),
    ]  # fmt: skip
    bars = [
        Bar("a script (5,000 calls)", NAIVE * most),
        Bar("selfheal, lists", lists.to_look, ours=True),
        Bar("selfheal, with this run's share", share.to_look, ours=True),
        Bar("AWS's lists alone", floor.to_look),
    ]
    return Figure(
        name="sweep",
        title="Health sweep",
        question="What does it cost to look at 1,000 resources of each kind, and what can't be seen by the page?",
        tables=tables,
        goals=goals,
        chart=Chart(f"Calls of a sweep of {most:,} of each", "calls that look", bars, logarithmic=True),
        how=(
            "A stub answers after 20 ms and throttles as AWS does: 15 calls a second to Lambda's control plane, 9 "
            "DescribeAlarms a second, each with as many at once.",
            "The script makes five calls for each: GetFunctionConfiguration, GetAlias, DescribeAlarms, "
            "GetQueueAttributes, GetSchedule, with boto3 as it comes. The floor reads AWS's lists, four side by side.",
            "selfheal is CheckHealth through its handler: a sweep of a runbook with the engine, the ledger, the report "
            "and the event, which are the other calls. Wall and CPU are from the first client to the last answer.",
            "Floor and lists were measured alone, in turn; what waits for AWS's limits ran side by side.",
        ),
        notes=(
            "AWS has no list that tells the version behind an alias, the state of a function or the end of a schedule. "
            f"{closely} more calls looked at this run's share of them closely. {lambda_calls} of all were Lambda's, "
            f"at {LAMBDA_PER_S} a second so that rollbacks get theirs: hence the time. The report says how many were "
            "not looked at, and within how many runs each is. Of an alias that was not looked at nothing is claimed.",
            "10 of each are all looked at closely, with more calls than the script: it does not ask for the "
            "concurrency of a function, nor whether the version behind an alias can run.",
            f"In all, report and ledger included, the lists took {whole:.2f} times the floor's wall.",
            "Queues pass by CloudWatch's count, some minutes old; one with a message, or without a count, is read by "
            "itself. Here none has one.",
            f"On {most:,} the script ran for {PART_S} s: to its end it makes {NAIVE * most:,} calls, for which "
            f"Lambda's limit alone takes {2 * most / 15:.0f} s.",
        ),
        versions={"boto3": boto3.__version__},
        facts={
            "sweep_1000_calls": lists.to_look,
            "sweep_1000_other_calls": lists.others,
            "sweep_1000_wall_s": lists.told["wall_s"],
            "sweep_1000_share_calls": closely,
        },
    )
