"""Flapping: one message, then a count; what needs a person or was changed is told all the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from selfheal import flapping, incident_store, message, outcome
from selfheal.incident import Incident, Phase, Status
from selfheal.ledger import Ledger

from tests.unit.incidents import START, alarm, incident
from tests.unit.responding import RED_AT, Scene, response
from tests.unit.responding import alarm as delivered

AT = RED_AT.timestamp()
NAME = "trading lambda failing"


@pytest.mark.parametrize(("repeats", "is_told"), [(0, True), (1, True), (2, False), (3, True), (4, False), (7, True)])
@pytest.mark.parametrize("what", ["opened", "green", "closed"])
def test_told_in_full_are_the_first_second_fourth_eighth(what: str, repeats: int, is_told: bool) -> None:
    assert flapping.is_told(what, replace(incident(), repeats=repeats)) is is_told


@pytest.mark.parametrize("what", ["escalated", "needs_person"])
@pytest.mark.parametrize("severity", ["P0", "P4"])
def test_an_escalation_is_never_suppressed(what: str, severity: str) -> None:
    for repeats in range(70):
        assert flapping.is_told(what, replace(incident(), repeats=repeats, severity=severity, held="paused"))


def test_what_was_changed_is_told_and_an_end_that_was_none() -> None:
    again = replace(incident(), repeats=2)
    done = again.with_step(replace(again.steps[0], status=Status.DONE))
    assert not flapping.is_told("contained", again)
    assert flapping.is_told("contained", done)
    assert flapping.is_told("remediated", again)
    assert flapping.is_told("closed", replace(again, phase=Phase.CLOSED, verdict="escalated"))


def test_an_alarm_that_goes_red_again_in_an_open_incident_is_counted() -> None:
    one = incident()
    for number in range(1, 4):
        one = one.with_alarm(alarm("OK", START + 100 * number)).with_alarm(alarm("ALARM", START + 100 * number + 50))
    (state,) = one.alarms.values()
    assert state.flaps == 3
    assert one.with_alarm(state) == one


class TestThroughRespond:
    @pytest.fixture
    def scene(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
        return Scene(monkeypatch, response(contain=(), recover=()))

    def life(self, scene: Scene, at: float) -> tuple[Incident, list[str]]:
        """An alarm goes red, a rung heals it: the closed incident, and the subjects of what people were told."""
        known = len(scene.events)
        scene.at = at
        scene.takes(delivered(at=at))
        scene.answers("roll_back_alias")
        scene.shows("OK", at + 120, data=at + 120)
        scene.tick(200)
        details = [json.loads(entry["Detail"]) for entry in scene.events[known:]]
        told = [message.of({"detail-type": outcome.INCIDENT_UPDATE, "detail": detail}) for detail in details]
        found = incident_store.find(scene.ledger, details[-1]["incident"])
        assert found is not None
        assert found.verdict == "healed"
        return found, [one.subject.partition("dev ")[2] for one in told if one]

    def test_one_message_and_then_a_count(self, scene: Scene) -> None:
        lives = [self.life(scene, AT + 600 * number) for number in range(4)]
        first, again, third, fourth = lives
        assert first[1] == [f"{what}: {NAME}" for what in ("opened", "remediated", "closed as healed")]
        since = "09:00 UTC"
        assert again[1][0] == f"opened again (2 times since {since}): {NAME}"
        assert again[1][1:] == first[1][1:]
        assert third[1] == [f"remediated: {NAME}"]
        assert fourth[1][0] == f"opened again (4 times since {since}): {NAME}"
        assert {one.thread_id for one, _ in lives} == {first[0].id}
        assert len({one.id for one, _ in lives}) == 4

    def test_after_a_while_it_is_a_new_series(self, scene: Scene) -> None:
        first, _ = self.life(scene, AT)
        later, told = self.life(scene, AT + 200 + flapping.WITHIN_S + 1)
        assert later.thread_id == later.id != first.id
        assert told[0].startswith("opened: ")

    def test_a_series_costs_no_read_where_there_is_none(self, scene: Scene) -> None:
        scene.takes(delivered(at=AT))
        assert scene.faults.calls[0] == "dynamodb.transact_write_items"
        assert "dynamodb.get_item" not in scene.faults.calls
