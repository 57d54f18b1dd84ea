"""One run of a drain: receive, take, delete, until the work or the time of this run is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.drain.canary import LOOK_BATCHES, first_that_came_back, watch_until
from selfheal.drain.hand import Hand
from selfheal.drain.report import Report
from selfheal.drain.taking import Taking
from selfheal.drain.timing import Timing
from selfheal.drain.way import Plan, Way, open_fates
from selfheal.queue import Queue
from selfheal.replay_record import Phase, Progress, ReplayRecord

MAX_IDLE_RUNS = 5
"""In a row, in which nothing could be taken; the clock starts one a minute."""


class Drain:
    """Goes on from the record. Raises TargetNotFound, TargetForbidden, Unreadable, LedgerUnavailable."""

    def __init__(
        self, way: Way, queue: Queue, plan: Plan, *, record: ReplayRecord, action_id: str, timing: Timing
    ) -> None:
        self._way = way
        self._queue = queue
        self._plan = plan
        self._record = record
        self._action_id = action_id
        self._timing = timing
        self._report = Report()
        self._hand = Hand(queue, self._report.stays)
        self._taking = Taking(way, plan, record=record, hand=self._hand, report=self._report, timing=timing)
        self._taken_before = 0

    def run(self) -> Mapping[str, Any]:
        """The evidence: of the whole drain where it is over, else of this run."""
        progress = self._record.begin(Phase.CANARY if self._plan["canary"] else Phase.REST)
        if progress.is_over:
            return progress.evidence
        try:
            progress = self._drain(progress)
        finally:
            self._hand.let_go()
        return progress.evidence if progress.is_over else self._report.evidence(progress, self._plan)

    def _drain(self, progress: Progress) -> Progress:
        self._taken_before, look = progress.taken, 1
        while not self._timing.is_late():
            if progress.phase is Phase.CANARY and progress.taken >= self._plan["canary"]:
                self._hand.put_back_unjudged()
                progress = self._watch(progress)
            if progress.phase is Phase.WATCH:
                if not self._timing.wait_until(progress.watch_until):
                    return progress
                look = LOOK_BATCHES
            letters = self._hand.receive(look)
            known = self._record.known(letters)
            came_back = first_that_came_back(letters, known, self._action_id)
            if came_back is not None:
                evidence = self._report.evidence_of_return(came_back, progress, self._plan)
                return self._record.advance(progress, phase=Phase.STOPPED, evidence=evidence)
            if progress.phase is Phase.WATCH:
                progress, look = self._record.advance(progress, phase=Phase.REST), 1
            for letter in letters:
                if self._timing.is_late():
                    break
                fate = known[letter.message_id].fate
                if progress.taken < self._most(progress) or fate in open_fates(self._way):
                    progress = self._taking.handle(letter, known[letter.message_id], progress)
            progress = self._delete(progress)
            if progress.phase is Phase.REST and self._plan["limit"] <= progress.taken == progress.deleted:
                return self._finish(progress)
            if self._hand.has_seen_all():
                return self._end_of_queue(progress)
        return self._pause(progress)

    def _most(self, progress: Progress) -> int:
        return int(self._plan["canary"] if progress.phase is Phase.CANARY else self._plan["limit"])

    def _watch(self, progress: Progress) -> Progress:
        until = watch_until(self._plan, self._timing.now())
        return self._record.advance(progress, phase=Phase.WATCH, watch_until=until)

    def _delete(self, progress: Progress) -> Progress:
        deleted, failed = self._hand.delete_done()
        self._report.not_deleted(failed)
        if not deleted and not failed:
            return progress
        return self._record.advance(progress, deleted=progress.deleted + deleted)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _finish(self, progress: Progress) -> Progress:
        return self._record.advance(progress, phase=Phase.DONE, evidence=self._report.evidence(progress, self._plan))

    def _end_of_queue(self, progress: Progress) -> Progress:
        """Nothing new is visible. What another consumer, or a run that was killed, still hides is waited for."""
        accounted = progress.deleted + len(self._report.stays) >= self._plan["counts"]["total"]
        hidden = 0 if accounted else self._queue.attributes().counts.in_flight - len(self._hand)
        if hidden > 0:
            return self._pause(progress)
        if progress.phase is Phase.CANARY and progress.taken:
            return self._watch(progress)
        return self._finish(progress)

    def _pause(self, progress: Progress) -> Progress:
        """Until the next run; a drain that only ever waits comes to an end as well."""
        idle = progress.taken == self._taken_before
        if idle and progress.idle_runs >= MAX_IDLE_RUNS:
            return self._finish(progress)
        return self._record.advance(progress, idle_runs=progress.idle_runs + 1 if idle else 0)
