"""A rollout as a person starts it: planned, refused by name, led on by the clock, with a ledger and through crashes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from selfheal import incident_store, message
from selfheal import ledger as table
from selfheal.guards import pause
from selfheal.guards.context import GuardContext
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import read_request
from selfheal.respond import Respond
from selfheal.rollout import LATE_S
from selfheal.rollouts import start
from selfheal.runbook import Runbooks
from selfheal.words import Direction, Outcome, ResponseMode

from tests.unit.aws import event
from tests.unit.doubles import Killed
from tests.unit.responding import Scene
from tests.unit.test_rollout import SETTLE_S, runbook_with

ACT = {"rollout": "shop/enable-rules", "requested_by": "ann", "mode": "act"}


@pytest.fixture
def scene(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(monkeypatch)
    runbooks = Runbooks((runbook_with("a", "b"),))
    scene.respond = Respond(scene.ledger, runbooks, scene.respond.start, lambda: scene.at)
    return scene


def test_without_a_mode_it_is_planned_and_nothing_begins(scene: Scene) -> None:
    planned = start(scene.respond, {key: value for key, value in ACT.items() if key != "mode"})

    assert planned["decision"] == "planned"
    assert [step["step"] for step in planned["steps"]] == ["enable_rules a", "enable_rules b"]
    assert planned["steps"][1]["gate"]["earlier"] == ["shop/shop-a"]
    assert planned["undo_if_red"] == ["undo enable_rules b", "undo enable_rules a"]
    assert (scene.asked, scene.open_count(), scene.events) == ([], 0, [])


def test_the_event_file_only_plans() -> None:
    assert event("rollout")["mode"] == "plan"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"requested_by": None}, Refusal.PERSON_REQUIRED),
        ({"requested_by": ""}, Refusal.PERSON_REQUIRED),
        ({"rollout": "shop/other"}, Refusal.BAD_TARGET),
        ({"rollout": "nobody/enable-rules"}, Refusal.BAD_TARGET),
        ({"rollout": None}, Refusal.BAD_TARGET),
        ({"rollout": ["shop"]}, Refusal.NOT_A_REQUEST),
        ({"mode": "resume"}, Refusal.NOT_A_REQUEST),
        ({"force": True}, Refusal.NOT_A_REQUEST),
        ({"from": "c"}, Refusal.BAD_TARGET),
    ],
)
def test_what_is_no_rollout_is_refused_by_name(scene: Scene, changed: dict[str, Any], reason: Refusal) -> None:
    answer = start(scene.respond, {**ACT, **changed})

    assert (answer["decision"], answer["reason"]) == ("refused", reason.value)
    assert answer["detail"]
    assert scene.open_count() == 0


def test_a_second_start_meets_the_first(scene: Scene) -> None:
    first = start(scene.respond, ACT)
    second = start(scene.respond, ACT)

    assert first["decision"] == "opened"
    assert (second["reason"], first["incident"] in second["detail"]) == ("target_owned", True)
    assert scene.asked == ["enable_rules"]


def test_without_a_ledger_nothing_begins(scene: Scene) -> None:
    scene.faults.names = ("dynamodb",)
    scene.faults.error = TimeoutErrorOfAws

    assert start(scene.respond, ACT)["reason"] == "guard_unreadable"
    assert scene.asked == []


def TimeoutErrorOfAws() -> BaseException:  # noqa: N802 - it stands for a class
    return ReadTimeoutError(endpoint_url="https://aws.test")


def test_from_begins_at_a_later_step(scene: Scene) -> None:
    start(scene.respond, {**ACT, "from": "b"})

    assert scene.requests[0]["target"] == {"bus": "shop", "rule": "shop-b"}


def passes(scene: Scene) -> None:
    """The step that was asked for is done and its gate is clean."""
    scene.answers("enable_rules")
    scene.tick(SETTLE_S + LATE_S)
    scene.answers("check_gate")


def test_the_clock_leads_it_to_its_end_and_people_hear_of_it(scene: Scene) -> None:
    opened = start(scene.respond, ACT)
    passes(scene)
    passes(scene)

    assert scene.asked == ["enable_rules", "check_gate", "enable_rules", "check_gate"]
    assert {request["origin"] for request in scene.requests} == {"ladder"}
    assert all(read_request(one, (one["action"],), "id") for one in scene.requests)
    assert scene.told("opened") == ["started by ann"]
    assert scene.told("closed") == ["rolled_out"]
    found = incident_store.find(scene.seen, opened["incident"])
    assert found is not None
    assert found.verdict == "rolled_out"


def test_it_undoes_itself_also_while_cloudwatch_is_down_for_respond(scene: Scene) -> None:
    start(scene.respond, ACT)
    passes(scene)
    scene.answers("enable_rules")
    scene.tick(SETTLE_S + LATE_S)
    scene.cloudwatch_down = True
    scene.answers("check_gate", Outcome.FAILED)
    undo = scene.requests[-1]
    scene.answers("enable_rules", Outcome.REFUSED, "leased")
    scene.answers("enable_rules")
    scene.tick(90)
    scene.answers("enable_rules")

    assert (undo["origin"], undo["undo_of"].endswith(".3.1"), undo["target"]["rule"]) == ("undo", True, "shop-b")
    assert [one["target"]["rule"] for one in scene.requests if one.get("undo_of")] == ["shop-b", "shop-a", "shop-b"]
    assert scene.told("closed") == ["undone"]
    assert "disabled again" in scene.told("escalated")[0]


def test_a_crash_at_any_call_is_repaired_by_the_clock(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Respond is killed before, or after, each call that it makes; the ticks go on as if nothing had happened."""
    counted = _led(Scene(monkeypatch), "count", None, after=False)
    assert counted > 20
    for at in range(counted):
        for after in (False, True):
            assert _led(Scene(monkeypatch), f"{at}{after}", at, after=after) >= 0


