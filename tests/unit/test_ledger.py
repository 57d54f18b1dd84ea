"""The ledger against a real table in moto: conditions, transactions, numbers, and the ways in which DynamoDB fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords
from selfheal import changes, record, restore
from selfheal import ledger as table
from selfheal.clients import client
from selfheal.errors import LedgerUnavailable
from selfheal.guards import claim
from selfheal.ledger import CONFLICT_PAUSES_S, Ledger, Lost
from selfheal.refusal import Refusal
from selfheal.request import refused, result_of
from selfheal.words import Outcome

from tests.unit.doubles import START, Faults, FaultyClient, Flag, ask, throttled, timed_out

NEW = table.put_new("P", "1", {"n": 1}, mark="first")


def test_an_item_comes_back_as_it_was_put(ledger: Ledger) -> None:
    doc = {"text": 'ä "quoted" \\ \N{GRINNING FACE}', "list": [1, 2.5, None, True], "nested": {"a": {}}}
    ledger.write(table.put("P", "1", doc, mark="x", when=START + 0.123456, count=0, left_out=None))

    item = ledger.get("P", "1")

    assert item == {"pk": "P", "sk": "1", "doc": doc, "mark": "x", "when": START + 0.123456, "count": 0}
    assert ledger.get("P", "2") is None


@given(
    number=st.one_of(st.integers(-(10**15), 10**15), st.floats(-1e15, 1e15).filter(lambda x: x == 0 or abs(x) > 1e-100))
)
def test_numbers_survive(number: float) -> None:
    """DynamoDB normalizes numbers: what was sent as 1e+20 or 5.0 comes back in another notation."""
    sent = table.put("P", "1", {}, when=number).body["Item"]["when"]["N"]

    for notation in (sent, f"{number:.17g}", f"{number:E}" if isinstance(number, int) else sent):
        assert math.isclose(table._number(notation), number, rel_tol=1e-6)


def test_a_put_that_loses_says_what_stands_there(ledger: Ledger) -> None:
    ledger.write(NEW)

    with pytest.raises(Lost) as lost:
        ledger.write(NEW)

    assert lost.value.reasons == [{"pk": "P", "sk": "1", "doc": {"n": 1}, "mark": "first"}]


def test_an_update_of_nothing_loses_with_an_empty_reason(ledger: Ledger) -> None:
    with pytest.raises(Lost) as lost:
        ledger.write(table.update("P", "1", {"mark": "x"}, "attribute_exists(pk)"))

    assert lost.value.reasons == [{}]


def test_a_transaction_is_all_or_nothing_and_names_the_loser(ledger: Ledger) -> None:
    ledger.write(NEW)

    with pytest.raises(Lost) as lost:
        ledger.write(table.put("P", "2", {}), NEW, table.check("P", "3", "attribute_exists(pk)"))

    assert [reason if reason is None else reason.get("mark") for reason in lost.value.reasons] == [None, "first", None]
    assert ledger.get("P", "2") is None


def test_put_returning_old(ledger: Ledger) -> None:
    assert ledger.put_returning_old(table.put("P", "1", {"n": 1})) is None
    replaced = ledger.put_returning_old(table.put("P", "1", {"n": 2}))
    assert replaced is not None
    assert replaced["doc"] == {"n": 1}


def test_updates_set_and_remove(ledger: Ledger) -> None:
    ledger.write(table.put("P", "1", {"n": 1}, mark="x", expires=5))

    ledger.write(table.update("P", "1", {"doc": {"n": 2}, "expires": None}, "mark = :mark", {"mark": "x"}))
    ledger.write(table.update("P", "1", {"mark": None}, "attribute_exists(mark)"))

    assert ledger.get("P", "1") == {"pk": "P", "sk": "1", "doc": {"n": 2}}


def test_a_query_reads_every_page_in_order(ledger: Ledger) -> None:
    for number in range(30):
        ledger.write(table.put("P", f"A#{number:02d}", {"text": "x" * 60_000}))
    ledger.write(table.put("P", "B#1", {}))

    assert [item["sk"] for item in ledger.query("P", "A#")] == [f"A#{number:02d}" for number in range(30)]
    assert len(list(ledger.query("P"))) == 31


def test_get_many_reads_what_exists_once(ledger: Ledger) -> None:
    ledger.write(NEW)

    assert [item["sk"] for item in ledger.get_many([("P", "1"), ("P", "1"), ("P", "2")])] == ["1"]
    assert ledger.get_many([]) == []


def test_keys_left_unprocessed_are_no_answer() -> None:
    with Stubber(client("dynamodb")) as stubber:
        left = {"Responses": {}, "UnprocessedKeys": {"ledger": {"Keys": [{"pk": {"S": "P"}, "sk": {"S": "1"}}]}}}
        stubber.add_response("batch_get_item", left)
        with pytest.raises(LedgerUnavailable):
            Ledger("ledger", client("dynamodb")).get_many([("P", "1")])


CALLS: dict[str, Callable[[Ledger], Any]] = {
    "get": lambda ledger: ledger.get("P", "1"),
    "get_many": lambda ledger: ledger.get_many([("P", "1")]),
    "query": lambda ledger: list(ledger.query("P")),
    "write": lambda ledger: ledger.write(NEW),
    "transaction": lambda ledger: ledger.write(NEW, table.put("P", "2", {})),
    "put_returning_old": lambda ledger: ledger.put_returning_old(NEW),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [throttled, timed_out, lambda: ConnectTimeoutError(endpoint_url="https://aws.test")])
def test_every_failure_is_a_ledger_that_is_not_available(
    call: str, error: Callable[[], BaseException], ledger: Ledger
) -> None:
    broken = Ledger("ledger", FaultyClient("dynamodb", Faults(names=("dynamodb",), error=error)))

    with pytest.raises(LedgerUnavailable):
        CALLS[call](broken)


@pytest.mark.parametrize("call", CALLS)
def test_a_table_that_is_not_there_is_not_available(call: str, aws: None) -> None:
    with pytest.raises(LedgerUnavailable):
        CALLS[call](Ledger("missing", client("dynamodb")))


# -- conflicts ------------------------------------------------------------------------------------------------------


def cancelled(*codes: str) -> ClientError:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return ClientError(response, "TransactWriteItems")


def conflict() -> ClientError:
    return ClientError({"Error": {"Code": "TransactionConflictException", "Message": "busy"}}, "PutItem")


class Busy:
    """A client that meets other transactions for its first calls."""

    def __init__(self, times: int, error: Callable[[], ClientError]) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return self._answer

    def _answer(self, **arguments: Any) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error()
        return {}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Instead of sleeping."""
    slept: list[float] = []
    monkeypatch.setattr("selfheal.ledger.time.sleep", slept.append)
    return slept


