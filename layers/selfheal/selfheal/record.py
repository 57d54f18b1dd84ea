"""The record of one action: claimed once, finished once. This is the idempotency of every action.

A duplicate request meets the first one's record and costs one conditional write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfheal import ledger as table
from selfheal.action import Change
from selfheal.errors import LedgerUnavailable
from selfheal.ledger import Ledger, Lost, Write
from selfheal.request import Request, Result
from selfheal.words import Direction, Outcome


@dataclass(frozen=True)
class Claim:
    """What a claim met. Exactly one holds: ours and fresh, ours after a dead run, finished, or running elsewhere."""

    fresh: bool = False
    resumed: bool = False
    finished: Mapping[str, Any] | None = None
    running_for_s: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """One try at the change, as it stands in the ledger since before the call."""

    number: int
    change: Change


def claim(ledger: Ledger, request: Request, now: float, lease_s: float) -> Claim:
    """Claim the action_id, or say what became of its first claim. Raises LedgerUnavailable."""
    doc = {"request": request.as_event(), "at": now}
    key = (f"ACTION#{request.action_id}", "ACTION")
    mine = table.put(
        *key,
        doc,
        "attribute_not_exists(pk) OR (run = :running AND claimed_until < :now)",
        {"running": "running", "now": now},
        run="running",
        claimed_until=now + lease_s,
        claim_number=now,
        incident=request.incident,
    )
    first = ledger_put_returning_old(ledger, mine)
    if first is None:
        return Claim(fresh=True)
    if first.get("run") == "done":
        return Claim(finished=first["doc"]["result"])
    if first.get("claimed_until", 0) < now:
        return Claim(resumed=True)
    return Claim(running_for_s=max(0.0, now - float(first["doc"]["at"])))


def ledger_put_returning_old(ledger: Ledger, write: Write) -> Mapping[str, Any] | None:
    """Put; answer the item that was there before, whether it was replaced or stood in the way."""
    try:
        return ledger.put_returning_old(write)
    except Lost as lost:
        return lost.reasons[0]


def attempts(ledger: Ledger, action_id: str) -> list[Attempt]:
    """Every attempt of an action in order. Raises LedgerUnavailable."""
    return [
        Attempt(
            number=int(item["sk"].removeprefix("ATTEMPT#")),
            change=Change(
                direction=Direction(item["doc"]["direction"]),
                summary=item["doc"]["summary"],
                before=item["doc"]["before"],
                after=item["doc"]["after"],
                plan=item["doc"]["plan"],
            ),
        )
        for item in ledger.query(f"ACTION#{action_id}", "ATTEMPT#")
    ]


def finish(ledger: Ledger, request: Request, result: Result, now: float, *also: Write) -> bool:
    """Record the result together with `also`, all or nothing. False: another run took over and will record its own.

    Raises LedgerUnavailable.
    """
    done = table.update(
        f"ACTION#{request.action_id}",
        "ACTION",
        {
            "doc": {"request": request.as_event(), "result": result.as_event(), "at": now},
            "run": "done",
            "outcome": result.outcome.value,
            "expires": None if _in_force(result) else int(now + table.KEEP_S),
        },
        "run = :running",
        {"running": "running"},
    )
    try:
        ledger.write(done, *also)
    except Lost as lost:
        if lost.reasons[0] is not None or not also:
            return False
        # the lease ran out and somebody else has the target: the result still counts, the target is theirs
        return finish(ledger, request, result, now, *also[1:])
    return True


def pause_run(ledger: Ledger, request: Request, now: float, *also: Write) -> None:
    """End this run without a result: the next one (from the clock) may resume at once. Raises LedgerUnavailable."""
    key = (f"ACTION#{request.action_id}", "ACTION")
    freed = table.update(*key, {"claimed_until": now - 1}, "run = :running", {"running": "running"})
    try:
        ledger.write(freed, *also)
    except Lost as lost:
        raise LedgerUnavailable("another run has taken this action over") from lost


def find(ledger: Ledger, action_id: str) -> Mapping[str, Any] | None:
    """The action's record: `run` is running or done, `doc` has request and result. Raises LedgerUnavailable."""
    return ledger.get(f"ACTION#{action_id}", "ACTION")


def _in_force(result: Result) -> bool:
    """An image must outlive its change: TTL never removes it while the change is in force."""
    return result.outcome is Outcome.ACTED and result.before is not None
