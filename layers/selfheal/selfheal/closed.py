"""What was closed lately, for those who look: a few lines of each incident, by the day on which it was closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal import ledger as table
from selfheal import story
from selfheal.incident import Incident, Status
from selfheal.ledger import Ledger, Write

MAX_DETAIL = 300
NO_DECISION = frozenset({Status.WAITING, Status.ASKED, Status.SKIPPED})


def listed(incident: Incident, now: float) -> Write:
    """The write that lists a closing incident; it belongs into the closing transaction."""
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return table.put("CLOSED", f"{at}#{incident.id}", brief(incident), expires=int(now + table.KEEP_S))


def brief(incident: Incident) -> dict[str, Any]:
    """An incident in a few lines. Times in epoch seconds. `waits`: a step of it waits for a person."""
    return {
        "id": incident.id,
        "system": incident.system,
        "response": incident.response,
        "severity": incident.severity,
        "verdict": incident.verdict,
        "red_at": incident.red_at_ms / 1000,
        "contained_at": incident.contained_at,
        "green_at": incident.green_at,
        "closed_at": incident.closed_at,
        "waits": any(step.status is Status.NEEDS_PERSON for step in incident.steps),
        "decisions": decisions(incident),
    }


def decisions(incident: Incident) -> list[dict[str, Any]]:
    """What was decided for it: each step that was done, refused, held back or only suggested, in their order."""
    return [
        {
            "at": step.done_at or story.began(incident, step),
            "label": step.label,
            "status": step.status.value,
            "reason": step.reason,
            "detail": step.detail[:MAX_DETAIL],
        }
        for step in (*incident.steps, *incident.probes)
        if step.status not in NO_DECISION
    ]


def on(ledger: Ledger, day: str) -> Iterator[Mapping[str, Any]]:
    """The incidents that were closed on this day (`2026-01-31`, UTC), the first one first. Raises LedgerUnavailable."""
    return (item["doc"] for item in ledger.query("CLOSED", day))
