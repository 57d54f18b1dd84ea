"""The record of an action: one claim, one finish, whoever comes late, and whatever is repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from selfheal import ledger as table
from selfheal import record
from selfheal.action import Change
from selfheal.clients import client
from selfheal.errors import LedgerUnavailable, Refused
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import Result, refused, result_of
from selfheal.words import Direction, Outcome

from tests.unit.doubles import START, Alias, Faults, FaultyClient, Flag, ask

REQUEST = ask(Flag)
LEASE = 120.0


def acted(**more: Any) -> Result:
    return result_of(REQUEST, Outcome.ACTED, direction=Direction.SAFE, before={"value": "true"}, after={}, **more)


def test_claims_one_after_the_other(ledger: Ledger) -> None:
    first = record.claim(ledger, REQUEST, START, LEASE)
    second = record.claim(ledger, REQUEST, START + 60, LEASE)
    third = record.claim(ledger, REQUEST, START + 121, LEASE)
    fourth = record.claim(ledger, REQUEST, START + 122, LEASE)

    assert (first.fresh, first.resumed) == (True, False)
    assert (second.fresh, second.resumed, second.finished, second.running_for_s) == (False, False, None, 60)
    assert (third.fresh, third.resumed) == (False, True)
    assert (fourth.fresh, fourth.resumed) == (False, False)
    assert len({one.run_id for one in (first, second, third, fourth)}) == 4


def test_a_finished_action_is_finished_for_ever(ledger: Ledger) -> None:
    mine = record.claim(ledger, REQUEST, START, LEASE)
    assert record.finish(ledger, REQUEST, mine.run_id, acted(), START)

    later = record.claim(ledger, REQUEST, START + 1e9, LEASE)

    assert later.finished == acted()


def test_a_claim_that_the_sdk_repeated_is_ours(ledger: Ledger) -> None:
    """Else nobody would run it until the lease is over: its first run would take itself for another one."""
    faulty = Ledger("ledger", FaultyClient("dynamodb", Faults(repeat="dynamodb.put_item")))

    assert record.claim(faulty, REQUEST, START, LEASE).resumed


def test_a_finish_that_the_sdk_repeated_counts(ledger: Ledger) -> None:
    faulty = Ledger("ledger", FaultyClient("dynamodb", Faults(repeat="dynamodb.update_item")))
    mine = record.claim(ledger, REQUEST, START, LEASE)

    assert record.finish(faulty, REQUEST, mine.run_id, acted(), START)


def test_a_run_that_was_taken_over_can_neither_finish_nor_pause(ledger: Ledger) -> None:
    late = record.claim(ledger, REQUEST, START, LEASE)
    other = record.claim(ledger, REQUEST, START + 121, LEASE)
    extra = table.put("P", "1", {})

    assert not record.finish(ledger, REQUEST, late.run_id, acted(), START + 122, extra)
    assert not record.finish(ledger, REQUEST, late.run_id, acted(), START + 122)
    assert not record.pause_run(ledger, REQUEST, late.run_id, START + 122, extra)
    assert ledger.get("P", "1") is None
    assert record.finish(ledger, REQUEST, other.run_id, acted(), START + 123)
    assert not record.finish(ledger, REQUEST, late.run_id, refused(REQUEST, Refusal.LEASED), START + 124, extra)
    assert record.find(ledger, REQUEST.action_id)["outcome"] == "acted"  # type: ignore[index]


def test_what_is_not_ours_any_more_is_left_out_of_the_end(ledger: Ledger) -> None:
    mine = record.claim(ledger, REQUEST, START, LEASE)
    lost = [table.delete("P", str(n), "attribute_exists(pk)") for n in range(2)]

    assert record.finish(ledger, REQUEST, mine.run_id, acted(), START, lost[0], table.put("P", "9", {}), lost[1])

    assert ledger.get("P", "9") is not None
    assert record.find(ledger, REQUEST.action_id)["run"] == "done"  # type: ignore[index]


def test_a_paused_run_may_be_resumed_at_once(ledger: Ledger) -> None:
    mine = record.claim(ledger, REQUEST, START, LEASE)
    assert record.pause_run(ledger, REQUEST, mine.run_id, START + 1)

    assert record.claim(ledger, REQUEST, START + 1, LEASE).resumed


@pytest.mark.parametrize("opened", [True, False])
def test_only_the_record_of_a_change_in_force_is_kept_for_ever(opened: bool, ledger: Ledger) -> None:
    mine = record.claim(ledger, REQUEST, START, LEASE)

    record.finish(ledger, REQUEST, mine.run_id, acted(), START, opened=opened)

    found = record.find(ledger, REQUEST.action_id)
    assert found is not None
    assert found.get("expires") == (None if opened else START + table.KEEP_S)


@pytest.mark.parametrize("over", [ask(Flag, target={"parameter": "/other"}), ask(Alias, action_id="one.1")])
@pytest.mark.parametrize("finished", [True, False])
def test_an_id_is_not_lent_to_another_action_or_target(over: Any, finished: bool, ledger: Ledger) -> None:
    mine = record.claim(ledger, REQUEST, START, LEASE)
    if finished:
        record.finish(ledger, REQUEST, mine.run_id, acted(), START)

    with pytest.raises(Refused) as refused_:
        record.claim(ledger, over, START + 1e6, LEASE)

    assert refused_.value.refusal is Refusal.NOT_A_REQUEST
    assert "halt_trading" in refused_.value.detail


def test_attempts_come_back_in_order_and_are_written_once(ledger: Ledger) -> None:
    change = Change(Direction.RISKY, "to 4", {"value": 5}, {"value": 4}, {"revision": "r"})
    for number in (2, 1, 11):
        ledger.write(record.attempt(REQUEST, change, number, START))

    assert [one.number for one in record.attempts(ledger, REQUEST.action_id)] == [1, 2, 11]
    assert record.attempts(ledger, REQUEST.action_id)[0].change == change
    with pytest.raises(table.Lost):
        ledger.write(record.attempt(REQUEST, replace(change, summary="other"), 1, START))


def test_evidence_gives_way_to_the_item_size_and_images_do_not(ledger: Ledger) -> None:
    mine = record.claim(ledger, REQUEST, START, LEASE)
    large = acted(evidence={"lines": ['"\\' * 10] * 50_000})

    assert record.finish(ledger, REQUEST, mine.run_id, large, START)

    found = record.claim(ledger, REQUEST, START, LEASE).finished
    assert found is not None
    assert list(found.evidence) == ["too_large"]
    assert found.before == {"value": "true"}


def test_a_record_of_another_release_can_be_read() -> None:
    document = json.loads(json.dumps({**acted().as_event(), "a_new_field": 1}))
    del document["took_ms"]

    assert record.read_result(document) == acted()


def test_without_an_answer_nothing_is_claimed(aws: None) -> None:
    with pytest.raises(LedgerUnavailable):
        record.claim(Ledger("missing", client("dynamodb")), REQUEST, START, LEASE)
