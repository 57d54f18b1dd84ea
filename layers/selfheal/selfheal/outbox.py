"""News of incidents that must not get lost: written with the advance that makes them, deleted once the bus has them.

A crash or an outage of the bus between the two leaves them here, and the clock sends them again: telling twice is
better than not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfheal import ledger as table
from selfheal import outcome, told
from selfheal.errors import LedgerUnavailable
from selfheal.incident import Incident, Status, read_incident
from selfheal.ledger import Ledger, Write
from selfheal.observability import logger

AGAIN_AFTER_S = 60.0
MAX_ALARMS_TOLD = 20

_TO_DO = frozenset({Status.SUGGESTED})
"""What a person is told how to do by hand, which takes its options."""

News = list[dict[str, Any]]


def pending(incident: Incident, news: News, now: float) -> Write:
    """The write that keeps the news of this version of the incident until they are sent."""
    return table.put("OUTBOX", _key(incident), _doc(incident, news), at=now, expires=int(now + table.DELIVERY_KEEP_S))


def deliver(ledger: Ledger, incident: Incident, news: News) -> None:
    """Send the news of this version now. Raises nothing: what fails is sent again by the clock."""
    _send(ledger, _key(incident), _doc(incident, news))


def deliver_left(ledger: Ledger, now: float) -> int:
    """Send what an earlier run could not; answers how many. Raises LedgerUnavailable."""
    left = [item for item in ledger.query("OUTBOX") if item["at"] <= now - AGAIN_AFTER_S]
    for item in left:
        _send(ledger, item["sk"], item["doc"])
    return len(left)


def tell(incident: Incident, news: News) -> bool:
    """Send news without keeping them. False: the bus did not take them."""
    return _put_on_bus(_doc(incident, news))


def _send(ledger: Ledger, key: str, doc: Mapping[str, Any]) -> None:
    if not _put_on_bus(doc):
        return
    try:
        ledger.write(table.delete("OUTBOX", key))
    except LedgerUnavailable as error:
        logger.warning("news sent and not crossed off", incident=doc["incident"], cause=str(error))


def _put_on_bus(doc: Mapping[str, Any]) -> bool:
    common = {"incident": doc["incident"], "state": doc["state"]}
    incident, count = read_incident(doc["state"]), doc["state"].get("alarm_count", 0)
    news = _folded(doc["news"])
    kinds = [item["what"] for item in news]
    details = []
    for item in news:
        also = [kind for kind in kinds if kind != item["what"]]
        details.append({**item, **common, "also": also, "told": told.of(item, incident, also, count)})
    return outcome.send(outcome.INCIDENT_UPDATE, *details)


def _folded(news: News) -> News:
    """News of one kind in one moment are one: two steps that wait for a person are no reason for two messages."""
    folded: dict[str, dict[str, Any]] = {}
    for item in news:
        before = folded.get(item["what"])
        detail = f"{before['detail']}; {item['detail']}" if before else item.get("detail", "")
        folded[item["what"]] = {**item, "detail": detail}
    return list(folded.values())


def _key(incident: Incident) -> str:
    return f"{incident.id}#{incident.version}"


def _doc(incident: Incident, news: News) -> dict[str, Any]:
    """The news with the incident to write about, without what no message needs: an event holds 256 KB."""
    red_first = sorted(incident.alarms.items(), key=lambda item: not item[1].is_red)
    state = replace(
        incident,
        alarms=dict(red_first[:MAX_ALARMS_TOLD]),
        steps=tuple(step if step.status in _TO_DO else replace(step, options={}) for step in incident.steps),
        probe=None,
        probes=(),
    )
    return {"incident": incident.id, "news": news, "state": {**state.as_doc(), "alarm_count": len(incident.alarms)}}
