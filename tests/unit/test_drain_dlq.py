"""Draining: nothing is lost, nothing is sent twice, wherever a run dies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st
from selfheal.action import AlreadyDone, Change, Decline, Verification
from selfheal.clients import client, client_bulk
from selfheal.dead_letter import read_letter
from selfheal.drain import timing
from selfheal.drain.canary import MARGIN_S
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable
from selfheal.letter_archive import archive
from selfheal.refusal import Refusal
from selfheal.request import Request, read_request
from selfheal.words import Direction, Mode, Verdict

from functions.drain_dlq.app import ArchiveDlq, DrainDlq, RedriveDlq, ReplayDlq
from tests.unit.aws import ask, event, planned
from tests.unit.dead_letters import (
    BUCKET,
    FUNCTION,
    FUNCTION_ARN,
    QUEUE,
    QUEUE_ARN,
    RULE_ARN,
    SOURCE,
    SOURCE_ARN,
    Account,
    Killed,
    account,
    as_received,
    by_destination,
    by_lambda,
    by_nobody,
    by_rule,
    by_schedule,
    by_topic,
)

TARGET = {"queue": QUEUE, "replay_to": {"function": FUNCTION, "alias": "live"}}
ARCHIVE = ask("archive_dlq", {"queue": QUEUE})
REPLAY = ask("replay_dlq", TARGET, options={"per_second": 1000})
REDRIVE = ask("redrive_dlq", {"queue": QUEUE}, options={"per_second": 1000})


@dataclass
class Clock:
    """Time stands still unless the drain sleeps; what it slept is noted."""

    at: float = 1_800_000_000.0
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.sleeps.append(seconds)

    @property
    def slept(self) -> float:
        return sum(self.sleeps)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the drain, and of SQS: both say when a message was sent. In moto no two moments are the same."""
    clock, ticks = Clock(), count(step=0.001)
    monkeypatch.setattr(timing, "time", SimpleNamespace(time=clock.now, monotonic=clock.now, sleep=clock.sleep))
    monkeypatch.setattr("moto.sqs.models.unix_time", clock.now)
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: clock.at * 1000 + next(ticks))
    return clock


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Account]:
    with account(monkeypatch) as here:
        yield here


def run(action: type[DrainDlq], request: Request, change: Change, *, seconds: float = 900) -> Verification:
    """One invocation: apply, then verify."""
    now = action(seconds)
    evidence = now.apply(request, change)
    assert json.loads(json.dumps(evidence)) == evidence
    return now.verify(request, change)


def with_source(aws: Account, source: str = SOURCE) -> None:
    policy = {"deadLetterTargetArn": QUEUE_ARN.replace(QUEUE, aws.queue), "maxReceiveCount": 2}
    attributes = {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "30"}
    aws.dead_letter_source = SOURCE_ARN.replace(SOURCE, source)
    aws.sqs.create_queue(QueueName=source, Attributes=attributes)


# -- decide ---------------------------------------------------------------------------------------------------------


def seen(**more: Any) -> dict[str, Any]:
    counts = {"visible": 4, "in_flight": 2, "delayed": 1, "total": 7}
    way = {"function": FUNCTION, "sources": {SOURCE_ARN: "url"}, "watch_s": 30}
    return {
        "url": "url",
        "arn": QUEUE_ARN,
        "counts": counts,
        "has_redrive": False,
        "fifo": False,
        "looked_at": 1.0,
        "way": way,
        **more,
    }


@pytest.mark.parametrize(("action", "request_"), [(ArchiveDlq, ARCHIVE), (ReplayDlq, REPLAY), (RedriveDlq, REDRIVE)])
def test_every_drain_is_risky_and_counts_all_three_kinds(action: type[DrainDlq], request_: Request) -> None:
    decision = action().decide(seen(), request_)

    assert isinstance(decision, Change)
    assert decision.direction is Direction.RISKY
    assert decision.plan["limit"] == 7
    assert decision.plan["canary"] == (0 if action is ArchiveDlq else 1)


@given(limit=st.integers(0, 100), canary=st.integers(0, 100), total=st.integers(0, 50))
def test_a_plan_never_takes_more_than_was_counted_or_asked_for(limit: int, canary: int, total: int) -> None:
    request = ask("replay_dlq", TARGET, options={"limit": limit, "canary": canary})

    decision = ReplayDlq().decide(seen(counts={"total": total}), request)

    if not total:
        assert isinstance(decision, AlreadyDone)
    else:
        assert isinstance(decision, Change)
        assert 0 < decision.plan["limit"] <= total
        assert decision.plan["limit"] == min(limit or total, total)
        assert decision.plan["canary"] <= decision.plan["limit"]


