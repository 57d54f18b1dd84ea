"""Runs checks side by side in a few threads, and asks AWS together for what AWS answers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from selfheal.checks import (
    alarms,
    alias,
    bus,
    flag,
    invocations,
    permission,
    queue,
    rules,
    schedule,
    table,
    throttles,
    topic,
)
from selfheal.checks.finding import Finding, Mark, unknown
from selfheal.checks.kinds import Check
from selfheal.checks.metrics import Wanted, read_sums
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

WORKERS = 8
"""AWS calls at a time: Lambda's control plane allows 15 a second for the whole account."""

Look = Callable[[Check], list[Finding]]

SINGLE: dict[str, tuple[str, Look]] = {
    "alias": ("lambda", alias.look),
    "schedule": ("scheduler", schedule.look),
    "rules": ("events", rules.look),
    "queue": ("sqs", queue.look),
    "table": ("dynamodb", table.look),
    "topic": ("sns", topic.look),
    "bus": ("events", bus.look),
    "flag": ("ssm", flag.look),
    "permission": ("iam", permission.look),
}
"""Kind → AWS service, function. One task for each check."""
METRICS = {"invocations": invocations, "throttles": throttles}
"""Kinds that read metrics: one task for all of them."""
ALARMS = "alarms"


def run(checks: Sequence[Check], timeout_s: float) -> list[Finding]:
    """The findings in the order of the checks. What is not done after `timeout_s` is unknown."""
    _make_clients(checks)
    pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="check")
    tasks: list[tuple[list[int], Future[list[list[Finding]]]]] = []
    for places, task in _tasks(checks):
        tasks.append((places, pool.submit(task, [checks[place] for place in places])))
    wait([future for _, future in tasks], timeout=timeout_s)
    pool.shutdown(wait=False, cancel_futures=True)
    found: dict[int, list[Finding]] = {}
    for places, future in tasks:
        if future.done() and not future.cancelled():
            found.update(zip(places, future.result(), strict=True))
        else:
            found.update({place: [unknown(checks[place], f"not done within {timeout_s:.0f} s")] for place in places})
    return [finding for place in range(len(checks)) for finding in found[place]]


Task = Callable[[Sequence[Check]], list[list[Finding]]]


def _tasks(checks: Sequence[Check]) -> list[tuple[list[int], Task]]:
    """What runs side by side: the places of some checks in the list, and what finds their findings."""
    tasks: list[tuple[list[int], Task]] = []
    for task, kinds in ((_alarms, {ALARMS}), (_metrics, set(METRICS))):
        places = [place for place, check in enumerate(checks) if check.kind in kinds]
        if places:
            tasks.append((places, task))
    tasks += [([place], _single) for place, check in enumerate(checks) if check.kind in SINGLE]
    return tasks


def _single(checks: Sequence[Check]) -> list[list[Finding]]:
    return [_told(check, SINGLE[check.kind][1]) for check in checks]


def _alarms(checks: Sequence[Check]) -> list[list[Finding]]:
    try:
        return alarms.look(checks)
    except (TargetForbidden, Unreadable, NotApplied) as error:
        return [[unknown(check, str(error))] for check in checks]


def _metrics(checks: Sequence[Check]) -> list[list[Finding]]:
    wanted: list[Wanted] = [each for check in checks for each in METRICS[check.kind].wanted(check)]
    try:
        sums = read_sums(wanted)
    except (TargetForbidden, Unreadable, NotApplied) as error:
        return [[unknown(check, str(error))] for check in checks]
    return [_told(check, lambda check: METRICS[check.kind].judge(check, sums)) for check in checks]


def _told(check: Check, look: Look) -> list[Finding]:
    """What is not there is a failure; what cannot be seen is unknown."""
    try:
        return look(check)
    except TargetNotFound:
        advice = "correct the name in the check, or deploy it"
        return [Finding(check.kind, check.resource, Mark.FAIL, "it does not exist", "it exists", advice)]
    except (TargetForbidden, Unreadable, NotApplied) as error:
        return [unknown(check, str(error))]


def _make_clients(checks: Sequence[Check]) -> None:
    """Here and not in the threads: a boto3 session must not be shared while it makes clients; clients may be."""
    kinds = {check.kind for check in checks}
    services = {SINGLE[kind][0] for kind in kinds & SINGLE.keys()}
    if kinds & {ALARMS, *METRICS}:
        services.add("cloudwatch")
    if kinds & {"permission", *METRICS}:
        services.add("lambda")
    for service in sorted(services):
        client(service)
