"""Flapping: the same incident again and again. People are told once, and then how often, and not each time.

A series are incidents of one key (system, response, subject) of which each opened soon after the one before was
closed. All of them go to the thread of the first. Told in full are the 1st, 2nd, 4th, 8th … of a series; of the others
only what must not be kept quiet: an escalation, a step that waits for a person, what was changed, an end that was none.
"""

from __future__ import annotations

from dataclasses import replace

from selfheal import ledger as table
from selfheal.incident import Incident, Phase, Status
from selfheal.ledger import Item, Write
from selfheal.words import Stage

WITHIN_S = 1_800.0
"""An incident that opens so soon after the last of its key was closed continues the series."""
_LAST = "FLAP"


def first(incident: Incident, now: float) -> Write:
    """What fails the transaction that opens an incident if that continues a series: then nothing was read for it."""
    return table.check(_LAST, incident.key, "attribute_not_exists(pk) OR flaps_until < :now", {"now": now})


def continued(opened: Incident, last: Item) -> Incident:
    """The incident that is to be opened as the next of its series; `last` is the item that `first` has found."""
    doc = last["doc"]
    return replace(opened, thread=doc["thread"], flapping_since=float(doc["since"]), repeats=int(doc["count"]))


def closed(incident: Incident, now: float) -> list[Write]:
    """The write that remembers a closed incident, for the next one of its key. A rollout does not flap."""
    if incident.rollout:
        return []
    since = incident.flapping_since or incident.red_at_ms / 1000
    doc = {"thread": incident.thread_id, "since": since, "count": _count(incident)}
    until = now + WITHIN_S
    return [table.put(_LAST, incident.key, doc, flaps_until=until, expires=int(until))]


def is_told(what: str, incident: Incident) -> bool:
    """Whether people hear of this news of the incident's life. Escalations always are told."""
    if what in {"escalated", "needs_person"} or not _count(incident) & incident.repeats:
        return True
    if what == "contained":
        return any(step.status is Status.DONE for step in incident.of(Stage.CONTAIN))
    if what == "remediated":
        return True
    return what == "closed" and incident.phase is Phase.CLOSED and incident.verdict == "escalated"


def _count(incident: Incident) -> int:
    """How many of the series there are with this one."""
    return incident.repeats + 1
