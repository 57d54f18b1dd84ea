"""Refusals that belong to no incident: bad input and alarms without a response. Recorded whole, nothing lost."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from selfheal import ledger as table
from selfheal import outcome, told
from selfheal.errors import LedgerUnavailable, Refused
from selfheal.ledger import Lost
from selfheal.observability import logger
from selfheal.world import ledger

KEEP_S = 90 * table.DAY_S
MAX_EVENT_CHARACTERS = 150_000
"""A DynamoDB item holds 400 KB, and JSON in JSON may double it; a longer event is cut, its length is recorded."""


def keep(record_id: str, refused: Refused, event: Any, *, escalate: bool = False) -> bool:
    """Record a refusal with the event that caused it; with `escalate`, tell people as well.

    Keyed by `record_id`, so that a retry or a second delivery writes and tells nothing; False says that it was one.
    """
    now = time.time()
    text = json.dumps(event, default=str)
    doc = {
        "reason": refused.refusal.value,
        "detail": refused.detail or refused.refusal.sentence,
        "event": text[:MAX_EVENT_CHARACTERS],
        "event_characters": len(text),
        "at": now,
        "escalated": escalate,
    }
    logger.warning("refused", reason=doc["reason"], detail=doc["detail"])
    day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
    try:
        ledger().write(table.put_new(f"RECORD#{day}", record_id, doc, expires=int(now + KEEP_S)))
    except Lost:
        return False
    except LedgerUnavailable as error:
        logger.error("refusal not recorded", record=doc, cause=str(error))
    update: dict[str, Any] = {name: doc[name] for name in ("reason", "detail", "at")}
    if escalate:
        update["told"] = told.of_refusal(record_id, str(doc["reason"]), str(doc["detail"]))
    outcome.send(
        outcome.INCIDENT_UPDATE, {"what": "escalated" if escalate else "refused", "record": record_id, **update}
    )
    return True
