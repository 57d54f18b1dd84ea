"""Watches: looks one after the other, one end, versions that are proven; whoever crashes, and however often."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from selfheal import deployments, message, versions, watches
from selfheal.errors import Unreadable
from selfheal.ledger import Ledger
from selfheal.respond import Respond
from selfheal.runbook import Runbooks
from selfheal.watches import Tools
from selfheal.words import Outcome

from tests.unit.doubles import Killed
from tests.unit.responding import Scene
from tests.unit.test_deployments import BOOKS, HOME, code_deploy, ecs

LIVE = "function:shop-web:live"
LOOKS = 6


class Watching:
    """A scene in which the web function was just deployed; `version` is what the alias says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, deployment: str = "d-1") -> None:
        self.scene = Scene(monkeypatch)
        self.version: str | None = "7"
        self.weights: dict[str, float] = {}
        self.books: Runbooks = BOOKS
        self.scene.respond = Respond(self.scene.ledger, BOOKS, self.scene.respond.start, lambda: self.scene.at)
        detail = {**code_deploy()["detail"], "deploymentId": deployment}
        self.event = code_deploy(detail=detail)

    def deploy(self) -> dict[str, Any]:
        (decision,) = deployments.take(self.scene.respond, self.event, HOME, "r-1")
        return decision

    def plan(self, event: dict[str, Any]) -> dict[str, Any]:
        """What RollBackAlias answers to a request that only plans."""
        assert (event["action"], event["mode"]) == ("roll_back_alias", "plan")
        self.scene.faults.around("plan", lambda: None)
        if self.version is None:
            raise Unreadable("alias", "it is down")
        return {"before": {"version": self.version, "weights": self.weights}}

    def tick(self, seconds: float = 60) -> None:
        """The round of the clock, and nothing else of it."""
        self.scene.at += seconds
        tools = Tools(self.scene.ledger, self.books, self.scene.respond.start, self.plan)
        watches.go_on(tools, self.scene.at)

    def look(self, said: Outcome | None = Outcome.ACTED) -> None:
        """The next look falls due, and is answered."""
        self.tick(300)
        self.scene.records("check_health", said)
        self.tick(1)

    def told(self, what: str) -> list[str]:
        """The messages of this kind."""
        found = [
            message.of({"detail-type": event["DetailType"], "detail": json.loads(event["Detail"])})
            for event in self.scene.events
        ]
        return [one.body for one in found if one and one.what == what]

    def open(self) -> list[str]:
        return [item["sk"] for item in self.scene.seen.query("WATCH")]


