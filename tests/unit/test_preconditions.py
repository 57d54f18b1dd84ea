"""Before a rollout begins: the one before it is proven, it is the time for it, and what only looks comes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from selfheal import incident_store, message, proven
from selfheal.incident import Incident, Phase
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.respond import Respond
from selfheal.rollout import LATE_S
from selfheal.rollouts import opened, read, start
from selfheal.runbook import Requires, Runbooks, Step, Window
from selfheal.windows import next_start, starts
from selfheal.words import Outcome

from tests.unit.incidents import incident
from tests.unit.responding import Scene
from tests.unit.test_message import update
from tests.unit.test_rollout import SETTLE_S, runbook_with

DAY = 86_400.0
SATURDAY = datetime(2026, 11, 21, 10, 0, tzinfo=UTC).timestamp()
WEEKEND = (Window(("sat", "sun"), "00:00", "23:59"),)
LOOK = Step("check_health", "", {"system": "prod"}, 0, approval=False, options={"sweep": "all", "must_pass": True})
SNAPSHOT = Step("snapshot_database", "db", {"database": "shop-db"}, 0, approval=False, options={})
ACT = {"rollout": "prod/go", "requested_by": "ann", "mode": "act"}


def books(*before: Step, timezone: str = "UTC", **more: Any) -> Runbooks:
    dev = replace(runbook_with("a"), system="dev")
    one = runbook_with("a", "b").rollouts[0]
    prod = replace(
        runbook_with("a"), system="prod", timezone=timezone,
        rollouts=(replace(one, name="go", steps=(*before, *one.steps), **more),),
    )  # fmt: skip
    return Runbooks((dev, prod))


def scene_with(monkeypatch: pytest.MonkeyPatch, runbooks: Runbooks, at: float = SATURDAY) -> Scene:
    scene = Scene(monkeypatch)
    scene.at = at
    scene.respond = Respond(scene.ledger, runbooks, scene.respond.start, lambda: scene.at)
    return scene


def ended(ledger: Ledger, at: float, verdict: str, *, name: str = "enable-rules", system: str = "dev") -> Incident:
    """A rollout of that system (no name: an incident) ended so."""
    one = incident() if not name else replace(incident(), rollout=name, alarms={})
    done = replace(
        one, id=f"{system}-{name or 'red'}-{at:.0f}", system=system, phase=Phase.CLOSED, closed_at=at, verdict=verdict
    )
    assert incident_store.commit(ledger, done, at) is not None
    return done


REQUIRES = Requires("dev/enable-rules", 86_400)


class TestTheOneBefore:
    @pytest.fixture
    def scene(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
        return scene_with(monkeypatch, books(requires=REQUIRES))

    def refused(self, scene: Scene) -> str:
        answer = start(scene.respond, ACT)
        assert (answer["decision"], answer["reason"]) == ("refused", Refusal.ROLLOUT_TOO_EARLY.value)
        assert scene.asked == []
        return str(answer["detail"])

    def test_was_never_done(self, scene: Scene) -> None:
        assert self.refused(scene) == "dev/enable-rules never ended; do it to its end first"

    @pytest.mark.parametrize("verdict", ["undone", "escalated"])
    def test_did_not_go_well(self, scene: Scene, verdict: str) -> None:
        ended(scene.seen, SATURDAY - 3 * DAY, "rolled_out")
        ended(scene.seen, SATURDAY - 2 * DAY, verdict)

        assert f"dev/enable-rules ended as {verdict} at Thu 2026-11-19 10:00 (UTC)" in self.refused(scene)

    def test_was_done_a_short_while_ago(self, scene: Scene) -> None:
        ended(scene.seen, SATURDAY - DAY + 1, "rolled_out")

        assert "earliest at Sat 2026-11-21 10:00" in self.refused(scene)

    def test_was_red_since(self, scene: Scene) -> None:
        ended(scene.seen, SATURDAY - 2 * DAY, "rolled_out")
        red = ended(scene.seen, SATURDAY - 3600, "healed", name="")

        assert f"{red.id} was red until Sat 2026-11-21 09:00 (UTC)" in self.refused(scene)

    def test_another_rollout_of_it_was_undone_since(self, scene: Scene) -> None:
        ended(scene.seen, SATURDAY - 2 * DAY, "rolled_out")
        ended(scene.seen, SATURDAY - 3600, "undone", name="other")

        assert "was red until" in self.refused(scene)

    def test_is_red_now(self, scene: Scene) -> None:
        ended(scene.seen, SATURDAY - 2 * DAY, "rolled_out")
        assert incident_store.commit(scene.seen, replace(incident(), system="dev"), SATURDAY) is not None

        assert "dev is not clean: demo-12345678-1a is open" in self.refused(scene)

    def test_is_proven(self, scene: Scene) -> None:
        ended(scene.seen, SATURDAY - 2 * DAY, "rolled_out")
        ended(scene.seen, SATURDAY - 3 * DAY, "healed", name="")
        ended(scene.seen, SATURDAY - 60, "escalated", name="", system="elsewhere")

        assert start(scene.respond, ACT)["decision"] == "opened"

    def test_a_plan_says_what_would_be_refused(self, scene: Scene) -> None:
        answer = start(scene.respond, {**ACT, "mode": "plan"})

        assert (answer["decision"], answer["would_refuse"]["reason"]) == ("planned", "rollout_too_early")

    def test_cannot_be_read(self, scene: Scene) -> None:
        scene.faults.names = ("dynamodb",)
        scene.faults.error = lambda: ReadTimeoutError(endpoint_url="https://aws.test")

        assert start(scene.respond, ACT)["reason"] == "guard_unreadable"
        assert scene.asked == []

    def test_a_real_rollout_proves_itself(self, scene: Scene) -> None:
        start(scene.respond, {"rollout": "dev/enable-rules", "requested_by": "ann", "mode": "act"})
        scene.answers("enable_rules")
        scene.tick(SETTLE_S + LATE_S)
        scene.answers("check_gate")

        assert proven.of(scene.seen, "dev/enable-rules").verdict == "rolled_out"
        scene.at += DAY
        assert start(scene.respond, ACT)["decision"] == "opened"


class TestTheTime:
    def test_outside_of_the_windows_it_is_refused(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, books(only=WEEKEND), at=SATURDAY + 3 * DAY)

        answer = start(scene.respond, ACT)

        assert (answer["reason"], answer["detail"]) == (
            "not_off_peak",
            "the next window begins at Sat 2026-11-28 00:00 (UTC)",
        )
        assert scene.asked == []

    def test_it_is_the_runbook_s_time(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        friday_night = SATURDAY - 12 * 3600
        scene = scene_with(monkeypatch, books(only=WEEKEND, timezone="Asia/Kolkata"), at=friday_night)

        assert start(scene.respond, ACT)["decision"] == "opened"  # 22:00 UTC is Saturday there

    def test_inside_it_begins(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = scene_with(monkeypatch, books(only=WEEKEND))

        assert start(scene.respond, ACT)["decision"] == "opened"

    def test_windows_begin_where_the_clock_on_the_wall_says(self) -> None:
        window = Window(("sat",), "02:30", "04:00")
        since = datetime(2026, 10, 20, tzinfo=UTC).timestamp()

        found = list(starts(window, "Europe/Berlin", since, since + 14 * DAY))

        assert [f"{datetime.fromtimestamp(one, UTC):%d %H:%M}" for one in found] == ["24 00:30", "31 01:30"]
        assert next_start((window,), "Europe/Berlin", found[0]) == found[1]
        assert next_start((), "UTC", since) is None


class TestWhatComesFirst:
    @pytest.fixture
    def scene(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
        return scene_with(monkeypatch, books(LOOK, SNAPSHOT))

    def test_a_plan_shows_it_without_gate_and_undo(self, scene: Scene) -> None:
        planned = start(scene.respond, {**ACT, "mode": "plan"})

        assert [step["gate"] if isinstance(step["gate"], str) else "gate" for step in planned["steps"]] == [
            "its own success", "its own success", "gate", "gate",
        ]  # fmt: skip
        assert len(planned["undo_if_red"]) == 2

    def test_each_waits_for_the_one_before(self, scene: Scene) -> None:
        start(scene.respond, ACT)
        assert scene.asked == ["check_health"]
        scene.answers("check_health")
        assert scene.asked == ["check_health", "snapshot_database"]
        scene.answers("snapshot_database")
        for _ in range(2):
            scene.answers("enable_rules")
            scene.tick(SETTLE_S + LATE_S)
            scene.answers("check_gate")

        assert scene.asked[2:] == ["enable_rules", "check_gate"] * 2
        assert scene.told("closed") == ["rolled_out"]

    def test_a_look_that_finds_something_ends_it_before_it_began(self, scene: Scene) -> None:
        start(scene.respond, ACT)
        scene.answers("check_health", Outcome.FAILED)

        assert scene.asked == ["check_health"]
        assert scene.told("closed") == ["undone"]
        assert "It had changed nothing yet" in scene.told("escalated")[0]

    @pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.REFUSED, Outcome.PLANNED])
    def test_what_cannot_be_told_is_for_a_person(self, scene: Scene, outcome: Outcome) -> None:
        start(scene.respond, ACT)
        scene.answers("check_health")
        scene.answers("snapshot_database", outcome, "no_reason")

        assert "enable_rules" not in scene.asked
        assert scene.told("closed") == ["escalated"]
        assert "Left as they are" not in scene.told("escalated")[0]

    def test_a_red_gate_later_undoes_only_what_was_enabled(self, scene: Scene) -> None:
        start(scene.respond, ACT)
        scene.answers("check_health")
        scene.answers("snapshot_database")
        scene.answers("enable_rules")
        scene.tick(SETTLE_S + LATE_S)
        scene.answers("check_gate", Outcome.FAILED)
        scene.answers("enable_rules")

        assert [request["target"].get("rule") for request in scene.requests if request.get("undo_of")] == ["shop-a"]
        assert scene.told("closed") == ["undone"]


class TestNotify:
    def incident_of(self, *, notify: bool, **more: Any) -> Incident:
        return replace(opened(read(ACT, books(notify=notify)), SATURDAY), **more)

    def test_people_hear_of_its_beginning_and_its_end(self) -> None:
        assert message.of(update("opened", self.incident_of(notify=True))) is not None
        assert message.of(update("closed", self.incident_of(notify=True, verdict="rolled_out"))) is not None

    def test_quiet_ones_are_told_only_when_they_fail(self) -> None:
        assert message.of(update("opened", self.incident_of(notify=False))) is None
        assert message.of(update("closed", self.incident_of(notify=False, verdict="rolled_out"))) is None
        assert message.of(update("closed", self.incident_of(notify=False, verdict="undone"))) is not None
        assert message.of(update("escalated", self.incident_of(notify=False))) is not None
