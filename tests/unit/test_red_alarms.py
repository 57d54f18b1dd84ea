"""Alarms that nobody sends again: found, let in once, and not over and over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from selfheal import incident_store, red_alarms
from selfheal.errors import Unreadable
from selfheal.incident import Phase
from selfheal.ledger import DAY_S, Ledger
from selfheal.mutes import Mutes
from selfheal.words import Outcome, ResponseMode

from tests.unit.aws import script
from tests.unit.responding import NAME, RED_AT, Scene, alarm, response, step

RED = RED_AT.timestamp()
LATER = 400
"""Seconds: the grace is over, and so is a round."""


@pytest.fixture
def scene(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def found(tick: dict[str, Any]) -> list[str]:
    """What the round decided."""
    told = tick["rounds"].get("red_alarms") or {"decisions": []}
    return [decision["decision"] for decision in told["decisions"]]


def close(scene: Scene, verdict: str = "healed", alarms: Any = None) -> None:
    """The one open incident is closed now, whatever became of it."""
    one = scene.incident
    changed = {"phase": Phase.CLOSED, "closed_at": scene.at, "verdict": verdict}
    if alarms is not None:
        changed["alarms"] = alarms
    closed = type(one)(**{**vars(one), **changed})
    assert incident_store.commit(scene.seen, closed, scene.at) is not None


def test_an_alarm_whose_event_got_lost_is_found(scene: Scene) -> None:
    scene.shows("ALARM", RED)
    assert found(scene.tick(LATER)) == ["opened"]
    assert scene.asked == ["halt_trading", "disable_schedule"]
    assert scene.incident.alarms[f"arn:aws:cloudwatch:us-east-1:111111111111:alarm:{NAME}"].window_s == 120


def test_it_opens_the_incident_that_its_event_would_have_opened(scene: Scene) -> None:
    scene.shows("ALARM", RED)
    scene.tick(LATER)
    assert scene.takes(alarm("sns"))["decision"] == "duplicate"
    assert scene.takes(alarm("eventbridge"))["decision"] == "duplicate"


def test_a_fresh_one_is_left_to_its_delivery(scene: Scene) -> None:
    scene.shows("ALARM", scene.at + LATER - 59)
    assert found(scene.tick(LATER)) == []
    assert found(scene.tick(300)) == ["opened"]


def test_what_an_open_incident_holds_is_left_alone(scene: Scene) -> None:
    scene.takes(alarm())
    scene.shows("ALARM", RED)
    assert found(scene.tick(LATER)) == []


def test_it_looks_every_five_minutes(scene: Scene) -> None:
    scene.tick()
    scene.shows("ALARM", RED)
    assert found(scene.tick(299)) == []
    assert found(scene.tick(1)) == ["opened"]


def test_a_red_alarm_without_a_response_is_told_once_for_as_long_as_it_is_red(scene: Scene) -> None:
    scene.shows("ALARM", RED, name="unknown")
    assert found(scene.tick(LATER)) == ["refused"]
    assert len(scene.told("escalated")) == 1
    for _ in range(20):
        assert found(scene.tick(DAY_S)) == []
    assert len(scene.told("escalated")) == 1
    scene.shows("ALARM", scene.at, name="unknown")
    assert found(scene.tick(LATER)) == ["refused"]


def test_once_there_is_a_response_a_refused_one_is_let_in(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    off = Scene(monkeypatch, response(mode=ResponseMode.OFF))
    off.shows("ALARM", RED)
    assert found(off.tick(LATER)) == ["refused"]
    assert found(off.tick(LATER)) == []
    deployed = Scene(monkeypatch)
    deployed.at = off.at
    deployed.shows("ALARM", RED)
    assert found(deployed.tick(LATER)) == ["opened"]


def test_the_same_old_red_opens_no_second_incident(scene: Scene) -> None:
    """The probe passed, the incident was closed as healed, and no newer data have come."""
    scene.takes(alarm())
    scene.shows("ALARM", RED, data=RED - 10)
    close(scene)
    for _ in range(20):
        assert found(scene.tick(DAY_S)) == []
    assert scene.open_count() == 0


def test_newer_red_data_open_another_incident_with_actions_of_its_own(scene: Scene) -> None:
    scene.takes(alarm())
    first = scene.incident
    close(scene)
    closed_at = scene.at
    scene.shows("ALARM", RED, data=closed_at + 300)
    assert found(scene.tick(LATER)) == ["opened"]
    second = scene.incident
    assert second.id != first.id
    assert second.key == first.key
    assert second.red_at_ms == int((closed_at + 300) * 1000)
    assert len({request["action_id"] for request in scene.requests}) == len(scene.requests) == 4
    assert incident_store.find(scene.seen, first.id) is not None
    close(scene)
    assert found(scene.tick(LATER)) == [], "closed later than those data"
    scene.shows("ALARM", RED, data=scene.at + 10)
    assert found(scene.tick(LATER)) == ["opened"]


def test_an_alarm_that_its_closed_incident_never_knew_is_let_in(scene: Scene) -> None:
    scene.takes(alarm())
    scene.shows("ALARM", RED)
    close(scene, alarms={})
    assert found(scene.tick(LATER)) == ["opened"]


def test_a_muted_one_is_held_and_goes_on_when_the_mute_ends(scene: Scene) -> None:
    scene.mutes = Mutes({NAME: "muted by move"})
    scene.shows("ALARM", RED)
    assert found(scene.tick(LATER)) == ["opened"]
    assert (scene.incident.phase, scene.incident.held) == (Phase.HELD, "muted by move")
    scene.tick(LATER)
    assert scene.asked == []
    scene.mutes = Mutes()
    scene.tick(60)
    assert scene.asked == ["halt_trading", "disable_schedule"]


def test_a_mute_that_an_event_told_of_ends_with_its_rule(scene: Scene) -> None:
    scene.takes(type(alarm())(**{**vars(alarm()), "muted": "muted by move until 10:00"}))
    scene.shows("ALARM", RED)
    scene.mutes = Mutes({NAME: "muted by move"})
    scene.tick(60)
    assert scene.incident.phase is Phase.HELD
    scene.mutes = Mutes()
    scene.tick(60)
    assert scene.asked == ["halt_trading", "disable_schedule"]


def test_a_mute_does_not_make_the_same_old_red_new(scene: Scene) -> None:
    scene.takes(alarm())
    scene.shows("ALARM", RED)
    close(scene)
    scene.mutes = Mutes({NAME: "muted by move"})
    assert found(scene.tick(LATER)) == []
    scene.mutes = Mutes()
    assert found(scene.tick(LATER)) == []


def test_a_suggestion_that_was_escalated_and_closed_is_old_red_too(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(
        monkeypatch, response(contain=(), remediate=(step("roll_back_alias", {"function": "f", "alias": "live"}),))
    )
    scene.takes(alarm())
    scene.answers("roll_back_alias", Outcome.PLANNED, "suggest_only")
    scene.shows("ALARM", RED)
    close(scene, "escalated")
    assert found(scene.tick(LATER)) == []


@pytest.mark.parametrize("name", ["selfheal-HeartbeatAlarm-1", "TargetTracking-table/orders"])
def test_what_watches_selfheal_and_what_scales_is_none_of_its_business(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFHEAL_ALARM_PREFIX", "selfheal-")
    scene.shows("ALARM", RED, name=name)
    assert found(scene.tick(LATER)) == []
    assert scene.told("escalated") == []


def test_what_can_not_be_read_is_read_at_the_next_tick(scene: Scene) -> None:
    scene.shows("ALARM", RED)
    scene.cloudwatch_down = True
    assert scene.tick(LATER)["rounds"]["red_alarms"] == {"failed": "cloudwatch cannot be read: it is down"}
    scene.cloudwatch_down = False
    assert found(scene.tick(60)) == ["opened"]


def test_a_storm_is_taken_in_over_several_ticks(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(red_alarms, "MAX_AT_ONCE", 2)
    for number in range(3):
        scene.shows("ALARM", RED, name=f"unknown-{number}")
    assert found(scene.tick(LATER)) == ["refused", "refused"]
    assert found(scene.tick(60)) == ["refused"]
    assert found(scene.tick(60)) == []


def test_both_kinds_of_alarms_are_asked_for_page_by_page() -> None:
    at = datetime.fromtimestamp(RED, UTC)
    metric = {"AlarmName": "m", "StateTransitionedTimestamp": at}
    composite = {"AlarmName": "c", "StateTransitionedTimestamp": at}
    asked = {"StateValue": "ALARM", "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100}
    with script("cloudwatch") as aws:
        aws.add_response("describe_alarms", {"MetricAlarms": [metric], "NextToken": "more"}, asked)
        aws.add_response("describe_alarms", {"CompositeAlarms": [composite]}, {**asked, "NextToken": "more"})
        assert [one["AlarmName"] for one in red_alarms.described()] == ["m", "c"]
    with script("cloudwatch") as aws:
        aws.add_client_error("describe_alarms", "Throttling")
        with pytest.raises(Unreadable):
            red_alarms.described()
