"""Runs checks side by side in a few threads, and asks AWS together for what AWS answers together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue

from selfheal.checks.finding import Finding, Mark, unknown
from selfheal.checks.kind import Check
from selfheal.checks.kinds import MODULES
from selfheal.checks.metrics import Wanted, read_sums
from selfheal.checks.patience import LAMBDA_BURST, LAMBDA_PER_S, Pace, left_s, patiently, until
from selfheal.checks.turns import Turn
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

WORKERS = 8
"""AWS calls at a time."""

Look = Callable[[Check], list[Finding]]
LookAll = Callable[[Sequence[Check]], list[list[Finding]]]
Listed = Callable[[Sequence[Check], Turn], Sequence[list[Finding] | None]]

SINGLE: dict[str, Look] = {name: module.look for name, module in MODULES.items() if hasattr(module, "look")}
"""Kinds that are asked one by one: a task for each check."""
TOGETHER: dict[str, LookAll] = {
    name: module.look_all for name, module in MODULES.items() if hasattr(module, "look_all")
}
"""Kinds that AWS answers together: a task for all checks of a kind."""
LISTED = {name: module for name, module in MODULES.items() if hasattr(module, "FEW")}
"""Kinds of which AWS has lists: more than `FEW` checks are answered from those. None: this one is looked at by itself,
because the list does not tell enough of it, or tells that something is wrong."""
METRICS = {name: module for name, module in MODULES.items() if hasattr(module, "judge")}
"""Kinds that read metrics: one task for all of them."""


Task = Callable[[Sequence[Check]], Sequence[list[Finding] | None]]


def run(checks: Sequence[Check], timeout_s: float, turn: Turn | None = None) -> list[Finding]:
    """The findings in the order of the checks. What is not done after `timeout_s` is unknown.

    `turn`: which run of the same checks this is, for those that are looked at in turn.
    """
    _make_clients(checks)
    pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="check")
    found: dict[int, list[Finding]] = {}
    with until(time.monotonic() + timeout_s), _paced(checks):
        done: SimpleQueue[tuple[list[int], Future[Sequence[list[Finding] | None]]]] = SimpleQueue()

        def start(places: list[int], task: Task) -> None:
            future = pool.submit(copy_context().run, task, [checks[place] for place in places])
            future.add_done_callback(lambda future: done.put((places, future)))

        waiting = 0
        for places, task in _tasks(checks, turn or Turn()):
            start(places, task)
            waiting += 1
        while waiting and (left := left_s()) > 0:
            try:
                places, future = done.get(timeout=left)
            except Empty:
                break
            waiting -= 1
            for place, findings in zip(places, future.result(), strict=True):
                if findings is None:
                    start([place], _single)
                    waiting += 1
                else:
                    found[place] = findings
        pool.shutdown(wait=False, cancel_futures=True)
    late = f"not done within {timeout_s:.0f} s"
    return [one for place, check in enumerate(checks) for one in found.get(place, [unknown(check, late)])]


def _tasks(checks: Sequence[Check], turn: Turn) -> Iterator[tuple[list[int], Task]]:
    """What runs side by side: the places of some checks in the list, and what finds their findings."""
    places: dict[str, list[int]] = {}
    for place, check in enumerate(checks):
        places.setdefault(check.kind, []).append(place)
    of_metrics = sorted(place for kind in METRICS for place in places.get(kind, ()))
    if of_metrics:
        yield of_metrics, _metrics
    alone: list[int] = []
    for kind, of_kind in places.items():
        if kind in TOGETHER:
            yield of_kind, partial(_together, TOGETHER[kind])
        elif kind in LISTED and len(of_kind) > LISTED[kind].FEW:
            yield of_kind, partial(_listed, LISTED[kind].listed, turn)
        elif kind in SINGLE:
            alone += of_kind
    for place in sorted(alone):
        yield [place], _single


def _single(checks: Sequence[Check]) -> list[list[Finding]]:
    return [_told(check, SINGLE[check.kind]) for check in checks]


def _together(look_all: LookAll, checks: Sequence[Check]) -> list[list[Finding]]:
    try:
        return look_all(checks)
    except (TargetForbidden, Unreadable, NotApplied) as error:
        return [[unknown(check, str(error))] for check in checks]


def _listed(look: Listed, turn: Turn, checks: Sequence[Check]) -> Sequence[list[Finding] | None]:
    """Without the list each is looked at by itself; half of the time is left for that."""
    try:
        with until(time.monotonic() + left_s() / 2):
            return look(checks, turn)
    except (TargetForbidden, Unreadable, NotApplied):
        return [None] * len(checks)


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
        return patiently(lambda: look(check))
    except TargetNotFound:
        advice = "correct the name in the check, or deploy it"
        return [Finding(check.kind, check.resource, Mark.FAIL, "it does not exist", "it exists", advice)]
    except (TargetForbidden, Unreadable, NotApplied) as error:
        return [unknown(check, str(error))]


def _make_clients(checks: Sequence[Check]) -> None:
    """Here and not in the threads: a boto3 session must not be shared while it makes clients; clients may be."""
    for service in sorted({service for check in checks for service in MODULES[check.kind].SERVICES}):
        client(service)


@contextmanager
def _paced(checks: Sequence[Check]) -> Iterator[None]:
    """Every call to Lambda waits for its place, repeated ones as well."""
    if not any("lambda" in MODULES[check.kind].SERVICES for check in checks):
        yield
        return
    pace, events = Pace(LAMBDA_BURST, LAMBDA_PER_S), client("lambda").meta.events
    events.register("before-send.lambda", pace.take)
    try:
        yield
    finally:
        events.unregister("before-send.lambda", pace.take)
