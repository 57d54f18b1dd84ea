"""Sweeps are started once each, on time or late, and never twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from selfheal.calendar import When
from selfheal.clock import tick
from selfheal.errors import NotApplied
from selfheal.ledger import Ledger
from selfheal.request import read_request
from selfheal.respond import Respond
from selfheal.runbook import Runbook, Runbooks, Sweep
from selfheal.sweeps import start_due

INDIA = "Asia/Kolkata"
DAILY = Sweep("morning checklist", "45 8 * * ? *", When((45,), (8,), None, None, None, None), INDIA, ({"flag": {}},))
RUNBOOKS = Runbooks(
    (
        Runbook(
            system="algo-trading-prod",
            file="algo-trading.yaml",
            owner="trading-oncall",
            timezone=INDIA,
            maintenance=(),
            holidays=frozenset(),
            exempt=frozenset(),
            targets={},
            responses=(),
            checks=(),
            sweeps=(DAILY,),
        ),
    )
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(INDIA)).timestamp()


class Started(list[Mapping[str, Any]]):
    """What was started; refuses while `broken`."""

    broken = False

    def __call__(self, event: dict[str, Any]) -> None:
        if self.broken:
            raise NotApplied("no such function")
        self.append(event)


@pytest.fixture
def started(ledger: Ledger) -> Started:
    """A stack whose clock has ticked once, the evening before."""
    calls = Started()
    start_due(ledger, RUNBOOKS, calls, at("2026-01-04T20:00"))
    return calls


def test_a_new_sweep_has_missed_nothing(started: Started) -> None:
    assert started == []


def test_a_sweep_starts_at_its_time_once(ledger: Ledger, started: Started) -> None:
    for minute in ("08:44", "08:45", "08:46", "08:47"):
        start_due(ledger, RUNBOOKS, started, at(f"2026-01-05T{minute}"))

    assert [event["reason"] for event in started] == ["morning checklist"]


def test_a_missed_sweep_is_caught_up(ledger: Ledger, started: Started) -> None:
    assert start_due(ledger, RUNBOOKS, started, at("2026-01-05T11:30")) == ["algo-trading-prod|morning checklist"]


def test_its_request_is_one_that_check_health_takes(ledger: Ledger, started: Started) -> None:
    start_due(ledger, RUNBOOKS, started, at("2026-01-05T08:45"))

    request = read_request(started[0], ("check_health",), "unused")

    assert request.target["system"] == "algo-trading-prod"
    assert request.options["sweep"] == "morning checklist"


def test_two_ticks_at_once_ask_under_one_action_id(ledger: Ledger, started: Started) -> None:
    now = at("2026-01-05T08:45")
    before = {item["sk"]: item for item in ledger.query("SWEEP")}
    start_due(ledger, RUNBOOKS, started, now)
    ledger._client.put_item(
        TableName="ledger",
        Item={
            "pk": {"S": "SWEEP"},
            "sk": {"S": next(iter(before))},
            "doc": {"S": "{}"},
            "swept_until": {"N": str(next(iter(before.values()))["swept_until"])},
        },
    )

    start_due(ledger, RUNBOOKS, started, now)

    assert len({event["action_id"] for event in started}) == 1


def test_a_sweep_that_could_not_be_started_is_tried_again(ledger: Ledger, started: Started) -> None:
    started.broken = True
    assert start_due(ledger, RUNBOOKS, started, at("2026-01-05T08:45")) == []

    started.broken = False
    assert start_due(ledger, RUNBOOKS, started, at("2026-01-05T08:46")) == ["algo-trading-prod|morning checklist"]


def test_the_clock_starts_them(ledger: Ledger, started: Started) -> None:
    respond = Respond(ledger=ledger, runbooks=RUNBOOKS, start=started, now=lambda: at("2026-01-05T08:45"))

    assert tick(respond)["sweeps"] == ["algo-trading-prod|morning checklist"]
