"""Every action of functions/* on a resource of its own, through its real handler, with every AWS call on the wire.

A play says what is asked, what AWS looks like before and after, and which calls have an effect; it says nothing of how
the action goes about it, so that one matrix of faults fits all of them.
"""

from __future__ import annotations

import importlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from selfheal import approvals, handler, incident_store, record
from selfheal import ledger as table
from selfheal import world as real
from selfheal.alarm import from_description
from selfheal.catalogue import ACTIONS
from selfheal.checks import patience
from selfheal.clients import client
from selfheal.drain import timing
from selfheal.engine import World
from selfheal.evidence import gathering
from selfheal.evidence.found import Found, Source
from selfheal.ledger import Ledger
from selfheal.request import read_request
from selfheal.runbook import FORMAT_VERSION
from selfheal.words import Stage as StageOf

from tests.unit import plays
from tests.unit.conftest import ACCOUNT, FakeLambdaContext
from tests.unit.dead_letters import FUNCTION, QUEUE_ARN, SOURCE_ARN, Account, account, by_lambda
from tests.unit.dead_letters import QUEUE as DLQ
from tests.unit.dead_letters import SOURCE as SOURCE_QUEUE
from tests.unit.doubles import Clock, Killed
from tests.unit.incidents import incident
from tests.unit.play import Play as Play  # noqa: PLC0414 - tests know it from here
from tests.unit.wire import CAPTURE, EVIDENCE_FUNCTION, Wire

ALARM = "shop-errors"
CODE_DEPLOY = {"application": "shop", "deployment_group": "shop-web"}
LEASE_S = 120.0
LETTERS = ({"n": 1},)


