"""What closed incidents have proven: how each rollout ended, and when a system was last red.

Written with the transaction that closes an incident; read before a rollout that comes after another one.
"""

from __future__ import annotations

from selfheal import ledger as table
from selfheal.frozen import dataclass
from selfheal.incident import Incident
from selfheal.ledger import Ledger, Write

ROLLED_OUT = "rolled_out"


@dataclass(frozen=True)
class Proof:
    """How a rollout ended (empty: it never was begun, or is under way for the first time), and when anything of its
    system was red last, in epoch seconds (0: never)."""

    verdict: str = ""
    ended_at: float = 0.0
    red_at: float = 0.0
    red_incident: str = ""

    @property
    def clean_since(self) -> float:
        """Since when nothing was red after it."""
        return max(self.ended_at, self.red_at)


def closed(incident: Incident, now: float) -> list[Write]:
    """The writes that keep what this closing incident proves; they belong into its closing transaction."""
    at = incident.closed_at or now
    writes = []
    if incident.rollout:
        where = f"{incident.system}/{incident.rollout}"
        writes.append(table.put("ROLLOUT", where, {}, ended_at=at, verdict=incident.verdict, incident=incident.id))
    if incident.verdict != ROLLED_OUT:
        writes.append(table.put("RED", incident.system, {}, ended_at=at, incident=incident.id))
    return writes


def of(ledger: Ledger, rollout: str) -> Proof:
    """What is proven of `system/name`. Raises LedgerUnavailable."""
    system = rollout.rpartition("/")[0]
    found = {item["pk"]: item for item in ledger.get_many([("ROLLOUT", rollout), ("RED", system)])}
    ended, red = found.get("ROLLOUT", {}), found.get("RED", {})
    return Proof(
        verdict=ended.get("verdict", ""),
        ended_at=float(ended.get("ended_at", 0.0)),
        red_at=float(red.get("ended_at", 0.0)),
        red_incident=red.get("incident", ""),
    )
