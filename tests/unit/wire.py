"""Faults at botocore's own hooks: every call of every client of the code under test passes by here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import urllib3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from selfheal import clients, github

from tests.unit.doubles import Faults, Killed

IAM_PREFIX = {
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "timestream-write": "timestream",
}
IAM_ACTION = {
    "CopyObject": ("GetObject", "GetObjectTagging", "PutObject", "PutObjectTagging"),
    "Invoke": ("InvokeFunction",),
    "ListObjectsV2": ("ListBucket",),
}
"""Where IAM names a call otherwise than its API does, or wants several (service authorization reference)."""
API_GATEWAY_METHOD = {"GetStage": "GET", "UpdateStage": "PATCH"}
EVIDENCE_FUNCTION = "selfheal-PreserveEvidence"
CAPTURE = "evidence.capture"
"""The engine's question for evidence: an Invoke, and no effect of the action."""


def refused_by_aws(code: str, status: int) -> Callable[[], ClientError]:
    """An answer of AWS that says no."""
    answer = {"Error": {"Code": code, "Message": "injected"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return lambda: ClientError(answer, "Injected")  # type: ignore[arg-type]


throttled = refused_by_aws("ThrottlingException", 400)
denied = refused_by_aws("AccessDeniedException", 403)
lost = refused_by_aws("PreconditionFailedException", 412)
failed = refused_by_aws("InternalServerError", 500)


def _failed_entry(parsed: dict[str, Any]) -> None:
    first = (parsed.pop("Successful", None) or [{"Id": "0"}])[0]
    parsed["Failed"] = [{"Id": first["Id"], "SenderFault": False, "Code": "InternalError"}]


def _unprocessed(parsed: dict[str, Any]) -> None:
    parsed["UnprocessedKeys"] = {"ledger": {"Keys": [{}]}}


def _not_taken(parsed: dict[str, Any]) -> None:
    parsed.update(FailedEntryCount=1, Entries=[{"ErrorCode": "InternalFailure"}])


PARTLY: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "dynamodb.batch_get_item": _unprocessed,
    "events.put_events": _not_taken,
    "sqs.change_message_visibility_batch": _failed_entry,
    "sqs.delete_message_batch": _failed_entry,
    "sqs.send_message_batch": _failed_entry,
}
"""Calls that answer 200 and have not done all of it; what their answer says then."""


@dataclass
class Wire(Faults):
    """Deaf unless `listening`: what a test looks at by itself is neither counted nor broken.

    After a kill nothing gets through any more, not even from a `finally`. `answers` stand in for services that moto
    does not know. `reached`: the calls that got to AWS, with their bodies. `methods`: every one that was called, ever.
    """

    listening: bool = False
    dead: bool = False
    partly_at: int | None = None
    """The call that is carried out in part; only those of PARTLY can be."""
    answers: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = field(default_factory=dict)
    reached: list[tuple[str, Any]] = field(default_factory=list)
    permissions: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)

    @contextmanager
    def connected(self) -> Iterator[Wire]:
        """Between the clients that are made from now on and AWS."""
        events = clients.hooks()
        hooks = {"before-call.*.*": self._before, "after-call.*.*": self._after}
        for name, hook in hooks.items():
            events.register(name, hook)
        real, github.exchange = github.exchange, self._github
        try:
            yield self
        finally:
            github.exchange = real
            for name, hook in hooks.items():
                events.unregister(name, hook)

    def again(self, **faults: Any) -> None:
        """Forget the last run; the next one has these faults."""
        self.calls.clear()
        self.reached.clear()
        self.dead = False
        usual = {"at": None, "partly_at": None, "names": (), "after": False, "error": Killed}
        for name, value in {**usual, **faults}.items():
            setattr(self, name, value)

    def sent(self, *names: str) -> int:
        """How many of these calls got to AWS."""
        return sum(name in names for name, _ in self.reached)

    def events(self) -> list[dict[str, Any]]:
        """What got to the bus, as a rule's target receives it."""
        bodies = [json.loads(body) for name, body in self.reached if name == "events.put_events"]
        return [
            {
                "source": entry["Source"],
                "detail-type": entry["DetailType"],
                "detail": json.loads(entry["Detail"]),
                "time": datetime.fromtimestamp(time.time(), UTC).isoformat(),
            }
            for body in bodies
            for entry in body["Entries"]
        ]

    def _before(self, model: Any, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> Any:
        if not self.listening:
            return None
        name = f"{model.service_model.service_name}.{xform_name(model.name)}"
        if name == "lambda.invoke" and EVIDENCE_FUNCTION in params["url_path"]:
            name = CAPTURE
        self.methods.add(xform_name(model.name))
        self.permissions |= permissions_of(model.service_model.service_name, model.name, params.get("body"))
        with self.lock:
            context["wire"] = name, self._through(lambda: self.begin(name))
            self.reached.append((name, params.get("body")))
        if name not in self.answers:
            return None
        body = params["body"] if isinstance(params["body"], Mapping) else json.loads(params["body"] or "{}")
        asked = {**body, "url_path": params["url_path"]}  # where a REST service has the names in its path
        parsed = {**self.answers[name](asked), "ResponseMetadata": {"HTTPStatusCode": 200}}
        return SimpleNamespace(status_code=200), parsed

    def _after(self, parsed: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        if not self.listening or "wire" not in context:
            return
        name, index = context["wire"]
        if index == self.partly_at:
            PARTLY[name](parsed)
        self._through(lambda: self.end(name, index))

    def _github(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> github.Answer:
        """GitHub, as `answers` has it: the same faults, in HTTP's words."""
        name = f"github.{method.lower()}"
        asked = {"url": url, "body": json.loads(body or b"{}"), "token": headers["Authorization"]}
        if not self.listening:
            return self._answer_of_github(name, asked)
        try:
            with self.lock:
                index = self._through(lambda: self.begin(name))
                self.reached.append((name, body))
            answer = self._answer_of_github(name, asked)
            self._through(lambda: self.end(name, index))
        except ClientError as error:
            throttled_or = error.response["Error"]["Code"] == "ThrottlingException"
            return github.Answer(429 if throttled_or else error.response["ResponseMetadata"]["HTTPStatusCode"])
        except BotoCoreError as error:
            raise urllib3.exceptions.ProtocolError(str(error)) from error
        return answer

    def _answer_of_github(self, name: str, asked: Mapping[str, Any]) -> github.Answer:
        told = self.answers[name](asked)
        return github.Answer(told["status"], body=json.dumps(told.get("body", {})).encode())

    def _through(self, step: Callable[[], Any]) -> Any:
        if self.dead:
            raise Killed
        try:
            return step()
        except Killed:
            self.dead = True
            raise


def permissions_of(service: str, operation: str, body: Any) -> set[str]:
    """The IAM actions that a call needs: a batch what its single call needs, a transaction what its writes need."""
    prefix = IAM_PREFIX.get(service, service)
    if operation == "TransactWriteItems":
        kinds = {kind for item in json.loads(body)["TransactItems"] for kind in item}
        return {f"{prefix}:{kind}Item" for kind in kinds}
    if service in {"apigateway", "apigatewayv2"}:  # IAM knows its HTTP methods, not its operations
        return {f"apigateway:{API_GATEWAY_METHOD[operation]}"}
    names = IAM_ACTION.get(operation, (operation,))
    return {f"{prefix}:{name.removesuffix('Batch') if service == 'sqs' else name}" for name in names}
