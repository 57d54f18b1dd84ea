"""Rounds: what the clock does every few minutes, and not at each tick. The ledger remembers when each was last done.

A round that did not finish is begun again at the next tick, and so is one whose end could not be recorded: each is
idempotent, or tells twice rather than not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selfheal import ledger as table
from selfheal.errors import SelfhealError
from selfheal.frozen import dataclass
from selfheal.ledger import Ledger, Lost
from selfheal.observability import logger

CLOCK = "CLOCK"


@dataclass(frozen=True)
class Done:
    """What a round has done: `told` is for the log. Not `finished`: the next tick goes on with it."""

    told: Any = None
    finished: bool = True


@dataclass(frozen=True)
class Round:
    """One round, every `every_s` seconds (0: at each tick); `go` raises SelfhealError if it can't."""

    name: str
    every_s: float
    go: Callable[[], Done]


def run_due(ledger: Ledger, rounds: tuple[Round, ...], now: float) -> dict[str, Any]:
    """Run the rounds whose time has come; answers what each of them has done. Raises LedgerUnavailable.

    One that fails is told as `failed` and does not stand in the way of the others.
    """
    last = {item["sk"]: float(item["done_at"]) for item in ledger.query(CLOCK) if "done_at" in item}
    answers: dict[str, Any] = {}
    for one in rounds:
        if now < last.get(one.name, 0.0) + one.every_s:
            continue
        try:
            done = one.go()
        except SelfhealError as error:
            logger.error("round failed; the next tick tries again", round=one.name, cause=str(error))
            answers[one.name] = {"failed": str(error)}
            continue
        if done.told is not None:
            answers[one.name] = done.told
        if done.finished and one.every_s:
            _record(ledger, one.name, now)
    return answers


def _record(ledger: Ledger, name: str, now: float) -> None:
    condition = "attribute_not_exists(pk) OR done_at < :now"
    try:
        ledger.write(table.update(CLOCK, name, {"done_at": now}, condition, {"now": now}))
    except Lost:
        logger.info("round recorded by another tick", round=name)
