"""The one engine: whether an action may run, and everything around it, the same way however it was started.

    claim the action_id → observe → decide → guards → take the target and write the before-image (one transaction)
    → apply → verify → record result, open change and cooldown, free the target (one transaction)

A crash at any line leaves a record from which the same action_id resumes: what was claimed and not attempted starts
over; what was attempted is verified, and applied again only if it did not take effect and may be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from selfheal import changes, record
from selfheal.action import Action, AlreadyDone, Change, Decline, Image, State, Verification
from selfheal.arns import Home, arns_of
from selfheal.errors import (
    ChangedMeanwhile,
    LedgerUnavailable,
    NotApplied,
    Refused,
    TargetForbidden,
    TargetNotFound,
    Unreadable,
)
from selfheal.guards import chain, claim
from selfheal.guards.context import GuardContext
from selfheal.ledger import Ledger, Write
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.request import Request, Result, refused, result_of
from selfheal.runbook import Runbook
from selfheal.words import Direction, Mode, Outcome, ResponseMode, Verdict

MAX_ATTEMPTS = 3
"""How often a change is planned again after somebody else wrote in between."""
FIRST_POLL_S = 0.2


@dataclass(frozen=True)
class World:
    """What the engine needs besides the action and its request: memory, time and the stack's settings."""

    ledger: Ledger
    max_mode: ResponseMode
    lease_s: float
    home: Home
    runbook_of: Callable[[str], Runbook | None]
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def run(action: Action, request: Request, world: World) -> Result:
    """Carry the request out and answer what became of it. Raises nothing that is expected to happen."""
    started = time.monotonic()
    result = _Run(action, request, world).result()
    return result.timed(round((time.monotonic() - started) * 1000))


