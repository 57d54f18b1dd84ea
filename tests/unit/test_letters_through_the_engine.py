"""Inspect, drain, smoke test and health checks through their real handlers: engine, guards and records included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from selfheal.clients import client, client_once
from selfheal.drain.timing import Timing
from selfheal.runbook import FORMAT_VERSION
from selfheal.words import Outcome

from functions.check_health import app as check_health
from functions.drain_dlq import app as drain_dlq
from functions.inspect_dlq import app as inspect_dlq
from functions.invoke_target import app as invoke_target
from tests.unit.aws import event
from tests.unit.dead_letters import FUNCTION, QUEUE, Account, account, by_lambda

FUNCTIONS = {"inspect_dlq": inspect_dlq, "drain_dlq": drain_dlq, "invoke_target": invoke_target}
REPLAY = {
    "action": "replay_dlq",
    "action_id": "incident-1.0.0",
    "target": {"queue": QUEUE, "replay_to": {"function": FUNCTION, "alias": "live"}},
    "mode": "act",
    "options": {"per_second": 1000},
}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    compiled = tmp_path / "runbooks.json"
    compiled.write_text(json.dumps({"version": FORMAT_VERSION, "systems": []}))
    monkeypatch.setenv("RUNBOOKS_PATH", str(compiled))
    monkeypatch.setenv("MAX_MODE", "auto")
    with account(monkeypatch) as here:
        client("events").create_event_bus(Name="selfheal")
        here.sqs.create_queue(QueueName="empty")
        yield here


def answer(function: ModuleType, request: dict[str, Any], context: Any) -> dict[str, Any]:
    result: dict[str, Any] = function.lambda_handler(request, context)
    assert json.loads(json.dumps(result)) == result
    return result


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_event_file_is_planned_and_changes_nothing(aws: Account, lambda_context: Any, name: str) -> None:
    aws.fill(by_lambda({"n": 1}))

    result = answer(FUNCTIONS[name], event(name), lambda_context)

    assert result["outcome"] == Outcome.PLANNED, result
    assert (aws.invoked, aws.visible(), aws.archived()) == ([], 1, {})


def test_a_look_acts_and_its_evidence_is_recorded(aws: Account, lambda_context: Any) -> None:
    aws.fill(by_lambda({"n": 1}))

    result = answer(inspect_dlq, {**event("inspect_dlq"), "mode": "act"}, lambda_context)

    assert (result["outcome"], result["direction"]) == (Outcome.ACTED, "read"), result
    assert result["evidence"]["writers"] == {"lambda_async": 1}
    assert aws.visible() == 1


def test_a_replay_waits_for_its_canary_and_is_finished_by_the_clock(
    aws: Account, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"), by_lambda({"n": 2}, "id-2"))

    first = answer(drain_dlq, REPLAY, lambda_context)
    assert (first["outcome"], len(aws.invoked)) == (Outcome.IN_PROGRESS, 1), first

    again = answer(drain_dlq, {**REPLAY, "mode": "resume"}, lambda_context)
    assert (again["outcome"], len(aws.invoked)) == (Outcome.IN_PROGRESS, 1), again

    monkeypatch.setattr(Timing, "wait_until", lambda self, moment: True)
    last = answer(drain_dlq, {**REPLAY, "mode": "resume"}, lambda_context)
    assert (last["outcome"], len(aws.invoked)) == (Outcome.ACTED, 2), last
    assert last["evidence"]["taken"] == 2
    assert aws.bodies() == []

    duplicate = answer(drain_dlq, REPLAY, lambda_context)
    assert (duplicate["outcome"], len(aws.invoked)) == (Outcome.ACTED, 2)


def test_a_smoke_test_leaves_no_cooldown_behind_and_a_drain_does(aws: Account, lambda_context: Any) -> None:
    """Else the probe of one incident would keep the next one from rolling the same alias back."""
    aws.fill(by_lambda({"n": 1}))

    answer(invoke_target, {**event("invoke_target"), "mode": "act", "action_id": "probe-1"}, lambda_context)
    drained = {**REPLAY, "action": "archive_dlq", "action_id": "incident-1.1.0", "options": {}}
    answer(drain_dlq, drained, lambda_context)

    items = client("dynamodb").scan(TableName="ledger")["Items"]
    cooled = [item["pk"]["S"] for item in items if item["sk"]["S"] == "COOLDOWN"]
    assert cooled == [f"TARGET#queue:{QUEUE}"]


def test_a_smoke_test_is_invoked_once_for_one_action_id(aws: Account, lambda_context: Any) -> None:
    request = {**event("invoke_target"), "mode": "act", "action_id": "probe-1"}
    request["options"] = {"payload": {"status": "ok"}, "expect": {"status": "ok"}}

    aws.watch(client_once("lambda", 45))  # the context's minute less the reserve

    results = [answer(invoke_target, request, lambda_context) for _ in range(2)]

    assert [result["outcome"] for result in results] == [Outcome.ACTED, Outcome.ACTED], results
    assert aws.calls.count("Invoke") == 1


def test_a_sweep_acts_whatever_it_finds(aws: Account, lambda_context: Any) -> None:
    checks = [{"queue": "empty"}, {"queue": "nowhere"}, {"alias": {"function": FUNCTION, "alias": "live"}}]
    request = {**event("check_health"), "mode": "act", "options": {"checks": checks}}

    result = answer(check_health, request, lambda_context)

    assert result["outcome"] == Outcome.ACTED, result
    found = result["evidence"]
    assert (found["passed"], found["failed"], found["unknown"]) == (2, 1, 0)


def test_a_system_without_checks_is_refused(aws: Account, lambda_context: Any) -> None:
    result = answer(check_health, event("check_health"), lambda_context)

    assert (result["outcome"], result["reason"]) == (Outcome.REFUSED, "bad_options")
