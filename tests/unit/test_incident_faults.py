"""The whole life of an incident, red to closed, with a kill at every call of Respond; and deliveries out of order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from selfheal import incident_store
from selfheal.incident import Phase
from selfheal.ladder import MAX_PROBES_PER_RUNG
from selfheal.ledger import Ledger
from selfheal.request import read_request
from selfheal.words import Outcome

from tests.unit.doubles import Killed
from tests.unit.responding import RED_AT, START, Scene, alarm, response, step

STEPS = ["disable_schedule", "halt_trading", "roll_back_alias", "stop_deployment"]
"""Each once, whatever dies. The probe is asked once or twice after each rung."""
PROBES = range(2, 2 * MAX_PROBES_PER_RUNG + 1)
MOST_MINUTES = 25
ALIAS = {"function": "demo", "alias": "live"}


@dataclass
class Life:
    """An incident that climbs two rungs, is probed, and leaves a step for a person. One invocation may be killed."""

    scene: Scene
    answered: set[str] = field(default_factory=set)
    killed: int = 0

    def invocation(self, do: Callable[[], Any]) -> bool:
        """One run of Respond; False: it died."""
        try:
            do()
        except Killed:
            self.killed += 1
            return False
        return True

    def live(self) -> None:
        """Until it is closed: the alarm is delivered (again if Lambda has to), actions answer, the clock ticks."""
        while not self.invocation(lambda: self.scene.takes(alarm())):
            pass
        for _ in range(MOST_MINUTES):
            self.actions_answer()
            self.world()
            self.invocation(lambda: self.scene.tick(61))
            if not self.scene.open_count() and "smoke_test" in self.scene.asked:
                return
        raise AssertionError(f"it never ends: {self.scene.incident}")

    def actions_answer(self) -> None:
        """What was asked is carried out and recorded; its outcome event may be what dies."""
        while new := [one for one in self.scene.requests if one["action_id"] not in self.answered]:
            action = new[0]["action"]
            self.answered.add(new[0]["action_id"])
            said = Outcome.FAILED if action == "smoke_test" and not self.healed else Outcome.ACTED
            self.scene.records(action, said)
            self.invocation(lambda action=action, said=said: self.scene.answers(action, said))  # type: ignore[misc]

    @property
    def healed(self) -> bool:
        """Only the second rung does it."""
        return any(
            one["action"] == "stop_deployment" for one in self.scene.requests if one["action_id"] in self.answered
        )

    def world(self) -> None:
        """What the alarm shows."""
        at = self.scene.at + 30
        self.scene.shows("OK" if self.healed else "ALARM", at if self.healed else RED_AT.timestamp(), data=at)


@pytest.fixture
def life_of(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Life]:
    def made(number: int, **faults: Any) -> Life:
        trading = {"parameter": "/demo/trading_enabled"}
        deployed = {**ALIAS, "code_deploy": {"application": "shop", "deployment_group": "shop-web"}}
        one = response(
            system=f"shop-{number}",
            remediate=(
                step("roll_back_alias", ALIAS, settle_s=60),
                step("stop_deployment", deployed, settle_s=60),
            ),
            probe=step("smoke_test", {"function": "probe", "alias": "live"}),
            recover=(step("resume_trading", trading, approval=True),),
            escalate_after_s=7200,
        )
        scene = Scene(monkeypatch, one)
        for name, value in faults.items():
            setattr(scene.faults, name, value)
        return Life(scene)

    return made


def check(life: Life, where: str) -> None:
    """As if nothing had happened."""
    scene = life.scene
    asked = sorted({request["action_id"]: request["action"] for request in scene.requests}.values())
    assert [action for action in asked if action != "smoke_test"] == STEPS, f"{where}: {scene.asked}"
    assert asked.count("smoke_test") in PROBES, f"{where}: {scene.asked}"
    incident = incident_store.find(scene.seen, scene.requests[0]["incident"])
    assert incident is not None, where
    assert (incident.phase, incident.verdict) == (Phase.CLOSED, "healed"), f"{where}: {incident}"
    waiting = [item for item in scene.seen.query("APPROVAL") if item["sk"].startswith(incident.id)]
    assert len(waiting) == 1, where
    assert scene.told("opened"), where
    assert scene.told("closed") == ["healed"] * len(scene.told("closed")), where
    assert scene.told("closed"), where
    assert [item for item in scene.seen.query("OUTBOX") if item["sk"].startswith(incident.id)] == [], where
    for key in incident.target_keys():
        assert scene.seen.get(f"TARGET#{key}", "OWNER") is None, where


def forget(scene: Scene) -> None:
    """The next life begins with an empty table."""
    raw = scene.seen._client
    for item in raw.scan(TableName="ledger")["Items"]:
        raw.delete_item(TableName="ledger", Key={"pk": item["pk"], "sk": item["sk"]})


def test_a_kill_at_any_call_of_a_whole_life_is_repaired(
    life_of: Callable[..., Life], fault_count: Callable[[str, int, int], None]
) -> None:
    clean = life_of(0)
    clean.live()
    check(clean, "clean")
    calls = list(clean.scene.faults.calls)
    forget(clean.scene)
    sides = [(at, False) for at in range(len(calls))] + [(len(calls) - 1, True)]
    for at, after in sides:
        life = life_of(at + 1, at=at, after=after)
        life.live()
        assert life.killed == 1, f"{at} {calls[at]}"
        settle_news(life)
        check(life, f"killed {'after' if after else 'before'} call {at} ({calls[at]})")
        forget(life.scene)
    assert len(calls) > 30
    fault_count("an incident's life", len(sides), len(calls))


def settle_news(life: Life) -> None:
    """News that a run died with are sent by a later tick."""
    for _ in range(2):
        life.scene.tick(61)


def test_ok_that_overtakes_its_alarm_starts_nothing_that_lasts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm is taken in all the same: what it asks for is refused by the guard that reads the alarm again."""
    scene = Scene(monkeypatch)
    scene.shows("OK", START + 20, data=START + 10)
    assert scene.takes(alarm(state="ok", at=START + 20))["decision"] == "nothing_open"
    assert scene.takes(alarm())["decision"] == "opened"
    for action in ("halt_trading", "disable_schedule"):
        request = next(one for one in scene.requests if one["action"] == action)
        assert read_request(request, (action,), "id").alarms
        scene.answers(action, Outcome.REFUSED, "not_red")
    for _ in range(6):
        scene.tick(120)
    assert (scene.open_count(), scene.asked) == (0, ["halt_trading", "disable_schedule"])


def test_an_older_alarm_that_comes_late_makes_nothing_red(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.takes(alarm())
    for action in ("halt_trading", "disable_schedule"):
        scene.answers(action)
    scene.at += 100
    assert scene.takes(alarm(state="ok", at=scene.at))["decision"] == "joined"
    before = scene.incident
    scene.takes(alarm(at=START + 50))
    assert [one.is_red for one in scene.incident.alarms.values()] == [False]
    assert scene.incident.alarms == before.alarms
