"""The drill: passes where the guards guard, and finds each that does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from selfheal import drills, message, outcome, runbook, starter
from selfheal import ledger as table
from selfheal.clients import client
from selfheal.errors import Unreadable
from selfheal.guards import chain, claim
from selfheal.ledger import Ledger
from selfheal.runbook import Runbooks

from functions.drill import app
from functions.switch_trading.app import lambda_handler as switch_trading
from tests.unit.aws import event

FLAG = "/selfheal/drill/trading_enabled"
NAMES = ["pause", "lease", "action", "undo", "undo_once", "cooldown", "notification"]


class Stack:
    """The deployed parts that a drill needs: SwitchTrading itself, and the way of a notice to a subscriber."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.inbox: list[str] = []
        self.bus_down = False
        self.notify_down = False
        self.asked: list[Mapping[str, Any]] = []
        self.broken: dict[str, Callable[[], Mapping[str, Any]]] = {}

    def ask(self, function: str, request: dict[str, Any], within_s: int) -> Mapping[str, Any]:
        assert function == "switch"
        self.asked.append(request)
        name = request["action_id"].rpartition(".")[2]
        return self.broken.get(name, lambda: switch_trading(request, self.context))()

    def send(self, kind: str, *details: Any) -> bool:
        for detail in details:
            told = message.of({"detail-type": kind, "detail": json.loads(json.dumps(detail, default=str))})
            if told is not None and not self.notify_down:
                self.inbox.append(f"{told.what}|{told.body}")
        return not self.bus_down

    def value(self) -> str:
        return str(client("ssm").get_parameter(Name=FLAG)["Parameter"]["Value"])


@pytest.fixture
def stack(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, lambda_context: Any) -> Stack:
    for name, value in {"SWITCH_TRADING": "switch", "DRILL_FLAG": FLAG, "DRILL_QUEUE": "queue"}.items():
        monkeypatch.setenv(name, value)
    client("ssm").put_parameter(Name=FLAG, Value="true", Type="String")
    stack = Stack(lambda_context)
    monkeypatch.setattr(runbook, "load", lambda: Runbooks(()))
    monkeypatch.setattr(starter, "ask", stack.ask)
    monkeypatch.setattr(outcome, "send", stack.send)
    monkeypatch.setattr(app, "_receive", lambda queue: stack.inbox)
    monkeypatch.setattr(app, "NOTICE_WITHIN_S", 0)
    return stack


def drill(lambda_context: Any) -> dict[str, Any]:
    report: dict[str, Any] = app.lambda_handler(event("drill"), lambda_context)
    assert json.loads(json.dumps(report)) == report
    return report


def failed(report: Mapping[str, Any]) -> list[str]:
    assert [check["name"] for check in report["checks"]] == NAMES
    return [check["name"] for check in report["checks"] if not check["held"]]


def test_it_passes_and_leaves_nothing_behind(stack: Stack, ledger: Ledger, lambda_context: Any) -> None:
    report = drill(lambda_context)
    assert failed(report) == []
    assert report["passed"] is True
    assert stack.value() == "true"
    assert list(ledger.query("CHANGE")) == []
    assert list(ledger.query("PAUSE")) == []
    assert drills.watch(ledger, 0).told == {"passed": 1}
    assert {(request["origin"], request["system"]) for request in stack.asked} == {
        ("drill", drills.SYSTEM),
        ("undo", drills.SYSTEM),
    }


def test_people_get_one_message_and_it_is_marked(stack: Stack, lambda_context: Any) -> None:
    report = drill(lambda_context)
    (mail,) = stack.inbox
    assert mail.startswith("drill|[drill] selfheal tried its guards: all 6 held")
    assert report["run"] in mail


def test_it_can_be_repeated_at_once(stack: Stack, lambda_context: Any) -> None:
    drill(lambda_context)
    object.__setattr__(lambda_context, "aws_request_id", "00000000-0000-4000-8000-000000000002")
    assert failed(drill(lambda_context)) == []


@pytest.mark.parametrize(
    "name",
    ["pause", "lease", "cooldown"],
)
def test_a_guard_that_lets_everything_through_is_found(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, lambda_context: Any, name: str
) -> None:
    """It is taken out of the chain, and where the target is taken as well."""
    kept = tuple(guard for guard in chain.CHAIN if guard.name != name)
    assert len(kept) == len(chain.CHAIN) - 1
    monkeypatch.setattr(chain, "CHAIN", kept)
    free = table.check("NOBODY", "NOTHING", "attribute_not_exists(pk)")
    if name == "lease":
        monkeypatch.setattr(claim, "_lease", lambda *_: free)
    if name == "cooldown":
        monkeypatch.setattr(claim, "_cool", lambda *_: None)
    report = drill(lambda_context)
    assert name in failed(report)
    assert report["passed"] is False


@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_function_that_does_not_answer_fails_the_check_and_not_the_drill(
    stack: Stack, ledger: Ledger, lambda_context: Any, name: str
) -> None:
    def down() -> Mapping[str, Any]:
        raise Unreadable("SwitchTrading", "no answer")

    stack.broken[name] = down
    report = drill(lambda_context)
    assert name in failed(report)
    assert any(check["seen"].startswith("Unreadable: ") for check in report["checks"])
    assert "DID NOT HOLD" in stack.inbox[-1]
    assert drills.watch(ledger, 0).told == {"passed": 0}


@pytest.mark.parametrize("part", ["bus_down", "notify_down"])
def test_a_message_that_does_not_arrive_is_found(stack: Stack, lambda_context: Any, part: str) -> None:
    setattr(stack, part, True)
    if part == "bus_down":
        stack.notify_down = True
    assert failed(drill(lambda_context)) == ["notification"]


def test_an_action_that_says_it_acted_and_did_not_is_found(stack: Stack, lambda_context: Any) -> None:
    stack.broken["action"] = lambda: {"outcome": "acted", "reason": ""}
    assert "action" in failed(drill(lambda_context))


def test_it_starts_from_a_clean_flag_whatever_the_last_one_left(stack: Stack, lambda_context: Any) -> None:
    client("ssm").put_parameter(Name=FLAG, Value="false", Overwrite=True)
    assert failed(drill(lambda_context)) == []


def test_two_at_once_are_one(stack: Stack, ledger: Ledger, lambda_context: Any) -> None:
    assert drills.begin(ledger, "other", 4_000_000_000.0, 60)
    assert "running" in drill(lambda_context)
    assert stack.asked == []


def test_while_everything_is_paused_it_is_skipped_and_nothing_is_recorded(
    stack: Stack, ledger: Ledger, lambda_context: Any
) -> None:
    doc = {"what": "risky", "who": "ann", "reason": "a move", "since": "", "until": "noon"}
    ledger.write(table.put("PAUSE", "*", doc, paused_until=4_000_000_000.0))
    assert drill(lambda_context)["skipped"] == "ann paused everything until noon"
    assert ledger.get("DRILL", "LAST") is None


def test_what_arrives_is_taken_off_the_queue(aws: None) -> None:
    queue = client("sqs").create_queue(QueueName="drills")["QueueUrl"]
    client("sqs").send_message(QueueUrl=queue, MessageBody="[drill] one")
    assert app._receive(queue) == ["[drill] one"]
    counted = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert counted["ApproximateNumberOfMessages"] == counted["ApproximateNumberOfMessagesNotVisible"] == "0"
