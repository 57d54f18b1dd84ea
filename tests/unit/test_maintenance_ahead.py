"""Before a window: told once in good time, prepared once, and what became of it is told, whatever crashes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from selfheal import maintenance_ahead, message
from selfheal.ledger import Ledger
from selfheal.respond import Respond
from selfheal.runbook import Runbook, Runbooks, Step, Window
from selfheal.words import Outcome

from tests.unit.doubles import Killed
from tests.unit.responding import Scene
from tests.unit.test_rollout import runbook_with

HOUR = 3600.0
BEGINS = datetime(2026, 11, 21, 6, 0, tzinfo=UTC).timestamp()  # a Saturday
SNAPSHOT = Step("snapshot_database", "db", {"database": "shop-db"}, 0, approval=False, options={})
LOOK = Step("check_health", "", {"system": "shop"}, 0, approval=False, options={"sweep": "all", "must_pass": True})
WINDOW = Window(("sat",), "06:00", "08:00", notice_s=86_400, before=(SNAPSHOT, LOOK), before_s=1800)


def scene_with(monkeypatch: pytest.MonkeyPatch, at: float, *windows: Window) -> Scene:
    scene = Scene(monkeypatch)
    scene.at = at
    runbook: Runbook = replace(runbook_with("a"), maintenance=windows or (WINDOW,))
    scene.respond = Respond(scene.ledger, Runbooks((runbook,)), scene.respond.start, lambda: scene.at)
    return scene


def notices(scene: Scene, what: str) -> list[dict[str, Any]]:
    details = [json.loads(event["Detail"]) for event in scene.events if event["DetailType"] == "Notice"]
    return [detail for detail in details if detail["what"] == what]


def words(scene: Scene) -> list[str]:
    found = [
        message.of({"detail-type": event["DetailType"], "detail": json.loads(event["Detail"])})
        for event in scene.events
        if event["DetailType"] == "Notice"
    ]
    return [one.body for one in found if one]


class TestNotice:
    def test_people_are_told_once_a_day_ahead(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, BEGINS - 25 * HOUR)
        for _ in range(4):
            scene.tick(HOUR)

        assert len(notices(scene, "maintenance_ahead")) == 1
        (told,) = words(scene)
        assert told.startswith("Maintenance of shop begins at Sat 2026-11-21 06:00 (UTC), in 24 h\n")
        assert "Before it, at Sat 2026-11-21 05:30 (UTC): snapshot_database db, check_health" in told

    def test_what_was_missed_is_told_late(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, BEGINS - 40 * 60)
        scene.tick()

        assert ", in 39 min" in words(scene)[0]

    def test_once_it_has_begun_it_is_no_news(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, BEGINS + 60, replace(WINDOW, before=()))
        scene.tick()

        assert scene.events == []

    def test_without_a_word_nobody_is_told(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, BEGINS - 60, Window(("sat",), "06:00", "08:00"))
        scene.tick()

        assert (scene.events, scene.asked) == ([], [])

    def test_a_bus_that_is_down_hears_it_later(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, BEGINS - 2 * HOUR)
        scene.bus_down = True
        scene.tick()
        scene.bus_down = False
        scene.tick()
        scene.tick()

        assert len(notices(scene, "maintenance_ahead")) == 1

    def test_each_week_is_another(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, BEGINS - 2 * HOUR, replace(WINDOW, before=()))
        scene.tick()
        scene.tick(7 * 24 * HOUR)

        assert len(notices(scene, "maintenance_ahead")) == 2


class TestBefore:
    @pytest.fixture
    def scene(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
        return scene_with(monkeypatch, BEGINS - 1860, replace(WINDOW, notice_s=0))

    def test_it_is_done_once_and_told(self, scene: Scene) -> None:
        scene.tick()
        scene.records("snapshot_database", Outcome.ACTED)
        scene.records("check_health", Outcome.ACTED)
        for _ in range(3):
            scene.tick()

        assert scene.asked == ["snapshot_database", "check_health"]
        assert {request["origin"] for request in scene.requests} == {"sweep"}
        (told,) = words(scene)
        assert told.startswith("Before the maintenance of shop at Sat 2026-11-21 06:00 (UTC): everything is done\n")

    def test_not_before_its_time(self, scene: Scene) -> None:
        scene.tick(30)

        assert scene.asked == []

    @pytest.mark.parametrize("said", [Outcome.FAILED, Outcome.REFUSED, Outcome.PLANNED, Outcome.INCONCLUSIVE])
    def test_what_did_not_work_is_told_with_its_name(self, scene: Scene, said: Outcome) -> None:
        scene.tick()
        scene.records("snapshot_database", said)
        scene.records("check_health", Outcome.ACTED)
        scene.tick()

        assert "NOT everything is done: snapshot_database db" in words(scene)[0]

    def test_a_run_that_died_is_resumed_under_its_id(self, scene: Scene) -> None:
        scene.tick()
        scene.records("snapshot_database", None)
        scene.records("check_health", Outcome.ACTED)
        scene.tick()
        assert scene.asked == ["snapshot_database", "check_health"]  # it may still be running
        scene.tick(180)

        assert scene.asked == ["snapshot_database", "check_health", "snapshot_database"]
        assert scene.requests[0]["action_id"] == scene.requests[2]["action_id"]
        assert scene.requests[2]["mode"] == "resume"

    def test_nothing_is_begun_in_the_window(self, scene: Scene) -> None:
        scene.refuse_to_start = {"snapshot_database", "check_health"}
        scene.tick()
        scene.refuse_to_start = set()
        scene.tick(1800)
        scene.tick()

        assert scene.asked == []
        (told,) = words(scene)
        assert "NOT everything is done: snapshot_database db, check_health" in told
        assert "it had not answered when the window began" in told

    def test_a_window_of_before_the_runbook_is_none(self, scene: Scene) -> None:
        scene.at = BEGINS + 5 * HOUR
        scene.tick()

        assert (scene.asked, scene.events) == ([], [])

    def test_what_the_clock_tells_is_not_told_twice(self) -> None:
        detail = {"action": "snapshot_database", "action_id": "maintenance.shop.0.1.0", "outcome": "acted"}

        assert message.of({"detail-type": "Action Outcome", "detail": detail}) is None


def test_a_crash_at_any_call_loses_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is killed before, or after, each call that it makes; what is asked runs under one id each."""
    counted = _led(monkeypatch, None, after=False)
    assert counted > 4
    for at in range(counted):
        for after in (False, True):
            _led(monkeypatch, at, after=after)


def _led(monkeypatch: pytest.MonkeyPatch, kill_at: int | None, *, after: bool) -> int:
    scene = scene_with(monkeypatch, BEGINS - 1860 + (0 if kill_at is None else 7 * 86_400 * (2 * kill_at + after + 1)))
    scene.faults.at, scene.faults.after, scene.faults.error = kill_at, after, Killed
    for _ in range(6):
        scene.at += 60
        try:
            maintenance_ahead.look(scene.ledger, scene.respond.runbooks, scene.respond.start, scene.at)
        except Killed:
            continue
        for action in {request["action"] for request in scene.requests}:
            if not scene.has_records(action):
                scene.records(action, Outcome.ACTED)
    assert len({request["action_id"] for request in scene.requests}) == 2
    assert notices(scene, "maintenance_ahead")
    assert all(step["ok"] for step in notices(scene, "maintenance_prepared")[0]["steps"])
    return len(scene.faults.calls)
