"""Reminders: once a day, in one message, with the command that undoes each change."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from selfheal import changes, message, outcome
from selfheal import ledger as table
from selfheal.ledger import DAY_S, Ledger
from selfheal.reminders import MAX_TOLD, remind
from selfheal.request import read_request, result_of
from selfheal.rounds import Done, Round, run_due
from selfheal.words import Outcome

NOW = 1_800_000_000.0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The notices as they arrive."""
    notices: list[dict[str, Any]] = []

    def send(kind: str, *details: dict[str, Any]) -> bool:
        notices.extend({"detail-type": kind, "detail": json.loads(json.dumps(one))} for one in details)
        return True

    monkeypatch.setattr(outcome, "send", send)
    return notices


def change(ledger: Ledger, at: float, action_id: str = "demo-1a2b3c4d-19a9.0.1", **more: Any) -> None:
    event = {"action": "halt_trading", "action_id": action_id, "target": {"parameter": "/demo/on"}, "system": "demo"}
    request = read_request({"incident": "demo-1a2b3c4d-19a9", **event, **more}, ("halt_trading",), "id")
    ledger.write(changes.opened(request, result_of(request, Outcome.ACTED, detail="set /demo/on to false"), at))


def pause(ledger: Ledger, since: str) -> None:
    doc = {"what": "all", "who": "ann", "reason": "a move", "since": since, "until": "2027-01-16 08:00:00 UTC"}
    ledger.write(table.put("PAUSE", "*", doc, paused_until=NOW + DAY_S))


def body(told: list[dict[str, Any]]) -> str:
    (notice,) = told
    found = message.of(notice)
    assert found is not None
    assert (found.what, found.severity) == ("reminder", "P3")
    return found.body


def test_a_change_is_told_from_its_second_day_with_age_incident_and_undo(
    ledger: Ledger, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "selfheal-prod")
    change(ledger, NOW - DAY_S)
    change(ledger, NOW - 3 * DAY_S, "by-hand", incident=None, target={"parameter": "/other"})
    assert remind(ledger, NOW) == Done({"changes": 2, "pauses": 0})
    lines = body(told).splitlines()
    assert lines[0] == "selfheal reminds: 2 open changes"
    assert [line for line in lines if "since" in line] == [
        "  since 2027-01-12 08:00 UTC, 3 days, by a request by hand",
        "  since 2027-01-14 08:00 UTC, 24 h, by demo-1a2b3c4d-19a9",
    ]
    commands = [shlex.split(line.removeprefix("  undo: ")) for line in lines if "undo: " in line]
    assert [words[:6] for words in commands] == [
        ["sam", "remote", "invoke", "Undo", "--stack-name", "selfheal-prod"]
    ] * 2
    for words, action_id in zip(commands, ["by-hand", "demo-1a2b3c4d-19a9.0.1"], strict=True):
        request = read_request(json.loads(words[7]), ("undo",), "id")
        assert request.target["action_id"] == action_id
        assert request.requested_by


def test_a_young_one_is_not_told(ledger: Ledger, told: list[dict[str, Any]]) -> None:
    change(ledger, NOW - DAY_S + 1)
    pause(ledger, "2027-01-15 07:00:00 UTC")
    assert remind(ledger, NOW) == Done(finished=False)
    assert told == []


def test_a_pause_in_force_is_told_beside_the_changes_and_alone_once_it_is_a_day_old(
    ledger: Ledger, told: list[dict[str, Any]]
) -> None:
    pause(ledger, "2027-01-14 08:00:00 UTC")
    remind(ledger, NOW)
    text = body(told)
    assert text.startswith("selfheal reminds: 1 pause in force")
    assert "- paused: everything, by ann since 2027-01-14 08:00:00 UTC, until 2027-01-16 08:00:00 UTC" in text
    assert "  why: a move" in text


def test_it_is_told_once_a_day_until_it_is_undone(ledger: Ledger, told: list[dict[str, Any]]) -> None:
    change(ledger, NOW)
    for minute in range(0, 4 * 1440, 30):
        at = NOW + 60 * minute
        run_due(ledger, (Round("reminders", DAY_S, lambda at=at: remind(ledger, at)),), at)  # type: ignore[misc]
    assert [(one["detail"]["at"] - NOW) / DAY_S for one in told] == [1.0, 2.0, 3.0]
    ledger.write(changes.closed("parameter:/demo/on", "demo-1a2b3c4d-19a9.0.1"))
    assert remind(ledger, NOW + 5 * DAY_S).finished is False


def test_what_the_bus_does_not_take_is_told_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    change(ledger, NOW - DAY_S)
    monkeypatch.setattr(outcome, "send", lambda *_: False)
    assert remind(ledger, NOW).finished is False


def test_very_many_are_cut_and_counted(ledger: Ledger, told: list[dict[str, Any]]) -> None:
    for number in range(MAX_TOLD + 2):
        change(ledger, NOW - DAY_S, f"one-{number}")
    remind(ledger, NOW)
    assert re.search(r"^and 2 more, in the ledger$", body(told), re.MULTILINE)
