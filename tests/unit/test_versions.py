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


def facts(code: str = "", config: str = "", **more: Any) -> dict[str, Any]:
    return {"made_at": START, "code": code, "config": config, "state": "Active", "last_update": "Successful", **more}


def known(good: str = "", bad: str = "", **by_version: dict[str, Any]) -> versions.Known:
    return versions.Known(tuple(good), tuple(bad), {name.strip("v"): fact for name, fact in by_version.items()})


class TestFacts:
    @pytest.mark.parametrize(
        ("what", "best"),
        [
            (known("7", v9=facts("a"), v7=facts("b")), "7"),
            (known("78", v9=facts("a"), v7=facts("b"), v8=facts("c")), "7"),
            (known("7", v9=facts("a", "x"), v7=facts("a", "y")), "7"),
            (known("87", v9=facts("a", "x"), v8=facts("a", "x"), v7=facts("b")), "7"),
            (known("97", v9=facts("a"), v7=facts("b")), "7"),
            (known("87", "8", v9=facts("a"), v8=facts("c"), v7=facts("b")), "7"),
            # the ledger does not know enough
            (known("7", v7=facts("b")), None),
            (known("7", v9=facts("a", made_at=None), v7=facts("b")), None),
            (known("7", v9=facts(""), v7=facts("b")), None),
            (known("7", v9=facts("a")), None),
            (known("7", v9=facts("a"), v7=facts("")), None),
            (known("7", v9=facts("a"), v7=facts("a", "y")), None),
            (known("7", v9=facts("a", "x"), v7=facts("a")), None),
            (known("87", v9=facts("a"), v7=facts("b")), None),
            (known("87", v9=facts("a"), v8=facts("a"), v7=facts("b")), None),
            (known("", v9=facts("a"), v7=facts("b")), None),
            (known("7", v9=facts("a", "x"), v7=facts("a", "x")), None),
            # it was not fit when it was seen
            (known("7", v9=facts("a"), v7=facts("b", state="Inactive")), None),
            (known("7", v9=facts("a"), v7=facts("b", state="Failed")), None),
            (known("7", v9=facts("a"), v7=facts("b", state=None)), None),
            (known("7", v9=facts("a"), v7=facts("b", last_update="Failed")), None),
        ],
    )
    def test_tell_where_to_go_only_if_a_list_could_tell_nothing_else(
        self, what: versions.Known, best: str | None
    ) -> None:
        assert versions.best(what, "9") == best

    def test_are_kept_beside_what_is_proven(self, ledger: Ledger) -> None:
        ledger.write(versions.proven(KEY, "7", "good", START, "a watch"))
        ledger.write(*versions.learnt(KEY, {"9": facts("a"), "7": facts("b")}, START))

        assert versions.of(ledger, KEY, START) == known("7", v9=facts("a"), v7=facts("b"))
        assert versions.of(ledger, KEY) == versions.Known(good=("7",))

    def test_count_for_two_weeks(self, ledger: Ledger) -> None:
        ledger.write(*versions.learnt(KEY, {"9": facts("a")}, START))

        assert "9" in versions.of(ledger, KEY, START + versions.FRESH_S - 1).facts
        assert versions.of(ledger, KEY, START + versions.FRESH_S + 1).facts == {}

    def test_hold_no_environment_and_are_few(self, ledger: Ledger) -> None:
        said = {"CodeSha256": "a", "Environment": {"Variables": {"KEY": "correct-horse"}}, "State": "Active"}
        many = {str(number): versions.facts_of(said) for number in range(100)}
        ledger.write(*versions.learnt(KEY, many, START))

        kept = versions.of(ledger, KEY, START).facts
        assert len(kept) == versions.MOST_FACTS
        assert "correct-horse" not in str(kept)
        assert kept["0"] == facts("a", made_at=None, last_update=None)

    def test_worth_keeping_are_the_current_one_then_the_good_ones(self) -> None:
        able = [str(number) for number in range(8, 0, -1)]

        assert versions.of_interest(known("25"), "9", able) == ["9", "2", "5", "8", "7"]
        assert versions.of_interest(known("0"), "9", ["8"]) == ["9", "8"]


class TestTheRollback:
    def journal(self) -> dict[str, list[str]]:
        payload = {**event("roll_back_alias"), "target": {"function": "demo", "alias": "live"}}
        known = app._journal(read_request(payload, ("roll_back_alias",), "id"))
        return {"last_known_good": list(known.good), "bad_versions": list(known.bad)}

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
        assert self.journal() == {"last_known_good": [], "bad_versions": []}
