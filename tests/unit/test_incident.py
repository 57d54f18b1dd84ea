"""An incident's making, its requests and its record; events that fit the bus."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import approvals, incident_store, opening, outcome
from selfheal.asking import MAX_ALARMS, request_event
from selfheal.incident import MAX_ALARMS_BYTES, Phase, Status, incident_id, incident_key, read_incident
from selfheal.incident_store import AlreadyOpen, DuplicateDelivery
from selfheal.ledger import Ledger
from selfheal.request import read_request
from selfheal.runbook import Match
from selfheal.words import ResponseMode, Stage

from tests.unit.incidents import START, alarm, incident
from tests.unit.responding import RED_AT, response, runbooks, step
from tests.unit.responding import alarm as arriving

# -- opening ----------------------------------------------------------------------------------------


def match(**more: Any) -> Match:
    found = runbooks(response(**more)).match("the-alchemiser-v2-dev-errors")
    assert found is not None
    return found


def test_what_a_new_incident_takes_from_its_response_and_its_alarm() -> None:
    one = opening.open_incident(
        match(cooldown_s=10, escalate_after_s=77, mode=ResponseMode.SUGGEST), arriving("sns"), 5.0
    )
    assert one.id == incident_id(one.key, int(RED_AT.timestamp() * 1000))
    assert (one.system, one.response, one.severity) == ("the-alchemiser-v2-dev", "trading lambda failing", "P0")
    assert (one.mode, one.escalate_after_s, one.opened_at) == (ResponseMode.SUGGEST, 77, 5.0)
    assert one.cooldown_s == 120  # never shorter than the alarm's window
    assert [(run.number, run.stage, run.action) for run in one.steps] == [
        (0, Stage.CONTAIN, "halt_trading"),
        (1, Stage.CONTAIN, "disable_schedule"),
        (2, Stage.REMEDIATE, "roll_back_alias"),
        (3, Stage.RECOVER, "resume_trading"),
    ]
    assert one.steps[3].approval
    assert one.phase is Phase.CONTAIN


def test_the_same_change_makes_the_same_ids_by_whichever_transport() -> None:
    made = [opening.open_incident(match(), arriving(way), 1.0) for way in ("sns", "eventbridge", "direct")]
    assert len({one.id for one in made}) == 1
    assert len({one.action_id(one.steps[0]) for one in made}) == 1


def test_a_target_that_the_alarm_does_not_name_is_refused_from_the_start() -> None:
    rollback = step("roll_back_alias", {"function": "{alarm.Queue}", "alias": "live"})
    one = opening.open_incident(match(remediate=(rollback,)), arriving(), 1.0)
    assert one.subject == "alarm:the-alchemiser-v2-dev-errors"
    assert (one.steps[2].status, one.steps[2].reason) == (Status.REFUSED, "bad_target")
    assert len(one.escalations) == 1


def test_a_value_that_is_no_name_is_refused() -> None:
    rollback = step("roll_back_alias", {"function": "{alarm.FunctionName}", "alias": "live"})
    hostile = replace(arriving(), dimensions={"FunctionName": "a*"})
    one = opening.open_incident(match(remediate=(rollback,)), hostile, 1.0)
    assert one.steps[2].status is Status.REFUSED


def test_keys_differ_by_each_of_their_parts() -> None:
    keys = {incident_key(*parts) for parts in (("a", "b", "c"), ("a", "b", "d"), ("a", "c", "c"), ("b", "b", "c"))}
    assert len(keys) == 4
    one = incident()
    assert one.key == "demo-12345678"


# -- requests ---------------------------------------------------------------------------------------


def test_a_request_is_what_its_function_accepts_and_says_why() -> None:
    one = opening.open_incident(match(), arriving(), 1.0)
    made = request_event(one, replace(one.steps[0], asks=1), now=START, hops=3)
    read = read_request(made, ("halt_trading",), "id")
    assert (read.action_id, read.incident, read.hops) == (f"{one.id}.0.1", one.id, 3)
    assert read.reason.startswith("trading lambda failing: Threshold Crossed")
    assert read.not_after is not None
    assert read.not_after.timestamp() == START + 900
    assert [one.name for one in read.alarms] == ["the-alchemiser-v2-dev-errors"]


def test_only_what_heals_names_the_alarms_that_must_still_be_red() -> None:
    one = incident(recover="inspect_dlq", probe=True)
    assert one.probe is not None
    named = {run.action: len(request_event(one, run, now=START, hops=0)["alarms"]) for run in (*one.steps, one.probe)}
    assert named == {"halt_trading": 1, "roll_back_alias": 1, "inspect_dlq": 0, "smoke_test": 0}


def test_no_request_names_more_alarms_than_one_call_reads() -> None:
    one = incident()
    for number in range(150):
        one = one.with_alarm(alarm(name=f"a{number}"))
    assert len(request_event(one, one.steps[0], now=START, hops=0)["alarms"]) <= MAX_ALARMS


# -- bounds -----------------------------------------------------------------------------------------


@given(st.lists(st.text(min_size=1, max_size=255), max_size=60))
def test_an_incident_stays_within_its_bounds_whatever_the_alarms_are_called(names: list[str]) -> None:
    one = incident()
    for number, name in enumerate(names):
        one = one.with_alarm(alarm(name=f"{number}{name}", reason="ü" * 200))
    for number in range(100):
        one = one.escalate(f"{number}" + "🔥" * 1_000, START)
    assert len(json.dumps([vars(state) for state in one.alarms.values()])) <= MAX_ALARMS_BYTES + 6_000
    assert len(one.escalations) == 40
    assert read_incident(json.loads(json.dumps(one.as_doc()))) == one


def test_a_first_alarm_is_kept_however_long_it_is() -> None:
    one = replace(incident(), alarms={}).with_alarm(alarm(reason="x" * MAX_ALARMS_BYTES))
    assert len(one.alarms) == 1
    assert not one.too_many


def test_events_are_sent_in_as_many_calls_as_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[dict[str, str]]] = []

    class Bus:
        def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            calls.append(Entries)
            return {"FailedEntryCount": int(len(calls) == 2), "Entries": []}

    monkeypatch.setattr(outcome, "client", lambda service: Bus())
    assert outcome.send("Kind", *({"n": n} for n in range(10)))
    assert [len(call) for call in calls] == [10]
    calls.clear()
    assert not outcome.send("Kind", *({"n": n} for n in range(25)))
    assert [len(call) for call in calls] == [10, 10, 5]
    calls.clear()
    outcome.send("Kind", *({"text": "x" * 100_000} for _ in range(5)))
    assert [len(call) for call in calls] == [2, 2, 1]
    calls.clear()
    assert outcome.send("Kind")
    assert calls == []


# -- the record -------------------------------------------------------------------------------------


def test_the_first_who_writes_wins(ledger: Ledger) -> None:
    opened = incident_store.commit(ledger, incident(), START)
    assert opened is not None
    assert opened.version == 1
    with pytest.raises(AlreadyOpen) as found:
        incident_store.commit(ledger, incident(), START)
    assert found.value.incident == opened
    second = incident_store.commit(ledger, opened, START)
    assert second is not None
    assert incident_store.commit(ledger, opened, START) is None
    assert incident_store.find_open(ledger, opened.key) == second


def test_a_delivery_counts_once_and_takes_the_rest_with_it(ledger: Ledger) -> None:
    taken = incident_store.delivery("d", {}, START)
    opened = incident_store.commit(ledger, incident(), START, taken)
    assert opened is not None
    with pytest.raises(DuplicateDelivery):
        incident_store.commit(ledger, opened, START, taken)
    assert incident_store.find_open(ledger, opened.key) == opened


def test_closing_moves_it_and_keeps_it_for_a_year(ledger: Ledger) -> None:
    opened = incident_store.commit(ledger, incident(), START)
    assert opened is not None
    closed = replace(opened, phase=Phase.CLOSED, closed_at=START, verdict="healed")
    assert incident_store.commit(ledger, closed, START) is not None
    assert incident_store.commit(ledger, closed, START) is None
    assert list(incident_store.all_open(ledger)) == []
    found = incident_store.find(ledger, opened.id)
    assert found is not None
    assert found.verdict == "healed"
    item = ledger.get(f"INCIDENT#{opened.id}", "INCIDENT")
    assert item is not None
    assert item["expires"] > START + 366 * 86_400


@pytest.mark.parametrize("unknown", ["-", "", "x", "-x", "x-", "demo-12345678-1b"])
def test_what_is_no_incident_is_not_found(ledger: Ledger, unknown: str) -> None:
    incident_store.commit(ledger, incident(), START)
    assert incident_store.find(ledger, unknown) is None


def test_approvals_of_one_incident_are_not_those_of_another(ledger: Ledger) -> None:
    for one in (
        incident(recover="resume_trading!"),
        replace(incident(recover="resume_trading!"), id="demo-12345678-1a2"),
    ):
        ledger.write(approvals.waiting(one, one.steps[2], START))
    assert [one.id for one in approvals.all_of(ledger, "demo-12345678-1a")] == ["demo-12345678-1a.2"]
    assert len(approvals.all_of(ledger)) == 2
