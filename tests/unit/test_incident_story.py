"""From the alarm to the approved end, through the real functions: respond, switch_trading, approve and undo."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from selfheal import changes, message, starter
from selfheal.clients import client
from selfheal.ledger import Ledger

from functions.approve.app import lambda_handler as approve
from functions.respond import app
from functions.switch_trading.app import lambda_handler as switch_trading
from functions.undo.app import lambda_handler as undo
from tests.unit.responding import Scene, alarm, response, step

PARAMETER = "/demo/trading_enabled"


class Stack:
    """The functions wired as in the template: requests go to their function, outcomes go back to respond."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
        self.scene = scene
        self.context = context
        self.waiting: list[dict[str, Any]] = []
        self.seen = 0
        self.told: list[str] = []
        monkeypatch.setattr(starter, "start", self.waiting.append)
        monkeypatch.setattr(app, "ledger", lambda: scene.seen)
        monkeypatch.setattr("selfheal.runbook.load", lambda: scene.respond.runbooks)
        monkeypatch.setattr("selfheal.guards.alarm.read_alarms", scene.read_alarms)
        monkeypatch.setattr("selfheal.guards.opt_out.check", lambda context: None)
        client("ssm").put_parameter(Name=PARAMETER, Value="true", Type="String")

    def settle(self) -> None:
        """Deliver until nothing is on its way."""
        while self.waiting or self.seen < len(self.scene.events):
            while self.waiting:
                switch_trading(self.waiting.pop(0), self.context)
            entry = self.scene.events[self.seen]
            self.seen += 1
            event = {"source": "selfheal", "detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
            if told := message.of(event):
                self.told.append(told.subject)
            if entry["DetailType"] == "Action Outcome":
                app.lambda_handler(event, self.context)

    def trading(self) -> str:
        """The flag's value."""
        return str(client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"])

    def by_hand(self, function: Callable[..., Any], action: str, **target: str) -> dict[str, Any]:
        """A person invokes a function."""
        request = {"action": action, "target": target, "mode": "act", "requested_by": "ann", "action_id": f"{action}-1"}
        answer: dict[str, Any] = function(request, self.context)
        self.settle()
        return answer


@pytest.fixture
def stack(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, lambda_context: Any) -> Stack:
    trading = {"parameter": PARAMETER}
    recover = (step("resume_trading", trading, approval=True),)
    scene = Scene(monkeypatch, response(contain=(step("halt_trading", trading),), remediate=(), recover=recover))
    stack = Stack(scene, monkeypatch, lambda_context)
    scene.at = time.time()
    scene.shows("ALARM", scene.at - 1)
    scene.respond = scene.respond.__class__(scene.seen, scene.respond.runbooks, stack.waiting.append, lambda: scene.at)
    scene.takes(alarm(at=scene.at - 1))
    stack.settle()
    return stack


def green(stack: Stack) -> str:
    """The alarm clears; answers the id of the incident that was closed by it."""
    incident = stack.scene.incident.id
    stack.scene.at += 120
    stack.scene.takes(alarm(state="ok", at=stack.scene.at))
    stack.settle()
    assert stack.scene.open_count() == 0
    return incident


def test_halted_at_once_and_resumed_by_a_person(stack: Stack) -> None:
    assert stack.trading() == "false"
    assert stack.scene.seen.get(f"TARGET#parameter:{PARAMETER}", "OWNER") is not None
    incident = green(stack)
    assert stack.scene.seen.get(f"TARGET#parameter:{PARAMETER}", "OWNER") is None
    assert stack.trading() == "false"
    stack.by_hand(approve, "approve", incident=incident)
    assert stack.trading() == "true"
    system = "the-alchemiser-v2-dev"
    assert stack.told == [
        f"[P0] {system} opened: trading lambda failing",
        f"[P0] {system} NEEDS YOU: trading lambda failing",
        f"[P0] {system} waits for your decision: trading lambda failing",
        "resume_trading by ann: acted",
    ]


def test_undone_by_a_person_once(stack: Stack) -> None:
    incident = green(stack)
    assert [change["action"] for change in changes.still_open(stack.scene.seen)] == ["halt_trading"]
    assert stack.by_hand(undo, "undo", incident=incident)["outcome"] == "acted"
    assert stack.trading() == "true"
    assert list(changes.still_open(stack.scene.seen)) == []
    assert stack.told[-1] == "halt_trading by ann: acted"