@pytest.fixture
def watching(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Watching:
    one = Watching(monkeypatch)
    one.deploy()
    return one


def test_a_deployment_is_told_once(watching: Watching) -> None:
    watching.tick()
    watching.tick()

    (told,) = watching.told("deployed")
    assert told.startswith("Deployed: shop\nWhat: live, by d-123456789 (CodeDeploy)"[:14])
    assert "Watched: after a deployment for 30 min" in told


def test_six_clean_looks_prove_the_version(watching: Watching) -> None:
    for _ in range(LOOKS):
        watching.look()

    assert watching.scene.asked == ["check_health"] * LOOKS
    assert len({request["action_id"] for request in watching.scene.requests}) == LOOKS
    assert {request["options"]["must_pass"] for request in watching.scene.requests} == {True}
    assert versions.of(watching.scene.seen, LIVE) == versions.Known(good=("7",))
    (told,) = watching.told("watched")
    assert "watched 30 min: clean" in told.split("\n")[0]
    assert "Last known good now: live 7" in told
    assert watching.open() == []


def test_it_looks_only_when_it_is_time(watching: Watching) -> None:
    for _ in range(4):
        watching.tick(60)

    assert watching.scene.asked == []


@pytest.mark.parametrize(("said", "words"), [(Outcome.FAILED, "RED after 1 clean"), (Outcome.REFUSED, "can't be told")])
def test_what_is_found_is_told_at_once_and_ends_it(watching: Watching, said: Outcome, words: str) -> None:
    watching.look()
    watching.look(said)
    for _ in range(5):
        watching.tick(300)

    (told,) = watching.told("watched")
    assert words in told.split("\n")[0]
    assert watching.scene.asked == ["check_health"] * 2
    assert versions.of(watching.scene.seen, LIVE) == versions.Known()


def test_a_look_without_an_answer_ends_it(watching: Watching) -> None:
    watching.tick(300)
    watching.tick(watches.ANSWER_WITHIN_S)

    assert "look 1 was not answered" in watching.told("watched")[0]


@pytest.mark.parametrize("change", ["another version", "a canary", "not read"])
def test_only_the_version_that_was_watched_is_proven(watching: Watching, change: str) -> None:
    for _ in range(LOOKS - 1):
        watching.look()
    watching.version = {"another version": "8", "a canary": "7", "not read": None}[change]
    watching.weights = {"8": 0.1} if change == "a canary" else {}
    watching.look()

    (told,) = watching.told("watched")
    assert "Not recorded as good: live" in told
    assert versions.of(watching.scene.seen, LIVE) == versions.Known()


def test_a_service_is_watched_and_has_no_version(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Watching(monkeypatch)
    one.event = ecs()
    one.deploy()
    for _ in range(LOOKS):
        one.tick(300)
        for request in one.scene.requests[-2:]:
            one.scene.requests.append(request)
            one.scene.records("check_health", Outcome.ACTED)
            one.scene.requests.pop()
        one.tick(1)

    assert len(one.told("watched")) == 2
    assert not any("good" in told for told in one.told("watched"))


def test_a_sweep_that_is_gone_ends_it(watching: Watching) -> None:
    watching.books = Runbooks((replace(BOOKS.runbooks[0], sweeps=()),))
    watching.tick()

    assert "has no sweep 'all' any more" in watching.told("watched")[0]


def test_a_bus_that_is_down_hears_it_later(watching: Watching) -> None:
    watching.scene.bus_down = True
    watching.tick()
    watching.scene.bus_down = False
    watching.tick()

    assert len(watching.told("deployed")) == 1


def test_two_ticks_at_once_end_it_once(watching: Watching) -> None:
    for _ in range(LOOKS - 1):
        watching.look()
    watching.tick(300)
    watching.scene.records("check_health", Outcome.ACTED)
    read = [item for item in watching.scene.seen.query("WATCH") if not item["sk"].startswith(watches.NEWS)]
    tools = Tools(watching.scene.ledger, watching.books, watching.scene.respond.start, watching.plan)
    for _ in range(2):  # both have read the same item
        assert watches._look(tools, read[0], watching.scene.at)
        watching.tick()

    assert len(watching.told("watched")) == 1


def test_a_crash_at_any_call_ends_it_all_the_same(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is killed before, or after, each call that it makes."""
    counted = _led(monkeypatch, None, after=False)
    assert counted > 20
    for at in range(counted):
        for after in (False, True):
            _led(monkeypatch, at, after=after)


def _led(monkeypatch: pytest.MonkeyPatch, kill_at: int | None, *, after: bool) -> int:
    one = Watching(monkeypatch, f"d-{kill_at}-{after}")
    one.version = f"{kill_at or 0}{int(after)}"
    one.scene.faults.at, one.scene.faults.after, one.scene.faults.error = kill_at, after, Killed
    short = replace(BOOKS.runbooks[0].watches[0], every_s=300, for_s=600)
    one.books = Runbooks((replace(BOOKS.runbooks[0], watches=(short,)),))
    one.scene.respond = Respond(one.scene.ledger, one.books, one.scene.respond.start, lambda: one.scene.at)
    for number in range(8):
        try:
            if number < 2:  # Lambda delivers again
                one.deploy()
            one.tick(150)
        except Killed:
            continue
        finally:
            if one.scene.requests and not one.scene.has_records("check_health"):
                one.scene.records("check_health", Outcome.ACTED)
    assert [told.split("\n")[0] for told in set(one.told("watched"))] == [
        "shop after deployment (after a deployment): watched 10 min: clean"
    ], (kill_at, after)
    assert set(one.told("deployed"))
    assert len({request["action_id"] for request in one.scene.requests}) == 2
    assert one.version in versions.of(one.scene.seen, LIVE).good
    assert one.open() == []
    return len(one.scene.faults.calls)


def test_a_watch_leaves_behind_what_the_plan_has_seen_of_versions(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback need not list them then."""
    plan = watching.plan
    facts = {"7": versions.facts_of({"CodeSha256": "a", "State": "Active"})}
    monkeypatch.setattr(watching, "plan", lambda event: {**plan(event), "evidence": {"versions": facts}})

    watching.tick(60)

    assert versions.of(watching.scene.seen, LIVE, time.time()).facts == facts
