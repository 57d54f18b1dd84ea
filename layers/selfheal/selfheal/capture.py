"""Evidence before destruction: what a step may destroy is copied to S3 right before its first call.

A restart ends the tasks whose stop reasons one wants to read, a rollback ends the deployment that one wants to look at.
So once the guards agreed and the target is ours, PreserveEvidence is asked, and waited for at most WITHIN_S. Without an
answer the result says so, and only an action that destroys is refused: a rollback must not wait for a log service that
is down as well. Nothing is captured before what is safe and destroys nothing: containment does not wait.

Not in a storm either, but where it would be gone: of more than MAX_IN_LINE that waited in line together, each would be
held up by the evidence of all before it, and evidence takes three of the same 15 calls a second that they wait for.
Versions and logs stay where they are; the result says that nothing was captured.

Once for each incident and target: the same id is answered from the record. Only where that first try failed, a later
step of the incident tries again under a name of its own.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from selfheal import settings, starter
from selfheal.action import Action, Change, Decline
from selfheal.errors import ChangedMeanwhile, NotApplied, TargetForbidden, TargetNotFound, Unreadable
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Mode, Outcome

PERMISSIONS = ("lambda:InvokeFunction",)
"""IAM actions of the engine, on PreserveEvidence alone, where a function's actions capture."""
ACTION = "capture_evidence"
CAPTURED = "captured"
"""Where the evidence lies, in the evidence of a result."""
NOT_CAPTURED = "not_captured"
"""Why it does not."""
WITHIN_S = 10
MAX_IN_LINE = 3
CONNECT_S = 2
"""Of that, to connect (clients)."""


def needed(action: type[Action] | Action, direction: Direction) -> bool:
    """Evidence is captured before this action goes in this direction."""
    if direction is Direction.READ:
        return False
    return action.destroys or (action.captures and direction is Direction.RISKY)


def first(
    action: Action,
    request: Request,
    change: Change,
    notes: dict[str, Any],
    *,
    in_line: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Decline | None:
    """Capture what `change` may destroy, unless this run has done it already, and note where it lies.

    A Decline if it could not be captured and would be gone afterwards. `in_line`: so many requests came together.
    """
    if not needed(action, change.direction) or CAPTURED in notes:
        return None
    if in_line > MAX_IN_LINE and not action.destroys:
        notes[NOT_CAPTURED] = f"one of {in_line} that waited in line together: they are not held up for evidence"
        return None
    where, why_not = _capture(request, clock)
    if where:
        notes.pop(NOT_CAPTURED, None)
        notes[CAPTURED] = where
        return None
    notes[NOT_CAPTURED] = why_not
    return Decline(Refusal.EVIDENCE_MISSING, f"nothing was done: {why_not}") if action.destroys else None


def _capture(request: Request, clock: Callable[[], float]) -> tuple[str, str]:
    """The URI of the evidence, or why there is none."""
    function = settings.evidence_function()
    if not function:
        return "", "environment variable EVIDENCE_FUNCTION is missing; the stack's template sets it"
    end, reasons = clock() + WITHIN_S, []
    for owner in dict.fromkeys((request.incident or request.action_id, request.action_id)):
        within_s = int(end - clock()) - CONNECT_S
        if within_s < 1:
            break
        try:
            answer = starter.ask(function, _event(request, owner), within_s)
        except (TargetNotFound, TargetForbidden, ChangedMeanwhile, NotApplied, Unreadable) as error:
            reasons.append(str(error))
            continue
        where = (answer.get("evidence") or {}).get(CAPTURED, "")
        if answer.get("outcome") in {Outcome.ACTED, Outcome.ALREADY_DONE} and where:
            return str(where), ""
        reasons.append(f"{answer.get('outcome')} {answer.get('reason')}: {answer.get('detail')}")
    return "", "; ".join(dict.fromkeys(reasons))[:500]


def _event(request: Request, owner: str) -> dict[str, Any]:
    """The request that PreserveEvidence gets; `owner` is what its evidence is for."""
    mark = hashlib.sha256(f"{owner}|{request.target.key}".encode()).hexdigest()[:12]
    return {
        "action": ACTION,
        "action_id": f"evidence.{owner[:200]}.{mark}",
        "target": request.target.as_dict(),
        "reason": f"before {request.action} ({request.action_id})"[:500],
        "mode": Mode.ACT.value,
        "origin": request.origin.value,
        "incident": request.incident,
        "system": request.system,
        "requested_by": request.requested_by,
        "hops": request.hops + 1,
    }
