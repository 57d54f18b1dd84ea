"""Does a response help? Counted when an incident is closed; one that healed none of several in a row is stopped.

Each run may have succeeded all the same: the alias moved as it should, and the alarm stayed red. What stops the
response is a pause of its own, which the guard `useless` asks about. It ends when a person resumes it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from selfheal import ledger as table
from selfheal.incident import Incident, Status
from selfheal.ledger import Item, Write
from selfheal.runbook import response_key
from selfheal.words import Stage

WITHIN_S = 7 * table.DAY_S
"""What did not help longer ago says nothing about today's."""


def key(incident: Incident) -> tuple[str, str]:
    """Where it is counted for the incident's response."""
    return "USELESS", response_key(incident.system, incident.response)


def counted(incident: Incident, item: Item | None, now: float) -> list[Write]:
    """The writes that count a closed incident; `item` is the count as it was read.

    Only a rung that acted can have been of no use. It helped if the incident turned green, whatever came after.
    """
    if not any(step.status is Status.DONE for step in incident.of(Stage.REMEDIATE)):
        return []
    before = [] if item is None else [at for at in item["doc"]["times"] if at > now - WITHIN_S]
    if incident.green_at is not None:
        return [_count(incident, item, [], now)] if before else []
    times = [*before, now]
    if len(times) < incident.useless_after:
        return [_count(incident, item, times, now)]
    return [_count(incident, item, [], now), _stop(incident, len(times), now)]


def _count(incident: Incident, item: Item | None, times: list[float], now: float) -> Write:
    revision = int(item["revision"]) if item is not None else 0
    condition = "revision = :read" if revision else "attribute_not_exists(pk)"
    values = {"read": revision} if revision else None
    expires = int(now + WITHIN_S + table.DAY_S)
    return table.put(*key(incident), {"times": times}, condition, values, revision=revision + 1, expires=expires)


def _stop(incident: Incident, times: int, now: float) -> Write:
    until = now + table.KEEP_S
    since = datetime.fromtimestamp(now, UTC)
    doc = {
        "what": "risky",
        "who": "selfheal",
        "reason": f"it acted for {times} incidents in a row and healed none; the last was {incident.id}",
        "since": f"{since:%Y-%m-%d %H:%M:%S} UTC",
        "until": "a person resumes it",
    }
    return table.put("PAUSE", key(incident)[1], doc, paused_until=until, expires=int(until + table.DAY_S))
