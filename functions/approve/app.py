"""Approve: what only a person may decide. Approve or deny a waiting step, take an incident over, pause and resume.

The only role that may write these decisions; IAM on this one function separates those who may look from those who may
decide. It starts the approved action and does nothing to a protected resource itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal import approvals, incident_store, starter, widget
from selfheal import ledger as table
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.approvals import Waiting
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound
from selfheal.handler import handler_for
from selfheal.incident import Phase
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict
from selfheal.world import ledger

MAX_PAUSE_MINUTES = 10_080


class _Decide(Action):
    """Base of approve and deny: the step `action_id` of the target incident, or its only waiting one."""

    permissions = ("lambda:InvokeFunction", "sqs:SendMessage")
    reversible = False
    verify_for_s = 0.0
    decision = ""

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._carried_out = False

    def observe(self, request: Request) -> State:
        waiting = approvals.all_of(ledger(), request.target["incident"])
        wanted = request.target["action_id"]
        found = [one for one in waiting if wanted in {"", one.id}]
        now = time.time()
        undecided = [one for one in found if one.decision == "waiting" and one.until > now]
        return {"waiting": [vars(one) for one in undecided or found], "now": now}

    def decide(self, state: State, request: Request) -> Decision:
        waiting = [Waiting(**one) for one in state["waiting"]]
        if not waiting:
            return Decline(Refusal.NO_SUCH_APPROVAL, f"nothing waits for a person in {request.target['incident']}")
        if len(waiting) > 1 and all(one.decision == waiting[0].decision == self.decision for one in waiting):
            return AlreadyDone(f"every step was {self.decision} before: {', '.join(one.label for one in waiting)}")
        if len(waiting) > 1:
            names = ", ".join(f"{one.id} ({one.label})" for one in waiting)
            return Decline(Refusal.NO_SUCH_APPROVAL, f"several steps wait; name one as action_id: {names}")
        one = waiting[0]
        if one.decision == self.decision:
            return self.decided_before(one)
        if one.decision != "waiting":
            return Decline(Refusal.ALREADY_DECIDED, f"{one.label} was {one.decision} before; that counts")
        if one.until <= state["now"]:
            return Decline(Refusal.APPROVAL_EXPIRED, f"{one.label} could be decided until {_when(one.until)}")
        return Change(Direction.READ, f"{self.decision}: {one.label}", plan={"waiting": vars(one)})

    def decided_before(self, one: Waiting) -> Decision:
        return AlreadyDone(f"{one.label} was {one.decision} before")

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        one = Waiting(**change.plan["waiting"])
        who = str(request.requested_by)
        if one.decision == "waiting":
            approvals.decide(ledger(), one, self.decision, who, time.time())
        evidence = self.carry_out(one, who)
        self._carried_out = True
        return evidence

    def carry_out(self, one: Waiting, who: str) -> Mapping[str, Any]:
        return {"decided": one.id, "by": who}

    def verify(self, request: Request, change: Change) -> Verification:
        """Without a clear answer it is not known what was written or started; to send it again does no harm."""
        if self._carried_out:
            return Verification(Verdict.HOLDS, detail=change.summary)
        return Verification(Verdict.UNKNOWN, detail=f"no clear answer, send it once more: {change.summary}")


class Approve(_Decide):
    """Approve a waiting step; its action starts at once, in the name of the person who approved."""

    name = "approve"
    decision = "approved"

    def decided_before(self, one: Waiting) -> Decision:
        """Ask again: a run may have died between decision and start; the action_id makes a second one idle."""
        return Change(Direction.READ, f"approved before: {one.label}", plan={"waiting": vars(one)})

    def carry_out(self, one: Waiting, who: str) -> Mapping[str, Any]:
        try:
            starter.start({**one.request, "requested_by": who})
        except (TargetForbidden, TargetNotFound) as error:
            raise NotApplied(f"{one.label} is approved and was not started; approve it again: {error}") from error
        return {"approved": one.id, "by": who, "started": one.request["action"]}


class Deny(_Decide):
    """Deny a waiting step; it is never started."""

    name = "deny"
    decision = "denied"


class _Pause(Action):
    """Base of everything that writes or removes a pause item, under the name of what it pauses."""

    permissions = ()
    reversible = False
    pauses = True

    def observe(self, request: Request) -> State:
        return self._read(request)

    def _read(self, request: Request) -> dict[str, Any]:
        item = ledger().get("PAUSE", self.paused(request)) or {}
        in_force = item.get("paused_until", 0) > time.time()
        return {"paused": in_force, "pause": item["doc"] if in_force else None}

    def paused(self, request: Request) -> str:
        """The sort key of the pause item."""
        return str(request.target["pause"])

    def verify(self, request: Request, change: Change) -> Verification:
        """The ledger is asked again: nobody must believe in a pause that was not written."""
        holds = self._read(request)["paused"] is self.pauses
        return Verification(Verdict.HOLDS if holds else Verdict.DOES_NOT_HOLD, detail=change.summary)


class Pause(_Pause):
    """Pause selfheal until a time; it ends by itself."""

    name = "pause"

    def decide(self, state: State, request: Request) -> Decision:
        if request.options["what"] not in {"risky", "all"}:
            return Decline(Refusal.BAD_OPTIONS, "what must be `risky` or `all`")
        if not 0 < request.options["minutes"] <= MAX_PAUSE_MINUTES:
            return Decline(Refusal.BAD_OPTIONS, f"minutes must be from 1 to {MAX_PAUSE_MINUTES}")
        what, minutes = request.options["what"], request.options["minutes"]
        return Change(Direction.READ, f"{what} actions paused for {self.paused(request)}, {minutes} minutes")

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        until = time.time() + 60 * request.options["minutes"]
        _write_pause(self.paused(request), request, str(request.options["what"]), until)
        return {"until": _when(until)}


class Resume(_Pause):
    """End a pause before its time."""

    name = "resume"
    pauses = False

    def decide(self, state: State, request: Request) -> Decision:
        if not state["paused"]:
            return AlreadyDone(f"{self.paused(request)} is not paused")
        return Change(Direction.READ, f"pause of {self.paused(request)} ended", plan={"pause": state["pause"]})

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        ledger().write(table.delete("PAUSE", self.paused(request)))
        return {"ended": self.paused(request)}


class TakeOver(_Pause):
    """ "I have it": selfheal watches this incident and records, and does not act."""

    name = "take_over"

    def paused(self, request: Request) -> str:
        return str(request.target["incident"])

    def observe(self, request: Request) -> State:
        incident = incident_store.find(ledger(), self.paused(request))
        is_open = incident is not None and incident.phase is not Phase.CLOSED
        return {**super().observe(request), "open": is_open}

    def decide(self, state: State, request: Request) -> Decision:
        if not state["open"]:
            return Decline(Refusal.NO_SUCH_INCIDENT, f"{self.paused(request)} is not open")
        if state["paused"]:
            return AlreadyDone(f"{state['pause']['who']} has had it since {state['pause']['since']}")
        return Change(Direction.READ, f"{request.requested_by} has {self.paused(request)}")

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        until = time.time() + 60 * MAX_PAUSE_MINUTES
        _write_pause(self.paused(request), request, "all", until)
        return {"until": _when(until)}


class HandBack(Resume):
    """Give an incident back: selfheal goes on where it stands."""

    name = "hand_back"

    def paused(self, request: Request) -> str:
        return str(request.target["incident"])


def _write_pause(name: str, request: Request, what: str, until: float) -> None:
    doc = {
        "what": what,
        "who": request.requested_by,
        "reason": request.reason,
        "since": _when(time.time()),
        "until": _when(until),
    }
    ledger().write(table.put("PAUSE", name, doc, paused_until=until, expires=int(until + table.DAY_S)))


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


lambda_handler = widget.pressable(handler_for(Approve, Deny, TakeOver, HandBack, Pause, Resume))