@dataclass
class _Run:
    """One run of one request; its methods follow the order of the module's docstring."""

    action: Action
    request: Request
    world: World
    notes: dict[str, Any] = field(default_factory=dict)
    """Evidence gathered on the way; it ends up in the result."""
    direction: Direction = Direction.RISKY
    taken: bool = False

    def result(self) -> Result:
        acts = self.request.mode is not Mode.PLAN
        if acts and self.request.entry.person and not self.request.requested_by:
            return refused(self.request, Refusal.PERSON_REQUIRED)
        try:
            return self._act() if acts else self._plan()
        except Refused as error:
            return refused(self.request, error.refusal, error.detail)
        except LedgerUnavailable as error:
            return refused(self.request, Refusal.GUARD_UNREADABLE, str(error))

    # -- plan ---------------------------------------------------------------------------------------------------

    def _plan(self) -> Result:
        decision = self._decide()
        if isinstance(decision, Result):
            return decision
        told = chain.ask(self._context(decision))
        if told.declined:
            self.notes["would_refuse"] = {
                "reason": told.declined.refusal.value,
                "detail": told.declined.detail or told.declined.refusal.sentence,
            }
        return self._done(Outcome.PLANNED, decision, detail=decision.summary)

    # -- act ----------------------------------------------------------------------------------------------------

    def _act(self) -> Result:
        try:
            met = record.claim(self.world.ledger, self.request, self.world.now(), self.world.lease_s)
        except LedgerUnavailable as error:
            return self._act_without_ledger(error)
        if met.finished is not None:
            return _from_record(met.finished)
        if not (met.fresh or met.resumed):
            return result_of(
                self.request,
                Outcome.IN_PROGRESS,
                reason="running",
                detail=f"Another run of {self.request.action_id} started {met.running_for_s:.0f} s ago.",
            )
        try:
            earlier = record.attempts(self.world.ledger, self.request.action_id) if met.resumed else []
            result = self._resume(earlier[-1]) if earlier else self._attempts()
        except Refused as error:
            result = refused(self.request, error.refusal, error.detail, direction=self.direction)
        return self._finish(result)

    def _attempts(self, first: int = 1) -> Result:
        """Observe, decide, ask, take, apply and verify; again from a fresh observation when a write was lost."""
        for number in range(first, first + MAX_ATTEMPTS):
            decision = self._decide()
            if isinstance(decision, Result):
                return decision
            declined = self._ask_and_take(decision, number)
            if declined is not None:
                return declined
            if not self.action.compare_and_set and self._moved_since(decision):
                continue
            try:
                return self._apply_and_verify(decision)
            except ChangedMeanwhile as error:
                logger.info("compare-and-set lost, planning again", action_id=self.request.action_id, attempt=number)
                self.notes["lost_to"] = str(error)
        return refused(self.request, Refusal.CHANGED_MEANWHILE, str(self.notes.get("lost_to", "")))

    def _decide(self) -> Change | Result:
        """What to do, or the result that ends the run."""
        state = self._observe()
        request = self._with_wanted(state)
        decision = self.action.decide(state, request)
        if isinstance(decision, Decline):
            self.notes.update(decision.evidence)
            return refused(self.request, decision.refusal, decision.detail, evidence=self.notes)
        if isinstance(decision, AlreadyDone):
            self.notes.update(decision.evidence)
            return result_of(self.request, Outcome.ALREADY_DONE, detail=decision.detail, evidence=self.notes)
        self.direction = decision.direction
        return decision

    def _observe(self) -> State:
        try:
            return self.action.observe(self.request)
        except TargetNotFound as error:
            raise Refused(Refusal.TARGET_NOT_FOUND, str(error)) from error
        except TargetForbidden as error:
            raise Refused(Refusal.TARGET_FORBIDDEN, str(error)) from error
        except (Unreadable, NotApplied) as error:
            raise Refused(Refusal.TARGET_UNREADABLE, str(error)) from error

    def _with_wanted(self, state: State) -> Request:
        """For an undo: the before-image to restore, provided that nobody touched what the action wrote."""
        if self.request.undo_of is None:
            return self.request
        found = record.find(self.world.ledger, self.request.undo_of)
        result = (found or {}).get("doc", {}).get("result")
        if not result or result["outcome"] != Outcome.ACTED or result["before"] is None:
            raise Refused(Refusal.NOTHING_TO_UNDO, f"{self.request.undo_of} changed nothing")
        if not self.action.reversible:
            raise Refused(Refusal.IRREVERSIBLE, f"{self.request.action} cannot be undone")
        before: Image = result["before"]
        written = self.action.image(state)
        differences = {
            name: {"now": written.get(name), "left_by_selfheal": wanted}
            for name, wanted in result["after"].items()
            if written.get(name) != wanted and written.get(name) != before.get(name)
        }
        if differences:
            raise Refused(Refusal.CHANGED_SINCE, f"changed by somebody else since: {differences}")
        return replace(self.request, wanted=before)

    def _context(self, change: Change) -> GuardContext:
        return GuardContext(
            request=self.request,
            direction=change.direction,
            now=self.world.now(),
            max_mode=self.world.max_mode,
            ledger=self.world.ledger,
            runbook=self.world.runbook_of(self.request.system) if self.request.system else None,
            arns=arns_of(self.request.target, self.world.home),
        )

    def _ask_and_take(self, change: Change, attempt: int) -> Result | None:
        """None: every guard agreed and, unless the action only reads, the target is ours and the image is written."""
        told = chain.ask(self._context(change))
        if told.unread:
            self.notes["guards_not_read"] = list(told.unread)
        declined = told.declined
        if declined is None and change.direction is not Direction.READ:
            declined = self._take(change, attempt)
        if declined is None:
            return None
        suggestion = change.summary if declined.refusal is Refusal.SUGGEST_ONLY else ""
        if suggestion:
            return self._done(Outcome.PLANNED, change, reason=declined.refusal.value, detail=suggestion)
        return refused(self.request, declined.refusal, declined.detail, direction=change.direction, evidence=self.notes)

    def _take(self, change: Change, attempt: int) -> Decline | None:
        now, lease_s = self.world.now(), self.world.lease_s
        try:
            declined = claim.take(self.world.ledger, self.request, change, attempt=attempt, now=now, lease_s=lease_s)
        except LedgerUnavailable as error:
            if change.direction is Direction.RISKY:
                return Decline(Refusal.GUARD_UNREADABLE, str(error))
            self._note_ledgerless(change, error)
            return None
        self.taken = declined is None
        return declined

    def _note_ledgerless(self, change: Change, error: LedgerUnavailable) -> None:
        """The before-image goes to the log before the call, and into the result that the outcome event carries."""
        self.notes.setdefault("guards_not_read", []).append(f"ledger: {error}")
        logger.warning("acting without the ledger", request=self.request.as_event(), before=dict(change.before))

    def _moved_since(self, change: Change) -> bool:
        """Where AWS has no compare-and-set: is the before-image still true now that the target is ours?"""
        if change.direction is Direction.READ or not self.action.reversible:
            return False
        moved = dict(self.action.image(self._observe())) != dict(change.before)
        if moved:
            self.notes["lost_to"] = "the target changed between the first look and the lease"
        return moved

    def _apply_and_verify(self, change: Change) -> Result:
        try:
            self.notes.update(self.action.apply(self.request, change))
        except TargetForbidden as error:
            raise Refused(Refusal.TARGET_FORBIDDEN, str(error)) from error
        except TargetNotFound as error:
            raise Refused(Refusal.TARGET_NOT_FOUND, str(error)) from error
        except NotApplied as error:
            return self._done(Outcome.FAILED, change, reason="not_applied", detail=str(error))
        except Unreadable as error:
            self.notes["call"] = f"no clear answer: {error}"
        return self._judge(change, self._verify(change))

    def _verify(self, change: Change) -> Verification:
        """Ask until it holds, does not hold, or the action's patience is over."""
        end = time.monotonic() + min(self.action.verify_for_s, max(0.0, self.action.remaining_s - 10))
        pause = FIRST_POLL_S
        while True:
            try:
                seen = self.action.verify(self.request, change)
            except (Unreadable, TargetNotFound, TargetForbidden, NotApplied) as error:
                seen = Verification(Verdict.UNKNOWN, detail=str(error))
            if seen.verdict not in (Verdict.NOT_YET, Verdict.UNKNOWN) or time.monotonic() + pause > end:
                return seen
            self.world.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _judge(self, change: Change, seen: Verification) -> Result:
        self.notes.update(seen.evidence)
        detail = seen.detail or change.summary
        if seen.verdict is Verdict.HOLDS:
            return self._done(Outcome.ACTED, change, after=seen.after, detail=detail)
        if seen.verdict is Verdict.NOT_YET:
            return self._done(Outcome.IN_PROGRESS, change, reason="not_yet", detail=detail)
        if seen.verdict is Verdict.DOES_NOT_HOLD:
            return self._done(Outcome.FAILED, change, after=seen.after, reason="does_not_hold", detail=detail)
        return self._done(Outcome.INCONCLUSIVE, change, reason="cannot_be_verified", detail=detail)

    def _resume(self, attempt: record.Attempt) -> Result:
        """Go on after a run that died: did its call take effect?"""
        change = attempt.change
        self.direction, self.taken = change.direction, True
        self.notes["resumed"] = f"attempt {attempt.number} was left unfinished"
        seen = self._verify(change)
        waiting = seen.verdict is Verdict.NOT_YET and not self.action.continues
        if seen.verdict is Verdict.HOLDS or waiting:
            return self._judge(change, seen)
        if not self.action.repeatable:
            detail = f"A run died around a call that AWS can't deduplicate: {change.summary}. Look before repeating it."
            return self._done(Outcome.INCONCLUSIVE, change, reason="run_died", detail=detail)
        if not self.action.reversible:  # no image to compare: the action's own journal makes it repeatable
            return self._apply_again(change, attempt.number)
        image = dict(self.action.image(self._observe()))
        if image == dict(change.before):
            return self._attempts(attempt.number + 1)
        detail = f"A run died, and the target is neither as before nor as wanted: {image}"
        return self._done(Outcome.INCONCLUSIVE, change, after=image, reason="run_died", detail=detail)

    def _apply_again(self, change: Change, number: int) -> Result:
        declined = self._ask_and_take(change, number + 1)
        return declined if declined is not None else self._apply_and_verify(change)

    # -- record -------------------------------------------------------------------------------------------------

    def _done(self, outcome: Outcome, change: Change, *, after: Image | None = None, **more: Any) -> Result:
        wrote = change.direction is not Direction.READ
        undo = None
        if outcome is Outcome.ACTED and wrote and self.action.reversible:
            undone = {"incident": self.request.incident or "-", "action_id": self.request.action_id}
            undo = {"action": "undo", "target": undone}
        return result_of(
            self.request,
            outcome,
            direction=change.direction,
            before=change.before if wrote and self.action.reversible else None,
            after=(after if after is not None else change.after) if wrote else None,
            undo=undo,
            evidence=self.notes,
            **more,
        )

    def _finish(self, result: Result) -> Result:
        """Record; free the target. Without an answer from the ledger the lease runs out and the clock resumes."""
        now = self.world.now()
        also: list[Write] = [claim.release(self.request)] if self.taken else []
        try:
            if result.outcome is Outcome.IN_PROGRESS:
                record.pause_run(self.world.ledger, self.request, now, *also)
                return result
            if result.outcome is Outcome.ACTED and self.taken:
                also += [claim.cool_down(self.request, now), *self._change_writes(result, now)]
            if not record.finish(self.world.ledger, self.request, result, now, *also):
                return replace(result, outcome=Outcome.IN_PROGRESS, reason="taken_over_by_another_run")
        except LedgerUnavailable as error:
            logger.error("result not recorded", action_id=self.request.action_id, cause=str(error))
            self.notes["not_recorded"] = str(error)
            return replace(result, evidence=self.notes)
        return result

    def _change_writes(self, result: Result, now: float) -> list[Write]:
        if self.request.undo_of is not None:
            return [changes.closed(self.request.target.key, self.request.undo_of)]
        return [changes.opened(self.request, result, now)] if self.action.reversible else []

    # -- the ledger is down -------------------------------------------------------------------------------------

    def _act_without_ledger(self, error: LedgerUnavailable) -> Result:
        """Only what is safe, or only reads, runs."""
        if self.request.undo_of is not None:
            return refused(self.request, Refusal.GUARD_UNREADABLE, str(error))
        decision = self._decide()
        if isinstance(decision, Result):
            return decision
        if decision.direction is Direction.RISKY:
            return refused(self.request, Refusal.GUARD_UNREADABLE, str(error), evidence=self.notes)
        told = chain.ask(self._context(decision))
        if told.declined:
            return refused(self.request, told.declined.refusal, told.declined.detail, evidence=self.notes)
        self.notes["guards_not_read"] = list(told.unread)
        self._note_ledgerless(decision, error)
        return self._apply_and_verify(decision)


def _from_record(document: Mapping[str, Any]) -> Result:
    """The result of the first run, for a duplicate."""
    names = {**document, "outcome": Outcome(document["outcome"]), "direction": Direction(document["direction"])}
    return Result(**names)
