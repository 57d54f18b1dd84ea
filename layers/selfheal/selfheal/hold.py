"""What one run holds in the ledger: its claim on the action_id, the target, an undo; how it gets them and lets go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from selfheal import changes, record, restore
from selfheal.action import Action, Change, Decline, State
from selfheal.arns import arns_of
from selfheal.errors import LedgerUnavailable
from selfheal.guards import chain, claim
from selfheal.guards.context import GuardContext
from selfheal.guards.places import Place
from selfheal.ledger import Item, Ledger, Lost, Write
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.request import Request, Result, result_of
from selfheal.words import Direction, Outcome

if TYPE_CHECKING:
    from selfheal.engine import World


class Hold:
    """The ledger's side of one run. Once the ledger did not answer it is not asked again: a timeout each would use up
    the time of an action that must work without it."""

    def __init__(self, action: Action, request: Request, world: World, notes: dict[str, Any]) -> None:
        self._action = action
        self._request = request
        self._world = world
        self._notes = notes
        self._run_id = ""
        self._down: LedgerUnavailable | None = None
        self._undoes: restore.Original | None = None
        self._took = False
        self._places: tuple[tuple[Place, Item | None], ...] = ()

    # -- get ----------------------------------------------------------------------------------------------------

    def claim(self) -> Result | list[record.Attempt]:
        """The attempts of runs before this one; or the result that a duplicate gets. Raises Refused."""
        try:
            met = record.claim(self._world.ledger, self._request, self._world.now(), self._world.lease_s)
            if met.finished is not None:
                return met.finished
            if not (met.fresh or met.resumed):
                detail = f"Another run of {self._request.action_id} started {met.running_for_s:.0f} s ago."
                return result_of(self._request, Outcome.IN_PROGRESS, reason="running", detail=detail, repeated=True)
            earlier = record.attempts(self._world.ledger, self._request.action_id) if met.resumed else []
        except LedgerUnavailable as error:
            self._down = error
            return []
        self._run_id = met.run_id
        self._took = bool(earlier)
        return earlier

    def find_original(self) -> restore.Original | None:
        """For an undo: the change that it takes back. Raises Refused, LedgerUnavailable."""
        if self._request.undo_of is not None:
            self._undoes = restore.find(self._ledger(), self._action, self._request)
        return self._undoes

    def with_wanted(self, state: State) -> Request:
        """The request, for an undo with the image to restore. Raises Refused, LedgerUnavailable."""
        original = self.find_original()
        if original is None:
            return self._request
        restore.refuse_if_changed_since(original, self._action.image(state))
        return replace(self._request, wanted=original.before)

    def ask(self, change: Change, *, continuing: bool = False) -> Decline | None:
        """The guards' answer."""
        context = GuardContext(
            request=self._request,
            direction=change.direction,
            now=self._world.now(),
            max_mode=self._world.max_mode,
            ledger=None if self._down else self._world.ledger,
            runbook_of=self._world.runbook_of,
            arns=arns_of(self._request.target, self._world.home),
            facts=change.facts,
            ahead=self._world.ahead,
        )
        told = chain.ask(context, continuing=continuing)
        self.not_read(*told.unread)
        self._places = told.places
        return told.declined

    def take(self, change: Change, number: int | None) -> Decline | None:
        """Take the target and write the before-image. Without `number` an earlier run wrote it."""
        if change.direction is Direction.READ:
            return None
        now = self._world.now()
        also = [] if self._undoes is None else [restore.claimed(self._undoes, self._request)]
        if number is not None:
            also.append(record.attempt(self._request, change, number, now))
        try:
            # without an answer the transaction may have been carried out all the same
            ledger, self._took = self._ledger(), True
            declined = claim.take(
                ledger, self._request, *also, now=now, lease_s=self._world.lease_s, places=self._places
            )
        except Lost:
            if self._undoes is not None:
                return Decline(Refusal.ALREADY_UNDONE)
            return Decline(Refusal.LEASED, "another run of the same action wrote this attempt")
        except LedgerUnavailable as error:
            declined = self._without_ledger(change, error)
            if declined is None:  # the image goes to the log before the call, and into the event of the outcome
                logger.warning(
                    "acting without the ledger", request=self._request.as_event(), before=dict(change.before)
                )
            return declined
        self._took = declined is None
        return declined

    def _without_ledger(self, change: Change, error: LedgerUnavailable) -> Decline | None:
        self._down = error
        if change.direction is Direction.RISKY:
            return Decline(Refusal.GUARD_UNREADABLE, str(error))
        self.not_read(f"target: {error}")
        return None

    def _ledger(self) -> Ledger:
        if self._down is not None:
            raise self._down
        return self._world.ledger

    def not_read(self, *what: str) -> None:
        """Note guards that were passed over."""
        if what:
            self._notes["guards_not_read"] = [*self._notes.get("guards_not_read", ()), *what]

    # -- let go -------------------------------------------------------------------------------------------------

    def finish(self, result: Result, *, called: bool) -> Result:
        """Record; free the target. Without an answer from the ledger the lease runs out and the clock resumes.

        `called`: the change may have been made.
        """
        if not self._run_id:
            return self._unrecorded(result, str(self._down))
        ledger, request, now = self._world.ledger, self._request, self._world.now()
        also = [claim.release(request)] if self._took else []
        opens = called and self._opens(result)
        try:
            put_back = changes.put_back_by(ledger, request, result) if opens else []
            opens = opens and not put_back
            also += [changes.closed(request.target.key, action_id) for action_id in put_back]
            if result.outcome is Outcome.IN_PROGRESS:
                ours = record.pause_run(ledger, request, self._run_id, now, *also)
            else:
                also += self._consequences(result, now, called=called, opens=opens)
                ours = record.finish(ledger, request, self._run_id, result, now, *also, opened=opens)
        except LedgerUnavailable as error:
            logger.error("result not recorded", action_id=request.action_id, cause=str(error))
            return self._unrecorded(result, str(error))
        return result if ours else replace(result, outcome=Outcome.IN_PROGRESS, reason="taken_over_by_another_run")

    def _unrecorded(self, result: Result, cause: str) -> Result:
        """With its request: the outcome's event is all that the record can be made of afterwards."""
        return replace(result, evidence={**self._notes, "not_recorded": cause, "request": self._request.as_event()})

    def _opens(self, result: Result) -> bool:
        """The target may be other than before. An undo opens a change only if what it undoes was an undo itself."""
        changed = result.before is not None and result.before != result.after
        return changed and (self._undoes is None or not self._undoes.opened)

    def _consequences(self, result: Result, now: float, *, called: bool, opens: bool) -> list[Write]:
        writes = []
        if called and self._action.changes_target and result.direction is not Direction.READ:
            writes.append(claim.cool_down(self._request, now))
        if opens:
            writes.append(changes.opened(self._request, result, now))
        if self._undoes is None:
            return writes
        if result.outcome in {Outcome.ACTED, Outcome.ALREADY_DONE}:
            writes.append(changes.closed(self._request.target.key, self._undoes.action_id))
            return [*writes, restore.done(self._undoes, self._request, now)]
        return [*writes, restore.given_up(self._undoes, self._request)] if self._took else writes
