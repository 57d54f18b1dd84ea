"""Versions: bad once an incident was healed by leaving them, good after a clean watch; and a rollback listens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from selfheal import incident_store, record, versions
from selfheal.incident import Incident, Phase, Status
from selfheal.ledger import Ledger
from selfheal.request import read_request, result_of
from selfheal.words import Outcome, Stage

from functions.roll_back_alias import app
from tests.unit.aws import event
from tests.unit.incidents import START, incident, step

KEY = "function:demo:live"


def rolled_back(ledger: Ledger, verdict: str, before: dict[str, Any], after: dict[str, Any], **more: Any) -> Incident:
    """An incident whose one rung moved the alias from here to there."""
    run = replace(
        step(0, Stage.REMEDIATE, "roll_back_alias"),
        target={"function": "demo", "alias": "live"}, target_key=KEY, status=Status.DONE, **more,
    )  # fmt: skip
    one = replace(incident(), steps=(run,), phase=Phase.CLOSED, closed_at=START, verdict=verdict)
    request = read_request({"target": run.target, "action_id": one.action_id(run)}, ("roll_back_alias",), "id")
    met = record.claim(ledger, request, START, 120)
    done = result_of(request, Outcome.ACTED, before=before, after=after)
    assert record.finish(ledger, request, met.run_id, done, START)
    assert incident_store.commit(ledger, one, START) is not None
    return one


def alias(version: str, **weights: float) -> dict[str, Any]:
    return {"version": version, "weights": {name.strip("v"): weight for name, weight in weights.items()}}


@pytest.mark.parametrize(
    ("before", "after", "bad"),
    [
        (alias("9"), alias("7"), ("9",)),
        (alias("7", v8=0.1), alias("7"), ("8",)),
        (alias("9", v8=0.1), alias("8"), ("9",)),
        ({}, alias("7"), ()),
        (alias("9"), {}, ()),
    ],
)
def test_what_healing_left_behind_is_bad(
    ledger: Ledger, before: dict[str, Any], after: dict[str, Any], bad: tuple[str, ...]
) -> None:
    rolled_back(ledger, "healed", before, after)

    assert versions.of(ledger, KEY) == versions.Known(bad=bad)


@pytest.mark.parametrize("verdict", ["escalated", "cleared"])
def test_a_rollback_that_did_not_heal_proves_nothing(ledger: Ledger, verdict: str) -> None:
    rolled_back(ledger, verdict, alias("9"), alias("7"))

    assert versions.of(ledger, KEY) == versions.Known()


def test_a_step_that_did_nothing_proves_nothing(ledger: Ledger) -> None:
    one = rolled_back(ledger, "escalated", alias("9"), alias("7"))
    idle = replace(one.steps[0], status=Status.NOTHING_TO_DO)

    assert versions.rolled_back_from(ledger, replace(one, verdict="healed", steps=(idle,)), START) == []


def test_the_last_word_counts_and_the_last_proven_comes_first(ledger: Ledger) -> None:
    for at, (version, verdict) in enumerate([("7", "bad"), ("5", "good"), ("7", "good"), ("6", "good"), ("5", "bad")]):
        ledger.write(versions.proven(KEY, version, verdict, START + at, "a test"))

    assert versions.of(ledger, KEY) == versions.Known(good=("6", "7"), bad=("5",))


class TestTheRollback:
    def journal(self) -> dict[str, list[str]]:
        payload = {**event("roll_back_alias"), "target": {"function": "demo", "alias": "live"}}
        return app._journal(read_request(payload, ("roll_back_alias",), "id"))

    def state(self, **more: Any) -> dict[str, Any]:
        fit = {"state": "Active", "last_update": "Successful", "differs": True}
        return {
            "version": "9", "weights": {}, "successful": None, "attempted": None,
            "versions": dict.fromkeys(("8", "7", "6"), fit), **more,
        }  # fmt: skip

    def test_goes_to_what_was_proven_last(self, ledger: Ledger) -> None:
        ledger.write(versions.proven(KEY, "6", "good", START, "a watch"))

        assert app._last_good(self.state(**self.journal())) == "6"

    def test_never_goes_back_to_what_was_left(self, ledger: Ledger) -> None:
        rolled_back(ledger, "healed", alias("8"), alias("7"))

        assert app._last_good(self.state()) == "8"
        assert app._last_good(self.state(**self.journal())) == "7"

    def test_goes_on_without_the_ledger(self) -> None:
        assert self.journal() == {}
