"""Events on the stack's own bus: outcomes of actions, the steps in the life of an incident, and notices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
NOTICE = "Notice"
MAX_DETAIL_BYTES = 200_000
"""EventBridge takes 256 KB for an entry; the rest is left for the envelope."""
MAX_ENTRIES = 10
MAX_CALL_BYTES = 230_000


NEEDED_AFTERWARDS = ("not_recorded", "request")
"""The evidence of a result that the ledger does not know; of these and the images its record is made later."""
NEVER_LEFT_OUT = (*NEEDED_AFTERWARDS, "captured")


def publish(result: Result) -> None:
    """Tell the bus what became of a request."""
    fits = trimmed(result.as_event(), MAX_DETAIL_BYTES, ("evidence", "after", "before"))
    fits["evidence"] |= {name: result.evidence[name] for name in NEVER_LEFT_OUT if name in result.evidence}
    send(ACTION_OUTCOME, fits)


def send(kind: str, *details: Mapping[str, Any]) -> bool:
    """Put events of one kind, as many per call as it takes. False: not all were taken; logged and not raised."""
    entries = [
        {
            "EventBusName": settings.bus(),
            "Source": SOURCE,
            "DetailType": kind,
            "Detail": json.dumps(detail, default=str),
        }
        for detail in details
    ]
    taken = [_put(kind, batch) for batch in _batches(entries)]
    return all(taken)


def _batches(entries: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """Ten entries and 256 KB: both are limits of one call."""
    batch: list[dict[str, str]] = []
    used = 0
    for entry in entries:
        length = len(entry["Detail"].encode())
        if batch and (len(batch) == MAX_ENTRIES or used + length > MAX_CALL_BYTES):
            yield batch
            batch, used = [], 0
        batch.append(entry)
        used += length
    if batch:
        yield batch


def _put(kind: str, entries: list[dict[str, str]]) -> bool:
    try:
        answer = client("events").put_events(Entries=entries)
    except AwsError as error:
        logger.error("events not sent", kind=kind, cause=str(error))
        return False
    if answer.get("FailedEntryCount"):
        logger.error("events not taken", kind=kind, entries=answer["Entries"])
    return not answer.get("FailedEntryCount")
