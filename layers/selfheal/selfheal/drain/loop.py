"""One run of a drain: receive, take, delete, until the work or the time of this run is over."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from selfheal.drain import move_task
from selfheal.drain.canary import LOOK, watch_until
from selfheal.drain.hand import Hand
from selfheal.drain.lanes import MOST, side_by_side
from selfheal.drain.report import Report
from selfheal.drain.taking import Taking
from selfheal.drain.timing import Timing
from selfheal.drain.way import Plan, Way
from selfheal.queue import BATCH, Queue
from selfheal.replay_record import Phase, Progress, ReplayRecord

MAX_IDLE_RUNS = 5
"""In a row, in which nothing could be taken; the clock starts one a minute."""
LEFTOVERS = 50
"""Receives that look for letters which an earlier run took and did not delete, once no further may be taken."""


class Drain:
    """Goes on from the record. Raises TargetNotFound, TargetForbidden, Unreadable, LedgerUnavailable."""

    def __init__(self, way: Way, queue: Queue, plan: Plan, *, record: ReplayRecord, timing: Timing) -> None:
        self._way = way
        self._queue = queue
        self._plan = plan
        self._record = record
        self._timing = timing
        self._report = Report()
        self._hand = Hand(queue, self._report.stays)
        self._taking = Taking(way, plan, record=record, hand=self._hand, report=self._report, timing=timing)
        self._failed = threading.Event()
        self._taken_before = 0

    def run(self) -> Mapping[str, Any]:
        """The evidence: of the whole drain where it is over, else of this run."""
        progress = self._record.begin(Phase.CANARY if self._plan["canary"] else Phase.REST)
        if progress.is_over:
            return progress.evidence
        try:
            progress = self._drain()
        finally:
            self._hand.let_go()
        return progress.evidence if progress.is_over else self._report.evidence(progress, self._plan)

    @property
    def _so_far(self) -> Progress:
        return self._record.so_far

    def _drain(self) -> Progress:
        self._taken_before = self._so_far.taken
        if self._so_far.phase is Phase.CANARY:
            ended = self._take_all(self._plan["canary"], 1)
            if ended is not None:
                return ended
            self._hand.put_back()
            self._record.advance(phase=Phase.WATCH, watch_until=watch_until(self._plan, self._timing.now()))
        if self._so_far.phase is Phase.WATCH:
            if not self._timing.wait_until(self._so_far.watch_until):
                return self._so_far
            ended = self._look()
            if ended is not None:
                return ended
            self._record.advance(phase=Phase.REST)
        if not self._plan["archive"]:
            return self._let_sqs_move()
        limit = self._plan["limit"]
        return self._take_all(limit, self._lanes(limit - self._so_far.taken)) or self._finish()

    def _take_all(self, most: int, lanes: int) -> Progress | None:
        """None: `most` are taken and deleted. Else the end of this run."""
        leftovers = 0
        while not self._timing.is_late():
            if self._so_far.taken < most:
                side_by_side(lambda: self._lane(most), lanes)
            else:
                leftovers += 1
                self._taking.judge(self._hand.receive(BATCH))
            if self._taking.stopped:
                return self._stop()
            if most <= self._so_far.taken and (
                self._so_far.phase is Phase.CANARY or self._so_far.taken == self._so_far.deleted
            ):
                return None
            if self._hand.has_seen_all() or leftovers > LEFTOVERS:
                return self._end_of_queue()
        return self._pause()

    def _lanes(self, to_take: int) -> int:
        """As many as have work at the rate that is allowed. Order needs a single one."""
        chunks = -(-to_take // self._chunk)
        if not self._way.sends:
            return max(1, min(MOST, chunks))
        return 1 if self._plan["fifo"] else max(1, min(MOST, chunks, self._plan["per_second"] // self._chunk))

    @property
    def _chunk(self) -> int:
        """No more than what is sent in a second: a run that dies leaves no more in doubt. FIFO gives ten at a time."""
        rate = self._plan["per_second"] if self._way.sends else self._way.chunk
        return min(self._way.chunk, rate, BATCH if self._plan["fifo"] else self._way.chunk)

    def _lane(self, most: int) -> None:
        """Chunk after chunk, until there is nothing more to do for this lane."""
        try:
            while not (self._timing.is_late() or self._taking.stopped or self._failed.is_set()):
                reserved = self._record.reserve(self._chunk, most)
                if not reserved:
                    return
                to_take = self._received(reserved)
                if to_take:
                    self._taking.take(to_take)
                if self._hand.has_seen_all():
                    return
        except BaseException:
            self._failed.set()
            raise

    def _received(self, reserved: int) -> list[Any]:
        """What may be taken of what is received; the room that it leaves is handed back."""
        to_take: list[Any] = []
        try:
            to_take = self._taking.judge(self._hand.receive(reserved))
        finally:
            self._record.hand_back(reserved - len(to_take))
        return to_take

    def _look(self) -> Progress | None:
        """Has the canary come back? None: it has not."""
        letters = self._hand.receive(LOOK)
        self._taking.judge(letters)
        if self._taking.stopped:
            return self._stop()
        self._hand.put_back()
        return None

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _let_sqs_move(self) -> Progress:
        """Without an archive: SQS moves all that is left, and this run follows it."""
        moved = move_task.follow(self._plan, self._record, self._timing)
        if moved is None:
            return self._so_far
        phase = Phase.STOPPED if "stopped" in moved else Phase.DONE
        return self._record.advance(phase=phase, evidence=self._report.evidence(self._so_far, self._plan, **moved))

    def _stop(self) -> Progress:
        return self._record.advance(phase=Phase.STOPPED, evidence=self._report.evidence(self._so_far, self._plan))

    def _finish(self) -> Progress:
        return self._record.advance(phase=Phase.DONE, evidence=self._report.evidence(self._so_far, self._plan))

    def _end_of_queue(self) -> Progress | None:
        """Nothing new is visible. What another consumer, or a run that was killed, still hides is waited for."""
        accounted = self._so_far.deleted + len(self._report.stays) >= self._plan["counts"]["total"]
        hidden = 0 if accounted else self._queue.attributes().counts.in_flight - len(self._hand)
        if hidden > 0:
            return self._pause()
        if self._so_far.phase is Phase.CANARY and self._so_far.taken:
            return None
        return self._finish()

    def _pause(self) -> Progress:
        """Until the next run; a drain that only ever waits comes to an end as well."""
        idle = self._so_far.taken == self._taken_before
        if idle and self._so_far.idle_runs >= MAX_IDLE_RUNS:
            return self._finish()
        return self._record.advance(idle_runs=self._so_far.idle_runs + 1 if idle else 0)
