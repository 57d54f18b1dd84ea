"""Undo: restores what an incident changed, in reverse order, or one of its actions. For a person, at most once.

It reads the list of open changes and asks each action's own function to restore its before-image; that function
compares first and refuses if somebody has changed the target since. Irreversible steps are listed and skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import changes, incident_store, starter
from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.catalogue import ACTIONS
from selfheal.handler import handler_for
from selfheal.incident import Status
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Mode, Origin, Verdict
from selfheal.world import ledger


class Undo(Action):
    """Undo an incident, or with `action_id` one of its actions (`incident: "-"` for one that was started by hand)."""

    name = "undo"
    permissions = ("lambda:InvokeFunction", "sqs:SendMessage")
    reversible = False

    def observe(self, request: Request) -> State:
        incident_id, action_id = request.target["incident"], request.target["action_id"]
        incident = incident_store.find(ledger(), incident_id)
        listed = [
            change
            for change in changes.still_open(ledger())
            if (change["action_id"] == action_id if action_id else change["incident"] == incident_id)
        ]
        skipped = [
            step.label
            for step in (incident.steps if incident and not action_id else ())
            if step.status is Status.DONE and ACTIONS[step.action].undo is None
        ]
        return {"known": incident is not None, "changes": listed, "irreversible": skipped}

    def decide(self, state: State, request: Request) -> Decision:
        wanted = request.target["action_id"] or request.target["incident"]
        if not state["changes"]:
            if not state["known"] and not request.target["action_id"]:
                return Decline(Refusal.NO_SUCH_INCIDENT, f"{wanted} is not in the ledger")
            if state["irreversible"]:
                return Decline(Refusal.IRREVERSIBLE, f"only irreversible steps are left: {state['irreversible']}")
            return Decline(Refusal.NOTHING_TO_UNDO, f"{wanted} has no open change (undone before, or none made)")
        newest_first = sorted(state["changes"], key=lambda change: change["at"], reverse=True)
        names = ", ".join(f"{change['action']} ({change['action_id']})" for change in newest_first)
        plan = {"changes": newest_first, "irreversible": state["irreversible"]}
        return Change(Direction.READ, f"undo {names}", plan=plan)

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        started = [_undo(one, request) for one in change.plan["changes"]]
        return {"started": started, "skipped_irreversible": change.plan["irreversible"]}

    def verify(self, request: Request, change: Change) -> Verification:
        return Verification(Verdict.HOLDS, detail=f"started: {change.summary}")


def _undo(change: Mapping[str, Any], request: Request) -> str:
    """Ask the action's function to restore; the id makes a second undo of the same change a duplicate."""
    action_id = f"undo.{change['action_id']}"
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


lambda_handler = handler_for(Undo)
