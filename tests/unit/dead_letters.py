"""Dead letters as their writers leave them, an account with queues in it, and a way to be killed at any call."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends
from selfheal.clients import client, client_bulk, client_bulk_once, client_once
from selfheal.letter_ids import key_of, unpack
from selfheal.letters_known import Fate

REGION = "eu-central-1"
ACCOUNT = "123456789012"
QUEUE = "the-alchemiser-dlq-dev"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}"
SOURCE = "the-alchemiser-orders-dev"
SOURCE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{SOURCE}"
FUNCTION = "the-alchemiser-v2-lambda-dev"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}"
RULE_ARN = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/alchemiser-trading-events-dev/signal-generated"
BUCKET = "selfheal-archive"
TABLE = "ledger"


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def by_lambda(event: Any, request_id: str = "11111111-aaaa", error: str = "boom") -> dict[str, Any]:
    """Lambda's own dead-letter queue: the event as it was, and what went wrong beside it."""
    attributes = {
        "RequestID": text(request_id),
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": text(error),
    }
    return {"MessageBody": json.dumps(event), "MessageAttributes": attributes}


def by_destination(event: Any, arn: str = f"{FUNCTION_ARN}:live", request_id: str = "22222222-bbbb") -> dict[str, Any]:
    """Lambda's on-failure destination: an invocation record."""
    record = {
        "version": "1.0",
        "timestamp": "2026-01-05T14:35:00.000Z",
        "requestContext": {
            "requestId": request_id,
            "functionArn": arn,
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "KeyError", "errorMessage": "'symbol'"},
    }
    return {"MessageBody": json.dumps(record)}


def by_rule(event: Any, target: str = FUNCTION_ARN, rule: str = RULE_ARN) -> dict[str, Any]:
    """An EventBridge rule that could not deliver."""
    names = {
        "RULE_ARN": rule,
        "TARGET_ARN": target,
        "ERROR_CODE": "NO_PERMISSIONS",
        "ERROR_MESSAGE": "no permission to invoke",
        "RETRY_ATTEMPTS": "0",
    }
    return {
        "MessageBody": json.dumps(event),
        "MessageAttributes": {name: text(value) for name, value in names.items()},
    }


def by_schedule(event: Any) -> dict[str, Any]:
    """EventBridge Scheduler: the request that it tried."""
    names = {
        "SCHEDULE_ARN": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/the-alchemiser-daily-trading-dev",
        "TARGET_ARN": FUNCTION_ARN,
        "SCHEDULED_TIME": "2026-01-05T14:35:00Z",
        "ERROR_CODE": "AccessDenied",
        "IS_PAYLOAD_TRUNCATED": "false",
    }
    return {
        "MessageBody": json.dumps(event),
        "MessageAttributes": {name: text(value) for name, value in names.items()},
    }


def by_topic(message: str) -> dict[str, Any]:
    """An SNS subscription."""
    body = {"Type": "Notification", "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms", "Message": message}
    return {"MessageBody": json.dumps(body)}


def by_nobody(body: str) -> dict[str, Any]:
    return {"MessageBody": body}


