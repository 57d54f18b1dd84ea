"""Start an action: through the paced queue where its API is rationed, else by an asynchronous Invoke; or ask it for a
plan and wait for that.

Both may deliver twice; the action_id makes the second one a duplicate.
"""

from __future__ import annotations

import json
from typing import Any

from selfheal import settings
from selfheal.aws_errors import AwsError, translate
from selfheal.catalogue import ACTIONS
from selfheal.clients import client, client_once
from selfheal.errors import Misconfigured, Unreadable
from selfheal.words import Mode

PLAN_WITHIN_S = 12
"""Longer than a cold start and a few reads."""


def start(event: dict[str, Any]) -> None:
    """Send a request's event on its way. Raises the selfheal error of what AWS answered, Misconfigured."""
    entry = ACTIONS[event["action"]]
    where = settings.functions().get(entry.function)
    if where is None:
        raise Misconfigured(f"ACTION_FUNCTIONS does not name {entry.function}")
    body = json.dumps(event, default=str)
    try:
        if entry.paced:
            client("sqs").send_message(QueueUrl=where, MessageBody=body)
        else:
            client("lambda").invoke(FunctionName=where, InvocationType="Event", Payload=body)
    except AwsError as error:
        translate(error, f"starting {event['action']} by {where}")


def ask_for_plan(event: dict[str, Any]) -> dict[str, Any]:
    """What the action's function answers to a request that only plans. Raises the selfheal error of what AWS answered,
    Unreadable if the function failed, Misconfigured."""
    if event.get("mode") != Mode.PLAN:
        raise Misconfigured("only a plan is waited for")
    entry = ACTIONS[event["action"]]
    names = settings.paced_functions() if entry.paced else settings.functions()
    where = names.get(entry.function)
    if where is None:
        raise Misconfigured(f"nothing names the function {entry.function}")
    return ask(where, event, PLAN_WITHIN_S)


def ask(function: str, event: dict[str, Any], within_s: int) -> dict[str, Any]:
    """What a function answers, waited for. Raises the selfheal error of what AWS answered, Unreadable if it failed."""
    what = f"the answer of {function}"
    try:
        answered = client_once("lambda", within_s).invoke(FunctionName=function, Payload=json.dumps(event))
        answer = json.loads(answered["Payload"].read())
    except AwsError as error:
        translate(error, what)
    except ValueError as error:
        raise Unreadable(what, str(error)) from error
    if answered.get("FunctionError") or not isinstance(answer, dict):
        raise Unreadable(what, str(answer)[:300])
    return answer