@pytest.mark.parametrize(
    ("action", "request_", "state", "refusal"),
    [
        (ArchiveDlq, ARCHIVE, seen(has_redrive=True), Refusal.QUEUE_HAS_REDRIVE),
        (ReplayDlq, REPLAY, seen(way={}), Refusal.NO_REPLAY_TARGET),
        (RedriveDlq, REDRIVE, seen(way={}), Refusal.NOT_A_REDRIVE_SOURCE),
        (
            RedriveDlq,
            ask("redrive_dlq", {"queue": QUEUE, "source": "another"}),
            seen(),
            Refusal.NOT_A_REDRIVE_SOURCE,
        ),
        (ReplayDlq, ask("replay_dlq", TARGET, options={"per_second": 0}), seen(), Refusal.BAD_OPTIONS),
    ],
)
def test_what_is_refused(action: type[DrainDlq], request_: Request, state: dict[str, Any], refusal: Refusal) -> None:
    decision = action().decide(state, request_)

    assert isinstance(decision, Decline)
    assert decision.refusal is refusal
    assert decision.detail


def test_a_live_queue_is_refused_because_it_has_a_redrive_policy(aws: Account) -> None:
    with_source(aws)
    aws.fill(by_nobody("an order"), queue=SOURCE)
    request = ask("archive_dlq", {"queue": SOURCE})

    decision = ArchiveDlq().decide(ArchiveDlq().observe(request), request)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.QUEUE_HAS_REDRIVE
    assert aws.bodies(SOURCE) == ["an order"]


@pytest.mark.parametrize("replay_to", [{}, {"function": FUNCTION}, {"alias": "live"}])
def test_a_replay_needs_function_and_alias(aws: Account, replay_to: dict[str, str]) -> None:
    request = ask("replay_dlq", {"queue": QUEUE, "replay_to": replay_to})

    decision = ReplayDlq().decide(ReplayDlq().observe(request), request)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.NO_REPLAY_TARGET


def test_queue_and_function_must_be_there(aws: Account) -> None:
    with pytest.raises(TargetNotFound):
        ArchiveDlq().observe(ask("archive_dlq", {"queue": "nowhere"}))
    with pytest.raises(TargetNotFound):
        ReplayDlq().observe(ask("replay_dlq", {"queue": QUEUE, "replay_to": {"function": "nowhere", "alias": "live"}}))


def test_a_queue_that_is_nobodys_dead_letter_queue_is_not_redriven(aws: Account) -> None:
    aws.fill(by_lambda({}))

    decision = RedriveDlq().decide(RedriveDlq().observe(REDRIVE), REDRIVE)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.NOT_A_REDRIVE_SOURCE


def test_an_empty_queue_is_done_already(aws: Account) -> None:
    assert isinstance(ArchiveDlq().decide(ArchiveDlq().observe(ARCHIVE), ARCHIVE), AlreadyDone)


# -- archive --------------------------------------------------------------------------------------------------------


