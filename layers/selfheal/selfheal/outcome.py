"""Events on the stack's own bus: outcomes of actions, and the steps in the life of an incident."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selfheal import settings
from selfheal.aws_errors import AwsError
from selfheal.clients import client
from selfheal.observability import logger
from selfheal.request import Result
from selfheal.sizes import trimmed

SOURCE = "selfheal"
ACTION_OUTCOME = "Action Outcome"
INCIDENT_UPDATE = "Incident Update"
MAX_DETAIL_BYTES = 200_000
"""EventBridge takes 256 KB for an entry; the rest is left for the envelope."""


def publish(result: Result) -> None:
    """Tell the bus what became of a request."""
    send(ACTION_OUTCOME, trimmed(result.as_event(), MAX_DETAIL_BYTES, ("evidence", "after", "before")))


def send(kind: str, *details: Mapping[str, Any]) -> None:
    """Put events of one kind, ten per call. A failure is logged and not raised: the clock repairs what gets lost."""
    entries = [
        {
            "EventBusName": settings.bus(),
            "Source": SOURCE,
            "DetailType": kind,
            "Detail": json.dumps(detail, default=str),
        }
        for detail in details
    ]
    for start in range(0, len(entries), 10):
        try:
            answer = client("events").put_events(Entries=entries[start : start + 10])
        except AwsError as error:
            logger.error("events not sent", kind=kind, cause=str(error))
            continue
        if answer.get("FailedEntryCount"):
            logger.error("events not taken", kind=kind, entries=answer["Entries"])
