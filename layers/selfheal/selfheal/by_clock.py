"""Requests that the clock makes by itself, outside of any incident, and what became of them.

Their ids are deterministic: asked twice, they run once. Nobody leads them on but the next ticks, so that a request
that no run is working on any more is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from selfheal import record
from selfheal.errors import SelfhealError
from selfheal.frozen import dataclass
from selfheal.ledger import Ledger
from selfheal.observability import logger
from selfheal.runbook import Step
from selfheal.words import Mode, Origin, Outcome

Start = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Answer:
    """What an action has answered."""

    outcome: Outcome
    reason: str
    detail: str


def request(step: Step, action_id: str, system: str, reason: str) -> dict[str, Any]:
    """The event of a request in the name of the calendar."""
    return {
        "action": step.action,
        "action_id": action_id,
        "target": step.target_for({}).as_dict(),
        "options": {name: value for name, value in step.options.items() if value is not None},
        "mode": Mode.ACT.value,
        "origin": Origin.SWEEP.value,
        "system": system,
        "reason": reason,
    }


def sweep_request(system: str, sweep: str, action_id: str, reason: str, *, must_pass: bool) -> dict[str, Any]:
    """The event of a sweep. With `must_pass` the action fails when a check does."""
    options = {"sweep": sweep, **({"must_pass": True} if must_pass else {})}
    step = Step("check_health", "", {"system": system}, 0, approval=False, options=options)
    return request(step, action_id, system, reason)


def go_on(ledger: Ledger, event: Mapping[str, Any], start: Start, now: float) -> Answer | None:
    """Send a request unless somebody works on it; its answer once there is one. Raises LedgerUnavailable."""
    found = record.find(ledger, event["action_id"])
    if found is not None and found["run"] == "done":
        result = record.read_result(found["doc"]["result"])
        return Answer(result.outcome, result.reason, result.detail)
    if found is None or float(found["claimed_until"]) <= now:
        send({**event, "mode": (Mode.ACT if found is None else Mode.RESUME).value}, start)
    return None


def send(event: dict[str, Any], start: Start) -> bool:
    """False: it could not be sent; the next tick tries again."""
    try:
        start(event)
    except SelfhealError as error:
        logger.error("not started; the next tick tries again", action_id=event["action_id"], cause=str(error))
        return False
    return True
