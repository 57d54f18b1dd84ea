"""Looking into a dead-letter queue: nothing is consumed, nothing stays hidden, nothing secret is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.action import Change, Decline
from selfheal.clients import client
from selfheal.dead_letter import read_letter
from selfheal.errors import TargetNotFound
from selfheal.letter_sample import MAX_EVIDENCE_BYTES, describe, suggestion
from selfheal.refusal import Refusal
from selfheal.request import Request, read_request
from selfheal.words import Direction, Mode, Verdict

from functions.inspect_dlq.app import MAX_SAMPLE, InspectDlq
from tests.unit.aws import ask, event, planned, script
from tests.unit.dead_letters import (
    FUNCTION,
    QUEUE,
    QUEUE_ARN,
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
    received,
)

REPLAY_TO = {"function": FUNCTION, "alias": "live"}
TARGET = {"queue": QUEUE, "replay_to": REPLAY_TO}
INSPECT = ask("inspect_dlq", TARGET)
COUNTS = {"visible": 1, "in_flight": 0, "delayed": 0, "total": 1}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account(monkeypatch) as here:
        yield here


def look(request: Request = INSPECT) -> dict[str, Any]:
    action = InspectDlq()
    evidence = dict(action.apply(request, planned(action, request)))
    assert json.loads(json.dumps(evidence)) == evidence
    return evidence


# -- decide -----------------------------------------------------------------------------------------------------------


def test_it_only_reads() -> None:
    state = {"url": "url", "counts": COUNTS, "has_redrive": False, "fifo": False}

    decision = InspectDlq().decide(state, INSPECT)

    assert isinstance(decision, Change)
    assert decision.direction is Direction.READ
    assert (decision.before, decision.after, InspectDlq.reversible) == ({}, {}, False)
    assert InspectDlq().verify(INSPECT, decision).verdict is Verdict.HOLDS
    assert not any("Delete" in permission or "Send" in permission for permission in InspectDlq.permissions)


def test_a_queue_with_a_redrive_policy_is_counted_and_not_looked_into(aws: Account) -> None:
    policy = json.dumps({"deadLetterTargetArn": QUEUE_ARN, "maxReceiveCount": 1})
    aws.sqs.create_queue(QueueName=SOURCE, Attributes={"RedrivePolicy": policy})
    aws.fill(by_nobody("x"), queue=SOURCE)
    request = ask("inspect_dlq", {"queue": SOURCE})

    decision = InspectDlq().decide(InspectDlq().observe(request), request)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.QUEUE_HAS_REDRIVE
    assert decision.evidence["counts"]["total"] == 1
    assert "ReceiveMessage" not in aws.calls


def test_a_sample_has_a_bound() -> None:
    state = {"url": "url", "counts": COUNTS, "has_redrive": False, "fifo": False}

    decision = InspectDlq().decide(state, ask("inspect_dlq", TARGET, options={"sample": MAX_SAMPLE + 1}))

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS


def test_a_queue_must_be_there(aws: Account) -> None:
    with pytest.raises(TargetNotFound):
        InspectDlq().observe(ask("inspect_dlq", {"queue": "nowhere"}))


# -- the look ---------------------------------------------------------------------------------------------------------


def test_all_writers_are_told_apart_and_every_message_is_there_and_visible_afterwards(aws: Account) -> None:
    letters = [
        by_lambda({"n": 1}),
        by_destination({"n": 2}),
        by_rule({"n": 3}),
        by_schedule({"n": 4}),
        by_topic("x"),
        by_nobody("?"),
    ]
    aws.fill(*letters)

    evidence = look()

    assert evidence["sampled"] == len(letters) == aws.visible()
    writers = ("lambda_async", "lambda_destination", "eventbridge_rule", "scheduler", "sns_subscription", "unknown")
    assert evidence["writers"] == dict.fromkeys(writers, 1)
    assert evidence["counts"] == {"visible": 6, "in_flight": 0, "delayed": 0, "total": 6}
    assert evidence["suggestion"]["do"] == "leave"
    assert evidence["still_hidden"] == []


@pytest.mark.parametrize("sample", [0, 1, 10, 25, 50])
def test_a_sample_is_never_larger_than_asked_for(aws: Account, sample: int) -> None:
    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(30)))

    evidence = look(ask("inspect_dlq", TARGET, options={"sample": sample}))

    assert evidence["sampled"] == min(sample, 30)
    assert aws.visible() == 30


def test_a_second_look_sees_the_same(aws: Account) -> None:
    aws.fill(by_lambda({"n": 1}), by_lambda({"n": 2}))

    first, second = look(), look()

    assert {m["message_id"] for m in first["messages"]} == {m["message_id"] for m in second["messages"]}
    assert [m["receive_count"] for m in second["messages"]] == [2, 2]


def test_in_flight_and_delayed_messages_count(aws: Account) -> None:
    aws.fill(by_lambda({"n": 1}), by_lambda({"n": 2}))
    aws.fill(by_lambda({"n": 3}), DelaySeconds=300)
    aws.sqs.receive_message(QueueUrl=aws.url(), MaxNumberOfMessages=1, VisibilityTimeout=300)

    assert look()["counts"] == {"visible": 1, "in_flight": 1, "delayed": 1, "total": 3}


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_no_message_is_lost(aws: Account, after: bool) -> None:
    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(12)))
    request = ask("inspect_dlq", TARGET, options={"sample": 12})
    change = planned(InspectDlq(), request)
    call, died = 0, True
    while died:
        call += 1
        aws.calls.clear()
        aws.kill_at, aws.kill_after = call, after
        try:
            InspectDlq().apply(request, change)
        except Killed:
            aws.revive()
        else:
            died = False
        assert len(aws.bodies()) == 12
    assert call > 3


def test_an_error_in_the_middle_puts_the_sample_back(aws: Account) -> None:
    aws.fill(*(by_lambda({"n": number}, f"id-{number}") for number in range(12)))
    request = ask("inspect_dlq", TARGET, options={"sample": 12})
    change = planned(InspectDlq(), request)
    seen = []

    def fail_the_second(**_: Any) -> None:
        seen.append(1)
        if len(seen) == 2:
            raise RuntimeError("defect")

    client("sqs").meta.events.register("before-call.sqs.ReceiveMessage", fail_the_second)
    with pytest.raises(RuntimeError):
        InspectDlq().apply(request, change)

    assert aws.visible() == 12


def test_what_could_not_be_put_back_is_told(aws: Account) -> None:
    (stuck,) = aws.fill(by_lambda({"n": 1}))

    def fail(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Failed"] = [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]

    client("sqs").meta.events.register("after-call.sqs.ChangeMessageVisibilityBatch", fail)

    assert look()["still_hidden"] == [stuck]
    assert aws.calls.count("ChangeMessageVisibilityBatch") == 1


def test_a_release_that_sqs_failed_is_tried_again(aws: Account) -> None:
    aws.fill(by_lambda({"n": 1}))
    answers = [{"Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]}]

    def fail_once(parsed: dict[str, Any], **_: Any) -> None:
        parsed.update(answers.pop() if answers else {})

    client("sqs").meta.events.register("after-call.sqs.ChangeMessageVisibilityBatch", fail_once)

    assert look()["still_hidden"] == []
    assert aws.calls.count("ChangeMessageVisibilityBatch") == 2


def test_a_message_that_sqs_answers_twice_is_counted_once_and_released_with_its_latest_receipt() -> None:
    first, again = (as_received(by_lambda({"n": 1})) | {"ReceiptHandle": name} for name in ("old", "new"))
    plan = {"url": "https://sqs/q", "counts": COUNTS, "fifo": True, "sample": 20}
    with script("sqs") as aws:
        aws.add_response("receive_message", {"Messages": [first]})
        aws.add_response("receive_message", {"Messages": [again]})
        entry = {"Id": "0", "ReceiptHandle": "new", "VisibilityTimeout": 0}
        asked = {"QueueUrl": "https://sqs/q", "Entries": [entry]}
        aws.add_response("change_message_visibility_batch", {"Successful": [{"Id": "0"}], "Failed": []}, asked)

        assert InspectDlq().apply(INSPECT, Change(Direction.READ, "look", plan=plan))["sampled"] == 1


@pytest.mark.parametrize(("fifo", "hidden_s"), [(False, 90), (True, 60)])
def test_the_sample_is_hidden_for_a_short_while_only(fifo: bool, hidden_s: int) -> None:
    with script("sqs") as aws:
        asked = {
            "QueueUrl": "https://sqs/q",
            "MaxNumberOfMessages": 10,
            "VisibilityTimeout": hidden_s,
            "WaitTimeSeconds": 2,
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
        }
        aws.add_response("receive_message", {}, asked)
        plan = {"url": "https://sqs/q", "counts": COUNTS, "fifo": fifo, "sample": 10}

        assert InspectDlq().apply(INSPECT, Change(Direction.READ, "look", plan=plan))["sampled"] == 0


# -- what is told -----------------------------------------------------------------------------------------------------


def letters(*sent: Any, source: str = "") -> list[Any]:
    return [
        read_letter(as_received(each, source) | {"MessageId": f"message-{number}"}) for number, each in enumerate(sent)
    ]


def told(found: list[Any], target: dict[str, Any] | None = None) -> dict[str, Any]:
    return describe(COUNTS, found, [], target or {"replay_to": REPLAY_TO}, now=1767623700 + 60)


def test_ages_errors_origins_and_duplicates_are_summed_up() -> None:
    evidence = told(letters(by_lambda({"n": 1}), by_lambda({"n": 1}), by_rule({"n": 2})))

    assert evidence["age_s"] == {"newest": 60, "median": 60, "oldest": 60}
    assert evidence["errors"] == {"200: boom": 2, "NO_PERMISSIONS: no permission to invoke": 1}
    assert evidence["duplicates"] == [{"copies": 2, "body": '{"n": 1}'}]
    assert "arn:aws:events" in " ".join(evidence["origins"])


@pytest.mark.parametrize(
    ("sent", "copies", "do"),
    [
        (by_lambda({}, error="Task timed out after 30.00 seconds"), 1, "replay"),
        (by_lambda({}, error="KeyError"), 1, "replay"),
        (by_lambda({}, error="KeyError"), 3, "leave"),
        (by_lambda({}, error="Rate exceeded"), 3, "replay"),
        (by_schedule({}), 1, "archive"),
        (by_topic("x"), 1, "leave"),
        (by_nobody("?"), 1, "leave"),
    ],
)
def test_what_is_suggested(sent: dict[str, Any], copies: int, do: str) -> None:
    (letter,) = letters(sent)

    suggested, why = suggestion(letter, copies, {"replay_to": REPLAY_TO})

    assert (suggested, bool(why)) == (do, True)


def test_letters_of_a_queue_are_to_be_redriven() -> None:
    assert told(letters(by_nobody("order"), source=SOURCE_ARN))["suggestion"]["do"] == "redrive"


def test_without_replay_to_nothing_is_to_be_replayed() -> None:
    assert told(letters(by_lambda({})), {"replay_to": {}})["suggestion"]["do"] == "leave"


def test_secrets_are_not_shown() -> None:
    evidence = told(
        letters(by_lambda({"api_key": "hunter2"}, error="bad token=hunter2"), by_nobody("password: hunter2"))
    )

    assert "hunter2" not in json.dumps(evidence)


@given(st.lists(received().map(lambda case: case[1]), max_size=50))
def test_evidence_adds_up_whatever_is_in_the_queue(messages: list[dict[str, Any]]) -> None:
    found = [read_letter(message | {"MessageId": str(number)}) for number, message in enumerate(messages)]

    evidence = told(found)

    assert sum(evidence["writers"].values()) == len(found) == sum(evidence["suggestion"]["by_kind"].values())
    assert sum(evidence["errors"].values()) + evidence["left_out"]["errors"] >= min(len(found), 1)
    assert len(json.dumps(evidence).encode()) <= MAX_EVIDENCE_BYTES


def test_the_largest_evidence_is_bounded_and_says_what_it_left_out() -> None:
    sent = [
        by_lambda("\N{SNOWMAN}" * 999 + str(number // 2), error="\N{SNOWMAN}" * 999 + str(number))
        for number in range(50)
    ]

    evidence = told(letters(*sent))

    assert len(json.dumps(evidence).encode()) <= MAX_EVIDENCE_BYTES
    assert evidence["left_out"]["messages"] == 50 - len(evidence["messages"]) > 0


def test_the_event_file_is_a_plan() -> None:
    request = read_request(event("inspect_dlq"), (InspectDlq.name,), "id")

    assert (request.action, request.mode) == ("inspect_dlq", Mode.PLAN)
    assert request.target.key == "queue:the-alchemiser-dlq-dev"
