"""Asynchronous invocation, whoever asks for it: retries, event age, failure queue, destinations, permission.

Stock ministack 1.5.33 gives that to ``InvocationType=Event`` alone, and there without a qualifier's configuration
(SAM writes it for the alias); SNS and EventBridge call the function once, uncounted, whether its resource policy
lets them or not. A failure queue gets the envelope of a destination, and no attributes.

AWS queues every event of SNS, EventBridge, S3 or an alarm action and
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html) retries a function error twice
by default, a minute and two minutes later; repeats a throttle for as long as the event's age permits; takes
``MaximumRetryAttempts``, ``MaximumEventAgeInSeconds`` and destinations from the invoked qualifier's configuration;
sends what is left to the on-failure destination (an envelope, …/dg/invocation-async-retain-records.html) and to the
dead-letter queue (the event as it was, with the attributes RequestID, ErrorCode and ErrorMessage), both with the
execution role's permissions. A caller that is a service needs a statement in the function's resource policy for
exactly that qualifier (…/dg/access-control-resource-based.html). An invocation beyond the sixteenth of a chain is
dropped (…/dg/invocation-recursion.html); the chain is counted through SNS and EventBridge here too.

A minute is ``LAMBDA_ASYNC_RETRY_BASE_SECONDS`` here.
"""

from __future__ import annotations

import contextvars
import json
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.arn import parse_arn
from ministack.core.concurrency import esm_wake
from ministack.core.responses import new_uuid, request_scope
from ministack.services import cloudwatch, eventbridge, lambda_svc, sns, sqs

from local.emulator.mends import hook
from local.emulator.mends.lambda_invocation import split

