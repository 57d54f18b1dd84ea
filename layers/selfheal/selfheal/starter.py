"""Start an action: through the paced queue where its API is rationed, else by an asynchronous Invoke.

Both may deliver twice; the action_id makes the second one a duplicate.
"""

from __future__ import annotations

import json
from typing import Any

from selfheal import settings
from selfheal.aws_errors import AwsError, translate
from selfheal.catalogue import ACTIONS
from selfheal.clients import client
from selfheal.errors import Misconfigured


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
