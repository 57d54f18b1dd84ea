"""Invoke an alias once and compare its answer: a probe of the user's function, or a hook of the user's own.

Alarm: usually none; a response asks for it after its last remediation, or instead of one.
Action: `smoke_test` invokes the alias synchronously (never `$LATEST`: that is not what production runs) and compares.
`run_hook` does the same with a function that changes something: it closes positions, logs users out, sets the status
page. It gets `{"selfheal": {action_id, incident, system, response, reason, requested_by}, …payload}` and must answer
`expect` (docs/hooks.md).
Precondition: the alias exists. It runs code of the user's, so it is risky whatever the payload says.

An answer holds if the function raised nothing, and each field in `expect` is there with that value. Without an expected
`statusCode`, one of 400 and above does not hold. No answer in time is unknown: the function may still be running.

Never: invokes twice for one request (AWS can't tell a repeated Invoke from a second one). A run that died around its
call ends inconclusive; only a hook that says of itself that it is `repeatable` is invoked again, with the same
`action_id`. Nothing here undoes what a hook did: that is a hook as well.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError
from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client, client_once
from selfheal.dead_letter import preview
from selfheal.errors import Refused
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

DEFAULT_PAYLOAD: Mapping[str, Any] = {"mode": "test"}
DEFAULT_ANSWER: Mapping[str, Any] = {"ok": True}
OURS = "selfheal"
MAX_TIMEOUT_S = 600
RESERVE_S = 15
"""Left of this invocation for the record and the outcome."""
MAX_SHOWN = 1024
MAX_DIFFERENCES = 20


@dataclass(frozen=True)
class Seen:
    """What the invocation answered, judged."""

    verdict: Verdict
    detail: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Invocation(Action):
    """AWS calls: 1 to observe, 1 to apply."""

    permissions = ("lambda:GetAlias", "lambda:InvokeFunction")
    reversible = False
    repeatable = False
    verify_for_s = 0.0

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._seen: Seen | None = None

    @abstractmethod
    def event(self, request: Request) -> Mapping[str, Any]:
        """What the function gets. Raises Refused for a payload that can't be sent."""

    @abstractmethod
    def expected(self, request: Request) -> Mapping[str, Any]:
        """What its answer must have."""

    def observe(self, request: Request) -> State:
        """The version, or versions, behind the alias."""
        function, alias = request.target["function"], request.target["alias"]
        try:
            answer = client("lambda").get_alias(FunctionName=function, Name=alias)
        except AwsError as error:
            translate(error, f"alias {function}:{alias}")
        weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return {"version": answer["FunctionVersion"], "weights": dict(weights)}

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse a timeout that this invocation could not wait for at all."""
        wanted = request.options["timeout_s"]
        if not 1 <= wanted <= MAX_TIMEOUT_S:
            return Decline(Refusal.BAD_OPTIONS, f"timeout_s is {wanted}; from 1 to {MAX_TIMEOUT_S}")
        try:
            payload = self.event(request)
        except Refused as error:
            return Decline(error.refusal, error.detail)
        function, alias = request.target["function"], request.target["alias"]
        return Change(
            direction=Direction.RISKY,
            summary=f"invoke {function}:{alias} (version {state['version']}) with {preview(json.dumps(payload))}",
            plan={
                "payload": payload,
                "expect": self.expected(request),
                "timeout_s": wanted,
                "version": state["version"],
                "weights": state["weights"],
            },
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One Invoke. Raises what proves that nothing ran; anything unclear is for verify."""
        function, alias = request.target["function"], request.target["alias"]
        timeout_s = max(1, int(min(change.plan["timeout_s"], self.remaining_s - RESERVE_S)))
        started = time.monotonic()
        try:
            answer = client_once("lambda", timeout_s).invoke(
                FunctionName=function,
                Qualifier=alias,
                InvocationType="RequestResponse",
                Payload=json.dumps(change.plan["payload"]).encode(),
            )
            body = answer["Payload"].read().decode("utf-8", "replace")
        except (ClientError, EndpointConnectionError, ConnectTimeoutError) as error:
            translate(error, f"invocation of {function}:{alias}")
        except BotoCoreError as error:
            told = f"no answer within {timeout_s} s; it may still be running ({type(error).__name__})"
            self._seen = Seen(Verdict.UNKNOWN, told, {"planned_version": change.plan["version"]})
            return self._seen.evidence
        took_ms = round((time.monotonic() - started) * 1000)
        self._seen = judge(answer, body, change.plan["expect"], took_ms)
        return self._seen.evidence

    def verify(self, request: Request, change: Change) -> Verification:
        """What `apply` saw; a later run has not seen it."""
        if self._seen is None:
            detail = f"{request.target['function']} may have been invoked; its answer is lost ({change.summary})"
            return Verification(Verdict.UNKNOWN, detail=detail)
        return Verification(self._seen.verdict, detail=self._seen.detail, evidence=self._seen.evidence)