class Stage:
    """An account with one system, selfheal's own resources, and a clock."""

    def __init__(self, here: Account, wire: Wire, clock: Clock) -> None:
        self.here = here
        self.wire = wire
        self.clock = clock
        self.number = 0
        self.deployments: dict[str, dict[str, Any]] = {}
        self.permissions: dict[str, set[str]] = {}
        client("events").create_event_bus(Name="selfheal")
        self._versions()
        self.alarm = self._alarm()

    # -- moves ----------------------------------------------------------------------------------------------------

    def play(self, name: str, *more: str) -> Play:
        """A fresh one."""
        self.number += 1
        play: Play = (
            plays.PLAYS[name](self, self.number, *more)
            if name in plays.PLAYS
            else getattr(self, name)(self.number, *more)
        )
        self.wire.again()
        return play

    def run(self, play: Play, **more: Any) -> dict[str, Any] | None:
        """One invocation of the action's function; None if it was killed."""
        return self.invoke(ACTIONS[play.action].function, {**play.request, **more})

    def invoke(self, folder: str, event: Any) -> dict[str, Any] | None:
        """Any event, in a new process: nothing is left of a killed one but what it did to AWS."""
        app = importlib.import_module(f"functions.{folder}.app")
        self.wire.dead = False
        self.wire.listening = True
        try:
            answer: dict[str, Any] = app.lambda_handler(event, FakeLambdaContext())
        except Killed:
            return None
        finally:
            self.wire.listening = False
        assert json.loads(json.dumps(answer)) == answer
        return answer

    def to_the_end(self, play: Play, runs: int = 8) -> dict[str, Any]:
        """The same id again without faults, each time after the lease, until it has an end."""
        for _ in range(runs):
            self.clock.advance(LEASE_S + 1)
            self.here.show_all(self.here.queue)
            self.wire.again()
            result = self.run(play, mode="resume")
            assert result is not None
            if result["outcome"] != "in_progress":
                return result
        raise AssertionError(f"{play.request} never ends: {result}")

    def world(self, function_arn: str) -> World:
        """The function's own, with the time of the stage."""
        return replace(real.world(function_arn), now=self.clock.now, sleep=self.clock.advance)

    # -- what there is --------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """As a test looks at it."""
        return real.ledger()

    def record_of(self, play: Play) -> Mapping[str, Any] | None:
        """The action's record."""
        return record.find(self.ledger, play.request["action_id"])

    @property
    def by_an_alarm(self) -> dict[str, Any]:
        """What makes a request one of a contain step, on behalf of an incident of its own."""
        reference = {"name": ALARM, "arn": self.alarm["AlarmArn"], "state_at": str(self.red_at_ms)}
        return {
            "origin": "alarm",
            "alarms": [reference],
            "incident": f"shop-{self.number:08x}-1a",
            "system": f"shop-{self.number}",
        }

    @property
    def red_at_ms(self) -> int:
        """Epoch milliseconds of the alarm's state change."""
        return int(self.alarm["StateUpdatedTimestamp"].timestamp() * 1000)

    def _alarm(self) -> dict[str, Any]:
        cloudwatch = client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=ALARM, Namespace="shop", MetricName="Errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=0, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="for the test")
        found: dict[str, Any] = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]
        from_description(found)
        return found

    def _versions(self) -> None:
        """Versions 2 and 3 of the function."""
        for text in ("two", "three"):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("app.py", text)
            client("lambda").update_function_code(FunctionName=FUNCTION, ZipFile=packed.getvalue(), Publish=True)

    # -- plays: the switches --------------------------------------------------------------------------------------

    def halt_trading(self, number: int) -> Play:
        return self._flag(number, "halt_trading", "true", "false", self.by_an_alarm)

    def resume_trading(self, number: int) -> Play:
        return self._flag(number, "resume_trading", "false", "true", {"requested_by": "ann"})

    def _flag(self, number: int, action: str, value: str, done: str, more: Mapping[str, Any]) -> Play:
        name = f"/shop/{number}/enabled"
        client("ssm").put_parameter(Name=name, Value=value, Type="String")
        return Play(
            number, action, {"parameter": name},
            lambda: client("ssm").get_parameter(Name=name)["Parameter"]["Value"],
            done, ("ssm.put_parameter",), more=more,
        )  # fmt: skip

    def disable_schedule(self, number: int) -> Play:
        self._schedule("default", f"s{number}", "ENABLED")
        target = {"schedule": f"s{number}"}
        return self._switched(number, "disable_schedule", target, {f"s{number}": "DISABLED"}, more=self.by_an_alarm)

    def enable_schedule(self, number: int) -> Play:
        self._schedule("default", f"s{number}", "DISABLED")
        target = {"schedule": f"s{number}"}
        return self._switched(number, "enable_schedule", target, {f"s{number}": "ENABLED"}, more={})

    def disable_a_group(self, number: int) -> Play:
        client("scheduler").create_schedule_group(Name=f"g{number}")
        for name, state in {"a": "ENABLED", "b": "DISABLED", "c": "ENABLED"}.items():
            self._schedule(f"g{number}", name, state)
        done = dict.fromkeys("abc", "DISABLED")
        target = {"schedule_group": f"g{number}"}
        return self._switched(number, "disable_schedule", target, done, most=2, more=self.by_an_alarm)

    def _schedule(self, group: str, name: str, state: str) -> None:
        client("scheduler").create_schedule(
            Name=name, GroupName=group, State=state, ScheduleExpression="cron(35 9 ? * MON-FRI *)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": f"{SOURCE_ARN}", "RoleArn": "arn:aws:iam::123456789012:role/scheduler"},
        )  # fmt: skip

    def _switched(
        self, number: int, action: str, target: Mapping[str, Any], done: Any, *, more: Mapping[str, Any], most: int = 1
    ) -> Play:
        group = target.get("schedule_group", "default")

        def look() -> dict[str, str]:
            scheduler = client("scheduler")
            return {name: scheduler.get_schedule(GroupName=group, Name=name)["State"] for name in done}

        return Play(number, action, target, look, done, ("scheduler.update_schedule",), most, more)

    def disable_rules(self, number: int) -> Play:
        return self._rules(number, "disable_rules", "DISABLED", self.by_an_alarm)

    def enable_rules(self, number: int) -> Play:
        return self._rules(number, "enable_rules", "ENABLED", {})

    def disable_rules_with_cloudtrail(self, number: int) -> Play:
        """Only PutRule brings that state back."""
        play = self._rules(number, "disable_rules", "DISABLED", self.by_an_alarm)
        state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
        bus = play.target["bus"]
        client("events").put_rule(Name="r-a", EventBusName=bus, State=state, EventPattern='{"source": ["shop"]}')
        return play

    def disable_rules_with_a_prefix(self, number: int) -> Play:
        return self._rules(number, "disable_rules", "DISABLED", self.by_an_alarm, names="ac")

    def _rules(self, number: int, action: str, done: str, more: Mapping[str, Any], *, names: str = "a") -> Play:
        state = "ENABLED" if done == "DISABLED" else "DISABLED"
        events, bus = client("events"), f"orders-{number}"
        arn = events.create_event_bus(Name=bus)["EventBusArn"]
        events.create_archive(ArchiveName=f"all-{number}", EventSourceArn=arn)
        for name in names:
            events.put_rule(Name=f"r-{name}", EventBusName=bus, State=state, EventPattern='{"source": ["shop"]}')

        def look() -> dict[str, str]:
            rules = events.list_rules(EventBusName=bus, NamePrefix="r-")["Rules"]
            return {rule["Name"]: rule["State"] for rule in rules}

        target = {"rule": "r-a", "bus": bus} if len(names) == 1 else {"rule_prefix": "r-", "bus": bus}
        effects = ("events.disable_rule", "events.enable_rule", "events.put_rule")
        return Play(number, action, target, look, {f"r-{name}": done for name in names}, effects, len(names), more)

    # -- plays: Lambda and CodeDeploy -----------------------------------------------------------------------------

    def roll_back_alias(self, number: int) -> Play:
        alias = f"live{number}"
        client("lambda").create_alias(FunctionName=FUNCTION, Name=alias, FunctionVersion="3")
        target = {"function": FUNCTION, "alias": alias, "code_deploy": CODE_DEPLOY}
        return Play(
            number, "roll_back_alias", target,
            lambda: client("lambda").get_alias(FunctionName=FUNCTION, Name=alias)["FunctionVersion"],
            "2", ("lambda.update_alias",), more={**self.by_an_alarm, "origin": "ladder"},
        )  # fmt: skip

    def stop_deployment(self, number: int) -> Play:
        group = {"application": "shop", "deployment_group": f"shop-{number}"}
        self.deployments[f"d-{number}"] = {"group": f"shop-{number}", "status": "InProgress", "creator": "user"}
        target = {"function": FUNCTION, "alias": "live", "code_deploy": group}
        return Play(
            number, "stop_deployment", {**target, "alias": f"live{number}"},
            lambda: self.deployments[f"d-{number}"]["status"],
            "Stopped", ("codedeploy.stop_deployment",), None, {**self.by_an_alarm, "origin": "ladder"},
        )  # fmt: skip

    def smoke_test(self, number: int) -> Play:
        alias = f"live{number}"
        client("lambda").create_alias(FunctionName=FUNCTION, Name=alias, FunctionVersion="3")
        return Play(
            number, "smoke_test", {"function": FUNCTION, "alias": alias}, lambda: None, None, ("lambda.invoke",)
        )

    # -- plays: dead letters --------------------------------------------------------------------------------------

    def inspect_dlq(self, number: int) -> Play:
        return self._letters(number, "inspect_dlq", len(LETTERS), (), {})

    def archive_dlq(self, number: int) -> Play:
        return self._letters(number, "archive_dlq", 0, (), {})

    def replay_dlq(self, number: int) -> Play:
        target = {"replay_to": {"function": FUNCTION, "alias": "live"}}
        return self._letters(number, "replay_dlq", 0, ("lambda.invoke",), target)

    def redrive_dlq(self, number: int) -> Play:
        policy = {"deadLetterTargetArn": QUEUE_ARN.replace(DLQ, f"dead-{number}"), "maxReceiveCount": 2}
        attributes = {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "30"}
        client("sqs").create_queue(QueueName=f"orders-{number}")
        play = self._letters(number, "redrive_dlq", 0, ("sqs.send_message_batch",), {})
        client("sqs").set_queue_attributes(QueueUrl=self.here.url(f"orders-{number}"), Attributes=attributes)
        self.here.dead_letter_source = SOURCE_ARN.replace(SOURCE_QUEUE, f"orders-{number}")
        return play

    def _letters(self, number: int, action: str, left: int, effects: tuple[str, ...], more: dict[str, Any]) -> Play:
        self.here.use(f"dead-{number}")
        self.here.fill(*(by_lambda(letter, f"id-{letter['n']}") for letter in LETTERS))
        options = {} if action == "inspect_dlq" else {"per_second": 1000}
        return Play(
            number, action, {"queue": f"dead-{number}", **more}, lambda: len(self.here.bodies(f"dead-{number}")), left,
            effects, len(LETTERS), {"options": options},
        )  # fmt: skip

    # -- plays: health, and what a person decides -----------------------------------------------------------------

    def check_gate(self, number: int) -> Play:
        name, target = f"g{number}", {"system": "shop"}
        client("events").put_rule(Name=name, EventBusName="default", EventPattern='{"source": ["shop"]}')
        client("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": SOURCE_ARN}])
        options = {"rules": [f"default/{name}"], "since": int(time.time()), "quiet_ok": True, "alarms": ["other-*"]}
        return Play(number, "check_gate", target, lambda: None, None, more={"options": options})

    def undo(self, number: int, of: str = "halt_trading") -> Play:
        doc = {
            "action": of, "action_id": f"halt-{number}", "function": ACTIONS[of].function,
            "target": {"parameter": f"/shop/{number}/enabled"}, "incident": None, "system": "shop",
            "before": {"value": "true"}, "after": {"value": "false"}, "summary": "halted", "at": 1.0,
        }  # fmt: skip
        self.ledger.write(table.put("CHANGE", f"parameter:/shop/{number}/enabled#halt-{number}", doc))
        target = {"incident": "-", "action_id": f"halt-{number}"}
        return Play(number, "undo", target, lambda: None, None, ("lambda.invoke",), None, {"requested_by": "ann"})

    def approve(self, number: int, step: str = "resume_trading!") -> Play:
        return self._decision(number, "approve", "approved", ("lambda.invoke",), step)

    def deny(self, number: int) -> Play:
        return self._decision(number, "deny", "denied", ())

    def _decision(
        self, number: int, action: str, done: str, effects: tuple[str, ...], step: str = "resume_trading!"
    ) -> Play:
        one = self._incident(number, step)
        (offer,) = one.of(StageOf.RECOVER)
        ledger = self.ledger
        ledger.write(approvals.waiting(one, offer, self.clock.now()))
        return Play(
            number, action, {"incident": one.id},
            lambda: next(one_.decision for one_ in approvals.all_of(ledger, one.id)),
            done, effects, None, {"requested_by": "ann"},
        )  # fmt: skip

    def _incident(self, number: int, step: str = "resume_trading!") -> Any:
        one = replace(incident(recover=step), id=f"demo-{number:08x}-1a")
        committed = incident_store.commit(self.ledger, one, self.clock.now())
        assert committed is not None
        return committed

    def take_over(self, number: int) -> Play:
        return self._paused(number, "take_over", {"incident": self._incident(number).id})

    def hand_back(self, number: int) -> Play:
        return self._unpaused(number, "hand_back", {"incident": self._incident(number).id})

    def pause(self, number: int) -> Play:
        return self._paused(number, "pause", {"pause": f"shop-{number}"})

    def resume(self, number: int) -> Play:
        return self._unpaused(number, "resume", {"pause": f"shop-{number}"})

    def _paused(self, number: int, action: str, target: dict[str, str]) -> Play:
        (name,) = target.values()
        look = self._pause_of(name)
        return Play(number, action, target, look, True, (), None, {"requested_by": "ann"})

    def _unpaused(self, number: int, action: str, target: dict[str, str]) -> Play:
        (name,) = target.values()
        doc = {"what": "all", "who": "bob", "since": "then", "until": "later", "reason": "because"}
        self.ledger.write(table.put("PAUSE", name, doc, paused_until=self.clock.now() + 900_000))
        return Play(number, action, target, self._pause_of(name), False, (), None, {"requested_by": "ann"})

    def _pause_of(self, name: str) -> Callable[[], bool]:
        return lambda: self.ledger.get("PAUSE", name) is not None

    # -- what moto does not know ----------------------------------------------------------------------------------

    def beyond_moto(self) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
        """The answers of CodeDeploy, and of IAM's simulator, by the name of the call."""

        def found(group: str, statuses: list[str] | None) -> list[str]:
            known = [(name, one) for name, one in self.deployments.items() if one["group"] == group]
            return [name for name, one in known if statuses is None or one["status"] in statuses]

        def info(name: str) -> dict[str, Any]:
            if name == "d-good":
                return {"deploymentId": name, "status": "Succeeded", "revision": {}}
            return {"deploymentId": name, **self.deployments[name]}

        def stop(asked: Mapping[str, Any]) -> dict[str, str]:
            one = self.deployments[asked["deploymentId"]]
            back = f"{asked['deploymentId']}-back"
            self.deployments[back] = {"group": one["group"], "status": "Succeeded", "creator": "codeDeployRollback"}
            one.update(status="Stopped", rollbackInfo={"rollbackDeploymentId": back})
            return {"status": "Succeeded"}

        last = {"lastSuccessfulDeployment": {"deploymentId": "d-good"}}
        allowed = {"EvaluationResults": [{"EvalActionName": "sqs:SendMessage", "EvalDecision": "allowed"}]}
        return {
            "ecs.list_service_deployments": lambda asked: {"serviceDeployments": []},
            CAPTURE: lambda asked: {"Payload": io.BytesIO(json.dumps(captured(asked)).encode())},
            "cloudwatch.list_alarm_mute_rules": lambda asked: {"AlarmMuteRuleSummaries": []},
            "iam.simulate_principal_policy": lambda asked: allowed,
            "codedeploy.list_deployments": lambda asked: {
                "deployments": found(asked["deploymentGroupName"], asked.get("includeOnlyStatuses"))
            },
            "codedeploy.batch_get_deployments": lambda asked: {
                "deploymentsInfo": [info(name) for name in asked["deploymentIds"]]
            },
            "codedeploy.get_deployment": lambda asked: {"deploymentInfo": info(asked["deploymentId"])},
            "codedeploy.get_deployment_group": lambda asked: {"deploymentGroupInfo": last},
            "codedeploy.stop_deployment": stop,
        }


