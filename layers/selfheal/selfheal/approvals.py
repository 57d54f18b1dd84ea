"""Steps that wait for a person. Decided once, however often the decision is sent; expired means denied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import ledger as table
from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.incident import Incident, StepRun
from selfheal.ledger import Ledger, Lost, Write
from selfheal.refusal import Refusal
from selfheal.words import Mode, Origin

APPROVE_WITHIN_S = 3 * table.DAY_S
"""How long a step waits: over a weekend."""


@dataclass(frozen=True)
class Waiting:
    """A step that waits. `request` is the event that approval sends; `until` in epoch seconds."""

    id: str
    label: str
    request: Mapping[str, Any]
    until: float
    decision: str


def waiting(incident: Incident, step: StepRun, now: float) -> Write:
    """The write that lets a step wait for a person."""
    request = {
        "action": step.action,
        "action_id": incident.action_id(step),
        "target": dict(step.target),
        "reason": f"approved step of {incident.id}: {incident.response}",
        "mode": Mode.ACT.value,
        "origin": Origin.HAND.value,
        "incident": incident.id,
        "system": incident.system,
        "options": {name: value for name, value in step.options.items() if value is not None},
    }
    until = now + APPROVE_WITHIN_S
    return table.put_new(
        "APPROVAL",
        approval_id(incident.id, step.number),
        {"label": step.label, "request": request, "asked_at": now, "incident": incident.id},
        decision="waiting",
        decide_until=until,
        expires=int(until + table.KEEP_S),
    )


def approval_id(incident: str, number: int) -> str:
    """What a person approves: `<incident>.<step>`, the action_id without its try."""
    return f"{incident}.{number}"


def all_of(ledger: Ledger, incident: str = "") -> list[Waiting]:
    """Steps that wait or waited, of one incident or of all. Raises LedgerUnavailable."""
    return [
        Waiting(
            id=item["sk"],
            label=item["doc"]["label"],
            request=item["doc"]["request"],
            until=item["decide_until"],
            decision=item["decision"],
        )
        for item in ledger.query("APPROVAL", f"{incident}." if incident else "")
    ]


def decide(ledger: Ledger, one: Waiting, decision: str, who: str, now: float) -> None:
    """Write `approved` or `denied`, once. Raises Refused (ALREADY_DECIDED, APPROVAL_EXPIRED), LedgerUnavailable."""
    if one.decision != "waiting":
        raise Refused(Refusal.ALREADY_DECIDED, f"{one.id} was {one.decision}")
    changes = {"decision": decision, "decided_by": who, "decided_at": now}
    condition = "decision = :waiting AND decide_until > :now"
    try:
        ledger.write(table.update("APPROVAL", one.id, changes, condition, {"waiting": "waiting", "now": now}))
    except Lost as lost:
        expired = one.until <= now
        refusal = Refusal.APPROVAL_EXPIRED if expired else Refusal.ALREADY_DECIDED
        raise Refused(refusal, f"{one.id}: {refusal.sentence}") from lost
