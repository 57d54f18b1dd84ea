"""Commands to copy from a message: what a person types to undo, approve, deny, take over, or do what is suggested.

Who and why are for the person to fill in. Each command is one line for a POSIX shell, whatever is in the names.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from selfheal.approvals import approval_id
from selfheal.catalogue import ACTIONS
from selfheal.incident import Incident, Phase, Status, StepRun
from selfheal.words import Mode

YOURS = {"mode": Mode.ACT.value, "requested_by": "YOUR NAME", "reason": "WHY"}
"""What the person fills in."""
MAX_STEPS = 5
LONGEST = 1_000
"""A longer one is left out: a command that is cut off does something else."""


def invoke(function: str, event: Mapping[str, Any], stack: str) -> str:
    """The command that sends an event to a function of the stack, by its logical name."""
    typed = shlex.quote(json.dumps({**event, **YOURS}, ensure_ascii=False))
    return f"sam remote invoke {function} --stack-name {shlex.quote(stack)} --event {typed}"


def undo(incident: str, stack: str, action_id: str = "") -> str:
    """Undoes all that an incident changed, or one action (`incident` is `-` for one by hand)."""
    target = {"incident": incident, **({"action_id": action_id} if action_id else {})}
    return invoke("Undo", {"action": "undo", "target": target}, stack)


def of(incident: Incident, stack: str) -> list[tuple[str, str]]:
    """What it does, and the command: all that makes sense for the incident as it stands, the most urgent first."""
    found = [
        *(command for step in _some(incident, Status.NEEDS_PERSON) for command in _decide(incident, step, stack)),
        *((f"do it: {step.label}", _do(incident, step, stack)) for step in _some(incident, Status.SUGGESTED)),
    ]
    if can_be_undone(incident):
        found.append(("undo what was done", undo(incident.id, stack)))
    if incident.phase not in {Phase.WATCH, Phase.CLOSED} and not incident.rollout:
        event = {"action": "take_over", "target": {"incident": incident.id}}
        found.append(("take over; selfheal does no more in it", invoke("Approve", event, stack)))
    return [(what, line) for what, line in found if line and len(line) <= LONGEST and line.isprintable()]


def can_be_undone(incident: Incident) -> bool:
    """Something was changed that has a way back."""
    return any(step.status is Status.DONE and _undo_of(step) for step in incident.steps)


def _some(incident: Incident, status: Status) -> list[StepRun]:
    return [step for step in incident.steps if step.status is status][:MAX_STEPS]


def _decide(incident: Incident, step: StepRun, stack: str) -> list[tuple[str, str]]:
    target = {"incident": incident.id, "action_id": approval_id(incident.id, step.number)}
    return [
        (f"{word} {step.label}", invoke("Approve", {"action": word, "target": target}, stack))
        for word in ("approve", "deny")
    ]


def _do(incident: Incident, step: StepRun, stack: str) -> str:
    entry = ACTIONS.get(step.action)
    if entry is None or not step.target:
        return ""
    function = "".join(word.capitalize() for word in entry.function.split("_"))
    options = {"options": dict(step.options)} if step.options else {}
    event = {"action": step.action, "target": dict(step.target), "system": incident.system, **options}
    return invoke(function, event, stack)


def _undo_of(step: StepRun) -> str | None:
    entry = ACTIONS.get(step.action)
    return entry.undo if entry else None
