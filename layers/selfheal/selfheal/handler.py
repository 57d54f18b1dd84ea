"""The Lambda handler of every action function: read the request, run the engine, answer, tell the bus."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from selfheal import in_init, outcome, paced, refusals
from selfheal.action import Action
from selfheal.ahead import Ahead
from selfheal.engine import THROTTLED, World, run
from selfheal.errors import Refused
from selfheal.observability import logger, measure
from selfheal.request import Request, Result, read_request
from selfheal.words import Direction, Mode, Outcome
from selfheal.world import world

Handler = Callable[[Any, LambdaContext], dict[str, Any]]

NEEDED_S = 20.0
"""A request of a batch is begun only while so much of the invocation is left, twice of what a slow one takes."""


def handler_for(*actions: type[Action]) -> Handler:
    """The handler of a function with these actions; the first is the default one.

    It takes a request, or a batch of requests from the paced queue, and answers the result (or the batch's failures).
    """
    by_name = {action.name: action for action in actions}
    in_init.prepare(permission for action in actions for permission in action.permissions)

    @logger.inject_lambda_context(clear_state=True)
    def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
        if _is_batch(event):
            return _batch(by_name, event, context)
        result = _one(by_name, event, context, context.aws_request_id)
        answer: dict[str, Any] = json.loads(json.dumps(result.as_event(), default=str))
        return answer

    return lambda_handler


def _one(
    by_name: Mapping[str, type[Action]],
    event: Any,
    context: LambdaContext,
    default_id: str,
    here: World | None = None,
) -> Result:
    started = time.monotonic()
    try:
        request = read_request(event, tuple(by_name), default_id)
    except Refused as error:
        return _refused_input(event, error, default_id, started)
    with logger.append_context_keys(
        action=request.action, action_id=request.action_id, incident=request.incident, system=request.system
    ):
        action = by_name[request.action](context.get_remaining_time_in_millis() / 1000)
        result = run(action, request, here or world(context.invoked_function_arn))
        _tell(request, result)
    return result


def _tell(request: Request, result: Result) -> None:
    logger.info("outcome", outcome=result.outcome, reason=result.reason, detail=result.detail, took_ms=result.took_ms)
    if request.mode is not Mode.PLAN and not result.repeated and not _goes_back(result):
        outcome.publish(result)
    _measure(result)


def _measure(result: Result) -> None:
    """For each request by itself: those of one batch may be of different actions."""
    numbers: dict[str, tuple[MetricUnit, float]] = {
        f"Action{result.outcome.title().replace('_', '')}": (MetricUnit.Count, 1),
        "ActionDuration": (MetricUnit.Milliseconds, result.took_ms),
    }
    measure({"Action": result.action}, numbers)


def _refused_input(event: Any, error: Refused, default_id: str, started: float) -> Result:
    refusals.keep(default_id, error, event)
    result = Result(
        action="none",
        action_id=default_id,
        outcome=Outcome.REFUSED,
        reason=error.refusal.value,
        detail=error.detail or error.refusal.sentence,
        direction=Direction.READ,
        took_ms=round((time.monotonic() - started) * 1000),
    )
    _measure(result)
    return result


def _is_batch(event: Any) -> bool:
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return True
    return False


def _batch(by_name: Mapping[str, type[Action]], event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Requests from the paced queue, one after the other. A refusal is an answer, and the clock resumes what is in
    progress; what there was no time left for, and what AWS throttled, goes back into the queue."""
    names = tuple(by_name)
    asked = [(record, _body(record)) for record in event["Records"]]
    requests = [request for record, body in asked if (request := _request(body, names, record["messageId"]))]
    made = None
    if requests:
        made = world(context.invoked_function_arn)
        made = replace(made, ahead=Ahead(requests, made.home, made.now))
    back = []
    for number, (record, body) in enumerate(asked):
        late = number > 0 and context.get_remaining_time_in_millis() / 1000 < NEEDED_S
        if late or _goes_back(_one(by_name, body, context, record["messageId"], made)):
            back.append(record)
    paced.show_again(back)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in back]}


def _body(record: Mapping[str, Any]) -> Any:
    try:
        return json.loads(record["body"])
    except (ValueError, RecursionError):  # no JSON, a number without end, nested without end
        return record["body"]


def _request(body: Any, names: tuple[str, ...], default_id: str) -> Request | None:
    try:
        return read_request(body, names, default_id)
    except Refused:  # answered in its turn
        return None


def _goes_back(result: Result) -> bool:
    return result.outcome is Outcome.IN_PROGRESS and result.reason == THROTTLED
