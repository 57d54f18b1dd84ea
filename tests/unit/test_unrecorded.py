"""A halt while DynamoDB is down, and what becomes of it when it is back: recorded, listed, undone, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from selfheal import changes, incident_store, record, runbook
from selfheal.clients import client
from selfheal.errors import LedgerUnavailable

from tests.unit.doubles import Killed, timed_out
from tests.unit.responding import response, runbooks, step
from tests.unit.stage import ALARM, Play, Stage, stage

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

DOWN = {"names": ("dynamodb.",), "error": timed_out}


@dataclass
class Outage:
    """The stack around one alarm: respond, switch_trading, undo, the bus's rule and its queue."""

    on: Stage
    play: Play
    queue: str
    waiting: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, folder: str, event: Any, **faults: Any) -> dict[str, Any] | None:
        """Invoke a function; what it starts waits, what it tells the bus goes where the template's rules send it."""
        self.on.wire.again(**faults)
        try:
            return self.on.invoke(folder, event)
        finally:
            self._deliver()

    def _deliver(self) -> None:
        started = [json.loads(body) for name, body in self.on.wire.reached if name == "lambda.invoke"]
        self.waiting += [request for request in started if request["mode"] != "plan"]
        for event in self.on.wire.events():
            if "not_recorded" in event["detail"].get("evidence", {}):
                client("sqs").send_message(QueueUrl=self.queue, MessageBody=json.dumps(event))

    def alarm(self, **faults: Any) -> None:
        """The alarm's event arrives; without a ledger Lambda is to deliver it again."""
        at = self.on.alarm["StateUpdatedTimestamp"].isoformat()
        state = {"value": "ALARM", "reason": "for the test", "timestamp": at}
        event = {
            "source": "aws.cloudwatch",
            "detail-type": "CloudWatch Alarm State Change",
            "resources": [self.on.alarm["AlarmArn"]],
            "detail": {"alarmName": ALARM, "state": state, "configuration": {"metrics": []}},
        }
        if faults:
            with pytest.raises(LedgerUnavailable):
                self.invoke("respond", event, **faults)
        else:
            self.invoke("respond", event)

    def tick(self, **faults: Any) -> dict[str, Any] | None:
        """A minute passes. A message that was taken and not deleted is visible again."""
        self.on.clock.advance(60)
        for message in self.on.here.messages("unrecorded"):
            message.visible_at = 0
        return self.invoke("respond", {"clock": "tick"}, **faults)

    def carry_out(self, **faults: Any) -> list[dict[str, Any]]:
        """Every function that was started runs; respond hears of it, unless the ledger is down."""
        results = []
        while self.waiting:
            request = self.waiting.pop(0)
            result = self.invoke("switch_trading", request, **faults)
            assert result is not None
            results.append(result)
            if not faults:
                for event in self.on.wire.events():
                    self.invoke("respond", event)
        return results

    def left(self) -> int:
        """Messages in the queue."""
        return len(self.on.here.messages("unrecorded"))

    def listed(self) -> list[Any]:
        """Open changes."""
        return list(changes.still_open(self.on.ledger))

    def undo(self) -> str:
        """A person undoes the incident; answers the flag's value."""
        (incident,) = incident_store.all_open(self.on.ledger)
        asked = {"action": "undo", "action_id": "by-ann", "target": {"incident": incident.id}, "mode": "act"}
        undone = self.invoke("undo", {**asked, "requested_by": "ann"})
        assert undone is not None
        assert undone["outcome"] == "acted", undone
        self.carry_out()
        return str(self.play.look())


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Outage]:
    with stage(monkeypatch, tmp_path) as on_stage:
        play = on_stage.play("halt_trading")
        queue = str(client("sqs").create_queue(QueueName="unrecorded")["QueueUrl"])
        monkeypatch.setenv("UNRECORDED_QUEUE", queue)
        halt = step("halt_trading", play.target)
        known = runbooks(response(alarms=("shop-*",), contain=(halt,), remediate=(), recover=()))
        monkeypatch.setattr(runbook, "load", lambda path=None: known)
        yield Outage(on_stage, play, queue)


