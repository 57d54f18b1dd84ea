"""The record of one action: claimed once, finished once. This is the idempotency of every action.

A duplicate request meets the first one's record and costs one conditional write. Each run has a `run_id` of its own,
which fences late writers: a run whose lease ran out can't finish what another run has taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any
from uuid import uuid4

from selfheal import ledger as table
from selfheal.action import Change
from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.ledger import Ledger, Lost, Write
from selfheal.refusal import Refusal
from selfheal.request import Request, Result
from selfheal.sizes import trimmed
from selfheal.words import Direction, Outcome

TOLD_WITHIN_S = 30.0
"""From its record on, until the run that made it has told the bus or is dead. A duplicate that comes later than that
(Lambda repeats the event of a run that died after a minute) tells it again: nobody else may have."""
AFTERWARDS = "afterwards"
"""In the place of the run of a record that was made later: its incident was not there yet when the run told the bus."""
MAX_RESULT_BYTES = 200_000
"""A DynamoDB item holds 400 KB; the rest is for the request and for what JSON in JSON adds."""


@dataclass(frozen=True)
class Claim:
    """What a claim met. Exactly one holds: ours and fresh, ours after a dead run, finished, or running elsewhere."""

    run_id: str
    fresh: bool = False
    resumed: bool = False
    finished: Result | None = None
    running_for_s: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """One try at the change, as it stands in the ledger since before the call."""

    number: int
    change: Change


def key(action_id: str) -> tuple[str, str]:
    """Where an action's record is."""
    return f"ACTION#{action_id}", "ACTION"


def claim(ledger: Ledger, request: Request, now: float, lease_s: float) -> Claim:
    """Claim the action_id, or say what became of its first claim.

    Raises Refused if the action_id belongs to another action or target, LedgerUnavailable.
    """
    run_id, wanted = uuid4().hex, what(request)
    mine = table.put(
        *key(request.action_id),
        {"request": request.as_event(), "at": now},
        "attribute_not_exists(pk) OR (run = :running AND claimed_until < :now AND what = :what)",
        {"running": "running", "now": now, "what": wanted},
        run="running",
        run_id=run_id,
        what=wanted,
        claimed_until=now + lease_s,
        incident=request.incident,
    )
    try:
        replaced = ledger.put_returning_old(mine)
    except Lost as lost:
        return _met(lost.reasons[0] or {}, run_id, wanted, now)
    return Claim(run_id, fresh=replaced is None, resumed=replaced is not None)


def what(request: Request) -> str:
    """The one action on the one target to which an action_id belongs."""
    return f"{request.action} {request.target.key}"


def _met(standing: Mapping[str, Any], run_id: str, wanted: str, now: float) -> Claim:
    if standing.get("what", wanted) != wanted:
        detail = f"this action_id belongs to {standing['what']}; {wanted} needs one of its own"
        raise Refused(Refusal.NOT_A_REQUEST, detail)
    if standing.get("run") == "done":
        told_by_its_run = standing.get("run_id") != AFTERWARDS
        repeated = told_by_its_run and now < float(standing["doc"]["at"]) + TOLD_WITHIN_S
        return Claim(run_id, finished=replace(read_result(standing["doc"]["result"]), repeated=repeated))
    if standing.get("run_id") == run_id:  # our own put, sent again because its answer got lost on the way
        return Claim(run_id, resumed=True)
    return Claim(run_id, running_for_s=max(0.0, now - float(standing.get("doc", {}).get("at", now))))


def attempt(request: Request, change: Change, number: int, now: float) -> Write:
    """The write-once before-image of one attempt. The result holds the image as well, for as long as it is needed."""
    doc = {
        "summary": change.summary,
        "direction": change.direction,
        "before": change.before,
        "after": change.after,
        "plan": change.plan,
        "at": now,
    }
    pk, _ = key(request.action_id)
    return table.put_new(pk, f"ATTEMPT#{number:02d}", doc, expires=int(now + table.KEEP_S))


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
        for item in ledger.query(key(action_id)[0], "ATTEMPT#")
    ]


def finish(
    ledger: Ledger, request: Request, run_id: str, result: Result, now: float, *also: Write, opened: bool = False
) -> bool:
    """Record the result together with `also`. False: another run took over and will record its own.

    `opened`: the change is in force, and its image must not expire. Raises LedgerUnavailable.
    """
    recorded = trimmed(result.as_event(), MAX_RESULT_BYTES, ("evidence",))
    done = table.update(
        *key(request.action_id),
        {
            "doc": {"request": request.as_event(), "result": recorded, "at": now, "opened": opened},
            "run": "done",
            "outcome": result.outcome.value,
            "expires": None if opened else int(now + table.KEEP_S),
        },
        *_still_ours(run_id),
    )
    return _end(ledger, run_id, done, also)


def write_afterwards(
    ledger: Ledger, request: Request, result: Result, now: float, *also: Write, over: str | None
) -> None:
    """Record a change that was made without the ledger, together with `also`; it is in force and does not expire.

    `over`: the run_id of the record that gives way; None: there must be none. Raises Lost, LedgerUnavailable.
    """
    if result.outcome is Outcome.IN_PROGRESS:  # a later run knows nothing of it, and must not take its place
        result = replace(result, outcome=Outcome.INCONCLUSIVE, reason="not_recorded")
    recorded = trimmed(result.as_event(), MAX_RESULT_BYTES, ("evidence",))
    condition, values = "attribute_not_exists(pk)", None
    if over is not None:
        condition = "run_id = :over AND attribute_not_exists(undone_by) AND (run = :done OR claimed_until < :now)"
        values = {"over": over, "done": "done", "now": now}
    done = table.put(
        *key(request.action_id),
        {"request": request.as_event(), "result": recorded, "at": now, "opened": True},
        condition,
        values,
        run="done",
        run_id=AFTERWARDS,
        what=what(request),
        claimed_until=0,
        incident=request.incident,
        outcome=result.outcome.value,
    )
    ledger.write(done, *also)


def pause_run(ledger: Ledger, request: Request, run_id: str, now: float, *also: Write) -> bool:
    """End this run without a result: the next one (from the clock) may resume at once. Answers as `finish`."""
    paused = table.update(*key(request.action_id), {"claimed_until": now - 1}, *_still_ours(run_id))
    return _end(ledger, run_id, paused, also)


def _still_ours(run_id: str) -> tuple[str, dict[str, str]]:
    return "run = :running AND run_id = :mine", {"running": "running", "mine": run_id}


def _end(ledger: Ledger, run_id: str, ending: Write, also: tuple[Write, ...]) -> bool:
    """Write all of it. What of `also` is not ours any more (the lease ran out) is left out; the ending still counts."""
    try:
        ledger.write(ending, *also)
    except Lost as lost:
        standing, *reasons = lost.reasons
        if standing is not None:  # done and ours: our own write, sent again because its answer got lost
            return standing.get("run") == "done" and standing.get("run_id") == run_id
        return _end(
            ledger, run_id, ending, tuple(w for w, lost_to in zip(also, reasons, strict=True) if lost_to is None)
        )
    return True


def find(ledger: Ledger, action_id: str) -> Mapping[str, Any] | None:
    """The action's record: `run` is running or done, `doc` has request and result. Raises LedgerUnavailable."""
    return ledger.get(*key(action_id))


def read_result(document: Mapping[str, Any]) -> Result:
    """The result in a record; fields of another release of selfheal are left out."""
    known = {one.name for one in fields(Result)}
    named = {name: value for name, value in document.items() if name in known}
    return Result(**{**named, "outcome": Outcome(document["outcome"]), "direction": Direction(document["direction"])})
