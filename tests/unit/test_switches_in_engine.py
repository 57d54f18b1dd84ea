"""The switches and the alias inside the engine: acted, killed, resumed, undone, against AWS as moto has it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import boto3
import pytest
from selfheal import changes
from selfheal.action import Action
from selfheal.arns import Home
from selfheal.clients import client
from selfheal.engine import World, run
from selfheal.errors import ChangedMeanwhile
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import Result
from selfheal.words import Direction, Outcome, ResponseMode

from functions.roll_back_alias.app import RollBackAlias
from functions.switch_schedule import app as switch_schedule
from functions.switch_schedule.app import DisableSchedule, EnableSchedule
from functions.switch_trading import app as switch_trading
from functions.switch_trading.app import HaltTrading
from tests.unit.aws import ask, event

NAME = "/algo-trading/prod/trading_enabled"
FLAG = {"parameter": NAME}
GROUP = {"schedule_group": "trading"}
ALIAS = {"function": "trade", "alias": "live"}


class Killed(BaseException):
    """The process is gone: nothing of ours may catch it."""


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(ledger: Ledger, clock: Clock) -> World:
    return World(
        ledger=ledger,
        max_mode=ResponseMode.AUTO,
        lease_s=120.0,
        home=Home("aws", "eu-central-1", "123456789012"),
        runbook_of=lambda system: None,
        now=clock.now,
        sleep=clock.sleep,
    )


def act(world: World, action: Action, target: dict[str, Any], action_id: str, **more: Any) -> Result:
    request = ask(action.name, target, action_id=action_id, incident="inc-1", requested_by="on-call", **more)
    return run(action, request, world)


def undo(world: World, action: Action, target: dict[str, Any], of: str, **more: Any) -> Result:
    return act(world, action, target, f"{of}.undo", undo_of=of, origin="undo", **more)


# -- as deployed -------------------------------------------------------------------------------------------------


def test_the_event_files_plan_and_change_nothing(ledger: Ledger, lambda_context: Any) -> None:
    ssm, scheduler = client("ssm"), client("scheduler")
    payloads = {name: event(name) for name in ("switch_trading", "switch_schedule")}
    flag = payloads["switch_trading"]["target"]["parameter"]
    ssm.put_parameter(Name=flag, Value="true", Type="String")
    daily = payloads["switch_schedule"]["target"]
    scheduler.create_schedule(**document(daily["schedule"], "ENABLED", GroupName=daily["group"]))

    trading = switch_trading.lambda_handler(payloads["switch_trading"], lambda_context)
    schedule = switch_schedule.lambda_handler(payloads["switch_schedule"], lambda_context)

    assert (trading["outcome"], trading["after"]) == ("planned", {"value": "false"})
    assert (schedule["outcome"], schedule["direction"]) == ("planned", "safe")
    assert ssm.get_parameter(Name=flag)["Parameter"]["Value"] == "true"
    assert scheduler.get_schedule(Name=daily["schedule"])["State"] == "ENABLED"


# -- the flag ----------------------------------------------------------------------------------------------------


def test_a_halt_is_listed_until_it_is_undone(world: World) -> None:
    ssm = client("ssm")
    ssm.put_parameter(Name=NAME, Value="true", Type="String")

    halted = act(world, HaltTrading(), FLAG, "a")

    assert (halted.outcome, halted.direction) == (Outcome.ACTED, Direction.SAFE)
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == "false"
    assert len(changes.still_open(world.ledger)) == 1

    undone = undo(world, HaltTrading(), FLAG, "a")

    assert (undone.outcome, undone.direction) == (Outcome.ACTED, Direction.RISKY)
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == "true"
    assert changes.still_open(world.ledger) == []


def test_a_halt_that_was_killed_before_its_call_is_made_by_the_next_run(world: World, clock: Clock) -> None:
    ssm = client("ssm")
    ssm.put_parameter(Name=NAME, Value="true", Type="String")

    class DiesBefore(HaltTrading):
        def apply(self, *_: Any) -> Any:
            raise Killed

    with pytest.raises(Killed):
        act(world, DiesBefore(), FLAG, "a")
    clock.sleep(500)
    resumed = act(world, HaltTrading(), FLAG, "a", mode="resume")

    assert resumed.outcome is Outcome.ACTED
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 2


def test_garbage_is_refused(world: World) -> None:
    client("ssm").put_parameter(Name=NAME, Value="maybe", Type="String")

    assert act(world, HaltTrading(), FLAG, "a").reason == Refusal.NOT_A_FLAG


# -- schedules ---------------------------------------------------------------------------------------------------


@pytest.fixture
def scheduler(ledger: Ledger) -> Any:
    """A group with three schedules, of which `b` is off."""
    scheduler = client("scheduler")
    scheduler.create_schedule_group(Name="trading")
    for name, state in {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}.items():
        scheduler.create_schedule(**document(name, state))
    return scheduler


def document(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "GroupName": "trading",
        "State": state,
        "ScheduleExpression": "cron(35 9 ? * MON-FRI *)",
        "ScheduleExpressionTimezone": "America/New_York",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": "arn:aws:lambda:eu-central-1:123456789012:function:trade",
            "RoleArn": "arn:aws:iam::123456789012:role/scheduler",
        },
        **more,
    }


def states(scheduler: Any) -> dict[str, str]:
    return {one["Name"]: one["State"] for one in scheduler.list_schedules(GroupName="trading")["Schedules"]}


def test_a_group_goes_off_and_undo_brings_back_what_was_on(world: World, scheduler: Any) -> None:
    off = act(world, DisableSchedule(), GROUP, "a")

    assert off.outcome is Outcome.ACTED
    assert set(states(scheduler).values()) == {"DISABLED"}

    assert undo(world, DisableSchedule(), GROUP, "a").outcome is Outcome.ACTED
    assert states(scheduler) == {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}
    assert changes.still_open(world.ledger) == []


def test_the_named_ones_of_a_group_go_on_and_undo_takes_them_back(world: World, scheduler: Any) -> None:
    only = {"only": ["a", "b"]}
    on = act(world, EnableSchedule(), GROUP, "a", options=only)

    assert on.outcome is Outcome.ACTED
    assert states(scheduler)["b"] == "ENABLED"

    back = undo(world, EnableSchedule(), GROUP, "a", options=only)
    assert (back.outcome, back.direction) == (Outcome.ACTED, Direction.SAFE)
    assert states(scheduler) == {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}


def test_a_group_whose_run_was_killed_halfway_is_finished_and_wholly_undone(
    world: World, clock: Clock, scheduler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = scheduler.update_schedule

    def dies_at_the_second(**document: Any) -> Any:
        if document["Name"] == "c":
            raise Killed
        return update(**document)

    monkeypatch.setattr(scheduler, "update_schedule", dies_at_the_second)
    with pytest.raises(Killed):
        act(world, DisableSchedule(), GROUP, "a")
    assert states(scheduler) == {"a": "DISABLED", "b": "DISABLED", "c": "ENABLED"}

    monkeypatch.setattr(scheduler, "update_schedule", update)
    clock.sleep(500)
    resumed = act(world, DisableSchedule(), GROUP, "a", mode="resume")

    assert resumed.outcome is Outcome.ACTED
    assert resumed.before == {"trading/a": "ENABLED", "trading/c": "ENABLED"}
    undo(world, DisableSchedule(), GROUP, "a")
    assert states(scheduler) == {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}


def test_a_partial_failure_leaves_something_to_undo(
    world: World, scheduler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = scheduler.update_schedule

    def refuses_the_second(**document: Any) -> Any:
        return update(**(document | ({"GroupName": "another"} if document["Name"] == "c" else {})))

    monkeypatch.setattr(scheduler, "update_schedule", refuses_the_second)
    partly = act(world, DisableSchedule(), GROUP, "a")

    assert partly.outcome is Outcome.FAILED
    assert partly.after == {"trading/a": "DISABLED", "trading/c": "ENABLED"}
    assert "trading/c" in partly.evidence["failed"]
    assert len(changes.still_open(world.ledger)) == 1

    monkeypatch.setattr(scheduler, "update_schedule", update)
    assert undo(world, DisableSchedule(), GROUP, "a").outcome is Outcome.ACTED
    assert states(scheduler) == {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}


def test_undo_does_not_overrule_somebody_who_switched_since(world: World, scheduler: Any) -> None:
    act(world, DisableSchedule(), GROUP, "a")
    scheduler.delete_schedule(GroupName="trading", Name="a")

    assert undo(world, DisableSchedule(), GROUP, "a").reason == Refusal.CHANGED_SINCE


# -- the alias ---------------------------------------------------------------------------------------------------


def code(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", text)
    return packed.getvalue()


@pytest.fixture
def lambda_(ledger: Ledger) -> Any:
    """A function with the versions 1, 2 and 3, its alias on 3."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = boto3.client("iam").create_role(RoleName="trade", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    aws = client("lambda")
    aws.create_function(
        FunctionName="trade", Runtime="python3.13", Role=role, Handler="app.run", Code={"ZipFile": code("1")}
    )
    aws.publish_version(FunctionName="trade")
    for text in ("2", "3"):
        aws.update_function_code(FunctionName="trade", ZipFile=code(text))
        aws.publish_version(FunctionName="trade")
    aws.create_alias(FunctionName="trade", Name="live", FunctionVersion="3")
    return aws


