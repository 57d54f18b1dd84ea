"""What one message of a dead-letter queue is: who wrote it, why, and how it could be sent again.

One queue may hold letters of several writers, so each message is classified by itself. What nothing is known about
stays where it is.

    who wrote it             body                            where it can go again
    Lambda (async, DLQ)      the event as it was             to the function in the runbook (the letter names none)
    Lambda (destination)     an invocation record            its `requestPayload`, to the function in the record
    EventBridge rule         the original event              to the rule's target, if the rule does not transform it
    EventBridge Scheduler    the API request it tried        nowhere: its time has passed
    SNS subscription         an SNS envelope                 nowhere: publishing again would reach every subscriber
    SQS redrive              the original body               to its source queue
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from selfheal.frozen import dataclass

MAX_ASYNC_PAYLOAD = 1_048_576
"""Bytes that Lambda takes for an asynchronous invocation (botocore's model of Invoke: 1 MB)."""
MAX_PREVIEW = 256


class Writer(StrEnum):
    """Who put a message into the queue."""

    LAMBDA_ASYNC = "lambda_async"
    LAMBDA_DESTINATION = "lambda_destination"
    EVENTBRIDGE_RULE = "eventbridge_rule"
    SCHEDULER = "scheduler"
    SNS_SUBSCRIPTION = "sns_subscription"
    SQS_REDRIVE = "sqs_redrive"
    UNKNOWN = "unknown"


class Stay(StrEnum):
    """Why a letter is left in place."""

    UNKNOWN_WRITER = "unknown_writer"
    TIME_HAS_PASSED = "time_has_passed"
    WOULD_BROADCAST = "would_broadcast"
    BELONGS_TO_A_QUEUE = "belongs_to_a_queue"
    NOT_FROM_A_QUEUE = "not_from_a_queue"
    OTHER_SOURCE = "other_source"
    OTHER_FUNCTION = "other_function"
    OTHER_DEAD_LETTER_QUEUE = "other_dead_letter_queue"
    INPUT_IS_TRANSFORMED = "input_is_transformed"
    RULE_UNREADABLE = "rule_unreadable"
    NO_PAYLOAD = "no_payload"
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    CAME_BACK = "came_back"
    SENT_OR_NOT = "sent_or_not"
    REFUSED_BY_AWS = "refused_by_aws"
    ARRIVED_LATER = "arrived_later"
    BEHIND_ANOTHER = "behind_another"

    @property
    def sentence(self) -> str:
        """For a person on call."""
        return _SENTENCES[self]


_SENTENCES = {
    Stay.UNKNOWN_WRITER: "Nothing in the message tells who wrote it.",
    Stay.TIME_HAS_PASSED: "A schedule tried this at a time that has passed; doing it now may be wrong.",
    Stay.WOULD_BROADCAST: "Publishing it again would reach every subscriber of the topic.",
    Stay.BELONGS_TO_A_QUEUE: "It came from an SQS queue; redrive_dlq moves it back there.",
    Stay.NOT_FROM_A_QUEUE: "It did not come from an SQS queue; replay_dlq may send it.",
    Stay.OTHER_SOURCE: "It came from a queue that is not (or no longer) a source of this one.",
    Stay.OTHER_FUNCTION: "It belongs to another function than replay_to names.",
    Stay.OTHER_DEAD_LETTER_QUEUE: "The function that replay_to names uses another dead-letter queue.",
    Stay.INPUT_IS_TRANSFORMED: "The rule changes events on their way to the target, and the letter holds the original.",
    Stay.RULE_UNREADABLE: "The rule that wrote it, or its target, cannot be read any more.",
    Stay.NO_PAYLOAD: "The invocation record has no requestPayload.",
    Stay.NOT_JSON: "The body is not JSON; Lambda would refuse it.",
    Stay.TOO_LARGE: "The payload is larger than Lambda takes for an asynchronous invocation.",
    Stay.CAME_BACK: "It was sent before and came back: the cause is not mended.",
    Stay.SENT_OR_NOT: "A run died while sending it; AWS cannot tell whether it was sent.",
    Stay.REFUSED_BY_AWS: "AWS refused to take it.",
    Stay.ARRIVED_LATER: "It arrived after this was asked for.",
    Stay.BEHIND_ANOTHER: "An earlier message of its group stays, and their order must be kept.",
}


@dataclass(frozen=True)
class FunctionName:
    """A function as an ARN names it; `qualifier` is empty where the ARN has none."""

    account: str
    region: str
    name: str
    qualifier: str = ""

    def is_same_function(self, other: FunctionName) -> bool:
        """Same function, whatever the version or alias."""
        return (self.account, self.region, self.name) == (other.account, other.region, other.name)


def function_of(arn: str) -> FunctionName | None:
    """The function in a Lambda function ARN, qualified or not; None for any other text."""
    parts = arn.split(":")
    if len(parts) not in (7, 8) or parts[0] != "arn" or parts[2] != "lambda" or parts[5] != "function":
        return None
    return FunctionName(parts[4], parts[3], parts[6], parts[7] if len(parts) == 8 else "")


@dataclass(frozen=True)
class DeadLetter:
    """One message, read. `payload` is what a function would get, None where there is none to send."""

    message_id: str
    receipt: str
    body: str
    writer: Writer
    origin: str
    """ARN of the function, rule, schedule, topic or queue it came from; empty where the message does not tell."""
    sent_to: str
    """ARN of what it was meant for, where the message tells."""
    error_code: str
    error_message: str
    request_id: str
    """The Lambda request (or the SQS message) that failed; empty where there was none."""
    sent_at: float
    """Epoch seconds at which it entered the queue (a standard redrive queue keeps the time of the first send)."""
    receive_count: int
    group: str
    payload: str | None
    attributes: Mapping[str, str]
    message_attributes: Mapping[str, Mapping[str, Any]]

    @property
    def fingerprint(self) -> str:
        """The same for two letters that would send the same: of the payload, or of the body where there is none."""
        text = self.body if self.payload is None else self.payload
        parsed = _json(text)
        plain = text if parsed is _NOT_JSON else json.dumps(parsed, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()

    def as_archived(self, queue: str) -> dict[str, Any]:
        """Everything that the queue knew of it, for the archive."""
        return {
            "queue": queue,
            "message_id": self.message_id,
            "writer": self.writer.value,
            "sent_at": datetime.fromtimestamp(self.sent_at, UTC).isoformat(),
            "receive_count": self.receive_count,
            "body": self.body,
            "attributes": dict(self.attributes),
            "message_attributes": {name: dict(value) for name, value in self.message_attributes.items()},
        }


def read_letter(message: Mapping[str, Any]) -> DeadLetter:
    """Classify one message of ReceiveMessage (asked for with all attributes)."""
    given = message.get("MessageAttributes") or {}
    system = message.get("Attributes") or {}
    body = str(message.get("Body", ""))
    parsed = _json(body)
    writer = _writer(given, system, parsed)
    document = parsed if isinstance(parsed, dict) else {}
    context = _mapping(document.get("requestContext"))
    return DeadLetter(
        message_id=str(message["MessageId"]),
        receipt=str(message["ReceiptHandle"]),
        body=body,
        writer=writer,
        origin=_origin(writer, given, system, document, context),
        sent_to=_text(given, "TARGET_ARN"),
        error_code=_error_code(writer, given, document, context),
        error_message=_error_message(writer, given, document),
        request_id=_request_id(writer, message, given, context),
        sent_at=_number(system.get("SentTimestamp")) / 1000,
        receive_count=int(_number(system.get("ApproximateReceiveCount"))),
        group=str(system.get("MessageGroupId", "")),
        payload=_payload(writer, body, document),
        attributes={str(name): str(value) for name, value in system.items()},
        message_attributes=given,
    )


def _writer(given: Mapping[str, Any], system: Mapping[str, Any], parsed: object) -> Writer:
    by_attributes = (
        ("SCHEDULE_ARN" in given, Writer.SCHEDULER),
        ("RULE_ARN" in given, Writer.EVENTBRIDGE_RULE),
        ("DeadLetterQueueSourceArn" in system, Writer.SQS_REDRIVE),
        ({"RequestID", "ErrorCode"} <= given.keys(), Writer.LAMBDA_ASYNC),
    )
    found = next((writer for fits, writer in by_attributes if fits), None)
    return found or _writer_by_body(_mapping(parsed))


def _writer_by_body(document: Mapping[str, Any]) -> Writer:
    """API Gateway's events have `version: 1.0` and a requestContext as well, but no functionArn in it."""
    arn = _mapping(document.get("requestContext")).get("functionArn")
    if document.get("version") == "1.0" and isinstance(arn, str) and function_of(arn):
        return Writer.LAMBDA_DESTINATION
    if document.get("Type") == "Notification" and isinstance(document.get("TopicArn"), str):
        return Writer.SNS_SUBSCRIPTION
    return Writer.UNKNOWN


def _origin(
    writer: Writer,
    given: Mapping[str, Any],
    system: Mapping[str, Any],
    document: Mapping[str, Any],
    context: Mapping[str, Any],
) -> str:
    found = {
        Writer.SCHEDULER: _text(given, "SCHEDULE_ARN"),
        Writer.EVENTBRIDGE_RULE: _text(given, "RULE_ARN"),
        Writer.SQS_REDRIVE: system.get("DeadLetterQueueSourceArn"),
        Writer.LAMBDA_DESTINATION: context.get("functionArn"),
        Writer.SNS_SUBSCRIPTION: document.get("TopicArn"),
    }
    return str(found.get(writer) or "")


def _error_code(
    writer: Writer, given: Mapping[str, Any], document: Mapping[str, Any], context: Mapping[str, Any]
) -> str:
    if writer is Writer.LAMBDA_DESTINATION:
        answer = _mapping(document.get("responsePayload"))
        return str(answer.get("errorType") or context.get("condition") or "")
    return _text(given, "ErrorCode") or _text(given, "ERROR_CODE")


def _error_message(writer: Writer, given: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    if writer is Writer.LAMBDA_DESTINATION:
        return str(_mapping(document.get("responsePayload")).get("errorMessage") or "")
    return _text(given, "ErrorMessage") or _text(given, "ERROR_MESSAGE")


def _request_id(
    writer: Writer, message: Mapping[str, Any], given: Mapping[str, Any], context: Mapping[str, Any]
) -> str:
    if writer is Writer.LAMBDA_ASYNC:
        return _text(given, "RequestID")
    if writer is Writer.LAMBDA_DESTINATION:
        return str(context.get("requestId") or "")
    if writer is Writer.SQS_REDRIVE:
        return str(message["MessageId"])  # SQS keeps it when it gives up on a message
    return ""


def _payload(writer: Writer, body: str, document: Mapping[str, Any]) -> str | None:
    if writer in (Writer.LAMBDA_ASYNC, Writer.EVENTBRIDGE_RULE):
        return body
    if writer is Writer.LAMBDA_DESTINATION and "requestPayload" in document:
        try:
            return json.dumps(document["requestPayload"], allow_nan=False)
        except ValueError:  # a number such as 1e999 that Python cannot hold: it would be sent as something else
            return None
    return None


# -- may it be replayed? ------------------------------------------------------------------------------------------


def why_not_replay(letter: DeadLetter, function: FunctionName, function_dlq: str, queue_arn: str) -> Stay | None:
    """None: `letter.payload` may be sent to `function`. A rule's letter needs the look at its rule besides.

    `function_dlq` is the ARN of the dead-letter queue that the function has now, empty if it has none. A letter of
    Lambda's own does not name its function; if the function uses another queue, the letter is not its own.
    """
    fixed = {
        Writer.UNKNOWN: Stay.UNKNOWN_WRITER,
        Writer.SCHEDULER: Stay.TIME_HAS_PASSED,
        Writer.SNS_SUBSCRIPTION: Stay.WOULD_BROADCAST,
        Writer.SQS_REDRIVE: Stay.BELONGS_TO_A_QUEUE,
    }.get(letter.writer)
    if fixed:
        return fixed
    if letter.writer is Writer.LAMBDA_ASYNC and function_dlq not in ("", queue_arn):
        return Stay.OTHER_DEAD_LETTER_QUEUE
    meant_for = letter.origin if letter.writer is Writer.LAMBDA_DESTINATION else letter.sent_to
    if letter.writer is not Writer.LAMBDA_ASYNC:
        named = function_of(meant_for)
        if named is None or not named.is_same_function(function):
            return Stay.OTHER_FUNCTION
    if letter.payload is None:
        return Stay.NO_PAYLOAD
    if _json(letter.payload) is _NOT_JSON:
        return Stay.NOT_JSON
    return Stay.TOO_LARGE if len(letter.payload.encode("utf-8", "surrogatepass")) > MAX_ASYNC_PAYLOAD else None


def why_not_redrive(letter: DeadLetter, sources: Mapping[str, str]) -> Stay | None:
    """None: the letter may go back to its source queue. `sources`: queue ARN → URL."""
    if letter.writer is not Writer.SQS_REDRIVE:
        return Stay.NOT_FROM_A_QUEUE
    return None if letter.origin in sources else Stay.OTHER_SOURCE


# -- showing a body -----------------------------------------------------------------------------------------------

_SECRET_NAME = re.compile(r"secret|token|passw|api.?key|authorization|credential|private|cookie|signature", re.I)
_SECRET_TEXT = re.compile(
    r"(AKIA|ASIA)[A-Z0-9]{16}"  # AWS access key ids
    r"|(?i:authorization[\"']?\s*[:=]\s*)[\"']?[^\"'\r\n]+"  # scheme and credentials, to the end of the line
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # JSON web tokens
    r"|(?<![\w/+])[A-Za-z0-9/+]{40,}={0,2}"  # long random texts: secret keys, digests
    r"|(?i:(?:secret|token|passw\w*|api.?key|authorization|cookie)[\"']?\s*[:=]\s*)[\"']?[^\s\"',;}]+"
    r"|(?i:bearer\s+)\S+"
)


def preview(text: str, length: int = MAX_PREVIEW) -> str:
    """The beginning of a body or of an error, fit for records and messages that many people read.

    Values under names that speak of secrets, and texts that look like keys or tokens, are masked. This lowers the risk
    and does not remove it: the whole body is in the archive, whose readers are few.
    """
    parsed = _json(text)
    shown = text if parsed is _NOT_JSON or not isinstance(parsed, dict | list) else json.dumps(_masked(parsed))
    shown = _SECRET_TEXT.sub("***", shown)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "***" if _SECRET_NAME.search(name) and item not in (None, "") else _masked(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value


# -- reading ------------------------------------------------------------------------------------------------------

_NOT_JSON = object()


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _no_constant(name: str) -> None:
    """NaN and Infinity are no JSON to anybody but Python."""
    raise ValueError(name)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(attributes: Mapping[str, Any], name: str) -> str:
    return str(_mapping(attributes.get(name)).get("StringValue") or "")


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0
