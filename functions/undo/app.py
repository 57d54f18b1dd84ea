"""Undo: restores what an incident changed, in reverse order, or one of its actions. For a person, at most once.

It reads the list of open changes and asks each action's own function to restore its before-image, the newest first and
one for each target; that function compares first and refuses if somebody has changed the target since. Irreversible
steps are listed and skipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from selfheal import changes, incident_store, record, starter, widget
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.catalogue import ACTIONS
from selfheal.handler import handler_for
from selfheal.incident import Status
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Mode, Origin, Verdict
from selfheal.world import ledger

Changed = Mapping[str, Any]
"""An open change, as it stands in the ledger."""


class Undo(Action):
    """Undo an incident, or with `action_id` one of its actions (`incident: "-"` for one that was started by hand)."""

    name = "undo"
    permissions = ("lambda:InvokeFunction", "sqs:SendMessage")
    reversible = False
    verify_for_s = 0.0

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._all_started = False

    def observe(self, request: Request) -> State:
        incident_id, action_id = request.target["incident"], request.target["action_id"]
        incident = None if action_id else incident_store.find(ledger(), incident_id)
        listed = [
            change
            for change in changes.still_open(ledger())
            if (change["action_id"] == action_id if action_id else change["incident"] == incident_id)
        ]
        skipped = [
            step.label
            for step in (incident.steps if incident else ())
            if step.status is Status.DONE and ACTIONS[step.action].undo is None
        ]
        started = _id_of(action_id, request) if action_id and not listed else ""
        earlier = started if started and record.find(ledger(), started) else ""
        return {"known": incident is not None, "changes": listed, "irreversible": skipped, "started_before": earlier}

    def decide(self, state: State, request: Request) -> Decision:
        wanted = request.target["action_id"] or request.target["incident"]
        if state["started_before"]:  # by a run of this request that was killed afterwards
            return AlreadyDone(f"{wanted} was undone by {state['started_before']}")
        if not state["changes"]:
            if not state["known"] and not request.target["action_id"]:
                return Decline(Refusal.NO_SUCH_INCIDENT, f"{wanted} is not in the ledger")
            if state["irreversible"]:
                return Decline(Refusal.IRREVERSIBLE, f"only irreversible steps are left: {state['irreversible']}")
            return Decline(Refusal.NOTHING_TO_UNDO, f"{wanted} has no open change (undone before, or none made)")
        newest_first = sorted(state["changes"], key=lambda change: change["at"], reverse=True)
        now, later = _one_for_each_target(newest_first)
        plan = {"changes": now, "later": [_name(change) for change in later], "irreversible": state["irreversible"]}
        summary = f"undo {', '.join(map(_name, now))}"
        if later:
            summary += f"; then, once these are undone, undo again for {', '.join(plan['later'])}"
        return Change(Direction.READ, summary, plan=plan)

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        started = [_undo(one, request) for one in change.plan["changes"]]
        self._all_started = True
        plan = change.plan
        return {"started": started, "undo_again_for": plan["later"], "skipped_irreversible": plan["irreversible"]}

    def verify(self, request: Request, change: Change) -> Verification:
        """Each undo that was started is recorded by its own function, and counts once."""
        if self._all_started:
            return Verification(Verdict.HOLDS, detail=f"started: {change.summary}")
        return Verification(Verdict.UNKNOWN, detail=f"no clear answer, undo again for what is left: {change.summary}")


def _name(change: Mapping[str, Any]) -> str:
    return f"{change['action']} ({change['action_id']})"


def _one_for_each_target(newest_first: list[Changed]) -> tuple[list[Changed], list[Changed]]:
    """The newest change of each target, and those below: they can't be compared before the newer one is undone."""
    seen: set[str] = set()
    now: list[Changed] = []
    later: list[Changed] = []
    for change in newest_first:
        target = json.dumps(change["target"], sort_keys=True)
        (later if target in seen else now).append(change)
        seen.add(target)
    return now, later


def _id_of(action_id: str, request: Request) -> str:
    """Each undo has an id of its own, since one that was refused is over; that a change is undone only once, its own
    record sees to."""
    digest = hashlib.sha256(f"{action_id}|{request.action_id}".encode()).hexdigest()
    return f"undo.{action_id[:200]}.{digest[:8]}"


def _undo(change: Changed, request: Request) -> str:
    """Ask the action's function to restore."""
    action_id = _id_of(change["action_id"], request)
    starter.start(
        {
            "action": change["action"],
            "action_id": action_id,
            "target": change["target"],
            "mode": Mode.ACT.value,
            "origin": Origin.UNDO.value,
            "undo_of": change["action_id"],
            "incident": change["incident"],
            "system": change["system"],
            "requested_by": request.requested_by,
            "reason": request.reason or f"undo of {change['action_id']}",
        }
    )
    return action_id


lambda_handler = widget.pressable(handler_for(Undo))
