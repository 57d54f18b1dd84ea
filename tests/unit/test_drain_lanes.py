"""Chunks and threads: what one call fails in part, what large letters cost, and a kill while several threads work."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st
from selfheal.action import Change
from selfheal.clients import client_bulk_once
from selfheal.drain import hand, loop, timing
from selfheal.errors import Unreadable
from selfheal.letter_ids import Ids, pack, unpack
from selfheal.queue import MAX_BATCH_BYTES
from selfheal.words import Verdict

from functions.drain_dlq.app import ArchiveDlq, DrainDlq, RedriveDlq, ReplayDlq
from tests.unit.aws import ask, planned
from tests.unit.dead_letters import (
    FUNCTION,
    QUEUE,
    QUEUE_ARN,
    SOURCE,
    SOURCE_ARN,
    Account,
    Killed,
    account,
    by_lambda,
    by_nobody,
)
from tests.unit.doubles import Clock

OPTIONS = {"per_second": 1000, "canary": 0}
REDRIVE = ask("redrive_dlq", {"queue": QUEUE}, options=OPTIONS)
ARCHIVE = ask("archive_dlq", {"queue": QUEUE})
REPLAY = ask("replay_dlq", {"queue": QUEUE, "replay_to": {"function": FUNCTION, "alias": "live"}}, options=OPTIONS)
ASKED = {"archive_dlq": (ArchiveDlq, ARCHIVE), "redrive_dlq": (RedriveDlq, REDRIVE), "replay_dlq": (ReplayDlq, REPLAY)}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """With a source queue; moto answers one thread at a time."""
    clock, ticks = Clock(), count(step=0.001)
    monkeypatch.setattr(timing, "time", SimpleNamespace(time=clock.now, monotonic=clock.now, sleep=clock.advance))
    monkeypatch.setattr("moto.sqs.models.unix_time", clock.now)
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: clock.now() * 1000 + next(ticks))
    lock, call = threading.RLock(), BaseClient._make_api_call  # type: ignore[attr-defined]  # as all calls go

    def one_by_one(self: Any, *arguments: Any) -> Any:
        with lock:
            return call(self, *arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", one_by_one)
    with account(monkeypatch) as here:
        policy = json.dumps({"deadLetterTargetArn": QUEUE_ARN, "maxReceiveCount": 2})
        here.sqs.create_queue(QueueName=SOURCE, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "30"})
        here.dead_letter_source = SOURCE_ARN
        yield here


def letters(number: int, action: str) -> list[dict[str, Any]]:
    made = [by_lambda({"n": one}, f"id-{one}") for one in range(number)]
    return made if action == "replay_dlq" else [by_nobody(json.dumps({"n": one})) for one in range(number)]


def change_for(aws: Account, action: str, number: int) -> tuple[DrainDlq, Any, Change]:
    kind, request = ASKED[action]
    aws.dead_letter_source = "" if action == "replay_dlq" else SOURCE_ARN
    aws.fill(*letters(number, action))
    return kind(900), request, planned(kind(), request)


def sent(aws: Account, action: str) -> list[int]:
    bodies = aws.invoked if action == "replay_dlq" else aws.bodies(SOURCE)
    return sorted(json.loads(body)["n"] for body in bodies)


# -- batches --------------------------------------------------------------------------------------------------------


def test_a_chunk_is_one_object_and_two_writes_and_its_sends_are_batches(aws: Account) -> None:
    action, request, change = change_for(aws, "redrive_dlq", 40)
    aws.calls.clear()

    action.apply(request, change)

    assert sent(aws, "redrive_dlq") == list(range(40))
    assert [len(stored) for stored in aws.objects().values()] == [40]
    made = {name: aws.calls.count(name) for name in ("ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch")}
    assert made == {"ReceiveMessage": 4, "SendMessageBatch": 4, "DeleteMessageBatch": 4}
    assert aws.calls.count("TransactWriteItems") == 4  # begin, claim, complete, end


def test_no_chunk_is_larger_than_what_is_sent_in_a_second(aws: Account) -> None:
    aws.fill(*letters(20, "redrive_dlq"))
    request = ask("redrive_dlq", {"queue": QUEUE}, options={"per_second": 5, "canary": 0})

    RedriveDlq(900).apply(request, planned(RedriveDlq(), request))

    assert [len(stored) for stored in aws.objects().values()] == [5, 5, 5, 5]


def test_large_letters_are_sent_in_calls_that_sqs_takes(aws: Account) -> None:
    aws.fill(*(by_nobody(json.dumps({"n": n, "x": "y" * 200_000})) for n in range(8)))
    calls: list[list[str]] = []
    aws.fail_sending({}, calls)

    RedriveDlq(900).apply(REDRIVE, planned(RedriveDlq(), REDRIVE))

    assert sent(aws, "redrive_dlq") == list(range(8))
    assert all(sum(map(len, bodies)) <= MAX_BATCH_BYTES for bodies in calls)
    assert len(calls) < 8


def test_what_sqs_does_not_take_stays_with_its_reason_and_the_rest_goes(aws: Account) -> None:
    """The sender's fault: it was surely not sent. The service's own: nobody knows, so it is never sent again."""
    action, request, change = change_for(aws, "redrive_dlq", 12)
    aws.fail_sending({'{"n": 3}': True, '{"n": 7}': False}, [])

    evidence = action.apply(request, change)

    assert sent(aws, "redrive_dlq") == [n for n in range(12) if n not in (3, 7)]
    assert evidence["left"] == {"refused_by_aws": 1, "sent_or_not": 1}
    assert {shown["detail"] for shown in evidence["shown"]} == {"Injected: no"}
    assert sorted(aws.fates().values()) == ["sent"] * 10 + ["unknown"]
    assert action.verify(request, change).verdict is Verdict.UNKNOWN


def test_an_unclear_answer_leaves_its_batch_in_doubt_and_no_other(aws: Account) -> None:
    action, request, change = change_for(aws, "redrive_dlq", 30)
    batches = count()

    def lose_the_second(**_: Any) -> None:
        if next(batches) == 1:
            raise ReadTimeoutError(endpoint_url="https://sqs.eu-central-1.amazonaws.com")

    client_bulk_once("sqs").meta.events.register("after-call.sqs.SendMessageBatch", lose_the_second)
    with pytest.raises(Unreadable):
        action.apply(request, change)

    assert sorted(aws.fates().values()) == ["sent"] * 10 + ["unknown"] * 10
    aws.show_all()
    assert RedriveDlq(900).apply(request, change)["left"] == {"sent_or_not": 10}
    assert sent(aws, "redrive_dlq") == list(range(30))


def test_a_redriven_letter_that_comes_back_under_the_id_it_was_sent_as_stops_the_drain(aws: Account) -> None:
    aws.fill(*letters(1, "redrive_dlq"))
    request = ask("redrive_dlq", {"queue": QUEUE}, options={"per_second": 1000})
    change = planned(RedriveDlq(), request)
    change = Change(**{**vars(change), "plan": {**change.plan, "limit": 9}})
    RedriveDlq(130).apply(request, change)
    (moved,) = aws.messages(SOURCE)
    aws.fill(by_nobody("another payload"))
    aws.messages()[0].id = moved.id

    result = RedriveDlq(900)
    result.apply(request, change)

    assert result.verify(request, change).verdict is Verdict.DOES_NOT_HOLD
    assert len(aws.bodies(SOURCE)) == 1


def test_many_letters_that_stay_take_no_memory(aws: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand, "MOST_STAYING", 5)
    aws.dead_letter_source = ""
    aws.fill(*letters(30, "replay_dlq"))

    evidence = RedriveDlq(900).apply(REDRIVE, planned(RedriveDlq(), REDRIVE))

    assert evidence["left"] == {"not_from_a_queue": 30}
    assert len(evidence["shown"]) == 20
    assert aws.visible() == 5  # the others show when their visibility ends


# -- threads --------------------------------------------------------------------------------------------------------


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Chunks so small that a few letters keep several threads busy; the names of the threads that worked."""
    worked: set[str] = set()
    for kind in (ArchiveDlq, RedriveDlq, ReplayDlq):
        monkeypatch.setattr(kind, "chunk", 2)
    lane = loop.Drain._lane

    def noted(self: loop.Drain, most: int) -> None:
        worked.add(threading.current_thread().name)
        lane(self, most)

    monkeypatch.setattr(loop.Drain, "_lane", noted)
    return worked


