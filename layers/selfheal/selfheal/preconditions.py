"""What must hold before a rollout begins: the one before it is proven, and it is the time for it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from selfheal import incident_store, proven, windows
from selfheal.errors import Refused
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.runbook import Requires, Rollout, Runbook


def missing(ledger: Ledger, runbook: Runbook, rollout: Rollout, now: float) -> Refused | None:
    """The first precondition that does not hold, in words. Raises LedgerUnavailable: then nothing is known."""
    if rollout.requires is not None and (why := _too_early(ledger, runbook, rollout.requires, now)):
        return Refused(Refusal.ROLLOUT_TOO_EARLY, why)
    if rollout.only and windows.ends_at(rollout.only, runbook.timezone, now) is None:
        begins = windows.next_start(rollout.only, runbook.timezone, now)
        return Refused(Refusal.NOT_OFF_PEAK, f"the next window begins at {_local(begins or now, runbook)}")
    return None


def _too_early(ledger: Ledger, runbook: Runbook, wanted: Requires, now: float) -> str:
    system = wanted.rollout.rpartition("/")[0]
    proof = proven.of(ledger, wanted.rollout)
    if proof.verdict != proven.ROLLED_OUT:
        ended = f"ended as {proof.verdict} at {_local(proof.ended_at, runbook)}" if proof.verdict else "never ended"
        return f"{wanted.rollout} {ended}; do it to its end first"
    under_way = [one.id for one in incident_store.all_open(ledger) if one.system == system]
    if under_way:
        return f"{system} is not clean: {under_way[0]} is open"
    if now < proof.clean_since + wanted.clean_for_s:
        since = f"{wanted.rollout} ended at {_local(proof.ended_at, runbook)}"
        if proof.red_at > proof.ended_at:
            since += f", and {proof.red_incident} was red until {_local(proof.red_at, runbook)}"
        return f"{since}; earliest at {_local(proof.clean_since + wanted.clean_for_s, runbook)}"
    return ""


def _local(moment: float, runbook: Runbook) -> str:
    return f"{datetime.fromtimestamp(moment, ZoneInfo(runbook.timezone)):%a %Y-%m-%d %H:%M} ({runbook.timezone})"