class SmokeTest(Invocation):
    """Uses its target and changes nothing of it."""

    name = "smoke_test"
    changes_target = False

    def event(self, request: Request) -> Mapping[str, Any]:
        """The payload as it was given."""
        given = request.options["payload"]
        return DEFAULT_PAYLOAD if given is None else dict(given)

    def expected(self, request: Request) -> Mapping[str, Any]:
        """Nothing by default: any answer without an error will do."""
        return request.options["expect"] or {}


class RunHook(Invocation):
    """Runs a function of the user's own, which is told on whose behalf."""

    name = "run_hook"

    def event(self, request: Request) -> Mapping[str, Any]:
        """The payload, and beside it what a hook needs to work once for one action and to say why in its own log."""
        payload = request.options["payload"] or {}
        if OURS in payload:
            raise Refused(Refusal.BAD_OPTIONS, f"{OURS} in payload is what selfheal itself tells the hook; rename it")
        told = {
            "action_id": request.action_id,
            "incident": request.incident,
            "system": request.system,
            "response": request.response,
            "reason": request.reason,
            "requested_by": request.requested_by,
        }
        return {OURS: told, **payload}

    def expected(self, request: Request) -> Mapping[str, Any]:
        """A hook says that it has done its work; no word of it does not count as done."""
        given = request.options["expect"]
        return DEFAULT_ANSWER if given is None else dict(given)

    def may_repeat(self, request: Request) -> bool:
        """Only if the hook itself keeps the same `action_id` from working twice."""
        return bool(request.options["repeatable"])


def judge(answer: Mapping[str, Any], body: str, expect: Mapping[str, Any], took_ms: int) -> Seen:
    """Compare one answer of Invoke with what is expected."""
    parsed = _json(body)
    evidence: dict[str, Any] = {
        "status": answer.get("StatusCode"),
        "executed_version": answer.get("ExecutedVersion", ""),
        "invocation_ms": took_ms,
        "answer": preview(body, MAX_SHOWN),
    }
    if answer.get("FunctionError"):
        error = parsed if isinstance(parsed, dict) else {}
        kind = str(error.get("errorType") or answer["FunctionError"])
        message = preview(str(error.get("errorMessage") or body))
        evidence |= {"error_type": kind[:256], "error_message": message}
        return Seen(Verdict.DOES_NOT_HOLD, f"the function failed with {kind[:256]}: {message}", evidence)
    found = differences(expect, parsed) if expect else []  # nothing expected: not even an object
    status = parsed.get("statusCode") if isinstance(parsed, dict) else None
    if "statusCode" not in expect and isinstance(status, int) and status >= 400:
        found.append(f"statusCode is {status}")
    if found:
        evidence["differences"] = found[:MAX_DIFFERENCES]
        return Seen(Verdict.DOES_NOT_HOLD, f"the answer differs: {'; '.join(found[:3])}", evidence)
    return Seen(Verdict.HOLDS, f"version {evidence['executed_version']} answered as expected", evidence)


def differences(expected: Any, seen: Any, path: str = "") -> list[str]:
    """Where `seen` lacks what `expected` has. Fields that are not expected do not count.

    A text that should be an object is read as JSON: an API's `body` comes so.
    """
    if isinstance(expected, Mapping):
        seen = _json(seen) if isinstance(seen, str) else seen
        if not isinstance(seen, Mapping):
            return [f"{path or 'the answer'} is {_shown(seen)}; expected an object"]
        return [
            told
            for name, value in expected.items()
            for told in (
                differences(value, seen[name], f"{path}.{name}".lstrip("."))
                if name in seen
                else [f"{f'{path}.{name}'.lstrip('.')} is missing; expected {_shown(value)}"]
            )
        ]
    same = expected == seen and isinstance(expected, bool) == isinstance(seen, bool)
    return [] if same else [f"{path or 'the answer'} is {_shown(seen)}; expected {_shown(expected)}"]


def _shown(value: Any) -> str:
    return preview(json.dumps(value, default=str), 80)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


lambda_handler = handler_for(SmokeTest, RunHook)