DEFAULT_RETRIES = 2
DEFAULT_AGE = 21600  # seconds
THROTTLE_PAUSE = 1.0  # seconds; AWS backs off from one second to five minutes
ERROR_MESSAGE_LIMIT = 1024  # bytes of the failure queue's attribute
RETRY_BASE = float(os.environ.get("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "1"))


class NotAllowedError(Exception):
    """The function's resource policy has no statement for this caller, or there is no such function."""


@dataclass
class Event:
    """One queued event; ``request_id`` stays the same through all attempts."""

    function_arn: str
    payload: Any
    request_id: str
    accepted: float
    attempts: int = 0


def deliver(function_arn: str, payload: Any, principal: str, source_arn: str) -> None:
    """Queue an event for a service; raises :class:`NotAllowedError` where AWS refuses the call."""
    if not allowed(function_arn, principal, source_arn):
        raise NotAllowedError(f"{principal} may not invoke {function_arn}")
    accept(function_arn, payload)


def accept(function_arn: str, payload: Any) -> None:
    """Queue an event of a caller that is authorised already, unless its chain of invocations has grown too long."""
    depth = lambda_svc._invoke_depth.get() + 1
    name, _ = split(function_arn)
    spec = parse_arn(function_arn)
    with request_scope(spec.account_id, spec.region):
        if lambda_svc._recursive_loop_drop(name, lambda_svc._functions[name], depth) is None:
            enqueue(function_arn, payload, depth)


def allowed(function_arn: str, principal: str, source_arn: str) -> bool:
    """Whether the function exists and its policy lets ``principal`` invoke it from ``source_arn``."""
    spec = parse_arn(function_arn)
    source = parse_arn(source_arn)
    with request_scope(spec.account_id, spec.region):
        record, _, name = lambda_svc._get_func_record_for_ref(function_arn)
        if record is None:
            return False
        for statement in lambda_svc._functions[name]["policy"]["Statement"]:
            if (
                statement["Effect"] == "Allow"
                and statement["Resource"] == function_arn
                and statement["Action"] in {"lambda:InvokeFunction", "lambda:*"}
                and (
                    statement["Principal"] == "*"
                    or iam_evaluator._service_principal_matches(statement["Principal"], principal)
                )
                and _conditions_hold(statement.get("Condition", {}), source_arn, source.account_id)
            ):
                return True
    return False


def enqueue(function_arn: str, payload: Any, depth: int) -> str:
    """Accept an event; returns its request id. The invocation runs in the background."""
    event = Event(function_arn, payload, new_uuid(), time.time())
    context = contextvars.copy_context()
    context.run(lambda_svc._invoke_depth.set, depth)
    threading.Thread(target=context.run, args=(_process, event), daemon=True, name="lambda-async").start()
    return event.request_id


def send_to_queue(queue_arn: str, body: str, attributes: dict[str, tuple[str, str]]) -> bool:
    """Put a message into a queue of this emulator; attributes are name to (type, value). False: no such queue."""
    queue = sqs._queue_by_arn(queue_arn)
    if queue is None:
        return False
    now = time.time()
    values = {name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()}
    message = {
        "id": new_uuid(),
        "body": body,
        "message_attributes": values,
        "md5_attrs": sqs._md5_msg_attrs(values),
        "sent_at": now,
        "visible_at": now + sqs.queue_delay(queue),
    }
    sqs._ensure_msg_fields(message)
    queue["messages"].append(message)
    esm_wake.set()
    return True


def _process(event: Event) -> None:
    spec = parse_arn(event.function_arn)
    name, qualifier = split(event.function_arn)
    with request_scope(spec.account_id, spec.region):
        while True:
            record, config, _ = lambda_svc._get_func_record_for_ref(event.function_arn)
            if record is None or config is None:
                return
            settings = lambda_svc._event_invoke_config(lambda_svc._functions[name], qualifier or None) or {}
            age = time.time() - event.accepted
            cloudwatch.record_metric("AWS/Lambda", "AsyncEventAge", age * 1000, "Milliseconds", {"FunctionName": name})
            if age > int(settings.get("MaximumEventAgeInSeconds") or DEFAULT_AGE):
                _give_up(event, config, settings, "EventAgeExceeded", None)
                return
            if lambda_svc._reserved_concurrency(record, config) == 0:
                cloudwatch.record_metric("AWS/Lambda", "Throttles", 1, "Count", {"FunctionName": name})
                _give_up(event, config, settings, "ZeroReservedConcurrency", None)
                return
            called = {**record, "config": {**config, "FunctionArn": event.function_arn}}
            result = _execute(called, event)
            if result.get("throttle"):
                time.sleep(THROTTLE_PAUSE)
                continue
            event.attempts += 1
            if not result.get("error"):
                _send(settings, "OnSuccess", _envelope(event, config, "Success", result), config)
                return
            retries = settings.get("MaximumRetryAttempts")
            if event.attempts > (DEFAULT_RETRIES if retries is None else int(retries)):
                _give_up(event, config, settings, "RetriesExhausted", result)
                return
            time.sleep(RETRY_BASE * event.attempts)


def _execute(called: dict[str, Any], event: Event) -> dict[str, Any]:
    if lambda_svc._execute_function.__module__ == lambda_svc.__name__:
        return dict(lambda_svc._execute_function(called, event.payload))
    return dict(lambda_svc._execute_function(called, event.payload, event.request_id))


def _give_up(
    event: Event, config: dict[str, Any], settings: dict[str, Any], condition: str, result: dict[str, Any] | None
) -> None:
    _send(settings, "OnFailure", _envelope(event, config, condition, result), config)
    target = (config.get("DeadLetterConfig") or {}).get("TargetArn")
    if target:
        body = (result or {}).get("body")
        message = body.get("errorMessage") if isinstance(body, dict) else None
        code = "200" if result else "429"
        attributes = {
            "RequestID": ("String", event.request_id),
            "ErrorCode": ("Number", code),
            "ErrorMessage": ("String", str(message or condition)[:ERROR_MESSAGE_LIMIT]),
        }
        _put(target, json.dumps(event.payload), attributes, config)
    cloudwatch.record_metric("AWS/Lambda", "AsyncEventsDropped", 1, "Count", {"FunctionName": config["FunctionName"]})


def _envelope(event: Event, config: dict[str, Any], condition: str, result: dict[str, Any] | None) -> dict[str, Any]:
    arn = event.function_arn if split(event.function_arn)[1] else f"{event.function_arn}:$LATEST"
    envelope: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": arn,
            "condition": condition,
            "approximateInvokeCount": event.attempts,
        },
        "requestPayload": event.payload,
    }
    if result is not None:
        envelope["responseContext"] = {"statusCode": 200, "executedVersion": config.get("Version", "$LATEST")}
        if result.get("error"):
            envelope["responseContext"]["functionError"] = "Unhandled"
        envelope["responsePayload"] = result.get("body")
    return envelope