@pytest.mark.parametrize("action", sorted(ASKED))
def test_threads_share_the_queue_and_take_each_letter_once(aws: Account, lanes: set[str], action: str) -> None:
    now, request, change = change_for(aws, action, 24)

    now.apply(request, change)

    assert now.verify(request, change).verdict is Verdict.HOLDS
    assert aws.bodies() == []
    assert action == "archive_dlq" or sent(aws, action) == list(range(24))
    assert len(aws.archived()) == sum(len(stored) for stored in aws.objects().values()) == 24
    assert len(lanes) > 1


def test_the_limit_holds_across_threads(aws: Account, lanes: set[str]) -> None:
    aws.fill(*letters(30, "redrive_dlq"))
    request = ask("redrive_dlq", {"queue": QUEUE}, options={**OPTIONS, "limit": 17})

    RedriveDlq(900).apply(request, planned(RedriveDlq(), request))

    assert len(aws.bodies(SOURCE)) == 17
    assert aws.visible() == 13


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("action", sorted(ASKED))
@pytest.mark.parametrize("call", [6, 9, 13, 18, 24])
def test_killed_while_threads_work_nothing_is_lost_or_sent_twice(
    aws: Account, lanes: set[str], action: str, call: int, after: bool
) -> None:
    """Which call of which thread it meets is left to chance; what must hold is the same everywhere."""
    now, request, change = change_for(aws, action, 12)
    names = aws.ids()
    aws.calls.clear()
    aws.kill_at, aws.kill_after = call, after
    with pytest.raises(Killed):
        now.apply(request, change)
    aws.revive()

    for _ in range(4):
        then = ASKED[action][0](900)
        then.apply(request, change)
        verdict = then.verify(request, change).verdict
        aws.show_all()
        if verdict is not Verdict.NOT_YET:
            break

    fates, there = aws.fates(), aws.ids()
    assert set(names) - set(there) <= set(aws.archived())
    if action == "archive_dlq":
        assert there == []
        return
    got = sent(aws, action)
    assert len(got) == len(set(got))
    assert set(there) <= {name for name, fate in fates.items() if fate == "unknown"}
    assert set(range(12)) - set(got) <= {names.index(name) for name in there}
    assert "claimed" not in fates.values()
    assert verdict is (Verdict.UNKNOWN if "unknown" in fates.values() else Verdict.HOLDS)


def test_an_error_in_one_thread_ends_all_of_them(aws: Account, lanes: set[str]) -> None:
    action, request, change = change_for(aws, "redrive_dlq", 24)

    def refuse(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://s3.eu-central-1.amazonaws.com")

    aws.on_call = lambda call: refuse() if call == "PutObject" else None
    with pytest.raises(Unreadable):
        action.apply(request, change)

    aws.on_call = None
    assert (aws.visible(), aws.bodies(SOURCE), aws.fates()) == (24, [], {})


# -- ids ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(), max_size=40), st.lists(st.text(), max_size=10), st.integers(1, 9))
def test_a_set_of_ids_is_a_set(added: list[str], others: list[str], fresh: int) -> None:
    from selfheal import letter_ids  # noqa: PLC0415 - its size is changed here

    usual, letter_ids.FRESH = letter_ids.FRESH, fresh
    try:
        ids = Ids()
        for one in added:
            ids.add(one)
        ids.add_keys(unpack(pack(others)))
        assert all(one in ids for one in added + others)
        assert all((one in ids) == (one in set(added + others)) for one in ("", "x", "never"))
    finally:
        letter_ids.FRESH = usual