CONFLICTS = pytest.mark.parametrize(
    ("error", "writes"),
    [(conflict, (NEW,)), (lambda: cancelled("None", "TransactionConflict"), (NEW, table.put("P", "2", {})))],
)


@CONFLICTS
def test_a_race_with_another_transaction_is_run_again(
    error: Callable[[], ClientError], writes: tuple[table.Write, ...], pauses: list[float]
) -> None:
    """A loser must not take the ledger for down: a safe action would then go ahead beside the winner."""
    busy = Busy(2, error)

    Ledger("ledger", busy).write(*writes)

    assert busy.calls == 3
    assert len(pauses) == 2


@CONFLICTS
def test_a_race_that_never_ends_is_no_answer(
    error: Callable[[], ClientError], writes: tuple[table.Write, ...], pauses: list[float]
) -> None:
    busy = Busy(99, error)

    with pytest.raises(LedgerUnavailable):
        Ledger("ledger", busy).write(*writes)

    assert busy.calls == len(CONFLICT_PAUSES_S) + 1
    assert sum(pauses) < 2


def test_a_failed_condition_beside_a_conflict_is_lost_at_once(pauses: list[float]) -> None:
    busy = Busy(99, lambda: cancelled("ConditionalCheckFailed", "TransactionConflict"))

    with pytest.raises(Lost) as lost:
        Ledger("ledger", busy).write(NEW, table.put("P", "2", {}))

    assert lost.value.reasons == [{}, None]
    assert pauses == []


def test_a_throttled_transaction_is_no_answer(pauses: list[float]) -> None:
    with pytest.raises(LedgerUnavailable):
        Ledger("ledger", Busy(99, lambda: cancelled("ThrottlingError", "None"))).write(NEW, table.put("P", "2", {}))

    assert pauses == []


# -- expressions ----------------------------------------------------------------------------------------------------


def test_no_condition_uses_a_reserved_word() -> None:
    """DynamoDB refuses them outside `#names`; an emulator may not."""
    request = ask(Flag)
    original = restore.Original("a", {}, {}, opened=True)
    done = refused(request, Refusal.LEASED)
    seen: list[table.Write] = [
        claim._own(request, START),
        claim._lease(request, START, 1),
        claim.release(request),
        claim.cool_down(request, START),
        restore.claimed(original, request),
        restore.done(original, request, START),
        restore.given_up(original, request),
        changes.opened(request, result_of(request, Outcome.ACTED), START),
        *([cool] if (cool := claim._cool(request, START)) else []),
    ]
    recorder = Recorder()
    ledger = Ledger("ledger", recorder)
    record.claim(ledger, request, START, 1)
    record.finish(ledger, request, "run", done, START)
    record.pause_run(ledger, request, "run", START)
    conditions = [write.body.get("ConditionExpression", "") for write in seen] + recorder.conditions

    words = {word.strip("(),") for condition in conditions for word in condition.split()} - {"AND", "OR", "=", "<"}

    plain = {word for word in words if word.isidentifier()}
    assert {"run", "claimed_until", "what", "holder", "incident", "undone_by"} <= plain
    assert not {word for word in plain if word.upper() in ReservedKeywords.get_reserved_keywords()}


class Recorder:
    """A client that remembers conditions."""

    def __init__(self) -> None:
        self.conditions: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return self._remember

    def _remember(self, **arguments: Any) -> dict[str, Any]:
        self.conditions.append(arguments.get("ConditionExpression", ""))
        return {}