def _led(scene: Scene, name: str, at: int | None, *, after: bool) -> int:
    runbook = runbook_with("a")
    runbook = type(runbook)(**{**vars(runbook), "system": f"shop{name}"})
    scene.respond = Respond(scene.ledger, Runbooks((runbook,)), scene.respond.start, lambda: scene.at)
    scene.faults.at, scene.faults.after, scene.faults.error = at, after, Killed
    wanted = {**ACT, "rollout": f"shop{name}/enable-rules"}
    opened = ""
    for _ in range(12):
        try:
            answer = start(scene.respond, wanted) if not opened else {}
            opened = opened or answer.get("incident", "") or str(answer.get("detail", "")).rpartition(": ")[2]
            scene.tick(SETTLE_S + LATE_S)
            for action in ("enable_rules", "check_gate"):
                if not scene.has_records(action):
                    scene.records(action, Outcome.ACTED)
        except Killed:
            continue
        found = incident_store.find(scene.seen, opened)
        if found is not None and found.verdict:
            break
    assert found is not None
    assert found.verdict == "rolled_out", (at, after)
    done = list(dict.fromkeys(one["action_id"] for one in scene.requests if one["action"] == "enable_rules"))
    assert len(done) == 1
    return len(scene.faults.calls)


def test_a_message_tells_of_a_rollout_and_not_of_an_alarm(scene: Scene) -> None:
    start(scene.respond, ACT)
    passes(scene)
    scene.answers("enable_rules")
    scene.tick(SETTLE_S + LATE_S)
    scene.answers("check_gate", Outcome.INCONCLUSIVE)
    bodies = []
    for entry in scene.events:
        told = message.of({"detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])})
        assert told is not None
        bodies.append(told.body)

    assert any("(rollout enable-rules, started by ann)" in body and "Started at" in body for body in bodies)
    assert any("closed as escalated" in body and "`from`" in body for body in bodies)
    assert not any("Alarm:" in body for body in bodies)


@pytest.mark.parametrize(
    ("action_id", "refused"), [("shop-1-a.2.1", True), ("undo.shop-1-a.0.1.ab12cd34", False), ("by-hand", False)]
)
def test_whoever_takes_a_rollout_over_holds_its_undo_and_not_a_persons(
    ledger: Ledger, action_id: str, refused: bool
) -> None:
    doc = {"what": "all", "who": "ann", "since": "now", "until": "later", "reason": "I have it"}
    ledger.write(table.put("PAUSE", "shop-1-a", doc, paused_until=10.0))
    request = read_request(
        {
            "action": "enable_rules",
            "action_id": action_id,
            "target": {"bus": "shop", "rule": "shop-a"},
            "origin": "undo",
            "undo_of": "shop-1-a.0.1",
            "incident": "shop-1-a",
            "requested_by": "ann",
        },
        ("enable_rules",),
        "id",
    )
    context = GuardContext(request, Direction.SAFE, 1.0, ResponseMode.AUTO, ledger, lambda system: None)

    declined = pause.check(context)

    assert (declined is not None) is refused