def test_archive_takes_all_writers_and_keeps_all_that_the_queue_knew(aws: Account) -> None:
    binary = {"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    ids = aws.fill(by_lambda({"a": 1}), by_schedule({}), by_topic("x"), {**by_nobody("?"), "MessageAttributes": binary})
    change = planned(ArchiveDlq(), ARCHIVE)

    verification = run(ArchiveDlq, ARCHIVE, change)

    assert verification.verdict is Verdict.HOLDS
    assert aws.bodies() == []
    stored = aws.archived()
    assert set(stored) == set(ids) == set(aws.fates())
    assert stored[ids[0]]["message_attributes"]["ErrorMessage"]["StringValue"] == "boom"
    assert stored[ids[0]]["attributes"]["SentTimestamp"]
    assert stored[ids[3]]["message_attributes"]["raw"]["BinaryValue"] == {"base64": "AP8="}


def test_the_object_is_written_before_the_message_is_deleted(aws: Account) -> None:
    aws.fill(by_lambda({}))
    change = planned(ArchiveDlq(), ARCHIVE)
    aws.calls.clear()

    run(ArchiveDlq, ARCHIVE, change)

    taken = aws.calls.index("PutObject")
    assert aws.calls[taken : taken + 3] == ["PutObject", "TransactWriteItems", "DeleteMessageBatch"]


def test_an_object_that_is_there_already_is_kept_as_it_is(aws: Account) -> None:
    """Only an earlier attempt of the same call can have written it: its name says which run did."""
    letter = read_letter(as_received(by_nobody("x")))
    key = archive([letter], QUEUE, "test-1/run-000001")
    other = replace(letter, body="y")

    assert archive([other], QUEUE, "test-1/run-000001") == key
    assert [document["body"] for document in aws.archived().values()] == ["x"]


def test_limit_is_kept(aws: Account) -> None:
    aws.fill(*(by_nobody(str(number)) for number in range(25)))
    request = ask("archive_dlq", {"queue": QUEUE}, options={"limit": 12})

    verification = run(ArchiveDlq, request, planned(ArchiveDlq(), request))

    assert verification.verdict is Verdict.HOLDS
    assert len(aws.archived()) == 12
    assert aws.visible() == 13


def test_what_arrives_after_the_request_is_left(aws: Account, clock: Clock) -> None:
    aws.fill(by_nobody("old"))
    change = planned(ArchiveDlq(), ARCHIVE)
    late = Change(**{**vars(change), "plan": {**change.plan, "looked_at": change.plan["looked_at"] - 60}})

    verification = run(ArchiveDlq, ARCHIVE, late)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert verification.evidence["left"] == {"arrived_later": 1}
    assert aws.visible() == 1


def test_without_an_archive_nothing_is_deleted(aws: Account) -> None:
    aws.fill(by_nobody("x"))
    change = planned(ArchiveDlq(), ARCHIVE)
    client("s3").delete_bucket(Bucket=BUCKET)

    with pytest.raises(TargetNotFound):
        ArchiveDlq(900).apply(ARCHIVE, change)

    assert aws.bodies() == ["x"]
    assert aws.visible() == 1


# -- replay ---------------------------------------------------------------------------------------------------------


def test_replay_sends_each_letter_of_the_function_once_and_leaves_the_rest(aws: Account, clock: Clock) -> None:
    ours = [by_lambda({"n": 1}, "id-1"), by_destination({"n": 2}), by_lambda({"n": 3}, "id-3")]
    others = [by_schedule({"n": 4}), by_topic("x"), by_nobody("?"), by_destination({"n": 5}, f"{FUNCTION_ARN}x:live")]
    aws.fill(*ours, *others)
    change = planned(ReplayDlq(), REPLAY)

    verification = run(ReplayDlq, REPLAY, change)

    assert sorted(json.loads(payload)["n"] for payload in aws.invoked) == [1, 2, 3]
    assert verification.verdict is Verdict.HOLDS
    left = {"time_has_passed": 1, "would_broadcast": 1, "unknown_writer": 1, "other_function": 1}
    assert verification.evidence["left"] == left
    assert aws.visible() == len(others)
    assert set(aws.fates().values()) == {"sent"}
    assert len(aws.archived()) == len(ours)


def test_the_canary_is_watched_before_the_rest_is_sent(aws: Account, clock: Clock) -> None:
    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(4)))
    change = planned(ReplayDlq(), REPLAY)

    first = run(ReplayDlq, REPLAY, change, seconds=130)  # 70 s to work in; the function may fail for 3 * 10 + 180 s

    assert first.verdict is Verdict.NOT_YET
    assert len(aws.invoked) == 1
    assert clock.slept == 0
    assert aws.visible() == 3

    clock.at += 300
    second = run(ReplayDlq, REPLAY, change, seconds=130)

    assert second.verdict is Verdict.HOLDS
    assert len(aws.invoked) == 4


def test_a_long_invocation_waits_for_the_canary_itself(aws: Account, clock: Clock) -> None:
    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(4)))

    assert run(ReplayDlq, REPLAY, planned(ReplayDlq(), REPLAY)).verdict is Verdict.HOLDS
    assert clock.sleeps.count(3 * 10 + 60 + 120 + MARGIN_S) == 1