def _send(settings: dict[str, Any], kind: str, envelope: dict[str, Any], config: dict[str, Any]) -> None:
    target = ((settings.get("DestinationConfig") or {}).get(kind) or {}).get("Destination")
    if not target:
        return
    service = parse_arn(target).service
    if service == "lambda":
        if _role_may(config, "lambda:InvokeFunction", target):
            enqueue(target, envelope, lambda_svc._invoke_depth.get() + 1)
    elif service == "events":
        if _role_may(config, "events:PutEvents", target):
            outcome = "Success" if kind == "OnSuccess" else "Failure"
            eventbridge._put_events(
                {
                    "Entries": [
                        {
                            "Source": "lambda",
                            "DetailType": f"Lambda Function Invocation Result - {outcome}",
                            "Detail": json.dumps(envelope),
                            "EventBusName": target.rpartition("/")[2],
                            "Resources": [target, envelope["requestContext"]["functionArn"]],
                        }
                    ]
                }
            )
    else:
        _put(target, json.dumps(envelope), {}, config)


def _put(target: str, body: str, attributes: dict[str, tuple[str, str]], config: dict[str, Any]) -> None:
    if parse_arn(target).service == "sqs":
        if _role_may(config, "sqs:SendMessage", target) and send_to_queue(target, body, attributes):
            return
    elif _role_may(config, "sns:Publish", target):
        sns.publish_internal(
            target,
            body,
            message_attributes={
                name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()
            },
        )
        return
    cloudwatch.record_metric(
        "AWS/Lambda",
        "DeadLetterErrors" if attributes else "DestinationDeliveryFailures",
        1,
        "Count",
        {"FunctionName": config["FunctionName"]},
    )


def _role_may(config: dict[str, Any], action: str, resource: str) -> bool:
    credentials = lambda_runtime.execution_credentials(config)
    return role_allows(config["Role"], credentials["AWS_ACCESS_KEY_ID"], action, resource)


def role_allows(role_arn: str, access_key: str, action: str, resource: str) -> bool:
    """Whether the role's policies allow the action; ``access_key`` belongs to a session of the role."""
    spec = parse_arn(role_arn)
    principal = iam_evaluator.resolve_principal(access_key, spec.account_id)
    if isinstance(principal, iam_evaluator.AuthError) or principal.policies is None:
        return False
    context = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=resource,
        region=parse_arn(resource).region or "",
        service_context={},
        principal_keys=principal.keys,
    )
    return bool(iam_evaluator.evaluate(context, principal.policies, *principal.limits).decision == "Allow")


def _conditions_hold(conditions: dict[str, dict[str, str]], source_arn: str, source_account: str) -> bool:
    actual = {"aws:sourcearn": source_arn, "aws:sourceaccount": source_account}
    for operator, expected in conditions.items():
        for key, value in expected.items():
            found = actual.get(key.lower())
            matches = iam_evaluator.fnmatch_iam_cs if "Like" in operator else str.__eq__
            if found is None or not matches(found, value):
                return False
    return True


def _invoke_event(func: dict[str, Any], event: Any) -> None:
    """``InvocationType=Event``: the caller is authorised already, the depth counted."""
    enqueue((func.get("config") or func)["FunctionArn"], event, lambda_svc._invoke_depth.get())


def _from_sns(endpoint: str, envelope: str, topic_arn: str, sub_arn: str, *_: Any) -> None:
    record = {
        "EventVersion": "1.0",
        "EventSubscriptionArn": sub_arn,
        "EventSource": "aws:sns",
        "Sns": json.loads(envelope),
    }
    try:
        deliver(endpoint, {"Records": [record]}, "sns.amazonaws.com", topic_arn)
    except NotAllowedError as error:
        sns.logger.warning("SNS: %s", error)


async def _dispatch(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
    """A call that a function makes carries the length of its chain, to whichever service."""
    lambda_svc._invoke_depth.set(lambda_svc._inbound_invoke_depth(headers))
    return await _stock_dispatch(method, path, headers, *rest)


def apply() -> None:
    global _stock_dispatch  # noqa: PLW0603
    from ministack import app  # noqa: PLC0415 - reads the environment when it is imported

    hook(lambda_svc, "invoke_async_with_retry", _invoke_event)
    hook(sns, "_deliver_to_lambda", _from_sns)
    _stock_dispatch = hook(app, "_dispatch_service_request", _dispatch)


_stock_dispatch: Any = None
