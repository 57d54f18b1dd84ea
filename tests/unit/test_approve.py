"""Approve: decisions count once, however often they are sent; nobody decides what is not named; pauses end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from selfheal import approvals, incident_store, starter
from selfheal.incident import Incident
from selfheal.ledger import Ledger
from selfheal.words import Stage

from functions.approve import app
from tests.unit.aws import event
from tests.unit.incidents import START, incident

Invoke = Callable[..., dict[str, Any]]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test may let go on."""
    moment = [START]
    monkeypatch.setattr("time.time", lambda: moment[0])
    return moment


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The requests that were started."""
    requests: list[dict[str, Any]] = []
    monkeypatch.setattr(starter, "start", requests.append)
    return requests


@pytest.fixture
def invoke(ledger: Ledger, lambda_context: Any, started: list[Any], now: list[float]) -> Invoke:
    """Invoke the function as `sam remote invoke` does; each time a request of its own."""
    count = iter(range(1_000))

    def invoked(action: str, target: dict[str, str], **more: Any) -> dict[str, Any]:
        request = {"action": action, "action_id": f"by-hand-{next(count)}", "target": target, "mode": "act"}
        answer: Any = app.lambda_handler({**request, "requested_by": "ann", **more}, lambda_context)
        found: dict[str, Any] = answer
        return found

    return invoked


@pytest.fixture
def waiting(ledger: Ledger, now: list[float]) -> Incident:
    """An open incident with two steps that wait for a person."""
    one = incident(recover="resume_trading! enable_schedule!")
    committed = incident_store.commit(ledger, one, START, offers=tuple(one.of(Stage.RECOVER)))
    assert committed is not None
    return committed


def name(one: Incident, number: int) -> dict[str, str]:
    return {"incident": one.id, "action_id": approvals.approval_id(one.id, number)}


def test_an_approved_step_starts_in_the_name_of_who_approved(
    invoke: Invoke, waiting: Incident, started: list[dict[str, Any]]
) -> None:
    answer = invoke("approve", name(waiting, 2))
    assert answer["outcome"] == "acted"
    (request,) = started
    assert (request["action"], request["requested_by"], request["mode"]) == ("resume_trading", "ann", "act")
    assert request["action_id"] == f"{waiting.id}.2.1"
    assert request["incident"] == waiting.id


def test_approving_again_starts_the_same_action_id_which_runs_once(
    invoke: Invoke, waiting: Incident, started: list[dict[str, Any]]
) -> None:
    for _ in range(3):
        assert invoke("approve", name(waiting, 2))["outcome"] == "acted"
    assert {request["action_id"] for request in started} == {f"{waiting.id}.2.1"}


def test_the_first_decision_counts(invoke: Invoke, waiting: Incident, started: list[dict[str, Any]]) -> None:
    assert invoke("deny", name(waiting, 2))["outcome"] == "acted"
    assert invoke("deny", name(waiting, 2))["outcome"] == "already_done"
    assert invoke("approve", name(waiting, 2))["reason"] == "already_decided"
    assert started == []
    invoke("approve", name(waiting, 3))
    assert invoke("deny", name(waiting, 3))["reason"] == "already_decided"


def test_a_decision_that_somebody_else_made_a_moment_ago_counts(
    invoke: Invoke, waiting: Incident, ledger: Ledger, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = approvals.decide

    def overtaken(of: Ledger, one: Any, decision: str, who: str, at: float) -> None:
        decide(of, one, "denied", "bob", at)
        decide(of, one, decision, who, at)

    monkeypatch.setattr(approvals, "decide", overtaken)
    assert invoke("approve", name(waiting, 2))["reason"] == "already_decided"
    assert started == []


def test_expired_is_denied(invoke: Invoke, waiting: Incident, started: list[Any], now: list[float]) -> None:
    now[0] += approvals.APPROVE_WITHIN_S
    assert invoke("approve", name(waiting, 2))["reason"] == "approval_expired"
    assert started == []


def test_several_must_be_named_and_one_need_not(invoke: Invoke, waiting: Incident, started: list[Any]) -> None:
    answer = invoke("approve", {"incident": waiting.id})
    assert answer["reason"] == "no_such_approval"
    assert f"{waiting.id}.2 (resume_trading resume_trading)" in answer["detail"]
    assert started == []
    invoke("deny", name(waiting, 3))
    assert invoke("approve", {"incident": waiting.id})["outcome"] == "acted"
    assert [request["action"] for request in started] == ["resume_trading"]


def test_part_of_an_incidents_name_decides_nothing(invoke: Invoke, waiting: Incident, started: list[Any]) -> None:
    invoke("deny", name(waiting, 3))
    for part in ("demo", waiting.id[:-1], "-"):
        assert invoke("approve", {"incident": part})["reason"] == "no_such_approval"
    assert started == []


def test_all_denied_is_denied(invoke: Invoke, waiting: Incident) -> None:
    invoke("deny", name(waiting, 2))
    invoke("deny", name(waiting, 3))
    assert invoke("deny", {"incident": waiting.id})["outcome"] == "already_done"


@pytest.mark.parametrize("action", ["approve", "deny"])
def test_a_decision_needs_a_person(invoke: Invoke, waiting: Incident, started: list[Any], action: str) -> None:
    assert invoke(action, name(waiting, 2), requested_by=None)["reason"] == "person_required"
    assert started == []


def test_a_start_that_failed_is_repeated_by_approving_again(
    invoke: Invoke, waiting: Incident, monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(starter, "start", lambda request: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            invoke("approve", name(waiting, 2))
    invoke("approve", name(waiting, 2))
    assert len(started) == 1


def pause(ledger: Ledger, what: str) -> dict[str, Any] | None:
    return ledger.get("PAUSE", what)


@pytest.mark.parametrize("scope", ["*", "demo"])
def test_pause_and_resume(invoke: Invoke, ledger: Ledger, scope: str, now: list[float]) -> None:
    answer = invoke("pause", {"pause": scope}, reason="release", options={"minutes": 30, "what": "all"})
    assert answer["outcome"] == "acted", answer
    item = pause(ledger, scope)
    assert item is not None
    assert (item["paused_until"], item["doc"]["what"], item["doc"]["who"]) == (START + 1_800, "all", "ann")
    assert invoke("resume", {"pause": scope})["outcome"] == "acted"
    assert pause(ledger, scope) is None
    assert invoke("resume", {"pause": scope})["outcome"] == "already_done"


def test_a_pause_that_is_over_needs_no_resume(invoke: Invoke, now: list[float]) -> None:
    invoke("pause", {"pause": "demo"})
    now[0] += 3_600
    assert invoke("resume", {"pause": "demo"})["outcome"] == "already_done"


@pytest.mark.parametrize("options", [{"minutes": 0}, {"minutes": 10_081}, {"what": "some"}])
def test_a_pause_has_bounds(invoke: Invoke, ledger: Ledger, options: dict[str, Any]) -> None:
    assert invoke("pause", {"pause": "demo"}, options=options)["reason"] == "bad_options"
    assert pause(ledger, "demo") is None


def test_take_over_and_hand_back(invoke: Invoke, waiting: Incident, ledger: Ledger) -> None:
    assert invoke("take_over", {"incident": waiting.id})["outcome"] == "acted"
    item = pause(ledger, waiting.id)
    assert item is not None
    assert item["doc"]["who"] == "ann"
    second = invoke("take_over", {"incident": waiting.id}, requested_by="bob")
    assert (second["outcome"], second["detail"][:3]) == ("already_done", "ann")
    assert invoke("hand_back", {"incident": waiting.id})["outcome"] == "acted"
    assert invoke("hand_back", {"incident": waiting.id})["outcome"] == "already_done"
    assert pause(ledger, waiting.id) is None


@pytest.mark.parametrize("other", ["demo-12345678-1b", "demo-00000000-1a", "-", "nothing"])
def test_only_the_open_incident_of_this_very_name_can_be_taken_over(
    invoke: Invoke, waiting: Incident, ledger: Ledger, other: str
) -> None:
    assert invoke("take_over", {"incident": other})["reason"] == "no_such_incident"
    assert pause(ledger, other) is None


def test_the_event_file_plans(invoke: Invoke, waiting: Incident, started: list[Any], lambda_context: Any) -> None:
    request = {**event("approve"), "target": name(waiting, 2)}
    answer: Any = app.lambda_handler(request, lambda_context)
    assert answer["outcome"] == "planned"
    assert started == []


def test_what_has_expired_need_not_be_told_apart_from_what_waits(
    invoke: Invoke, ledger: Ledger, started: list[dict[str, Any]], now: list[float]
) -> None:
    one = incident(recover="resume_trading! enable_schedule!")
    resume, enable = one.of(Stage.RECOVER)
    ledger.write(approvals.waiting(one, resume, START))
    ledger.write(approvals.waiting(one, enable, START + 60))
    now[0] += approvals.APPROVE_WITHIN_S
    assert invoke("approve", {"incident": one.id})["outcome"] == "acted"
    assert [request["action"] for request in started] == ["enable_schedule"]
