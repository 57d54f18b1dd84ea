"""A template may have connections and API destinations, and what one of these does not take goes to the rule's queue.

Stock ministack 1.5.33 has both in its EventBridge, delivers, folds the connection's parameters into the request and
keeps its secrets; its CloudFormation has neither AWS::Events::Connection nor AWS::Events::ApiDestination; and what is
answered by an error, or not at all, is dropped.

AWS tries again what is answered by 401, 407, 409, 429 or 5xx, or not at all, as the target's RetryPolicy says, nothing
else, and what is left goes to the target's dead-letter queue
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html). Here it is tried again twice, at
once: nobody waits for an hour, and the rate limit is not kept. What such a letter holds where there is an input
transformer AWS does not say; here it is what was sent.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from typing import Any

from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

from local.emulator.mends import hook
from local.emulator.mends.lambda_async import send_to_queue

TRIES = 3
AGAIN = {401, 407, 409, 429}
CONNECTION = ("Name", "AuthorizationType", "AuthParameters", "Description")
DESTINATION = ("Name", "ConnectionArn", "Description", "HttpMethod", "InvocationEndpoint")

Properties = dict[str, Any]

_target: contextvars.ContextVar[Properties | None] = contextvars.ContextVar("api_destination_target", default=None)


def _dispatch(spec: Any, payload: str, target: Properties) -> None:
    token = _target.set({**target, "payload": payload})
    try:
        _stock_dispatch(spec, payload, target)
    finally:
        _target.reset(token)


def _request(*given: Any) -> Properties:
    """The request, with what the delivery, in a thread of its own, must know of the target."""
    built: Properties = _stock_request(*given)
    return {**built, "target": _target.get() or {}, "context": contextvars.copy_context()}


def _deliver(name: str, request: Properties, connection: Properties, token_key: Any) -> None:
    said = "no answer"
    for _ in range(TRIES):
        try:
            status = eventbridge._api_destination_send_sync(
                request, eventbridge._connection_auth_headers(connection, token_key)
            )
        except OSError as error:
            said = f"no answer: {error}"
            continue
        if status < 300:
            return
        said = f"HTTP {status}"
        if status not in AGAIN and status < 500:
            break
    eventbridge.logger.warning("EventBridge: API destination %s: %s", name, said)
    request["context"].run(_leave, request["target"], said)


def _leave(target: Properties, said: str) -> None:
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue:
        attributes = {"TARGET_ARN": target["Arn"], "ERROR_CODE": "SDK_CLIENT_ERROR", "ERROR_MESSAGE": said}
        send_to_queue(queue, target["payload"], {key: ("String", value) for key, value in attributes.items()})


def _handlers(kind: str, fields: tuple[str, ...], arn: str) -> dict[str, Any]:
    """What CloudFormation does for one of the two, by the calls of EventBridge itself."""

    def given(name: str, properties: Properties) -> Properties:
        return {key: properties[key] for key in fields if key in properties} | {"Name": name}

    def done(call: Callable[[Properties], Any], wanted: Properties) -> tuple[str, Properties]:
        status, _, body = call(wanted)[:3]
        if status >= 400:
            raise ValueError(f"{kind}: {body!r}")
        answer = json.loads(body)
        return wanted["Name"], {"Arn": answer[arn], "ArnForPolicy": answer[arn]}

    def create(logical_id: str, properties: Properties, stack: str) -> Any:
        name = properties.get("Name") or provisioners._physical_name(stack, logical_id, max_len=64)
        return done(getattr(eventbridge, f"_create_{kind}"), given(name, properties))

    def update(physical_id: str, _old: Properties, new: Properties, _stack: str) -> Any:
        return done(getattr(eventbridge, f"_update_{kind}"), given(physical_id, new))

    def delete(physical_id: str, _properties: Properties) -> None:
        getattr(eventbridge, f"_delete_{kind}")({"Name": physical_id})

    return {"create": create, "update": update, "delete": delete}


def apply() -> None:
    global _stock_dispatch, _stock_request  # noqa: PLW0603
    _stock_dispatch = hook(eventbridge, "_dispatch_to_api_destination", _dispatch)
    _stock_request = hook(eventbridge, "_build_api_destination_request", _request)
    hook(eventbridge, "_deliver_to_api_destination", _deliver)
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::Events::Connection"] = _handlers("connection", CONNECTION, "ConnectionArn")
    handlers["AWS::Events::ApiDestination"] = _handlers("api_destination", DESTINATION, "ApiDestinationArn")


_stock_dispatch: Any = None
_stock_request: Any = None
