"""Sweeps: the clock starts the health checks whose time has come, and catches up on those that were missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selfheal import by_clock
from selfheal import ledger as table
from selfheal.calendar import latest
from selfheal.ledger import Ledger, Lost
from selfheal.observability import logger
from selfheal.runbook import Runbook, Runbooks, Sweep


def start_due(ledger: Ledger, runbooks: Runbooks, start: Callable[[dict[str, Any]], None], now: float) -> list[str]:
    """Start every sweep that is due; answers their names. Raises LedgerUnavailable.

    Started first and recorded afterwards: a crash in between starts it again under the same action_id, which is idle.
    """
    done = {item["sk"]: float(item["swept_until"]) for item in ledger.query("SWEEP")}
    started = []
    for runbook in runbooks.runbooks:
        for sweep in runbook.sweeps:
            if sweep.when is None:
                continue
            name = f"{runbook.system}|{sweep.name}"
            moment = latest(sweep.when, sweep.timezone, runbook.holidays, now)
            if name not in done:
                _record(ledger, name, now)  # a new sweep has missed nothing
            elif moment is not None and moment > done[name] and _start(runbook, sweep, moment, start):
                _record(ledger, name, moment)
                started.append(name)
    return started


def _start(runbook: Runbook, sweep: Sweep, moment: float, start: Callable[[dict[str, Any]], None]) -> bool:
    action_id = f"sweep.{runbook.system}.{sweep.name}.{moment:.0f}"
    event = by_clock.sweep_request(runbook.system, sweep.name, action_id, sweep.name, must_pass=False)
    return by_clock.send(event, start)


def _record(ledger: Ledger, name: str, until: float) -> None:
    condition = "attribute_not_exists(pk) OR swept_until < :until"
    try:
        ledger.write(table.put("SWEEP", name, {}, condition, {"until": until}, swept_until=until))
    except Lost:
        logger.info("sweep recorded by another tick", sweep=name)