@pytest.mark.parametrize(
    "again", [by_lambda({"other": 1}, "request-of-canary"), by_destination({"n": 1}), by_lambda({"n": 1}, "new-id")]
)
def test_a_canary_that_comes_back_stops_the_drain(aws: Account, clock: Clock, again: dict[str, Any]) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    aws.invoke_answers = ["request-of-canary"]
    change = planned(ReplayDlq(), REPLAY)
    change = Change(**{**vars(change), "plan": {**change.plan, "limit": 9}})
    run(ReplayDlq, REPLAY, change, seconds=130)
    aws.fill(again, by_lambda({"n": 2}, "id-2"))
    clock.at += 300

    verification = run(ReplayDlq, REPLAY, change)

    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert "came back" in verification.detail
    assert len(aws.invoked) == 1
    assert aws.visible() == 2

    assert run(ReplayDlq, REPLAY, change).verdict is Verdict.DOES_NOT_HOLD
    assert len(aws.invoked) == 1


def test_a_letter_that_another_drain_sent_before_is_left_and_counted(aws: Account, clock: Clock) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    run(ReplayDlq, REPLAY, planned(ReplayDlq(), REPLAY))
    aws.fill(by_lambda({"n": 1}, "id-9"), by_lambda({"n": 2}, "id-2"))
    later = ask("replay_dlq", TARGET, action_id="test-2")

    verification = run(ReplayDlq, later, planned(ReplayDlq(), later))

    assert verification.evidence["left"] == {"came_back": 1}
    assert [json.loads(payload) for payload in aws.invoked] == [{"n": 1}, {"n": 2}]


def test_equal_events_that_were_there_from_the_beginning_are_all_sent(aws: Account, clock: Clock) -> None:
    aws.fill(*(by_lambda({"mode": "trade"}, f"id-{number}") for number in range(3)))
    change = planned(ReplayDlq(), REPLAY)
    for message in aws.messages():
        message.sent_timestamp -= 60_000

    assert run(ReplayDlq, REPLAY, change).verdict is Verdict.HOLDS
    assert len(aws.invoked) == 3


def test_the_rate_is_kept(aws: Account, clock: Clock) -> None:
    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(11)))
    request = ask("replay_dlq", TARGET, options={"per_second": 2, "canary": 0})

    run(ReplayDlq, request, planned(ReplayDlq(), request))

    assert len(aws.invoked) == 11
    assert clock.sleeps == [0.5] * 10


def test_time_runs_out_in_time_and_the_next_run_goes_on(aws: Account, clock: Clock) -> None:
    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(30)))
    request = ask("replay_dlq", TARGET, options={"per_second": 1, "canary": 0})
    change = planned(ReplayDlq(), request)

    first = run(ReplayDlq, request, change, seconds=80)  # 80 s: 40 s to work in
    assert first.verdict is Verdict.HOLDS  # 30 sends at 1/s fit

    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(100, 130)))
    later = ask("replay_dlq", TARGET, options={"per_second": 1, "canary": 0}, action_id="test-2")
    change = planned(ReplayDlq(), later)
    assert run(ReplayDlq, later, change, seconds=20).verdict is Verdict.NOT_YET
    assert 30 < len(aws.invoked) < 60
    assert aws.visible() == 60 - len(aws.invoked)

    assert run(ReplayDlq, later, change, seconds=200).verdict is Verdict.HOLDS
    assert len(aws.invoked) == 60


# -- replay: rules --------------------------------------------------------------------------------------------------


def with_rule(**more: Any) -> None:
    events = client("events")
    bus = RULE_ARN.rsplit("/", 2)[-2]
    events.create_event_bus(Name=bus)
    events.put_rule(Name="signal-generated", EventBusName=bus, EventPattern='{"source": ["orders"]}')
    target = {"Id": "1", "Arn": f"{FUNCTION_ARN}:live", **more}
    events.put_targets(Rule="signal-generated", EventBusName=bus, Targets=[target])


def test_a_rules_letter_goes_to_its_function_if_the_rule_passes_the_event_on(aws: Account, clock: Clock) -> None:
    with_rule()
    aws.fill(by_rule({"detail": {"n": 1}}), by_rule({"detail": {"n": 2}}))

    assert run(ReplayDlq, REPLAY, planned(ReplayDlq(), REPLAY)).verdict is Verdict.HOLDS
    assert sorted(json.loads(payload)["detail"]["n"] for payload in aws.invoked) == [1, 2]
    assert aws.calls.count("ListTargetsByRule") == 1