@pytest.fixture
def halted(outage: Outage) -> Outage:
    """The alarm came while the ledger was down: trading is halted, and nothing is on record."""
    outage.alarm(**DOWN)
    (result,) = outage.carry_out(**DOWN)
    assert (result["outcome"], result["before"], outage.play.look()) == ("acted", {"value": "true"}, "false")
    assert (outage.listed(), outage.left()) == ([], 1)
    return outage


def check(outage: Outage) -> None:
    """All of it is in the ledger: one record with its image, one open change, one incident; and it can be undone."""
    (change,) = outage.listed()
    found = record.find(outage.on.ledger, change["action_id"])
    assert found is not None
    assert (found["run"], found["outcome"], "expires" in found) == ("done", "acted", False)
    assert (change["before"], change["after"]) == ({"value": "true"}, {"value": "false"})
    (incident,) = incident_store.all_open(outage.on.ledger)
    assert (incident.id, [one.status for one in incident.steps]) == (change["incident"], ["done"])
    assert outage.left() == 0
    assert outage.undo() == "true"
    assert outage.listed() == []


def test_a_halt_without_the_ledger_is_recorded_afterwards_and_can_be_undone(halted: Outage) -> None:
    halted.tick()
    halted.carry_out()
    check(halted)


def test_while_the_ledger_is_down_nothing_is_taken_from_the_queue(halted: Outage) -> None:
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            halted.tick(**DOWN)
    assert halted.left() == 1
    halted.tick()
    halted.carry_out()
    check(halted)


def test_the_alarm_that_is_delivered_again_first_loses_no_image(halted: Outage) -> None:
    """Its halt finds the flag off already, under the same id: that record has no image and gives way."""
    halted.alarm()
    (again,) = halted.carry_out()
    assert (again["outcome"], again["before"]) == ("already_done", None)
    halted.tick()
    halted.carry_out()
    (change,) = halted.listed()
    assert (change["before"], halted.left()) == ({"value": "true"}, 0)
    assert halted.undo() == "true"


@pytest.mark.parametrize("late", [False, True], ids=["at once", "after the undo"])
def test_a_second_delivery_changes_nothing(halted: Outage, late: bool) -> None:
    body = halted.on.here.bodies("unrecorded")[0]
    if not late:
        client("sqs").send_message(QueueUrl=halted.queue, MessageBody=body)
    halted.tick()
    halted.carry_out()
    check(halted)
    if late:
        client("sqs").send_message(QueueUrl=halted.queue, MessageBody=body)
        halted.tick()
        assert (halted.left(), halted.listed()) == (0, [])
    (incident,) = incident_store.all_open(halted.on.ledger)
    assert len(incident.alarms) == 1


def test_two_runs_without_the_ledger_are_one_change(outage: Outage) -> None:
    """Lambda may deliver the request twice: the second finds the flag off."""
    outage.alarm(**DOWN)
    outage.waiting *= 2
    results = outage.carry_out(**DOWN)
    assert [result["outcome"] for result in results] == ["acted", "already_done"]
    outage.tick()
    outage.carry_out()
    check(outage)


def test_somebody_switched_on_in_between_and_both_changes_are_kept(outage: Outage) -> None:
    """Two halts under one id have the same image: one change. Two different images would be two records."""
    outage.alarm(**DOWN)
    request = outage.waiting[0]
    outage.carry_out(**DOWN)
    client("ssm").put_parameter(Name=outage.play.target["parameter"], Value="true", Overwrite=True)
    outage.waiting.append(request)
    outage.carry_out(**DOWN)
    assert outage.left() == 2
    outage.tick()
    outage.carry_out()
    check(outage)


