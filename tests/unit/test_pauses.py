"""Pauses: what is in force, and that people hear of the end of each."""

from __future__ import annotations

from typing import Any

import pytest
from selfheal import incident_store, message, outcome, pauses
from selfheal import ledger as table
from selfheal.incident import Phase
from selfheal.ledger import Ledger

from tests.unit.incidents import incident

NOW = 1_800_000_000.0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The notices that were sent."""
    notices: list[dict[str, Any]] = []

    def send(kind: str, *details: dict[str, Any]) -> bool:
        assert kind == outcome.NOTICE
        notices.extend(details)
        return True

    monkeypatch.setattr(outcome, "send", send)
    return notices


def pause(ledger: Ledger, name: str = "*", until: float = NOW, since: str = "2027-01-14 08:00:00 UTC") -> None:
    doc = {"what": "all", "who": "ann", "reason": "a move", "since": since, "until": "2027-01-15 08:00:00 UTC"}
    ledger.write(table.put("PAUSE", name, doc, paused_until=until))


def test_in_force_is_what_has_not_ended(ledger: Ledger) -> None:
    pause(ledger, "*", NOW + 1)
    pause(ledger, "demo", NOW)
    (found,) = pauses.in_force(ledger, NOW)
    assert (found.name, found.what, found.who, found.until_at) == ("*", "all", "ann", NOW + 1)
    assert found.since_at == NOW - 86_400


def test_a_pause_that_ended_by_itself_is_told_once(ledger: Ledger, told: list[dict[str, Any]]) -> None:
    pause(ledger, "demo", NOW)
    pause(ledger, "*", NOW + 60)
    assert pauses.tell_ended(ledger, NOW).told == ["demo"]
    (notice,) = told
    assert (notice["what"], notice["pause"]["name"], notice["pause"]["who"]) == ("pause_ended", "demo", "ann")
    mail = message.of({"detail-type": outcome.NOTICE, "detail": notice})
    assert mail is not None
    assert mail.subject == "selfheal: the pause of demo has ended"
    assert "ann had set it: a move" in mail.body
    assert pauses.tell_ended(ledger, NOW).told is None
    assert len(told) == 1
    assert [one.name for one in pauses.all_of(ledger)] == ["*"]


def test_what_the_bus_does_not_take_is_told_at_the_next_tick(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    pause(ledger)
    monkeypatch.setattr(outcome, "send", lambda *_: False)
    assert pauses.tell_ended(ledger, NOW).finished is False
    assert [one.name for one in pauses.all_of(ledger)] == ["*"]


def test_of_a_closed_incident_nobody_hears_that_it_goes_on(ledger: Ledger, told: list[dict[str, Any]]) -> None:
    taken, left = incident(), incident()
    left = type(left)(**{**vars(left), "id": "demo-87654321-1a"})
    for one in (taken, left):
        committed = incident_store.commit(ledger, one, NOW)
        assert committed is not None
        pause(ledger, one.id)
        if one is left:
            closed = type(one)(**{**vars(committed), "phase": Phase.CLOSED, "closed_at": NOW})
            assert incident_store.commit(ledger, closed, NOW) is not None
    pauses.tell_ended(ledger, NOW)
    assert [notice["pause"]["name"] for notice in told] == [taken.id]
    assert list(pauses.all_of(ledger)) == []


def test_one_that_was_set_again_in_between_stays(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    pause(ledger)

    def again(*_: object) -> bool:
        pause(ledger, until=NOW + 600)
        return True

    monkeypatch.setattr(outcome, "send", again)
    pauses.tell_ended(ledger, NOW)
    assert [one.until_at for one in pauses.in_force(ledger, NOW)] == [NOW + 600]


def test_a_pause_that_nobody_dated_counts_as_old(ledger: Ledger) -> None:
    pause(ledger, until=NOW + 1, since="yesterday")
    assert [one.since_at for one in pauses.in_force(ledger, NOW)] == [0.0]
