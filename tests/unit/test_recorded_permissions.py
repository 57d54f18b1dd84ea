"""What each function really calls, recorded on the wire, against what its code declares (and so what its role may)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selfheal import capture, runbook, world
from selfheal.action import Action
from selfheal.catalogue import ACTIONS, functions
from selfheal.clients import SERVICES, client
from selfheal.guards import chain
from selfheal.ledger import PERMISSIONS as LEDGER
from selfheal_build.operations import called

from tests.unit import rooms
from tests.unit.aws import ROOT, event
from tests.unit.conftest import ACCOUNT
from tests.unit.dead_letters import FUNCTION, by_rule
from tests.unit.plays.check_health import many_checks
from tests.unit.plays.manage_sessions import sessions_of_an_instance
from tests.unit.responding import response, runbooks, step
from tests.unit.stage import ALARM, PLAYS, VARIANTS, Play, Stage, stage
from tests.unit.test_unrecorded import DOWN, Outage

BY_ENGINE = {*LEDGER, "events:PutEvents"}
NOT_IN_THE_STORY = {
    "cloudwatch:GetAlarmMuteRule": "asked of rules that mute an alarm; moto has none of them (test_mutes)",
    "cloudwatch:ListAlarmMuteRules": "as cloudwatch:GetAlarmMuteRule",
    "dynamodb:BatchGetItem": "used when an incident closes; the ledger's policy is one for all functions",
}
"""What Respond may and does not do in this file's story of it, with the reason."""


KEPT = called(ROOT, SERVICES) | {"describe_endpoints"}
"""The calls that the dependencies layer has descriptions of: those that are named, and what botocore asks by itself."""


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


def declared(folder: str) -> set[str]:
    """The permissions of a function's actions; the guards' only where an action is not merely reading."""
    module = importlib.import_module(f"functions.{folder}.app")
    if hasattr(module, "PERMISSIONS"):
        return set(module.PERMISSIONS)
    classes = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Action)]
    return {permission for one in classes if hasattr(one, "name") for permission in one.permissions}


def captures(folder: str) -> bool:
    """An action of the function asks for evidence before it changes anything."""
    classes = vars(importlib.import_module(f"functions.{folder}.app")).values()
    return any(one.captures or one.destroys for one in classes if isinstance(one, type) and issubclass(one, Action))


def runs(on_stage: Stage, name: str) -> Iterator[tuple[Play, dict[str, Any]]]:
    """The play, and what else its action can be asked for."""
    yield on_stage.play(name), {}
    if name == "disable_rules":
        yield on_stage.play("disable_rules_with_cloudtrail"), {}
    if name == "roll_back_alias":
        yield on_stage.play(name), {"options": {"to_version": "1"}}
    if name == "check_health":
        yield on_stage.play(name), {"options": {"checks": many_checks()}}
    if name == "restart_service":
        yield on_stage.play("restart_service_that_fails"), {}
    if name == "replay_dlq":
        play = on_stage.play(name)
        on_stage.here.fill(by_rule({"n": 9}))
        yield play, {}
    if name in {"undo", "approve"}:
        paced = on_stage.play(name, "roll_back_alias" if name == "undo" else "roll_back_alias!")
        yield paced, {}


def record(on_stage: Stage, folder: str) -> set[str]:
    """Every permission that the function's actions and their undoes have used."""
    for name in PLAYS:
        if ACTIONS[VARIANTS.get(name, name)].function != folder:
            continue
        for play, more in runs(on_stage, name):
            on_stage.wire.again()
            result = on_stage.run(play, **more)
            assert result is not None
            if result["outcome"] == "in_progress":
                result = on_stage.to_the_end(play)
            assert result["outcome"] in {"acted", "failed"}, result
            if ACTIONS[play.action].undo:
                undo = {"action_id": f"u-{play.number}", "undo_of": play.request["action_id"], "origin": "undo"}
                undone = on_stage.run(play, **undo, requested_by="ann", alarms=[])
                assert undone is not None
                assert undone["outcome"] == "acted", undone
    if folder == "manage_sessions":  # asked only of what is no cluster, to refuse it by name
        of_an_instance = on_stage.run(sessions_of_an_instance(on_stage))
        assert of_an_instance is not None
        assert of_an_instance["reason"] == "no_data_api"
    return set(on_stage.wire.permissions)


@pytest.mark.parametrize("folder", functions())
def test_every_call_is_declared_and_everything_declared_is_called(on_stage: Stage, folder: str) -> None:
    recorded = record(on_stage, folder)
    assert on_stage.wire.methods <= KEPT, "the layer's botocore will not know these calls"
    guards = set(chain.PERMISSIONS) if recorded & {*chain.PERMISSIONS} else set()
    asking = set(capture.PERMISSIONS) if captures(folder) else set()
    assert recorded <= declared(folder) | BY_ENGINE | guards | asking
    assert declared(folder) - recorded == set()


def test_the_ledgers_and_the_guards_permissions_are_used(on_stage: Stage) -> None:
    used = {permission for folder in ("switch_trading", "approve", "undo") for permission in record(on_stage, folder)}
    assert used >= {*BY_ENGINE, *chain.PERMISSIONS}


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_respond_calls_what_it_declares(on_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alarm without the ledger, then with it; outcomes, ticks, a rung through the paced queue."""
    play = on_stage.play("halt_trading")
    queue = str(client("sqs").create_queue(QueueName="unrecorded")["QueueUrl"])
    monkeypatch.setenv("UNRECORDED_QUEUE", queue)
    rung = step("roll_back_alias", {"function": FUNCTION, "alias": "live"})
    one = response(alarms=("shop-*",), contain=(step("halt_trading", play.target),), remediate=(rung,), recover=())
    monkeypatch.setattr(runbook, "load", lambda path=None: runbooks(one))
    outage = Outage(on_stage, play, queue)
    outage.alarm(**DOWN)
    on_stage.wire.permissions.clear()
    outage.carry_out(**DOWN)
    seen: set[str] = set()
    for move in (outage.tick, outage.alarm, outage.tick):
        on_stage.wire.permissions.clear()
        move()
        seen |= on_stage.wire.permissions
        outage.carry_out()
    on_stage.clock.advance(900)
    client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="over")
    for _ in range(8):
        on_stage.wire.permissions.clear()
        on_stage.clock.advance(900)
        outage.tick()
        seen |= on_stage.wire.permissions
        outage.carry_out()
    assert on_stage.wire.methods <= KEPT
    assert seen <= declared("respond")
    assert declared("respond") - seen == set(NOT_IN_THE_STORY)


def test_notify_calls_what_it_declares(on_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEOPLE_TOPIC", f"arn:aws:sns:eu-central-1:{ACCOUNT}:people")
    told = on_stage.invoke("notify", event("notify"))
    assert told is not None
    assert told["told"]
    assert on_stage.wire.methods <= KEPT
    assert on_stage.wire.permissions == declared("notify")


def test_the_control_room_calls_what_it_declares_and_so_only_reads(
    on_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runbook, "load", lambda path=None: runbooks(response()))
    rooms.fill(world.ledger(), "function failing", on_stage.clock.now())
    assert "Open incidents" in str(on_stage.invoke("show_control_room", event("show_control_room")))
    assert on_stage.wire.permissions == declared("show_control_room") == {"dynamodb:Query"}