def test_different_images_under_one_id_become_two_records(outage: Outage) -> None:
    """A group of which one schedule was switched on by hand between two runs without the ledger."""
    play = outage.on.play("disable_a_group")
    first = outage.invoke("switch_schedule", play.request, **DOWN)
    outage.on._schedule(play.target["schedule_group"], "d", "ENABLED")
    second = outage.invoke("switch_schedule", play.request, **DOWN)
    assert first is not None
    assert second is not None
    assert first["before"] != second["before"]
    outage.tick()
    listed = outage.listed()
    assert sorted(len(one["before"]) for one in listed) == [1, 2]
    assert len({one["action_id"] for one in listed}) == 2
    assert outage.left() == 0


@pytest.mark.parametrize("again", [1, 2])
def test_a_result_that_the_ledger_did_not_take_is_finished_by_the_same_id(outage: Outage, again: int) -> None:
    """It was claimed and attempted: the engine verifies and records, as for any run that died. So does an undo."""
    client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="not the subject here")
    play = outage.on.play("resume_trading")
    clean = outage.invoke("switch_trading", play.request)
    assert clean is not None
    last = max(at for at, name in enumerate(outage.on.wire.calls) if name.startswith("dynamodb."))
    requests: list[dict[str, Any]] = [{**outage.on.play("resume_trading").request, "action_id": "by-hand"}]
    undo = {"action_id": "by-hand-undo", "undo_of": "by-hand", "origin": "undo"}
    requests += [{**requests[0], **undo}] * (again - 1)
    for at, request in zip([None, last][-again:], requests, strict=True):
        result = outage.invoke("switch_trading", request, at=at, error=timed_out)
        assert result is not None
        assert (result["outcome"], "not_recorded" in result["evidence"]) == ("acted", at is not None)
    assert outage.left() == 1
    outage.tick()
    assert (outage.waiting, outage.left()) == ([], 1), "its lease is not over"
    outage.on.clock.advance(120)
    outage.tick()
    outage.carry_out()
    outage.tick()
    assert outage.left() == 0
    found = record.find(outage.on.ledger, requests[-1]["action_id"])
    assert found is not None
    assert (found["run"], found["outcome"]) == ("done", "acted")
    assert [one["action_id"] for one in outage.listed() if "by-hand" in one["action_id"]] == ["by-hand"][again - 1 :]


def test_an_incident_that_was_cleared_meanwhile_is_opened_all_the_same(halted: Outage) -> None:
    """Trading stays halted: somebody must see why, and be asked."""
    client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="over")
    halted.tick()
    halted.carry_out()
    assert len(halted.listed()) == 1
    assert halted.left() == 0


def test_what_is_no_outcome_stays_for_a_person(outage: Outage) -> None:
    bodies = ["text", "{}", "null", '{"detail": {"evidence": {"request": {"action": "nothing"}}}}', "[" * 100_000]
    for body in bodies:
        client("sqs").send_message(QueueUrl=outage.queue, MessageBody=body)
    told = outage.tick()
    assert told is not None
    assert told["ingested"] == 0
    assert outage.left() == len(bodies)


def test_a_queue_that_does_not_answer_stops_no_tick(halted: Outage) -> None:
    told = halted.tick(names=("sqs.",), error=timed_out)
    assert told is not None
    assert told["ingested"] == 0
    assert halted.left() == 1


def test_killed_at_any_call_of_the_tick_it_is_taken_in_by_the_next(
    outage: Outage, fault_count: Callable[[str, int, int], None]
) -> None:
    at, cases, dead = 0, 0, True
    while dead:
        for after in (False, True):
            play = outage.on.play("halt_trading")
            request = {**play.request, "incident": None, "alarms": []}
            outage.invoke("switch_trading", request, **DOWN)
            before = len(outage.listed())

            dead = outage.tick(at=at, after=after, error=Killed) is None
            outage.tick()

            cases += dead
            assert len(outage.listed()) == before + 1, f"call {at}, after: {after}"
            assert outage.left() == 0
        at += 1
    fault_count("the clock, taking in", cases, at - 1)
    assert cases > 10