@pytest.mark.parametrize(
    "change", [{"InputPath": "$.detail"}, {"Input": "{}"}, {"InputTransformer": {"InputTemplate": '"x"'}}]
)
def test_a_rules_letter_stays_if_the_rule_changes_the_event(aws: Account, clock: Clock, change: dict[str, Any]) -> None:
    with_rule(**change)
    aws.fill(by_rule({"detail": {}}))

    verification = run(ReplayDlq, REPLAY, planned(ReplayDlq(), REPLAY))

    assert verification.evidence["left"] == {"input_is_transformed": 1}
    assert aws.invoked == []


def test_a_letter_of_a_deleted_rule_stays(aws: Account, clock: Clock) -> None:
    aws.fill(by_rule({}))

    verification = run(ReplayDlq, REPLAY, planned(ReplayDlq(), REPLAY))

    assert verification.evidence["left"] == {"rule_unreadable": 1}


# -- replay: unclear answers ------------------------------------------------------------------------------------------


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Invoke")


URL = "https://lambda.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    "error", [ReadTimeoutError(endpoint_url=URL), refusal("ServiceException", 500), refusal("Unknown", 502)]
)
def test_an_unclear_answer_is_recorded_and_never_sent_again(aws: Account, clock: Clock, error: Exception) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    aws.invoke_answers = [error]
    change = planned(ReplayDlq(), REPLAY)
    with pytest.raises((Unreadable, NotApplied)):
        ReplayDlq(900).apply(REPLAY, change)
    assert list(aws.fates().values()) == ["unknown"]

    verification = run(ReplayDlq, REPLAY, change)

    assert verification.verdict is Verdict.UNKNOWN
    assert verification.evidence["left"] == {"sent_or_not": 1}
    assert aws.invoked == []
    assert aws.visible() == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (refusal("TooManyRequestsException", 429), Unreadable),
        (refusal("AccessDeniedException", 403), TargetForbidden),
        (refusal("ResourceNotFoundException", 404), TargetNotFound),
        (EndpointConnectionError(endpoint_url=URL), Unreadable),
    ],
)
def test_a_clear_refusal_leaves_no_trace_and_ends_the_run(
    aws: Account, clock: Clock, error: Exception, raised: type[Exception]
) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    aws.invoke_answers = [error]
    change = planned(ReplayDlq(), REPLAY)

    with pytest.raises(raised):
        ReplayDlq(900).apply(REPLAY, change)
    assert aws.fates() == {}
    assert aws.visible() == 1

    assert run(ReplayDlq, REPLAY, change).verdict is Verdict.HOLDS
    assert len(aws.invoked) == 1


def test_a_message_that_lambda_will_not_take_stays_and_the_rest_goes_on(aws: Account, clock: Clock) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"), by_lambda({"n": 2}, "id-2"))
    aws.invoke_answers = [refusal("InvalidRequestContentException", 400)]

    verification = run(ReplayDlq, REPLAY, planned(ReplayDlq(), REPLAY))

    assert verification.evidence["left"] == {"refused_by_aws": 1}
    assert len(aws.invoked) == 1


def test_archiving_puts_away_what_is_unknown(aws: Account, clock: Clock) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    aws.invoke_answers = [ReadTimeoutError(endpoint_url=URL)]
    with pytest.raises(Unreadable):
        ReplayDlq(900).apply(REPLAY, planned(ReplayDlq(), REPLAY))
    request = ask("archive_dlq", {"queue": QUEUE}, action_id="test-2")

    assert run(ArchiveDlq, request, planned(ArchiveDlq(), request)).verdict is Verdict.HOLDS
    assert aws.bodies() == []
    assert list(aws.fates().values()) == ["archived"]


def test_a_run_beside_another_one_stops(aws: Account, clock: Clock) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    change = planned(ReplayDlq(), REPLAY)

    def somebody_else_is_faster(call: str) -> None:
        if call == "PutObject":
            aws.on_call = None
            aws.show_all()
            ReplayDlq(900).apply(REPLAY, change)

    aws.on_call = somebody_else_is_faster
    with pytest.raises(Unreadable, match="another run"):
        ReplayDlq(900).apply(REPLAY, change)

    assert len(aws.invoked) == 1


# -- redrive --------------------------------------------------------------------------------------------------------


