"""The Lambda handler: every event is answered, recorded and told to the bus."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from selfheal import outcome, record, refusals
from selfheal.action import Change
from selfheal.clients import client
from selfheal.errors import Misconfigured, Refused
from selfheal.guards import opt_out
from selfheal.handler import Handler, handler_for
from selfheal.ledger import Ledger
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.request import Request, Result, read_request
from selfheal.runbook import FORMAT_VERSION
from selfheal.words import Direction, Outcome
from selfheal.world import world

from tests.unit.doubles import Alias, Cloud, Faults, FaultyClient, Flag, Look, throttled

FLAG = {"action": "halt_trading", "target": {"parameter": "/one"}, "mode": "act", "action_id": "one.1"}


class Sent(list[dict[str, Any]]):
    """Events as the bus took them."""

    def details(self) -> list[dict[str, Any]]:
        return [json.loads(entry["Detail"]) for entry in self]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What goes to the bus; moto takes it too and checks its shape."""
    entries = Sent()

    class Bus:
        def put_events(self, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803
            entries.extend(Entries)
            return client("events").put_events(Entries=Entries)

    monkeypatch.setattr(outcome, "client", lambda service: Bus())
    return entries


@pytest.fixture(autouse=True)
def _runbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled runbooks without a system."""
    compiled = tmp_path / "runbooks.json"
    compiled.write_text(json.dumps({"version": FORMAT_VERSION, "systems": []}))
    monkeypatch.setenv("RUNBOOKS_PATH", str(compiled))


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def handler(cloud: Cloud, ledger: Ledger) -> Handler:
    """A function with a flag, a look and an alias."""

    class MyFlag(Flag):
        def __init__(self, remaining_s: float) -> None:
            super().__init__(cloud)
            self.remaining_s = remaining_s

    class MyLook(Look):
        def __init__(self, remaining_s: float) -> None:
            super().__init__(cloud)
            self.remaining_s = remaining_s

        def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
            return {"at": datetime(2026, 1, 31, tzinfo=UTC), "remaining_s": self.remaining_s}

    return handler_for(MyFlag, MyLook)


def test_an_action_is_answered_and_told_to_the_bus(handler: Handler, sent: Sent, lambda_context: Any) -> None:
    answer = handler({**FLAG, "incident": "inc-1", "system": "shop", "requested_by": "me", "hops": 3}, lambda_context)

    assert answer["outcome"] == "acted"
    (entry,) = sent
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == ("selfheal", "selfheal", "Action Outcome")
    assert sent.details() == [answer]
    assert (answer["incident"], answer["system"], answer["requested_by"], answer["hops"]) == ("inc-1", "shop", "me", 3)
    assert answer["target"] == {"parameter": "/one"}


def test_a_plan_is_not_told_to_the_bus(handler: Handler, sent: Sent, lambda_context: Any) -> None:
    assert handler({**FLAG, "mode": "plan"}, lambda_context)["outcome"] == "planned"
    assert sent == []


def test_a_duplicate_is_told_again_only_when_the_first_run_may_have_died_before_it_told(
    handler: Handler, sent: Sent, lambda_context: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {**FLAG, "action_id": "one"}
    first = handler(event, lambda_context)
    assert {**handler(event, lambda_context), "took_ms": 0} == {**first, "took_ms": 0}
    assert len(sent) == 1

    monkeypatch.setattr(record, "TOLD_WITHIN_S", 0.0)
    assert handler(event, lambda_context)["outcome"] == "acted"
    assert [one["action_id"] for one in sent.details()] == ["one", "one"]


def test_that_another_run_is_at_work_is_answered_and_not_told(
    handler: Handler, sent: Sent, lambda_context: Any, ledger: Ledger
) -> None:
    event = {**FLAG, "action_id": "one"}
    record.claim(ledger, read_request(event, ("halt_trading",), "-"), time.time(), 120.0)

    answer = handler(event, lambda_context)

    assert (answer["outcome"], answer["reason"], sent) == ("in_progress", "running", [])


def test_a_missing_id_is_that_of_the_invocation(handler: Handler, sent: Sent, lambda_context: Any) -> None:
    event = {key: value for key, value in FLAG.items() if key != "action_id"}

    first, second = handler(event, lambda_context), handler(event, lambda_context)

    assert {**first, "took_ms": 0} == {**second, "took_ms": 0}
    assert first["action_id"] == lambda_context.aws_request_id


def test_an_answer_is_json(handler: Handler, sent: Sent, lambda_context: Any) -> None:
    look = {"action": "inspect_dlq", "target": {"queue": "dead"}, "mode": "act"}

    answer = handler(look, lambda_context)

    assert answer["evidence"] == {"at": "2026-01-31 00:00:00+00:00", "remaining_s": 60.0}
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (None, "not_a_request"),
        ([], "not_a_request"),
        ({"Records": []}, "not_a_request"),
        ({"Records": ["x"]}, "not_a_request"),
        ({"Records": [{"eventSource": "aws:sns"}]}, "not_a_request"),
        ({"Records": {"eventSource": "aws:sqs"}}, "not_a_request"),
        ({"action": "roll_back_alias"}, "unknown_action"),
        ({"target": {"parameter": "*"}}, "bad_target"),
        ({"target": {"parameter": "/a"}, "options": {"x": 1}}, "bad_options"),
    ],
)
def test_bad_input_is_answered_recorded_and_told(
    *, event: Any, reason: str, handler: Handler, sent: Sent, lambda_context: Any, ledger: Ledger
) -> None:
    answer = handler(event, lambda_context)

    assert (answer["outcome"], answer["reason"]) == ("refused", reason)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    kept = ledger.get(f"RECORD#{day}", lambda_context.aws_request_id)
    assert kept is not None
    assert kept["doc"]["reason"] == reason
    assert json.loads(kept["doc"]["event"]) == event
    assert kept["expires"] > 0
    assert sent[0]["DetailType"] == "Incident Update"
    assert sent.details()[0]["what"] == "refused"
    assert sent.details()[0]["reason"] == reason


def test_a_refusal_that_cannot_be_recorded_is_told_all_the_same(sent: Sent, aws: None) -> None:
    client("events").create_event_bus(Name="selfheal")

    refusals.keep("id", Refused(Refusal.NOT_AN_ALARM), {"large": '\\"' * 200_000}, escalate=True)

    assert sent.details()[0]["what"] == "escalated"


def test_a_large_event_is_cut_and_recorded(ledger: Ledger, sent: Sent) -> None:
    refusals.keep("id", Refused(Refusal.NOT_AN_ALARM), {"large": '\\"' * 200_000})

    day = datetime.now(UTC).strftime("%Y-%m-%d")
    kept = ledger.get(f"RECORD#{day}", "id")
    assert kept is not None
    assert kept["doc"]["event_characters"] > len(kept["doc"]["event"])


# -- the paced queue ------------------------------------------------------------------------------------------------


def batch(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {"eventSource": "aws:sqs", "messageId": f"message-{number}", "body": body}
            for number, body in enumerate(bodies)
        ]
    }


def test_a_batch_runs_each_request_and_reports_no_failure(
    handler: Handler, sent: Sent, lambda_context: Any, ledger: Ledger, cloud: Cloud
) -> None:
    look = {"action": "inspect_dlq", "target": {"queue": "dead"}, "mode": "act"}
    event = batch(json.dumps(FLAG), "not json", json.dumps({"action": "reboot"}), json.dumps(look), json.dumps(FLAG))

    answer = handler(event, lambda_context)

    assert answer == {"batchItemFailures": []}
    assert cloud.effects == ["false"]
    outcomes = [(one.get("outcome", "-"), one.get("reason")) for one in sent.details()]
    assert outcomes == [
        ("acted", ""),
        ("-", "not_a_request"),
        ("-", "unknown_action"),
        ("acted", ""),
    ], "the last one is a duplicate of the first, which has told"
    assert record.find(ledger, "message-3") is not None
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    assert [item["sk"] for item in ledger.query(f"RECORD#{day}")] == ["message-1", "message-2"]


def test_metrics_are_flushed_for_each_request(
    handler: Handler, sent: Sent, lambda_context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    look = {"action": "inspect_dlq", "target": {"queue": "dead"}, "mode": "act"}

    handler(batch(json.dumps(FLAG), json.dumps(look), "not json"), lambda_context)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [line["Action"] for line in lines] == ["halt_trading", "inspect_dlq", "none"]
    assert [line.get("ActionActed") for line in lines] == [[1.0], [1.0], None]
    assert lines[2]["ActionRefused"] == [1.0]


def test_keys_of_one_request_do_not_stick_to_the_next(
    handler: Handler, sent: Sent, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(logger.handlers[0], "stream", written)

    handler(batch(json.dumps({**FLAG, "incident": "inc-1"}), "not json"), lambda_context)

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    outcome_line = next(line for line in lines if line["message"] == "outcome")
    refused_line = next(line for line in lines if line["message"] == "refused")
    assert outcome_line["incident"] == "inc-1"
    assert "incident" not in refused_line


# -- the bus --------------------------------------------------------------------------------------------------------


def result(**more: Any) -> Result:
    return Result("halt_trading", "one.1", Outcome.ACTED, direction=Direction.SAFE, **more)


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        ({"evidence": {"lines": ["ä" * 100] * 5_000}, "before": {"a": 1}}, {"evidence"}),
        ({"evidence": {"a": 1}, "before": {"a": 1}, "after": {"a": "x" * 300_000}}, {"evidence", "after"}),
        ({"before": {"a": "x" * 150_000}, "after": {"a": "x" * 150_000}}, {"evidence", "after"}),
        ({"evidence": {"a": 1}}, set()),
    ],
)
def test_an_event_fits_into_an_entry(more: dict[str, Any], left_out: set[str], ledger: Ledger, sent: Sent) -> None:
    outcome.publish(result(**more))

    (entry,) = sent
    assert len(entry["Detail"].encode()) < 256 * 1024
    assert {name for name, value in sent.details()[0].items() if isinstance(value, dict) and "too_large" in value} == (
        left_out
    )


def test_events_go_ten_at_a_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults()
    bus = FaultyClient("events", faults)
    monkeypatch.setattr(outcome, "client", lambda service: bus)

    outcome.send(outcome.INCIDENT_UPDATE, *({"what": str(number)} for number in range(23)))

    assert faults.calls == ["events.put_events"] * 3


def test_a_bus_that_does_not_answer_does_not_change_the_answer(
    handler: Handler, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = FaultyClient("events", Faults(names=("events",), error=throttled))
    monkeypatch.setattr(outcome, "client", lambda service: bus)

    assert handler(FLAG, lambda_context)["outcome"] == "acted"


# -- the settings ---------------------------------------------------------------------------------------------------


def test_the_world_of_a_function(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, lambda_context: Any) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "360")
    monkeypatch.setenv("MAX_MODE", "auto")

    made = world(lambda_context.invoked_function_arn)

    assert (made.lease_s, made.max_mode, made.home.account) == (360.0, "auto", "123456789012")
    assert made.runbook_of("shop") is None


@pytest.mark.parametrize(("name", "value"), [("MAX_MODE", "always"), ("LEASE_SECONDS", "long"), ("LEDGER_TABLE", "")])
def test_a_wrong_deployment_names_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(Misconfigured, match=name):
        world(lambda_context.invoked_function_arn)


def test_risky_actions_only_suggest_unless_the_stack_says_otherwise(
    ledger: Ledger, sent: Sent, lambda_context: Any
) -> None:
    cloud = Cloud(value=5)

    class MyAlias(Alias):
        def __init__(self, remaining_s: float) -> None:
            super().__init__(cloud)

    assert opt_out.TAG == "selfheal:exempt"
    event = {"target": {"function": "f", "alias": "live"}, "mode": "act", "origin": "alarm", "action_id": "one.1"}

    answer = handler_for(MyAlias)(event, lambda_context)

    assert (answer["outcome"], answer["reason"], answer["detail"]) == ("planned", "suggest_only", "to 4")
    assert cloud.effects == []
    assert answer["undo"] is None
