"""A rollback that the ledger knows enough for: no list of versions, the same decision, and how it is put right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.stub import Stubber
from selfheal import versions
from selfheal.action import DEPLOYED_AT, Decline
from selfheal.engine import run
from selfheal.errors import LedgerUnavailable, TargetForbidden
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.words import Outcome

from functions.roll_back_alias import app
from functions.roll_back_alias.app import RollBackAlias
from tests.unit.aws import ask, planned, script
from tests.unit.doubles import Clock, Faults, world_of
from tests.unit.test_roll_back_alias import (
    BACK,
    GET,
    ROLL,
    SECRET,
    TARGET,
    UPDATE,
    alias,
    decide,
    refusal,
    version,
)

MADE = "2026-01-31T09:35:00.000+0000"


@pytest.fixture
def lambda_(ledger: Ledger) -> Iterator[Stubber]:
    with script("lambda") as stubber:
        yield stubber


def keep(ledger: Ledger, *good: str, **listed: dict[str, Any]) -> None:
    """The ledger has proofs and fresh facts of these versions."""
    for number in reversed(good):
        ledger.write(versions.proven(ROLL.target.key, number, "good", time.time(), "a watch"))
    facts = {name.strip("v"): versions.facts_of(one) for name, one in listed.items()}
    ledger.write(*versions.learnt(ROLL.target.key, facts, time.time()))


def test_what_the_ledger_knows_is_not_listed(ledger: Ledger, lambda_: Stubber) -> None:
    keep(ledger, "5", v7=version("7", LastModified=MADE), v5=version("5"))
    lambda_.add_response("get_alias", alias("7"), GET)

    change = planned(RollBackAlias(), ROLL)

    assert change.after == {"version": "5", "weights": {}}
    assert change.facts == {DEPLOYED_AT: 1_769_852_100.0}
    assert change.evidence == {}


@pytest.mark.parametrize("current", ["8", "7"])
def test_what_it_does_not_know_is_listed_and_kept_once_it_is_done(
    ledger: Ledger, lambda_: Stubber, current: str
) -> None:
    """Of the current version it must be known when it was made: its guard asks for that."""
    keep(ledger, "5", v7=version("7"), v5=version("5"))
    lambda_.add_response("get_alias", alias(current), GET)
    listed = [version(current, LastModified=MADE, Environment=SECRET), version("5"), version("6")]
    lambda_.add_response("list_versions_by_function", {"Versions": listed})
    lambda_.add_response("update_alias", alias("5", "r2"))
    lambda_.add_response("get_alias", alias(current), GET)
    roll = RollBackAlias()

    change = planned(roll, ROLL)
    roll.apply(ROLL, change)

    assert change.after["version"] == "5"
    assert "correct-horse" not in json.dumps(change.evidence)
    assert versions.of(ledger, ROLL.target.key, time.time()).facts[current]["made_at"] == 1_769_852_100.0
    assert planned(RollBackAlias(), ROLL).after["version"] == "5", "now it knows"


def test_a_refusal_tells_what_was_seen_as_well(ledger: Ledger, lambda_: Stubber) -> None:
    lambda_.add_response("get_alias", alias("7"), GET)
    lambda_.add_response("list_versions_by_function", {"Versions": [version("7")]})

    decision = decide(dict(RollBackAlias().observe(ROLL)))

    assert refusal(decision) is Refusal.NO_EARLIER_VERSION
    assert isinstance(decision, Decline)
    assert list(decision.evidence["versions"]) == ["7"]


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidParameterValueException"])
def test_a_version_that_is_gone_is_planned_again_from_the_list(ledger: Ledger, lambda_: Stubber, code: str) -> None:
    """Deleted by hand, or not able to serve any more: no reason to give up."""
    keep(ledger, "5", v7=version("7", LastModified=MADE), v5=version("5"))
    lambda_.add_response("get_alias", alias("7"), GET)
    update = {**GET, "FunctionVersion": "5", "RoutingConfig": {"AdditionalVersionWeights": {}}, "RevisionId": "r1"}
    lambda_.add_client_error("update_alias", code, expected_params=update)
    lambda_.add_response("get_alias", alias("7"), GET)
    lambda_.add_response("list_versions_by_function", {"Versions": [version("7"), version("4")]})
    lambda_.add_response("update_alias", alias("4", "r2"), {**update, "FunctionVersion": "4"})
    request = ask("roll_back_alias", TARGET, requested_by="ann")

    result = run(RollBackAlias(), request, world_of(Faults(), Clock()))

    assert (result.outcome, result.before, result.after) == (
        Outcome.ACTED,
        {"version": "7", "weights": {}},
        {"version": "4", "weights": {}},
    ), result


def test_what_lambda_forbids_is_not_planned_again(ledger: Ledger, lambda_: Stubber) -> None:
    keep(ledger, "5", v7=version("7", LastModified=MADE), v5=version("5"))
    lambda_.add_response("get_alias", alias("7"), GET)
    lambda_.add_client_error("update_alias", "AccessDeniedException")
    roll = RollBackAlias()

    with pytest.raises(TargetForbidden):
        roll.apply(ROLL, planned(roll, ROLL))


def test_an_alias_that_is_gone_is_not_planned_for_ever(ledger: Ledger, lambda_: Stubber) -> None:
    keep(ledger, "5", v7=version("7", LastModified=MADE), v5=version("5"))
    lambda_.add_response("get_alias", alias("7"), GET)
    lambda_.add_client_error("update_alias", "ResourceNotFoundException")
    lambda_.add_client_error("get_alias", "ResourceNotFoundException")

    result = run(RollBackAlias(), ask("roll_back_alias", TARGET, requested_by="ann"), world_of(Faults(), Clock()))

    assert (result.outcome, result.reason) == (Outcome.REFUSED, "target_not_found")


def test_facts_that_cannot_be_kept_cost_nothing(lambda_: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alias is moved; only the next rollback lists versions again."""

    def down() -> Ledger:
        raise LedgerUnavailable("it is down")

    monkeypatch.setattr(app, "ledger", down)
    lambda_.add_response("update_alias", alias("6", "r2"), UPDATE)
    seen = {"7": versions.facts_of(version("7"))}

    roll = RollBackAlias()

    assert roll.apply(ROLL, replace(BACK, evidence={"versions": seen})) == {"revision": "r2"}
