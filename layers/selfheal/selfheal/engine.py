"""The one engine: whether an action may run, and everything around it, the same way however it was started.

    claim the action_id → observe → decide → guards → take the target and write the before-image (one transaction)
    → capture evidence → apply → verify → record result, open change and cooldown, free the target (one transaction)

A crash at any line leaves a record from which the same action_id resumes: what was claimed and not attempted starts
over; what was attempted is verified, and applied again only if it did not take effect and may be repeated.
Without an answer from the ledger only what is safe, or only reads, goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from selfheal import capture
from selfheal.action import Action, AlreadyDone, Change, Image, State, Verification
from selfheal.arns import Home
from selfheal.calls import Calls, refusal_of
from selfheal.errors import (
    ChangedMeanwhile,
    LedgerUnavailable,
    NotApplied,
    Refused,
    TargetForbidden,
    TargetNotFound,
    Throttled,
    Unreadable,
)
from selfheal.guards.context import Ahead
from selfheal.hold import Hold
from selfheal.ledger import Ledger
from selfheal.observability import logger
from selfheal.record import Attempt
from selfheal.refusal import Refusal
from selfheal.request import Request, Result, refused, result_of
from selfheal.runbook import Runbook
from selfheal.words import Direction, Mode, Outcome, ResponseMode, Verdict

THROTTLED = "throttled"
"""The reason of a run that goes back into the line because AWS took no more calls; it counts as not begun, or is
resumed like one that died."""
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
    ahead: Ahead | None = None
    """What the requests of one batch read together."""


def run(action: Action, request: Request, world: World) -> Result:
    """Carry the request out and answer what became of it. Raises nothing that is expected to happen."""
    started = time.monotonic()
    one = _Run(action, request, world)
    result = one.plan() if request.mode is Mode.PLAN else one.act()
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
    called: bool = False
    """The change may have been made."""

    def __post_init__(self) -> None:
        self.in_line = self.world.ahead is not None and self.request.mode is not Mode.PLAN
        self.calls = Calls(self.action, self.request, self.world.now, self.world.sleep, in_line=self.in_line)
        self.hold = Hold(self.action, self.request, self.world, self.notes)

    def plan(self) -> Result:
        """Stop after decide; ask the guards all the same, and write nothing."""
        return self._caught(self._plan)

    def _plan(self) -> Result:
        decision = self._decide(self.calls.observe())
        if isinstance(decision, Result):
            return decision
        would_refuse = self.hold.ask(decision)
        if would_refuse is not None:
            detail = would_refuse.detail or would_refuse.refusal.sentence
            self.notes["would_refuse"] = {"reason": would_refuse.refusal.value, "detail": detail}
        return self._done(Outcome.PLANNED, decision, detail=decision.summary)

    def act(self) -> Result:
        """Go all the way, from where an earlier run of the same id stopped."""
        try:
            earlier = self.hold.claim()
        except Refused as error:
            return self._refused(error.refusal, error.detail)
        if isinstance(earlier, Result):
            return earlier
        result = self._caught(lambda: self._resume(earlier[-1]) if earlier else self._begin())
        return self.hold.finish(result, called=self.called)

    def _caught(self, steps: Callable[[], Result]) -> Result:
        try:
            return steps()
        except Refused as error:
            return self._refused(error.refusal, error.detail)
        except ChangedMeanwhile as error:
            return self._refused(Refusal.CHANGED_MEANWHILE, str(error))
        except LedgerUnavailable as error:
            return self._refused(Refusal.GUARD_UNREADABLE, str(error))
        except Throttled as error:
            return result_of(
                self.request, Outcome.IN_PROGRESS, reason=THROTTLED, detail=str(error), evidence=self.notes
            )

    def _begin(self) -> Result:
        if (self.request.entry.person or self.request.undo_of) and not self.request.requested_by:
            return self._refused(Refusal.PERSON_REQUIRED)
        return self._attempts()

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
        decision = self.action.decide(state, self.hold.with_wanted(state))
        if isinstance(decision, Change):
            self.direction = decision.direction
            self.notes.update(decision.evidence)
            return decision
        self.notes.update(decision.evidence)
        if isinstance(decision, AlreadyDone):
            return result_of(self.request, Outcome.ALREADY_DONE, detail=decision.detail, evidence=self.notes)
        return self._refused(decision.refusal, decision.detail)

    def _ask_and_take(self, change: Change, number: int | None, *, continuing: bool = False) -> Result | None:
        """None: every guard agreed and, unless the action only reads, the target is ours, the image is written, and
        what the change may destroy is captured."""
        declined = (
            self.hold.ask(change, continuing=continuing)
            or self.hold.take(change, number)
            or capture.first(self.action, self.request, change, self.notes, in_line=self._together)
        )
        if declined is None:
            return None
        if declined.refusal is Refusal.SUGGEST_ONLY:
            return self._done(Outcome.PLANNED, change, reason=declined.refusal.value, detail=change.summary)
        return self._refused(declined.refusal, declined.detail, until=declined.until)

    @property
    def _together(self) -> int:
        """How many requests came with this one and wait for it."""
        return len(self.world.ahead) if self.world.ahead else 1

    def _moved_since(self, change: Change) -> bool:
        """Where AWS has no compare-and-set: is the before-image still true now that the target is ours?"""
        if change.direction is Direction.READ or self.action.compare_and_set or not self.action.reversible:
            return False
        try:
            moved = dict(self.action.image(self.calls.look())) != dict(change.before)
        except Refused as error:
            if change.direction is Direction.RISKY or error.refusal is not Refusal.TARGET_UNREADABLE:
                raise
            self.hold.not_read(f"second look: {error.detail}")
            return False
        if moved:
            self.notes["lost_to"] = "the target changed between the first look and the lease"
        return moved

    def _apply_and_verify(self, change: Change) -> Result:
        self.called = True
        try:
            self.notes.update(self.calls.apply(change))
        except ChangedMeanwhile:
            self.called = False
            raise
        except (TargetForbidden, TargetNotFound, NotApplied) as error:
            return self._not_applied(change, error)
        except Unreadable as error:
            if isinstance(error, Throttled) and self.in_line:
                raise
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

    def _resume(self, attempt: Attempt) -> Result:
        """Go on after a run that died or paused: did its call take effect?"""
        change = attempt.change
        self.direction, self.called = change.direction, True
        try:
            self.hold.find_original()
        except LedgerUnavailable as error:  # an end now would leave the original claimed by an undo that is over
            return self._done(Outcome.IN_PROGRESS, change, reason="ledger_unavailable", detail=str(error))
        self.notes["resumed"] = f"attempt {attempt.number} was left unfinished"
        seen = self.calls.verify(change)
        if seen.verdict is Verdict.NOT_YET and self.action.continues:
            return self._ask_and_take(change, None, continuing=True) or self._apply_and_verify(change)
        if seen.verdict in {Verdict.HOLDS, Verdict.NOT_YET}:
            return self._judge(change, seen)
        if not self.action.may_repeat(self.request):
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

    def _refused(self, refusal: Refusal, detail: str = "", until: float | None = None) -> Result:
        return refused(self.request, refusal, detail, until=until, direction=self.direction, evidence=self.notes)

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
