"""Runs checks side by side in a few threads, and asks AWS together for what AWS answers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from selfheal.checks.finding import Finding, Mark, unknown
from selfheal.checks.kind import Check
from selfheal.checks.kinds import MODULES
from selfheal.checks.metrics import Wanted, read_sums
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

WORKERS = 8
"""AWS calls at a time: Lambda's control plane allows 15 a second for the whole account."""

Look = Callable[[Check], list[Finding]]
LookAll = Callable[[Sequence[Check]], list[list[Finding]]]

SINGLE: dict[str, Look] = {name: module.look for name, module in MODULES.items() if hasattr(module, "look")}
"""Kinds that are asked one by one: a task for each check."""
TOGETHER: dict[str, LookAll] = {
    name: module.look_all for name, module in MODULES.items() if hasattr(module, "look_all")
}
"""Kinds that AWS answers together: a task for all checks of a kind."""
METRICS = {name: module for name, module in MODULES.items() if hasattr(module, "judge")}
"""Kinds that read metrics: one task for all of them."""


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


def _tasks(checks: Sequence[Check]) -> list[tuple[list[int], LookAll]]:
    """What runs side by side: the places of some checks in the list, and what finds their findings."""
    shared: list[tuple[LookAll, set[str]]] = [(_metrics, set(METRICS))]
    shared += [(partial(_together, look), {kind}) for kind, look in TOGETHER.items()]
    tasks: list[tuple[list[int], LookAll]] = []
    for task, kinds in shared:
        places = [place for place, check in enumerate(checks) if check.kind in kinds]
        if places:
            tasks.append((places, task))
    tasks += [([place], _single) for place, check in enumerate(checks) if check.kind in SINGLE]
    return tasks


def _single(checks: Sequence[Check]) -> list[list[Finding]]:
    return [_told(check, SINGLE[check.kind]) for check in checks]


def _together(look_all: LookAll, checks: Sequence[Check]) -> list[list[Finding]]:
    try:
        return look_all(checks)
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
    for service in sorted({service for check in checks for service in MODULES[check.kind].SERVICES}):
        client(service)
