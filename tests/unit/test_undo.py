"""Undo: an incident or one action, the newest first, one for each target, and as often as it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from selfheal import changes, incident_store, record, starter
from selfheal import ledger as table
from selfheal.incident import Status
from selfheal.ledger import Ledger
from selfheal.request import MAX_ID_LENGTH, read_request

from functions.undo import app
from tests.unit.aws import event
from tests.unit.doubles import Killed
from tests.unit.incidents import START, incident

ID = "demo-12345678-1a"
Invoke = Callable[..., dict[str, Any]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The requests that were started; each one is what its function accepts."""
    requests: list[dict[str, Any]] = []

    def start(request: dict[str, Any]) -> None:
        read_request(request, (request["action"],), "id")
        requests.append(request)

    monkeypatch.setattr(starter, "start", start)
    return requests


@pytest.fixture
def invoke(ledger: Ledger, lambda_context: Any, started: list[Any]) -> Invoke:
    """Invoke the function as `sam remote invoke` does; each time a request of its own."""
    count = iter(range(1_000))

    def invoked(target: dict[str, str], **more: Any) -> dict[str, Any]:
        request = {"target": target, "mode": "act", "requested_by": "ann", "action_id": f"undo-{next(count)}"}
        answer: Any = app.lambda_handler({**request, **more}, lambda_context)
        found: dict[str, Any] = answer
        return found

    return invoked


def changed(ledger: Ledger, action_id: str, at: float, incident_id: str | None = ID, target: str = "") -> None:
    """An open change of `halt_trading`."""
    parameter = target or f"/demo/{action_id}"
    doc = {
        "action": "halt_trading",
        "action_id": action_id,
        "function": "switch_trading",
        "target": {"parameter": parameter},
        "incident": incident_id,
        "system": "demo",
        "before": {"value": "true"},
        "after": {"value": "false"},
        "summary": "halted",
        "at": at,
    }
    ledger.write(table.put("CHANGE", f"parameter:{parameter}#{action_id}", doc))


def test_an_incident_is_undone_the_newest_first(invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]]) -> None:
    for action_id, at in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        changed(ledger, action_id, at)
    changed(ledger, "other", 4.0, "demo-12345678-2b")
    answer = invoke({"incident": ID})
    assert answer["outcome"] == "acted"
    assert [request["undo_of"] for request in started] == ["c", "b", "a"]
    for request in started:
        assert (request["origin"], request["requested_by"], request["incident"]) == ("undo", "ann", ID)


def test_one_action_that_was_started_by_hand_is_undone(
    invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]]
) -> None:
    changed(ledger, "by-hand", 1.0, None)
    changed(ledger, "other", 2.0, None)
    assert invoke({"incident": "-", "action_id": "by-hand"})["outcome"] == "acted"
    assert [request["undo_of"] for request in started] == ["by-hand"]


def test_two_changes_of_one_target_are_undone_one_after_the_other(
    invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]]
) -> None:
    changed(ledger, "first", 1.0, target="/demo/flag")
    changed(ledger, "second", 2.0, target="/demo/flag")
    answer = invoke({"incident": ID})
    assert [request["undo_of"] for request in started] == ["second"]
    assert answer["evidence"]["undo_again_for"] == ["halt_trading (first)"]
    assert "undo again for halt_trading (first)" in answer["detail"]
    ledger.write(changes.closed("parameter:/demo/flag", "second"))
    invoke({"incident": ID})
    assert [request["undo_of"] for request in started] == ["second", "first"]


def test_an_undo_that_was_refused_can_be_asked_for_again(
    invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]]
) -> None:
    changed(ledger, "a", 1.0)
    invoke({"incident": ID}, action_id="mine")
    invoke({"incident": ID}, action_id="mine")
    invoke({"incident": ID}, action_id="once more")
    ids = [request["action_id"] for request in started]
    assert len(ids) == 2
    assert len(set(ids)) == 2


def test_an_undo_that_was_killed_after_it_had_started_its_own_is_done(
    invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(ledger, "a", 1.0, None)
    by_hand = {"incident": "-", "action_id": "a"}

    def start_and_die(request: dict[str, Any]) -> None:
        started.append(request)
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(starter, "start", start_and_die)
        with pytest.raises(Killed):
            invoke(by_hand, action_id="undo-it")
    (its_own,) = started
    ledger.write(table.delete("CHANGE", "parameter:/demo/a#a"))  # what it had started is over by now
    ledger.write(table.put(*record.key(its_own["action_id"]), {}))

    ledger.write(
        table.update(*record.key("undo-it"), {"claimed_until": 1}, "attribute_exists(pk)")
    )  # the claim is over

    answer = invoke(by_hand, action_id="undo-it", mode="resume")
    other = invoke(by_hand)

    assert (answer["outcome"], len(started)) == ("already_done", 1), answer
    assert its_own["action_id"] in answer["detail"]
    assert (other["outcome"], other["reason"]) == ("refused", "nothing_to_undo"), "another request has undone nothing"


def test_ids_stay_in_their_bounds(invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]]) -> None:
    one, two = "x" * MAX_ID_LENGTH, "x" * (MAX_ID_LENGTH - 1) + "y"
    changed(ledger, one, 1.0, target="/a")
    changed(ledger, two, 1.0, target="/b")
    invoke({"incident": ID})
    assert len({request["action_id"] for request in started}) == 2


def test_nothing_to_undo(invoke: Invoke, ledger: Ledger, started: list[Any]) -> None:
    incident_store.commit(ledger, incident(), START)
    assert invoke({"incident": ID})["reason"] == "nothing_to_undo"
    assert invoke({"incident": ID, "action_id": "a"})["reason"] == "nothing_to_undo"
    assert started == []


@pytest.mark.parametrize("unknown", ["demo-12345678-ff", "-", "nothing"])
def test_no_such_incident(invoke: Invoke, started: list[Any], unknown: str) -> None:
    assert invoke({"incident": unknown})["reason"] == "no_such_incident"
    assert started == []


def test_what_cannot_be_undone_is_named_and_skipped(
    invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]]
) -> None:
    one = incident(contain="halt_trading", remediate="stop_deployment")
    done = replace(one, steps=tuple(replace(step, status=Status.DONE) for step in one.steps))
    incident_store.commit(ledger, done, START)
    only = invoke({"incident": ID})
    assert (only["reason"], "stop_deployment" in only["detail"]) == ("irreversible", True)
    changed(ledger, "a", 1.0)
    answer = invoke({"incident": ID})
    assert answer["evidence"]["skipped_irreversible"] == ["stop_deployment stop_deployment"]
    assert len(started) == 1


def test_undo_needs_a_person(invoke: Invoke, ledger: Ledger, started: list[Any]) -> None:
    changed(ledger, "a", 1.0)
    assert invoke({"incident": ID}, requested_by=None)["reason"] == "person_required"
    assert started == []


def test_the_event_file_plans(ledger: Ledger, lambda_context: Any, started: list[Any]) -> None:
    changed(ledger, "a", 1.0)
    answer: Any = app.lambda_handler({**event("undo"), "target": {"incident": ID}}, lambda_context)
    assert (answer["outcome"], answer["detail"]) == ("planned", "undo halt_trading (a)")
    assert started == []