@st.composite
def received(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A message as ReceiveMessage answers it, with the name of its writer."""
    event = draw(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=3))
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "lambda_async": lambda: by_lambda(event),
        "lambda_destination": lambda: by_destination(event),
        "eventbridge_rule": lambda: by_rule(event),
        "scheduler": lambda: by_schedule(event),
        "sns_subscription": lambda: by_topic("text"),
        "unknown": lambda: by_nobody(draw(st.text())),
        "sqs_redrive": lambda: by_nobody(draw(st.text())),
    }
    writer = draw(st.sampled_from(sorted(makers)))
    return writer, as_received(makers[writer](), source=SOURCE_ARN if writer == "sqs_redrive" else "")


def as_received(sent: Mapping[str, Any], source: str = "", **system: str) -> dict[str, Any]:
    """What ReceiveMessage makes of what SendMessage was given."""
    attributes = {"SentTimestamp": "1767623700000", "ApproximateReceiveCount": "1", **system}
    if source:
        attributes["DeadLetterQueueSourceArn"] = source
    return {
        "MessageId": "00000000-0000-4000-8000-000000000001",
        "ReceiptHandle": "receipt",
        "Body": sent["MessageBody"],
        "Attributes": attributes,
        "MessageAttributes": sent.get("MessageAttributes", {}),
    }


class Killed(BaseException):
    """The run died here; nothing of it, not even a `finally`, reaches AWS any more."""


@dataclass
class Account:
    """Queues, a function, a bucket and a ledger; every call of the code under test passes by here."""

    queue: str = QUEUE
    calls: list[str] = field(default_factory=list)
    invoked: list[str] = field(default_factory=list)
    invoke_answers: list[Exception | str] = field(default_factory=list)
    """For the next invocations: an error, or the request id that AWS answers."""
    dead_letter_source: str = ""
    kill_at: int | None = None
    kill_after: bool = False
    dead: bool = False
    on_call: Callable[[str], None] | None = None

    @property
    def sqs(self) -> Any:
        return client("sqs")

    def url(self, queue: str = "") -> str:
        return str(self.sqs.get_queue_url(QueueName=queue or self.queue)["QueueUrl"])

    def fill(self, *letters: Mapping[str, Any], queue: str = "", **more: Any) -> list[str]:
        """Put letters into a queue; their MessageIds."""
        url = self.url(queue)
        sent = [self.sqs.send_message(QueueUrl=url, **letter, **more) for letter in letters]
        return [str(answer["MessageId"]) for answer in sent]

    def bodies(self, queue: str = "") -> list[str]:
        """What is in the queue, hidden or not, in order."""
        return [message.body for message in self._messages(queue)]

    def ids(self, queue: str = "") -> list[str]:
        return [message.id for message in self._messages(queue)]

    def visible(self, queue: str = "") -> int:
        return sum(message.visible for message in self._messages(queue))

    def show_all(self, queue: str = "") -> None:
        """Let the visibility timeout of every message run out."""
        for message in self._messages(queue):
            message.visible_at = 0

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Key → the documents of one object of the archive."""
        keys = s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys
        ours = [name for name in keys if name.startswith(f"dlq/{self.queue}/")]
        return {name: [json.loads(line) for line in keys[name].value.splitlines()] for name in ours}

    def archived(self) -> dict[str, Any]:
        """MessageId → archived document."""
        return {document["message_id"]: document for letters in self.objects().values() for document in letters}

    def chunks(self, queue: str = "") -> list[tuple[str, dict[str, Any]]]:
        """`fate` and document of each chunk that the ledger knows, in the order in which they were written."""
        items = dynamodb_backends[ACCOUNT][REGION].tables[TABLE].items
        rows: Any = next((row for pk, row in items.items() if pk.value == f"LETTERS#{queue or self.queue}"), {})
        found = [row.attrs for sort, row in rows.items() if sort.value.startswith("CHUNK#")]
        return [(row["fate"].value, json.loads(row["doc"].value)) for row in found]

    def fates(self, queue: str = "") -> dict[str, str]:
        """MessageId → what the ledger says became of it. Whatever is taken is archived, so those are all there are."""
        told: dict[int, str] = {}
        for _, doc in self.chunks(queue):
            for fate in Fate:
                told.update(dict.fromkeys(unpack(doc.get(fate.value, "")), fate.value))
        return {name: told[key_of(name)] for name in self.archived() if key_of(name) in told}

    def put_there_again(self, message: Any) -> None:
        """A message that SQS shows again although it was deleted."""
        message.visible_at, message.deleted = 0, False
        sqs_backends[ACCOUNT][REGION].queues[self.queue]._messages.append(message)

    def messages(self, queue: str = "") -> list[Any]:
        """moto's own messages, hidden or not."""
        return self._messages(queue)

    def use(self, queue: str) -> None:
        """Go on with another, empty queue."""
        self.sqs.create_queue(QueueName=queue)
        self.queue = queue
        self.invoked.clear()

    def revive(self) -> None:
        """A new invocation, some minutes later."""
        self.calls.clear()
        self.kill_at, self.dead = None, False
        self.show_all()

    def _messages(self, queue: str) -> list[Any]:
        return list(sqs_backends[ACCOUNT][REGION].queues[queue or self.queue]._messages)

    # -- hooks ------------------------------------------------------------------------------------------------------

    def watch(self, made: Any) -> None:
        """Pass every call of a client by `before` and `after`."""
        events = made.meta.events
        events.register("before-call.*.*", self._before)
        events.register("after-call.*.*", self._after)
        events.register("provide-client-params.sqs.ReceiveMessage", self._no_long_poll)

    def _no_long_poll(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**params, "WaitTimeSeconds": 0}

    def _before(self, model: Any, **_: Any) -> None:
        if self.dead:
            raise Killed
        self.calls.append(model.name)
        if self.kill_at == len(self.calls) and not self.kill_after:
            self.dead = True
            raise Killed
        if self.on_call:
            self.on_call(model.name)
        if model.name == "Invoke" and self.invoke_answers and isinstance(self.invoke_answers[0], Exception):
            raise self.invoke_answers.pop(0)  # type: ignore[misc]  # the line above saw to it

    def _after(self, model: Any, parsed: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        if model.name == "Invoke":
            number = len(self.invoked)
            answer = self.invoke_answers.pop(0) if self.invoke_answers else f"request-{number}"
            parsed["ResponseMetadata"]["RequestId"] = answer
        if model.name == "ReceiveMessage" and self.dead_letter_source:
            for message in parsed.get("Messages", []):
                message.setdefault("Attributes", {})["DeadLetterQueueSourceArn"] = self.dead_letter_source
        if self.kill_at == len(self.calls) and self.kill_after:
            self.dead = True
            raise Killed

    def fail_sending(self, bodies: Mapping[str, bool], sends: list[list[str]]) -> None:
        """SQS takes every entry of a SendMessageBatch but those with these bodies (→ whether it is the sender's fault).
        `sends`: the bodies of each call."""
        failed: list[dict[str, Any]] = []

        def leave_out(params: dict[str, Any], **_: Any) -> None:
            document = json.loads(params["body"])
            sends.append([entry["MessageBody"] for entry in document["Entries"]])
            bad = [entry for entry in document["Entries"] if entry["MessageBody"] in bodies]
            failed[:] = [
                {"Id": one["Id"], "SenderFault": bodies[one["MessageBody"]], "Code": "Injected", "Message": "no"}
                for one in bad
            ]
            good = [entry for entry in document["Entries"] if entry not in bad]
            raw = json.dumps({**document, "Entries": good or document["Entries"]})
            params["body"] = raw if isinstance(params["body"], str) else raw.encode()
            params["headers"]["Content-Length"] = str(len(raw))

        def tell(parsed: dict[str, Any], **_: Any) -> None:
            names = {one["Id"] for one in failed}
            parsed["Successful"] = [one for one in parsed.get("Successful", []) if one["Id"] not in names]
            parsed["Failed"] = list(failed)

        events = client_bulk_once("sqs").meta.events
        events.register("before-call.sqs.SendMessageBatch", leave_out)
        events.register("after-call.sqs.SendMessageBatch", tell)

    def note_payload(self, params: dict[str, Any], **_: Any) -> None:
        """The payload of an invocation that reached AWS."""
        body = params["body"]
        self.invoked.append(body.decode() if isinstance(body, bytes) else body.read().decode())


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch, *, fifo: bool = False) -> Iterator[Account]:
    """An account with the demo's dead-letter queue and everything that a drain needs."""
    monkeypatch.setenv("ARCHIVE_BUCKET", BUCKET)
    monkeypatch.setenv("LEDGER_TABLE", TABLE)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        here = Account()
        attributes = {"FifoQueue": "true"} if fifo else {}
        client("sqs").create_queue(QueueName=f"{QUEUE}.fifo" if fifo else QUEUE, Attributes=attributes)
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        _ledger()
        make_function()
        often = *map(client_bulk, ("sqs", "s3")), *map(client_bulk_once, ("sqs", "lambda"))
        for made in (*map(client, ("sqs", "s3", "dynamodb", "lambda", "events")), client_once("lambda"), *often):
            here.watch(made)
        once = client_bulk_once("lambda").meta.events
        once.register_last("before-call.lambda.Invoke", here.note_payload)
        yield here


def _ledger() -> None:
    keys = ("pk", "HASH"), ("sk", "RANGE")
    client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def make_function() -> None:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:*"}]}
    role = client("iam").create_role(RoleName="demo", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return event\n")
    client("lambda").create_function(
        FunctionName=FUNCTION,
        Role=role,
        Runtime="python3.13",
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=10,
        Publish=True,
    )
    client("lambda").create_alias(FunctionName=FUNCTION, Name="live", FunctionVersion="1")
