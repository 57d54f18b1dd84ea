"""Incidents in the ledger: opened, advanced and closed by conditional transactions, each exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from selfheal import approvals, closed, flapping, outbox, proven, scores, usefulness, versions
from selfheal import ledger as table
from selfheal.frozen import dataclass
from selfheal.guards import storm
from selfheal.incident import Incident, Phase, StepRun, read_incident
from selfheal.ledger import Item, Ledger, Lost, Write


class DuplicateDelivery(Exception):
    """This state change was taken in before."""


class AlreadyOpen(Exception):
    """What was to be opened is open: `incident`, as the write that lost has found it."""

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        super().__init__(f"{incident.id} is open")


class Flaps(Exception):
    """What was to be opened continues a series: `last`, the item of the one that was closed shortly before."""

    def __init__(self, last: Item) -> None:
        self.last = last
        super().__init__(f"the last one was closed shortly before: {last['sk']}")


def find_open(ledger: Ledger, key: str) -> Incident | None:
    """The open incident under `key`."""
    item = ledger.get("OPEN", key)
    return read_incident(item["doc"]) if item else None


def all_open(ledger: Ledger) -> Iterator[Incident]:
    """Every open incident, read consistently."""
    return (read_incident(item["doc"]) for item in ledger.query("OPEN"))


def find(ledger: Ledger, incident_id: str) -> Incident | None:
    """An incident by its id, open or closed."""
    key, dash, _ = incident_id.rpartition("-")
    if not (key and dash):
        return None
    incident = find_open(ledger, key)
    if incident is not None and incident.id == incident_id:
        return incident
    item = ledger.get(f"INCIDENT#{incident_id}", "INCIDENT")
    return read_incident(item["doc"]) if item else None


def commit(
    ledger: Ledger,
    incident: Incident,
    now: float,
    *also: Write,
    offers: tuple[StepRun, ...] = (),
    news: outbox.News | None = None,
) -> Incident | None:
    """Record an advanced incident together with `also`. None: somebody else advanced it first, read it again.

    `incident.version` is the version that was read (0: to be opened). `offers` are steps that now wait for a person;
    `news` are kept until the caller has delivered them. Raises DuplicateDelivery when the last of `also` is a delivery
    that was recorded before, AlreadyOpen when one was to be opened and there is one, Flaps when it continues a series.
    """
    following = replace(incident, version=incident.version + 1)
    closes = incident.phase is Phase.CLOSED
    writes = _closing(ledger, following, now) if closes else [_advancing(following)]
    if following.version == 1 and not (closes or following.phase is Phase.HELD or following.rollout):
        writes.append(storm.mark(following.id, following.system, now))
    writes += [approvals.waiting(following, step, now) for step in offers]
    if news:
        writes.append(outbox.pending(following, news, now))
    opens = following.version == 1 and not closes
    if opens and not (following.rollout or following.repeats):
        writes.append(flapping.first(following, now))
    try:
        ledger.write(*writes, *also)
    except Lost as lost:
        if also and lost.reasons[-1] is not None:
            raise DuplicateDelivery from lost
        if opens and lost.reasons[0]:
            raise AlreadyOpen(read_incident(lost.reasons[0]["doc"])) from lost
        if opens and (last := lost.reasons[len(writes) - 1]):
            raise Flaps(last) from lost
        return None
    return following


def _advancing(incident: Incident) -> Write:
    doc = incident.as_doc()
    due = {"due": incident.due} if incident.due is not None else {}
    if incident.version == 1:
        return table.put_new("OPEN", incident.key, doc, revision=1, **due)
    read = {"read": incident.version - 1}
    return table.put("OPEN", incident.key, doc, "revision = :read", read, revision=incident.version, **due)


def _closing(ledger: Ledger, incident: Incident, now: float) -> list[Write]:
    """Move it from the open ones, and let the targets go that it owns."""
    writes = [] if incident.version == 1 else [_remove(incident)]
    doc = {**incident.as_doc(), "score": scores.of(incident)}
    writes.append(table.put(f"INCIDENT#{incident.id}", "INCIDENT", doc, expires=int(now + table.KEEP_S)))
    writes += [scores.counted(incident), *proven.closed(incident, now), *flapping.closed(incident, now)]
    writes.append(closed.listed(incident, now))
    writes += versions.rolled_back_from(ledger, incident, now)
    owned = [(f"TARGET#{key}", "OWNER") for key in incident.target_keys()]
    read = {(item["pk"], item["sk"]): item for item in ledger.get_many([*owned, usefulness.key(incident)])}
    writes += usefulness.counted(incident, read.get(usefulness.key(incident)), now)
    mine = {"mine": incident.id}
    return writes + [
        table.delete(*key, "incident = :mine", mine)
        for key in owned
        if key in read and read[key]["incident"] == incident.id
    ]


def _remove(incident: Incident) -> Write:
    return table.delete("OPEN", incident.key, "revision = :read", {"read": incident.version - 1})


REFUSED = "-"
"""In the place of an incident: this state change was refused, and recorded as such."""


@dataclass(frozen=True)
class Delivered:
    """A state change that was taken in: the incident that got it, or REFUSED; empty where nothing is said of it."""

    key: str
    incident: str
    expires: float


def delivery(
    key: str, detail: Mapping[str, str], now: float, *, incident: str = REFUSED, after: str = REFUSED
) -> Write:
    """The record that a state change was taken in; a duplicate loses here.

    It replaces only a record that names `after`: a refusal (there may be a response by now), or a closed incident.
    """
    condition = "attribute_not_exists(pk)" + ("" if incident == REFUSED else " OR incident = :after")
    values = None if incident == REFUSED else {"after": after}
    expires = int(now + table.DELIVERY_KEEP_S)
    return table.put(_delivery(key), "DELIVERY", detail, condition, values, incident=incident, expires=expires)


def deliveries(ledger: Ledger, keys: list[str]) -> dict[str, Delivered]:
    """Those of these state changes that were taken in, by their keys."""
    wanted = [(_delivery(key), "DELIVERY") for key in keys]
    found = [item for start in range(0, len(wanted), 100) for item in ledger.get_many(wanted[start : start + 100])]
    names = {_delivery(key): key for key in keys}
    return {
        names[item["pk"]]: Delivered(names[item["pk"]], item.get("incident", ""), float(item["expires"]))
        for item in found
    }


def keep_delivery(ledger: Ledger, delivered: Delivered, now: float) -> None:
    """Do not forget a state change that still stands, or it would be taken for a new one."""
    if delivered.expires > now + table.DELIVERY_KEEP_S / 2:
        return
    changes = {"expires": int(now + table.DELIVERY_KEEP_S)}
    try:
        ledger.write(table.update(_delivery(delivered.key), "DELIVERY", changes, "attribute_exists(pk)"))
    except Lost:
        return  # forgotten in this very moment


def _delivery(key: str) -> str:
    return f"DELIVERY#{key}"