def test_redrive_moves_letters_back_with_their_attributes(aws: Account, clock: Clock) -> None:
    with_source(aws)
    attributes = {"trace": {"DataType": "String", "StringValue": "t-1"}}
    aws.fill({"MessageBody": "order 1", "MessageAttributes": attributes}, by_nobody("order 2"))

    verification = run(RedriveDlq, REDRIVE, planned(RedriveDlq(), REDRIVE))

    assert verification.verdict is Verdict.HOLDS
    assert aws.bodies() == []
    assert sorted(aws.bodies(SOURCE)) == ["order 1", "order 2"]
    moved = aws.sqs.receive_message(QueueUrl=aws.url(SOURCE), MaxNumberOfMessages=10, MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert [message.get("MessageAttributes") for message in moved if message["Body"] == "order 1"] == [attributes]
    assert len(aws.archived()) == 2


def test_redrive_leaves_what_no_queue_gave_up_on(aws: Account, clock: Clock) -> None:
    with_source(aws)
    aws.dead_letter_source = ""
    aws.fill(by_lambda({}))

    verification = run(RedriveDlq, REDRIVE, planned(RedriveDlq(), REDRIVE))

    assert verification.evidence["left"] == {"not_from_a_queue": 1}
    assert verification.verdict is Verdict.DOES_NOT_HOLD
    assert aws.bodies(SOURCE) == []


def test_a_fifo_group_keeps_its_order_and_stops_behind_a_letter_that_stays(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    fifo, source = f"{QUEUE}.fifo", "orders.fifo"
    with account(monkeypatch, fifo=True) as aws:
        policy = {"deadLetterTargetArn": f"{QUEUE_ARN}.fifo", "maxReceiveCount": 1}
        attributes = {"FifoQueue": "true", "RedrivePolicy": json.dumps(policy)}
        aws.sqs.create_queue(QueueName=source, Attributes=attributes)
        aws.dead_letter_source = SOURCE_ARN.replace(SOURCE, source)
        for number in range(4):
            group = {"MessageGroupId": "even" if number % 2 == 0 else "odd", "MessageDeduplicationId": str(number)}
            aws.fill(by_nobody(f"order {number}"), queue=fifo, **group)
        request = ask("redrive_dlq", {"queue": fifo}, options={"per_second": 1000, "canary": 0})
        change = planned(RedriveDlq(), request)
        sends: list[list[str]] = []
        aws.fail_sending({"order 0": True}, sends)
        verification = run(RedriveDlq, request, change)

        assert sends == [["order 0", "order 1"], ["order 3"]]
        assert aws.bodies(source) == ["order 1", "order 3"]
        assert verification.evidence["left"] == {"refused_by_aws": 1, "behind_another": 1}
        sent_on = aws.sqs.receive_message(
            QueueUrl=aws.url(source), MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )["Messages"]
        assert {message["Attributes"]["MessageGroupId"] for message in sent_on} == {"odd"}


# -- killed ---------------------------------------------------------------------------------------------------------


def dies_at(aws: Account, request: Request, change: Change, call: int, after: bool) -> bool:
    """Run until this call; False if the run makes no so many calls."""
    aws.calls.clear()
    aws.kill_at, aws.kill_after = call, after
    try:
        run(ACTIONS[request.action], request, change)
    except Killed:
        return True
    finally:
        aws.revive()
    return False


LETTERS = [by_lambda({"n": 0}, "id-0"), by_destination({"n": 1}), by_lambda({"n": 2}, "id-2"), by_schedule({"n": 3})]


ACTIONS: dict[str, type[DrainDlq]] = {action.name: action for action in (ArchiveDlq, ReplayDlq, RedriveDlq)}


@pytest.mark.parametrize(("after", "limit"), [(False, 3), (True, 0)], ids=["before", "after"])
@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_killed_at_every_call_no_message_is_lost_and_none_is_sent_twice(
    aws: Account, clock: Clock, name: str, after: bool, limit: int
) -> None:
    call, died = 0, True
    while died:
        call += 1
        note = f"call {call}"
        aws.use(f"dead-{call}")
        source = f"orders-{call}"
        if name == "redrive_dlq":
            with_source(aws, source)
        numbers = dict(zip(aws.fill(*LETTERS), range(len(LETTERS)), strict=True))
        request = ask(
            name,
            {**TARGET, "queue": aws.queue},
            action_id=f"test-{call}",
            options={"per_second": 1000, "limit": limit},
        )
        change = planned(ACTIONS[name](), request)

        died = dies_at(aws, request, change, call, after)
        for _ in range(6):  # the clock
            verification = run(ACTIONS[name], request, change)
            aws.show_all()
            if verification.verdict is not Verdict.NOT_YET:
                break

        if name == "redrive_dlq":
            moved = aws.bodies(source)
            sent = [number for body in moved for number, letter in enumerate(LETTERS) if letter["MessageBody"] == body]
        else:
            sent = [json.loads(payload)["n"] for payload in aws.invoked]
        fates, stored, there = aws.fates(), aws.archived(), aws.ids()
        assert len(sent) == len(set(sent)) <= (limit or 4), note
        for message_id, number in numbers.items():
            gone = message_id not in there
            passed_on = message_id in stored and (name == "archive_dlq" or number in sent)
            assert passed_on or not gone, f"{note}: message {number} is lost"
            is_unknown = fates.get(message_id) == "unknown"
            assert gone or is_unknown or number not in sent, f"{note}: message {number} would be sent again"
            assert fates.get(message_id) != "claimed", f"{note}: message {number} is claimed for ever"
        told = Verdict.UNKNOWN if "unknown" in fates.values() else Verdict.HOLDS
        assert verification.verdict is told, note
    assert call > 8


def test_a_delete_that_fails_for_some_is_tried_again_and_reported(aws: Account, clock: Clock) -> None:
    aws.fill(*(by_nobody(str(number)) for number in range(3)))
    change = planned(ArchiveDlq(), ARCHIVE)
    answers = [{"1": False}, {"0": True}]  # place in the batch → whether it is the sender's fault

    def fail_some(parsed: dict[str, Any], **_: Any) -> None:
        failing = answers.pop(0) if answers else {}
        parsed["Failed"] = [
            {"Id": place, "SenderFault": fault, "Code": "InternalError"} for place, fault in failing.items()
        ]

    client_bulk("sqs").meta.events.register("after-call.sqs.DeleteMessageBatch", fail_some)
    now = ArchiveDlq(900)
    evidence = now.apply(ARCHIVE, change)

    assert aws.calls.count("DeleteMessageBatch") == 2
    assert len(evidence["not_deleted"]) == 1


def test_a_second_run_of_a_finished_drain_does_nothing(aws: Account, clock: Clock) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    change = planned(ReplayDlq(), REPLAY)
    run(ReplayDlq, REPLAY, change)
    aws.fill(by_lambda({"n": 2}, "id-2"))
    aws.calls.clear()

    assert run(ReplayDlq, REPLAY, change).verdict is Verdict.HOLDS
    assert aws.calls == ["GetItem", "GetItem"]
    assert len(aws.invoked) == 1


def test_a_message_that_appears_again_after_it_was_sent_is_only_deleted(aws: Account, clock: Clock) -> None:
    aws.fill(by_lambda({"n": 1}, "id-1"))
    change = planned(ReplayDlq(), REPLAY)
    ghost = aws.messages()[0]
    run(ReplayDlq, REPLAY, change)
    aws.fill(by_lambda({"n": 2}, "id-2"))
    aws.put_there_again(ghost)
    later = ask("replay_dlq", TARGET, action_id="test-2", options={"per_second": 1000})

    assert run(ReplayDlq, later, planned(ReplayDlq(), later)).verdict is Verdict.HOLDS
    assert [json.loads(payload)["n"] for payload in aws.invoked] == [1, 2]
    assert aws.bodies() == []


# -- the contract -----------------------------------------------------------------------------------------------------


def test_each_action_declares_only_its_own_permissions() -> None:
    assert "lambda:InvokeFunction" not in ArchiveDlq.permissions + RedriveDlq.permissions
    assert "sqs:SendMessage" not in ArchiveDlq.permissions + ReplayDlq.permissions
    for action in (ArchiveDlq, ReplayDlq, RedriveDlq):
        assert (action.reversible, action.repeatable, action.continues) == (False, True, True)


def test_the_event_file_is_a_plan_of_a_replay() -> None:
    request = read_request(event("drain_dlq"), (ArchiveDlq.name, ReplayDlq.name, RedriveDlq.name), "id")

    assert (request.action, request.mode) == ("replay_dlq", Mode.PLAN)
    assert request.target.key == "queue:the-alchemiser-dlq-dev"
    assert request.target["replay_to"] == {"function": "the-alchemiser-v2-lambda-dev", "alias": "live"}
