"""The table in memory answers like DynamoDB (as moto has it): one contract, random writes to both, the same answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selfheal import ledger as table
from selfheal.errors import LedgerUnavailable
from selfheal.ledger import Ledger, Lost, Write
from selfheal.replay.expressions import NotSimulated
from selfheal.replay.memory import MAX_TRANSACTION, MemoryTable

from tests.unit.doubles import START

PLACES = st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(["1", "10", "2", "é"]))
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, START, START + 0.25]))
WORDS = st.sampled_from(["", "x", "xy", "y"])
CONDITIONS = [
    "",
    "attribute_not_exists(pk)",
    "attribute_exists(pk)",
    "n < :n",
    "n <= :n OR word = :word",
    "n >= :n AND NOT word = :word",
    "n > :n AND attribute_not_exists(gone)",
    "word <> :word",
    "attribute_not_exists(pk) OR (word = :word AND n < :n)",
    "n BETWEEN :low AND :n",
    "begins_with(word, :word)",
    "word = :n",
]


_NEVER = table.check("B", "never", "attribute_exists(pk)")
"""Loses always: what is written together with it only says whether its own condition held."""


@st.composite
def writes(draw: st.DrawFn) -> Write:
    """Any write that the ledger can make, on one of a few items."""
    place, condition = draw(PLACES), draw(st.sampled_from(CONDITIONS))
    known = {"n": draw(NUMBERS), "word": draw(WORDS), "low": 0}
    values = {name: value for name, value in known.items() if f":{name}" in condition} or None
    kind = draw(st.sampled_from(["put", "update", "delete", "check"]))
    if kind == "put":
        return table.put(*place, {"of": draw(WORDS)}, condition, values, n=draw(NUMBERS), word=draw(WORDS))
    if kind == "update":
        changes = {"n": draw(NUMBERS), "doc": {"new": 1}, "word": draw(st.one_of(st.none(), WORDS))}
        return table.update(*place, changes, condition or "attribute_exists(pk)", values)
    if kind == "delete":
        return table.delete(*place, condition, values)
    return table.check(*place, condition or "attribute_exists(pk)", values)


def answer(call: Callable[[], Any]) -> Any:
    """What it answers or raises, in comparable form."""
    try:
        return call()
    except Lost as lost:
        return "lost", lost.reasons
    except LedgerUnavailable:
        return "unavailable"


def everything(ledger: Ledger) -> list[Any]:
    """All that the ledger holds, read in each of the ways that it has."""
    keys = [(pk, sk) for pk in ("A", "B") for sk in ("1", "10", "2", "é")]
    many = sorted(ledger.get_many(keys), key=lambda item: (item["pk"], item["sk"]))
    queries = [list(ledger.query(pk, prefix)) for pk in ("A", "B", "none") for prefix in ("", "1", "é")]
    return [[ledger.get(*key) for key in keys], many, queries]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(writes(), min_size=1, max_size=3), max_size=8), old=st.booleans())
def test_it_answers_what_dynamodb_answers(ledger: Ledger, batches: list[list[Write]], old: bool) -> None:
    real, memory = ledger, Ledger("ledger", MemoryTable())
    for pk, sk in [(pk, sk) for pk in ("A", "B") for sk in ("1", "10", "2", "é")]:
        real.write(table.delete(pk, sk))
    for batch in batches:
        single = len(batch) == 1
        if single and batch[0].kind == "ConditionCheck":
            continue  # only in transactions
        if single and old and batch[0].kind == "Put":
            assert answer(lambda: memory.put_returning_old(batch[0])) == answer(  # noqa: B023 - called at once
                lambda: real.put_returning_old(batch[0])  # noqa: B023
            )
        else:
            assert answer(lambda: memory.write(*batch)) == answer(lambda: real.write(*batch))  # noqa: B023
        assert everything(memory) == everything(real)


@pytest.mark.parametrize("condition", CONDITIONS[1:])
def test_a_condition_holds_where_dynamodb_says_so(ledger: Ledger, condition: str) -> None:
    """Of numbers by their value and not by their digits, of texts, of two kinds, and of what is not there."""
    memory = Ledger("ledger", MemoryTable())
    numbers = (-2, 2, 10)
    for number, other, word in itertools.product(numbers, numbers, ("", "x")):
        known = {"n": other, "word": word, "low": 0}
        values = {name: value for name, value in known.items() if f":{name}" in condition} or None
        answers = []
        for one in (memory, ledger):
            one.write(table.put("A", "1", {}, n=number, word="x"))
            probes = [table.put("A", sk, {}, condition, values) for sk in ("1", "never")]
            answers.append([answer(lambda: one.write(probe, _NEVER)) for probe in probes])  # noqa: B023 - called at once

        assert answers[0] == answers[1], known


@pytest.mark.parametrize("count", [MAX_TRANSACTION, MAX_TRANSACTION + 1])
def test_a_transaction_has_a_limit(count: int) -> None:
    memory = Ledger("replay", MemoryTable())
    transaction = [table.put("A", str(number), {}) for number in range(count)]

    assert (answer(lambda: memory.write(*transaction)) == "unavailable") == (count > MAX_TRANSACTION)


def test_counting_up_works_as_in_dynamodb(ledger: Ledger) -> None:
    counting = Write(
        "Update",
        {
            "Key": {"pk": {"S": "A"}, "sk": {"S": "1"}},
            "UpdateExpression": "SET #n = if_not_exists(#n, :zero) + :one REMOVE gone ADD counted :one",
            "ExpressionAttributeNames": {"#n": "n"},
            "ExpressionAttributeValues": {":zero": {"N": "0"}, ":one": {"N": "1"}},
        },
    )
    memory = Ledger("ledger", MemoryTable())
    for one in (ledger, memory):
        one.write(counting)
        one.write(counting)

    assert memory.get("A", "1") == ledger.get("A", "1") == {"pk": "A", "sk": "1", "n": 2, "counted": 2}


@pytest.mark.parametrize("condition", ["size(n) > :n", "n IN (:n)", "n", "n = ", "n = :n )", "n ! :n"])
def test_what_it_does_not_know_is_refused_and_never_guessed(condition: str) -> None:
    memory = Ledger("replay", MemoryTable())

    with pytest.raises(NotSimulated):
        memory.write(table.put("A", "1", {}, condition, {"n": 1}))


def test_an_argument_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(NotSimulated, match="IndexName"):
        MemoryTable().query(TableName="t", IndexName="x")
    with pytest.raises(NotSimulated, match="key condition"):
        MemoryTable().query(KeyConditionExpression="sk = :sk", ExpressionAttributeValues={":sk": {"S": "1"}})


def test_a_query_can_go_backwards_and_stop() -> None:
    memory = MemoryTable()
    ledger = Ledger("replay", memory)
    ledger.write(*(table.put("A", sk, {}) for sk in ("1", "2", "3")))
    condition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "A"}}}

    found = memory.query(**condition, ScanIndexForward=False, Limit=2)["Items"]

    assert [item["sk"]["S"] for item in found] == ["3", "2"]
