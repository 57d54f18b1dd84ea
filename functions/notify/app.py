"""Notify: what people are told. It turns events of the bus into messages and publishes them to people's topic.

Told are: an incident opened, contained, remediated, green, escalated, closed; a step that waits for a person; a
refusal that leaves an alarm red; what was done by hand. Everything else is in the ledger and not in anybody's mailbox.
Mail gets the text and chat its card, over the same topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import message, settings
from selfheal.clients import client
from selfheal.links import Console
from selfheal.message import card
from selfheal.observability import logger

PERMISSIONS = ("sns:Publish",)


@logger.inject_lambda_context
def lambda_handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish the message of one event, if people should hear of it. An error is raised: Lambda tries again."""
    told = message.of(event, Console.of(context.invoked_function_arn))
    if told is None:
        return {"told": False}
    client("sns").publish(
        TopicArn=settings.text("PEOPLE_TOPIC"),
        Subject=told.subject,
        Message=card.structure(told),
        MessageStructure="json",
        MessageAttributes={
            "what": {"DataType": "String", "StringValue": told.what},
            "severity": {"DataType": "String", "StringValue": told.severity},
        },
    )
    logger.info("told", subject=told.subject, what=told.what)
    return {"told": True, "subject": told.subject}