def live(lambda_: Any) -> str:
    return str(lambda_.get_alias(FunctionName="trade", Name="live")["FunctionVersion"])


def test_an_alias_goes_back_one_version_however_often_it_is_asked(world: World, lambda_: Any) -> None:
    for _ in range(2):
        assert act(world, RollBackAlias(), ALIAS, "a").outcome is Outcome.ACTED
        assert live(lambda_) == "2"

    assert undo(world, RollBackAlias(), ALIAS, "a").outcome is Outcome.ACTED
    assert live(lambda_) == "3"


def test_a_rollback_that_was_killed_after_its_call_is_not_made_again(world: World, clock: Clock, lambda_: Any) -> None:
    class DiesAfter(RollBackAlias):
        def apply(self, *arguments: Any) -> Any:
            super().apply(*arguments)
            raise Killed

    with pytest.raises(Killed):
        act(world, DiesAfter(), ALIAS, "a")
    clock.sleep(500)
    resumed = act(world, RollBackAlias(), ALIAS, "a", mode="resume")

    assert resumed.outcome is Outcome.ACTED
    assert live(lambda_) == "2"


def test_a_rollback_that_loses_to_a_deployment_is_planned_from_there(world: World, lambda_: Any) -> None:
    class Loses(RollBackAlias):
        lost = False

        def apply(self, *arguments: Any) -> Any:
            if not self.lost:
                self.lost = True
                lambda_.update_alias(FunctionName="trade", Name="live", FunctionVersion="2")
                raise ChangedMeanwhile("stale")
            return super().apply(*arguments)

    result = act(world, Loses(), ALIAS, "a", options={"to_version": "1"})

    assert result.outcome is Outcome.ACTED
    assert result.before == {"version": "2", "weights": {}}
    assert live(lambda_) == "1"


def _switch(name: str, action_id: str, **more: Any) -> dict[str, Any]:
    return {"action": name, "action_id": action_id, "target": FLAG, "mode": "act", "requested_by": "asha", **more}


def test_what_a_person_put_back_is_no_open_change_any_more(ledger: Ledger, lambda_context: Any) -> None:
    client("ssm").put_parameter(Name=NAME, Value="true", Type="String")
    switch_trading.lambda_handler(_switch("halt_trading", "halt"), lambda_context)
    assert [change["action_id"] for change in changes.still_open(ledger)] == ["halt"]

    switch_trading.lambda_handler(_switch("resume_trading", "resume"), lambda_context)

    assert changes.still_open(ledger) == []


def test_what_a_person_changed_besides_stays_an_open_change(ledger: Ledger, lambda_context: Any) -> None:
    client("ssm").put_parameter(Name=NAME, Value="false", Type="String")

    switch_trading.lambda_handler(_switch("resume_trading", "resume"), lambda_context)

    assert [change["action_id"] for change in changes.still_open(ledger)] == ["resume"]