def one_after_the_other(sources: Mapping[str, Source]) -> tuple[dict[str, Found], dict[str, Any]]:
    """The sources of evidence in the order of their names: call N of a run is the same call in each run."""
    found: dict[str, Found] = {}
    missing: dict[str, Any] = {}
    for name in sorted(sources):
        gathering.take(name, gathering.answer_of(sources[name]), found, missing)
    return found, missing


def captured(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What PreserveEvidence answers."""
    event = {name: value for name, value in asked.items() if name != "url_path"}
    request = read_request(event, ("capture_evidence",), "default-id")
    return {"outcome": "acted", "evidence": {"captured": f"s3://archive/evidence/{request.action_id}.json"}}


VARIANTS = {
    "disable_a_group": "disable_schedule",
    "disable_rules_with_a_prefix": "disable_rules",
    **plays.variants(),
}
"""A further play of an action: on several resources at once."""
PLAYS = (*(name for name in ACTIONS if hasattr(Stage, name) or name in plays.PLAYS), *VARIANTS)
"""The name of each play: a method here, or a function of `tests.unit.plays`."""


@contextmanager
def stage(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Stage]:
    """The stage, with the settings that the stack gives its functions."""
    wire, clock = Wire(), Clock()
    runbooks = folder / "runbooks.json"
    runbooks.write_text(json.dumps({"version": FORMAT_VERSION, "systems": []}))
    paced = {entry.function for entry in ACTIONS.values() if entry.paced}
    queue = f"https://sqs.eu-central-1.amazonaws.com/{ACCOUNT}/paced"
    started = {entry.function: queue if entry.function in paced else FUNCTION for entry in ACTIONS.values()}
    settings = {
        "MAX_MODE": "auto",
        "RUNBOOKS_PATH": str(runbooks),
        "ACTION_FUNCTIONS": json.dumps(started),
        "EVIDENCE_FUNCTION": EVIDENCE_FUNCTION,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    monkeypatch.setattr("time.time", clock.now)
    monkeypatch.setattr(gathering, "side_by_side", one_after_the_other)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(timing, "time", SimpleNamespace(time=clock.now, monotonic=clock.now, sleep=clock.advance))
    with wire.connected(), account(monkeypatch) as here:
        made = Stage(here, wire, clock)
        monkeypatch.setattr(handler, "world", made.world)
        for queue_name in ("empty", "paced"):
            here.sqs.create_queue(QueueName=queue_name)
        client("sns").create_topic(Name="people")
        client("events").put_rule(Name="rule", EventBusName="selfheal", EventPattern='{"source": ["shop"]}')
        wire.answers = made.beyond_moto() | plays.answers(made)
        yield made
