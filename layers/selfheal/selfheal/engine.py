"""The one engine: whether an action may run, and everything around it, the same way however it was started.

    claim the action_id → observe → decide → guards → take the target and write the before-image (one transaction)
    → apply → verify → record result, open change and cooldown, free the target (one transaction)

A crash at any line leaves a record from which the same action_id resumes: what was claimed and not attempted starts
over; what was attempted is verified, and applied again only if it did not take effect and may be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from selfheal import changes, record, restore
from selfheal.action import Action, AlreadyDone, Change, Decline, Image, State, Verification
from selfheal.arns import Home, arns_of
from selfheal.calls import Calls, refusal_of
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
from selfheal.ledger import Ledger, Lost, Write
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.request import Request, Result, refused, result_of
from selfheal.runbook import Runbook
from selfheal.words import Direction, Mode, Outcome, ResponseMode, Verdict

MAX_ATTEMPTS = 3
"""How often a change is planned again after somebody else wrote in between."""


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
    run_id: str = ""
    ledger_down: LedgerUnavailable | None = None
    undoes: restore.Original | None = None
    took: bool = False
    """The target may be ours: a transaction without an answer may have been carried out."""
    called: bool = False
    """The change may have been made."""

    def __post_init__(self) -> None:
        self.calls = Calls(self.action, self.request, self.world.now, self.world.sleep)

    def result(self) -> Result:
        try:
            return self._plan() if self.request.mode is Mode.PLAN else self._act()
        except Refused as error:
            return self._refused(error.refusal, error.detail)

    # -- plan ---------------------------------------------------------------------------------------------------

    def _plan(self) -> Result:
        try:
            decision = self._decide(self.calls.observe())
        except LedgerUnavailable as error:
            return self._refused(Refusal.GUARD_UNREADABLE, str(error))
        if isinstance(decision, Result):
            return decision
        would_refuse = self._ask(decision) or self._would_not_get(decision)
        if would_refuse:
            detail = would_refuse.detail or would_refuse.refusal.sentence
            self.notes["would_refuse"] = {"reason": would_refuse.refusal.value, "detail": detail}
        return self._done(Outcome.PLANNED, decision, detail=decision.summary)

    def _would_not_get(self, change: Change) -> Decline | None:
        if change.direction is Direction.READ:
            return None
        try:
            return claim.would_decline(self.world.ledger, self.request, self.world.now())
        except LedgerUnavailable as error:
            self._not_read(f"target: {error}")
            return Decline(Refusal.GUARD_UNREADABLE, str(error)) if change.direction is Direction.RISKY else None

    # -- act ----------------------------------------------------------------------------------------------------

    def _act(self) -> Result:
        """Without an answer from the ledger only what is safe, or only reads, goes on."""
        earlier: list[record.Attempt] = []
        try:
            met = record.claim(self.world.ledger, self.request, self.world.now(), self.world.lease_s)
            if met.finished is not None:
                return met.finished
            if not (met.fresh or met.resumed):
                detail = f"Another run of {self.request.action_id} started {met.running_for_s:.0f} s ago."
                return result_of(self.request, Outcome.IN_PROGRESS, reason="running", detail=detail)
            earlier = record.attempts(self.world.ledger, self.request.action_id) if met.resumed else []
            self.run_id = met.run_id
        except LedgerUnavailable as error:
            self.ledger_down = error
        return self._finish(self._settled(earlier))

    def _settled(self, earlier: list[record.Attempt]) -> Result:
        try:
            if (self.request.entry.person or self.request.undo_of) and not self.request.requested_by:
                return self._refused(Refusal.PERSON_REQUIRED)
            return self._resume(earlier[-1]) if earlier else self._attempts()
        except Refused as error:
            return self._refused(error.refusal, error.detail)
        except ChangedMeanwhile as error:
            return self._refused(Refusal.CHANGED_MEANWHILE, str(error))
        except LedgerUnavailable as error:
            return self._refused(Refusal.GUARD_UNREADABLE, str(error))

    def _attempts(self, first: int = 1) -> Result:
        """Observe, decide, ask, take, apply and verify; again from a fresh observation when a write was lost."""
        lost: Change | None = None
        for number in range(first, first + MAX_ATTEMPTS):
            state = self.calls.observe()
            if lost is not None and self._is_as_wanted(state, lost):
                return self._judge(lost, self.calls.verify(lost))
            decision = self._decide(state)
            if isinstance(decision, Result):
                return decision
            declined = self._ask_and_take(decision, number)
            if declined is not None:
                return declined
            if self._moved_since(decision):
                continue
            try:
                return self._apply_and_verify(decision)
            except ChangedMeanwhile as error:
                logger.info("compare-and-set lost, planning again", action_id=self.request.action_id, attempt=number)
                self.notes["lost_to"], lost = str(error), decision
        return self._refused(Refusal.CHANGED_MEANWHILE, str(self.notes["lost_to"]))

    def _is_as_wanted(self, state: State, change: Change) -> bool:
        """A lost write may have been lost to itself: the SDK repeats a call whose answer did not arrive, and the
        repetition meets our own change. To plan from there would change the target a second time."""
        if not self.action.reversible:
            return False
        image = self.action.image(state)
        self.called = all(image.get(name) == wanted for name, wanted in change.after.items())
        return self.called

    def _decide(self, state: State) -> Change | Result:
        """What to do, or the result that ends the run."""
        request = self.request
        if request.undo_of is not None:
            self.undoes = restore.find(self._ledger(), self.action, request)
            restore.refuse_if_changed_since(self.undoes, self.action.image(state))
            request = replace(request, wanted=self.undoes.before)
        decision = self.action.decide(state, request)
        if isinstance(decision, Change):
            self.direction = decision.direction
            return decision
        self.notes.update(decision.evidence)
        if isinstance(decision, AlreadyDone):
            return result_of(self.request, Outcome.ALREADY_DONE, detail=decision.detail, evidence=self.notes)
        return self._refused(decision.refusal, decision.detail)

    def _ledger(self) -> Ledger:
        if self.ledger_down is not None:
            raise self.ledger_down
        return self.world.ledger

    # -- may it? ------------------------------------------------------------------------------------------------

    def _ask(self, change: Change, *, continuing: bool = False) -> Decline | None:
        context = GuardContext(
            request=self.request,
            direction=change.direction,
            now=self.world.now(),
            max_mode=self.world.max_mode,
            ledger=None if self.ledger_down else self.world.ledger,
            runbook_of=self.world.runbook_of,
            arns=arns_of(self.request.target, self.world.home),
        )
        told = chain.ask(context, continuing=continuing)
        self._not_read(*told.unread)
        return told.declined

    def _not_read(self, *what: str) -> None:
        if what:
            self.notes["guards_not_read"] = [*self.notes.get("guards_not_read", ()), *what]

    def _ask_and_take(self, change: Change, number: int | None, *, continuing: bool = False) -> Result | None:
        """None: every guard agreed and, unless the action only reads, the target is ours and the image is written.

        Without `number` the image was written by an earlier run.
        """
        declined = self._ask(change, continuing=continuing)
        if declined is None and change.direction is not Direction.READ:
            declined = self._take(change, number)
        if declined is None:
            return None
        if declined.refusal is Refusal.SUGGEST_ONLY:
            return self._done(Outcome.PLANNED, change, reason=declined.refusal.value, detail=change.summary)
        return self._refused(declined.refusal, declined.detail)

    def _take(self, change: Change, number: int | None) -> Decline | None:
        now = self.world.now()
        also = [] if self.undoes is None else [restore.claimed(self.undoes, self.request)]
        if number is not None:
            also.append(record.attempt(self.request, change, number, now))
        try:
            ledger, self.took = self._ledger(), True
            declined = claim.take(ledger, self.request, *also, now=now, lease_s=self.world.lease_s)
        except Lost:
            if self.undoes is not None:
                return Decline(Refusal.ALREADY_UNDONE)
            return Decline(Refusal.LEASED, "another run of the same action wrote this attempt")
        except LedgerUnavailable as error:
            self.ledger_down = error
            if change.direction is Direction.RISKY:
                return Decline(Refusal.GUARD_UNREADABLE, str(error))
            self._not_read(f"target: {error}")
            # the before-image goes to the log before the call, and into the result that the outcome event carries
            logger.warning("acting without the ledger", request=self.request.as_event(), before=dict(change.before))
            return None
        self.took = declined is None
        return declined

    def _moved_since(self, change: Change) -> bool:
        """Where AWS has no compare-and-set: is the before-image still true now that the target is ours?"""
        if change.direction is Direction.READ or self.action.compare_and_set or not self.action.reversible:
            return False
        try:
            moved = dict(self.action.image(self.calls.observe())) != dict(change.before)
        except Refused as error:
            if change.direction is Direction.RISKY or error.refusal is not Refusal.TARGET_UNREADABLE:
                raise
            self._not_read(f"second look: {error.detail}")
            return False
        if moved:
            self.notes["lost_to"] = "the target changed between the first look and the lease"
        return moved

    # -- do it --------------------------------------------------------------------------------------------------

    def _apply_and_verify(self, change: Change) -> Result:
        self.called = True
        try:
            self.notes.update(self.action.apply(self.request, change))
        except ChangedMeanwhile:
            self.called = False
            raise
        except (TargetForbidden, TargetNotFound, NotApplied) as error:
            return self._not_applied(change, error)
        except Unreadable as error:
            self.notes["call"] = f"no clear answer: {error}"
        return self._judge(change, self.calls.verify(change))

    def _not_applied(self, change: Change, error: TargetForbidden | TargetNotFound | NotApplied) -> Result:
        """AWS refused a call. Where a change takes several, an earlier one may have been carried out."""
        left = self.calls.image()
        if left is not None and left != dict(change.before):
            return self._done(Outcome.FAILED, change, after=left, reason="partly_applied", detail=str(error))
        self.called = not self.action.reversible
        refusal = refusal_of(error)
        if refusal is not None:
            return self._refused(refusal, str(error))
        return self._done(Outcome.FAILED, change, after=change.before, reason="not_applied", detail=str(error))

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
        """Go on after a run that died or paused: did its call take effect?"""
        change = attempt.change
        self.direction, self.took, self.called = change.direction, True, True
        self.undoes = restore.find(self._ledger(), self.action, self.request) if self.request.undo_of else None
        self.notes["resumed"] = f"attempt {attempt.number} was left unfinished"
        seen = self.calls.verify(change)
        if seen.verdict is Verdict.NOT_YET and self.action.continues:
            return self._ask_and_take(change, None, continuing=True) or self._apply_and_verify(change)
        if seen.verdict in {Verdict.HOLDS, Verdict.NOT_YET}:
            return self._judge(change, seen)
        if not self.action.repeatable:
            detail = f"A run died around a call that AWS can't deduplicate: {change.summary}. Look before repeating it."
            return self._done(Outcome.INCONCLUSIVE, change, reason="run_died", detail=detail)
        if not self.action.reversible:  # no image to compare: the action's own journal makes it repeatable
            return self._ask_and_take(change, None) or self._apply_and_verify(change)
        image = self.calls.image()
        if image == dict(change.before):
            self.called = False
            return self._attempts(attempt.number + 1)
        what = f"is neither as before nor as wanted: {image}" if image is not None else "cannot be read"
        detail = f"A run died, and the target {what}"
        return self._done(Outcome.INCONCLUSIVE, change, after=image, reason="run_died", detail=detail)

    # -- record -------------------------------------------------------------------------------------------------

    def _refused(self, refusal: Refusal, detail: str = "") -> Result:
        return refused(self.request, refusal, detail, direction=self.direction, evidence=self.notes)

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
        if not self.run_id:
            return replace(result, evidence={**self.notes, "not_recorded": str(self.ledger_down)})
        now, opens = self.world.now(), self._opens(result)
        also = [claim.release(self.request)] if self.took else []
        try:
            if result.outcome is Outcome.IN_PROGRESS:
                ours = record.pause_run(self.world.ledger, self.request, self.run_id, now, *also)
            else:
                also += self._consequences(result, now, opens=opens)
                ours = record.finish(self.world.ledger, self.request, self.run_id, result, now, *also, opened=opens)
        except LedgerUnavailable as error:
            logger.error("result not recorded", action_id=self.request.action_id, cause=str(error))
            return replace(result, evidence={**self.notes, "not_recorded": str(error)})
        return result if ours else replace(result, outcome=Outcome.IN_PROGRESS, reason="taken_over_by_another_run")

    def _opens(self, result: Result) -> bool:
        """The target may be other than before. An undo opens a change only if what it undoes was an undo itself."""
        changed = self.called and result.before is not None and result.before != result.after
        return changed and (self.undoes is None or not self.undoes.opened)

    def _consequences(self, result: Result, now: float, *, opens: bool) -> list[Write]:
        writes = [claim.cool_down(self.request, now)] if self.called and self.direction is not Direction.READ else []
        if opens:
            writes.append(changes.opened(self.request, result, now))
        if self.undoes is None:
            return writes
        if result.outcome in {Outcome.ACTED, Outcome.ALREADY_DONE}:
            writes.append(changes.closed(self.request.target.key, self.undoes.action_id))
            return [*writes, restore.done(self.undoes, self.request, now)]
        return [*writes, restore.given_up(self.undoes, self.request)] if self.took else writes
