"""The clock: what is due, answers that got lost, alarms read again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from selfheal import incident_store
from selfheal.clock import MAX_ASKS
from selfheal.errors import LedgerUnavailable
from selfheal.incident import DELETED, Phase, Status
from selfheal.judgement import LOOK_UP_AFTER_S
from selfheal.ledger import Ledger
from selfheal.words import Outcome

from tests.unit.responding import NAME, RED_AT, Scene, alarm, response, step

RED = RED_AT.timestamp()


@pytest.fixture
def scene(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(monkeypatch)
    scene.takes(alarm())
    scene.shows("ALARM", RED)
    return scene


def test_what_is_not_due_is_left_alone(scene: Scene) -> None:
    tick = scene.tick(LOOK_UP_AFTER_S - 1)
    assert (tick["open"], tick["due"], tick["decisions"]) == (1, 0, [])
    assert scene.described_calls == [[]]
    assert scene.tick(1)["due"] == 1


def test_without_open_incidents_it_has_nothing_to_do(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    tick = Scene(monkeypatch).tick()
    assert (tick["open"], tick["due"], tick["resent"], tick["decisions"]) == (0, 0, 0, [])


def test_a_step_without_a_record_is_asked_again_under_the_same_id(scene: Scene) -> None:
    first = list(scene.requests)
    scene.tick()
    again = scene.requests[2:]
    assert [request["action_id"] for request in again] == [request["action_id"] for request in first]
    assert [request["mode"] for request in first + again] == ["act", "act", "resume", "resume"]
    assert {one.asks for one in scene.incident.steps[:2]} == {2}
    assert scene.tick(LOOK_UP_AFTER_S - 1)["due"] == 0


def test_a_finished_record_is_taken_in(scene: Scene) -> None:
    scene.records("halt_trading", Outcome.ACTED)
    scene.records("disable_schedule", Outcome.ALREADY_DONE)
    scene.tick()
    assert scene.asked == ["halt_trading", "disable_schedule", "roll_back_alias"]
    assert [one.status for one in scene.incident.steps[:2]] == [Status.DONE, Status.NOTHING_TO_DO]
    assert scene.incident.steps[0].detail == "from the record"


def test_a_running_record_is_waited_for_and_then_resumed(scene: Scene) -> None:
    scene.at += 50
    scene.records("halt_trading", None)
    scene.records("disable_schedule", Outcome.ACTED)
    scene.tick(0)
    assert scene.asked == ["halt_trading", "disable_schedule"]
    assert scene.incident.due == scene.at + 120
    assert scene.tick(119)["due"] == 0
    scene.tick(1)
    assert scene.asked[2:] == ["halt_trading"]
    assert scene.requests[-1]["mode"] == "resume"


def test_long_work_is_continued_by_the_clock(scene: Scene) -> None:
    scene.answers("halt_trading", Outcome.IN_PROGRESS)
    assert scene.tick(19)["due"] == 0
    scene.tick(1)
    assert scene.asked[2:] == ["halt_trading"]


def test_a_step_that_never_answers_is_inconclusive_in_the_end(scene: Scene) -> None:
    scene.records("disable_schedule", Outcome.ACTED)
    for _ in range(MAX_ASKS):
        scene.tick()
    assert scene.asked.count("halt_trading") == MAX_ASKS
    assert scene.incident.steps[0].status is Status.INCONCLUSIVE
    assert any("no answer after 20 requests" in told for told in scene.told("escalated"))


def test_every_alarm_of_every_due_incident_is_read_in_one_call(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    one = response(alarms=("the-alchemiser-v2-dev-a*",), name="a")
    two = response(alarms=("the-alchemiser-v2-dev-b*",), name="b")
    scene = Scene(monkeypatch, one, two)
    names = [f"the-alchemiser-v2-dev-{name}" for name in ("a1", "a2", "b1")]
    for name in names:
        scene.takes(alarm(name=name))
        scene.shows("ALARM", RED, name=name)
    scene.tick()
    assert scene.described_calls == [names]


def test_what_cloudwatch_does_not_tell_is_not_judged_but_containment_goes_on(scene: Scene) -> None:
    scene.cloudwatch_down = True
    scene.tick()
    assert scene.asked[2:] == ["halt_trading", "disable_schedule"]
    scene.cloudwatch_down = False
    scene.answers("halt_trading")
    scene.answers("disable_schedule")
    scene.answers("roll_back_alias")
    scene.cloudwatch_down = True
    before = scene.incident
    assert scene.tick(3_000)["decisions"] == []
    assert scene.incident == before


def test_a_green_alarm_is_seen_without_an_event(scene: Scene) -> None:
    scene.answers("halt_trading")
    scene.answers("disable_schedule")
    scene.answers("roll_back_alias")
    scene.shows("OK", scene.at + 30, data=scene.at + 20)
    scene.tick(130)
    assert scene.told("closed") == ["healed"]


def test_an_alarm_that_was_deleted_does_not_keep_its_incident_open(scene: Scene) -> None:
    scene.answers("halt_trading")
    scene.answers("disable_schedule")
    scene.answers("roll_back_alias")
    del scene.described[NAME]
    scene.tick(130)
    closed = incident_store.find(scene.seen, scene.requests[0]["incident"])
    assert closed is not None
    assert closed.phase is Phase.CLOSED
    assert closed.verdict == "escalated"
    assert next(iter(closed.alarms.values())).state == DELETED
    assert "can't be told" in scene.told("escalated")[0]


def test_an_alarm_that_comes_back_is_read_again(scene: Scene) -> None:
    del scene.described[NAME]
    scene.tick()
    assert not scene.incident.is_red
    scene.shows("ALARM", scene.at + 10)
    scene.tick()
    assert scene.incident.is_red


def test_a_lost_race_is_left_to_the_next_tick(scene: Scene) -> None:
    scene.meanwhile("dynamodb.get_item", "disable_schedule")
    decision = scene.tick()["decisions"][0]
    assert decision["decision"] == "raced"
    assert len(scene.requests) == 2
    scene.tick()
    assert scene.asked[2:] == ["halt_trading"]


def test_one_incident_that_fails_does_not_stand_in_the_way(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    one = response(alarms=("the-alchemiser-v2-dev-a*",), name="a")
    two = response(alarms=("the-alchemiser-v2-dev-b*",), name="b")
    scene = Scene(monkeypatch, one, two)
    for name in ("the-alchemiser-v2-dev-a", "the-alchemiser-v2-dev-b"):
        scene.takes(alarm(name=name))
        scene.shows("ALARM", RED, name=name)
    commit = incident_store.commit
    ids = sorted({request["incident"] for request in scene.requests})

    def fail_for_one(ledger: Ledger, incident: object, *more: object, **named: object) -> object:
        if incident.id == ids[0]:  # type: ignore[attr-defined]
            raise LedgerUnavailable("too large")
        return commit(ledger, incident, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(incident_store, "commit", fail_for_one)
    decisions = {one["incident"]: one["decision"] for one in scene.tick()["decisions"]}
    assert decisions == {ids[0]: "failed", ids[1]: "advanced"}


def test_the_longest_due_comes_first(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, *(response(alarms=(f"the-alchemiser-v2-dev-{n}",), name=n) for n in "abc"))
    for name in "abc":
        scene.takes(alarm(name=f"the-alchemiser-v2-dev-{name}"))
        scene.shows("ALARM", RED, name=f"the-alchemiser-v2-dev-{name}")
        scene.at += 1
    opened = list(dict.fromkeys(request["incident"] for request in scene.requests))
    assert [one["incident"] for one in scene.tick()["decisions"]] == opened


def test_overdue_is_told_while_a_step_hangs(scene: Scene) -> None:
    for _ in range(16):
        scene.tick()
    assert scene.told("escalated").count("not green within 900 s") == 1


def test_an_incident_without_a_due_time_is_due(scene: Scene) -> None:
    incident_store.commit(scene.seen, replace(scene.incident, due=None), scene.at)
    assert scene.tick(0)["due"] == 1


def test_a_probe_that_got_lost_is_asked_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, response(contain=(), probe=step("smoke_test", {"function": "demo", "alias": "live"})))
    scene.takes(alarm())
    scene.shows("ALARM", RED)
    scene.answers("roll_back_alias")
    assert scene.asked == ["roll_back_alias", "smoke_test"]
    scene.tick()
    assert [request["action_id"] for request in scene.requests[1:]] == [f"{scene.incident.id}.probe.1"] * 2
    assert scene.requests[-1]["mode"] == "resume"
    assert scene.requests[-1]["alarms"] == []
