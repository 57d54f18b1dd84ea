"""What AWS answers to each function, recorded from one run of it on the unit tests' stage (moto beneath it).

The cold starts then get these answers from a stub: no emulator's time is in them, and each runs to its end.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from moto.core import serialize
from moto.core.utils import get_service_model
from selfheal import clients
from selfheal.catalogue import ACTIONS

from tests.unit import stage as staging
from tests.unit.stage import PLAYS, VARIANTS, Stage

SERIALIZERS: Mapping[str, type[serialize.ResponseSerializer]] = {
    "json": serialize.JSONSerializer,
    "rest-json": serialize.RestJSONSerializer,
    "rest-xml": serialize.S3Serializer,
    "query": serialize.QuerySerializer,
    "ec2": serialize.EC2Serializer,
}


_BY_CHANCE = re.compile(r"[0-9a-f]{8}-\d{6}")
"""What a run of a drain calls its objects."""


@dataclass(frozen=True)
class Answer:
    """One HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Recording:
    """One invocation: the event, what AWS answered by `key_of` the call in its order, and what the function said."""

    folder: str
    action: str
    event: Mapping[str, Any]
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    """Service, method and arguments of each, as its caller wrote them."""
    result: Mapping[str, Any] = field(default_factory=dict)


def key_of(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """What tells a call from another: its operation where the protocol names it, else method and path."""
    if target := headers.get("X-Amz-Target", ""):
        return target
    parts = urlsplit(url)
    if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        return parse_qs(body.decode())["Action"][0]
    bucket, virtual, _ = (parts.hostname or "").partition(".s3.")
    path = _BY_CHANCE.sub("*", parts.path)
    return f"{method} {f'/{bucket}' if virtual else ''}{path}".rstrip("/")


def record(folder: Path) -> dict[str, list[Recording]]:
    """By function folder, its first mutating play, twice (a cold one and a warm one); of Respond a tick of its clock.

    Runbooks are those in `folder`: none.
    """
    found: dict[str, list[Recording]] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setattr(staging, "Clock", _clock)
        clients.forget()
        recorder = _Recorder()
        with staging.stage(patch, folder) as stage:
            stage.wire.answers = {name: recorder.heard(answer) for name, answer in stage.wire.answers.items()}
            ticks = [recorder.invoke(stage, "respond", {"clock": "tick"}) for _ in range(3)]
            found["respond"] = ticks[1:]  # the first one of all begins a drill
            for name in PLAYS:
                entry = ACTIONS[VARIANTS.get(name, name)]
                if entry.function in found or entry.function in NOT_MUTATING:
                    continue
                play = stage.play(name)
                if play.effects or name in WITHOUT_EFFECTS_OF_ITS_OWN:
                    twice = [play, stage.play(name)]
                    found[entry.function] = [recorder.invoke(stage, entry.function, one.request) for one in twice]
        clients.forget()
    return found


class _Recorder:
    """At botocore's hooks, on every client that is made after it; deaf while nothing is to be recorded."""

    def __init__(self) -> None:
        self.into: Recording | None = None
        self._last: tuple[str, str] | None = None
        events = clients.hooks()
        events.register_first("provide-client-params.*.*", self._asked)
        events.register_first("before-call.*.*", self._before)
        events.register_last("after-call.*.*", self._after)

    def invoke(self, stage: Stage, folder: str, event: Mapping[str, Any]) -> Recording:
        """One invocation of a function, with all that AWS answers to it."""
        self.into = made = Recording(folder, str(event.get("action", "")), event)
        try:
            result = stage.invoke(folder, event)
        finally:
            self.into = None
        assert result is not None
        made.result = result
        return made

    def heard(self, answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A stand-in for AWS whose refusals are recorded as well: botocore never sees those as answers."""

        def answered(asked: Any) -> Any:
            try:
                return answer(asked)
            except ClientError as error:
                if self.into is not None and self._last is not None:
                    key, protocol = self._last
                    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
                    self.into.answers.setdefault(key, []).append(_error(status, error.response, protocol))
                raise

        return answered

    def _asked(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if self.into is not None:
            self.into.calls.append((model.service_model.service_name, xform_name(model.name), dict(params)))

    def _before(self, params: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        body = params.get("body") or b""
        if isinstance(body, Mapping):
            body = "&".join(f"{name}={value}" for name, value in body.items())
        raw = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b""
        context["recorded_as"] = key = key_of(params["method"], params["url"], params["headers"], raw)
        self._last = key, model.service_model.resolved_protocol

    def _after(self, http_response: Any, parsed: dict[str, Any], model: Any, context: Any, **_: Any) -> None:
        if self.into is not None:
            answer = _answer(http_response.status_code, parsed, model)
            self.into.answers.setdefault(context["recorded_as"], []).append(answer)


def _answer(status: int, parsed: dict[str, Any], model: Any) -> Answer:
    if status >= 300:
        return _error(status, parsed, model.service_model.resolved_protocol)
    for name, value in parsed.items():  # a stream is read once: what the function gets is a copy
        if hasattr(value, "read"):
            parsed[name] = io.BytesIO(value.read())
    told = {
        name: value.getvalue() if isinstance(value, io.BytesIO) else value
        for name, value in parsed.items()
        if name != "ResponseMetadata"
    }
    operation = get_service_model(model.service_model.service_name).operation_model(model.name)
    written = SERIALIZERS[model.service_model.resolved_protocol](operation).serialize(told)
    body = written["body"]
    headers = {name: str(value) for name, value in written["headers"].items()}
    return Answer(written["status_code"], headers, body.encode() if isinstance(body, str) else bytes(body))


def _error(status: int, parsed: Any, protocol: str) -> Answer:
    error = parsed["Error"]
    code, message = str(error["Code"]), str(error.get("Message", ""))
    if protocol in {"json", "rest-json"}:
        more = {name: value for name, value in parsed.items() if name not in {"Error", "ResponseMetadata"}}
        document = {**more, "__type": code, "message": message}
        return Answer(status, {"x-amzn-ErrorType": code}, json.dumps(document, default=str).encode())
    xml = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = xml if protocol == "rest-xml" else f"<ErrorResponse>{xml}<RequestId>r</RequestId></ErrorResponse>"
    return Answer(status, {"Content-Type": "text/xml"}, body.encode())


def _clock() -> Any:
    """The stage's clock, at the real time: the functions themselves run in it."""
    from tests.unit.doubles import Clock  # noqa: PLC0415 - the name is replaced in the stage

    return Clock(at=time.time())


_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "LEDGER_TABLE": "ledger",
    "EVENT_BUS": "selfheal",
    "POWERTOOLS_METRICS_NAMESPACE": "selfheal",
    "POWERTOOLS_TRACE_DISABLED": "true",
}
NOT_MUTATING = frozenset({"check_health", "check_gate", "inspect_dlq"})
"""Their actions only read."""
WITHOUT_EFFECTS_OF_ITS_OWN = frozenset({"undo", "approve", "deny", "pause"})
"""Their effect is that another function is started, or that the ledger says so."""
