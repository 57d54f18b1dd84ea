"""Dead letters: who wrote one, where it may go again, and what of it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.dead_letter import (
    MAX_PREVIEW,
    FunctionName,
    Stay,
    Writer,
    function_of,
    preview,
    read_letter,
    why_not_redrive,
    why_not_replay,
)

from tests.unit.dead_letters import (
    ACCOUNT,
    FUNCTION,
    FUNCTION_ARN,
    QUEUE_ARN,
    SOURCE_ARN,
    as_received,
    by_destination,
    by_lambda,
    by_nobody,
    by_rule,
    by_schedule,
    received,
)

LIVE = FunctionName(ACCOUNT, "eu-central-1", FUNCTION, "live")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(received())
def test_each_writer_is_recognised_by_what_it_leaves(case: tuple[str, dict[str, Any]]) -> None:
    writer, message = case

    assert read_letter(message).writer == writer


@given(
    body=st.text() | json_values.map(json.dumps),
    names=st.sets(st.sampled_from(["RULE_ARN", "SCHEDULE_ARN", "RequestID", "ErrorCode", "TARGET_ARN", "mine"])),
    source=st.sampled_from(["", SOURCE_ARN]),
)
def test_any_message_at_all_is_read_and_recordable(body: str, names: set[str], source: str) -> None:
    sent = {"MessageBody": body, "MessageAttributes": {name: {"DataType": "String"} for name in names}}

    letter = read_letter(as_received(sent, source))

    assert letter.writer in Writer
    assert len(letter.fingerprint) == 64
    assert json.loads(json.dumps(letter.as_archived("q")))["body"] == body


@given(received())
def test_only_letters_of_a_function_are_ever_replayed_and_only_those_of_a_queue_redriven(
    case: tuple[str, dict[str, Any]],
) -> None:
    writer, message = case
    letter = read_letter(message)

    replayed = why_not_replay(letter, LIVE, QUEUE_ARN, QUEUE_ARN) is None
    redriven = why_not_redrive(letter, {SOURCE_ARN: "url"}) is None

    assert replayed == (writer in ("lambda_async", "lambda_destination", "eventbridge_rule"))
    assert redriven == (writer == "sqs_redrive")


@given(json_values)
def test_what_is_sent_is_what_the_function_got(event: Any) -> None:
    for sent in (by_lambda(event), by_destination(event), by_rule(event)):
        payload = read_letter(as_received(sent)).payload

        assert payload is not None
        assert json.loads(payload) == event


@given(json_values)
def test_the_same_event_has_one_fingerprint_whoever_wrote_the_letter(event: Any) -> None:
    marks = {read_letter(as_received(sent)).fingerprint for sent in (by_lambda(event), by_destination(event))}

    assert len(marks) == 1


OTHER = FUNCTION_ARN.replace(FUNCTION, "other")
BROKEN = json.loads(by_destination(1)["MessageBody"])
del BROKEN["requestPayload"]


@pytest.mark.parametrize(
    ("sent", "stay"),
    [
        (by_destination({}, OTHER), Stay.OTHER_FUNCTION),
        (by_destination({}, FUNCTION_ARN.replace(ACCOUNT, "111111111111")), Stay.OTHER_FUNCTION),
        (by_rule({}, OTHER), Stay.OTHER_FUNCTION),
        (by_rule({}, f"arn:aws:sqs:eu-central-1:{ACCOUNT}:queue"), Stay.OTHER_FUNCTION),
        ({**by_lambda({}), "MessageBody": "no json"}, Stay.NOT_JSON),
        ({**by_lambda({}), "MessageBody": "NaN"}, Stay.NOT_JSON),
        (by_lambda("x" * 1_048_577), Stay.TOO_LARGE),
        (by_nobody(json.dumps(BROKEN)), Stay.NO_PAYLOAD),
        (by_schedule({}), Stay.TIME_HAS_PASSED),
    ],
)
def test_what_cannot_go_back_for_certain_stays_with_a_reason(sent: dict[str, Any], stay: Stay) -> None:
    letter = read_letter(as_received(sent))

    assert why_not_replay(letter, LIVE, QUEUE_ARN, QUEUE_ARN) is stay
    assert stay.sentence


def test_a_letter_of_a_function_that_uses_another_queue_stays() -> None:
    letter = read_letter(as_received(by_lambda({})))

    assert why_not_replay(letter, LIVE, SOURCE_ARN, QUEUE_ARN) is Stay.OTHER_DEAD_LETTER_QUEUE
    assert why_not_replay(letter, LIVE, "", QUEUE_ARN) is None


def test_a_letter_of_a_queue_that_is_no_source_stays() -> None:
    assert why_not_redrive(read_letter(as_received(by_nobody("x"), SOURCE_ARN)), {}) is Stay.OTHER_SOURCE


def test_an_event_of_api_gateway_is_no_invocation_record() -> None:
    event = {"version": "1.0", "requestContext": {"accountId": ACCOUNT}, "requestPayload": {}}

    assert read_letter(as_received(by_nobody(json.dumps(event)))).writer is Writer.UNKNOWN


def test_errors_are_found_where_each_writer_puts_them() -> None:
    destination = read_letter(as_received(by_destination({})))
    rule = read_letter(as_received(by_rule({})))
    own = read_letter(as_received(by_lambda({}, "id-1", "boom")))

    assert (destination.error_code, destination.error_message) == ("KeyError", "'symbol'")
    assert (rule.error_code, rule.origin.rsplit("/", 1)[-1]) == ("NO_PERMISSIONS", "signal-generated")
    assert (own.error_code, own.error_message, own.request_id) == ("200", "boom", "id-1")


@pytest.mark.parametrize(
    ("arn", "function"),
    [
        (FUNCTION_ARN, FunctionName(ACCOUNT, "eu-central-1", FUNCTION)),
        (f"{FUNCTION_ARN}:$LATEST", FunctionName(ACCOUNT, "eu-central-1", FUNCTION, "$LATEST")),
        (QUEUE_ARN, None),
        ("", None),
    ],
)
def test_function_arns_are_read_with_and_without_qualifier(arn: str, function: FunctionName | None) -> None:
    assert function_of(arn) == function


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2-hunter2",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdef",
        "abcdEFGH0123abcdEFGH0123abcdEFGH0123abcd",
    ],
)
def test_a_preview_hides_what_looks_like_a_secret(secret: str) -> None:
    nested = json.dumps({"order": {"api_key": secret, "items": [{"password": secret}]}, "note": "ok"})

    assert secret not in preview(nested, 4096)
    assert "ok" in preview(nested, 4096)
    assert secret not in preview(f"failed with token={secret} for x")


@given(st.text())
def test_a_preview_is_short(body: str) -> None:
    assert len(preview(body)) <= MAX_PREVIEW
