"""What happens to the demo system, as lines: from the ledger, the resources, and the messages that people get.

Reading and comparing are apart: :func:`changes` is pure, so that the story can be tested without a stack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.account import Account
from local.system import ALIAS, NAME, QUEUE, SCHEDULE, State, System
from local.timeline import Line

PEOPLE_QUEUE = "selfheal-local-people"
Document = Mapping[str, Any]
_WHY = {
    "contain": "at once: the alarm is red",
    "remediate": "contained: the next rung of the ladder",
    "probe": "an alarm without data turns OK by itself; an answer proves more",
    "recover": "it is green",
}
"""Stage of a step → why it is asked for then."""


@dataclass(frozen=True)
class View:
    """Everything at one moment (``at``, epoch seconds). ``incident`` is its document in the ledger."""

    at: float
    state: State
    incident: Document | None = None
    records: Mapping[str, Document] = field(default_factory=dict)
    told: tuple[str, ...] = ()


class Watcher:
    """Reads views of one stack, of what has happened since ``since`` (epoch seconds).

    People's messages are collected by a queue that subscribes to their topic.
    """

    def __init__(self, account: Account, outputs: Mapping[str, str], since: float) -> None:
        self.account = account
        self.system = System(account)
        self.ledger = outputs["LedgerTable"]
        self.since = since
        self._told: list[str] = []
        self._people = self._subscribe(outputs["PeopleTopicArn"])

    def view(self, now: float) -> View:
        """Read it all."""
        incidents, records = [], {}
        for item in self.items():
            partition, document = item["pk"]["S"], json.loads(item["doc"]["S"]) if "doc" in item else {}
            if partition == "OPEN" or partition.startswith("INCIDENT#"):
                incidents.append(document)
            elif partition.startswith("RECORD#") and document["at"] >= self.since:
                records[item["sk"]["S"]] = document
        ours = [one for one in incidents if one["system"] == NAME and one["opened_at"] >= self.since]
        newest = max(ours, key=lambda one: float(one["opened_at"]), default=None)
        self._hear()
        return View(now, self.system.state(), newest, records, tuple(self._told))

    def items(self) -> Iterator[Mapping[str, Any]]:
        """Every item of the ledger, read consistently; a demo's ledger is small."""
        pages = (
            self.account.client("dynamodb").get_paginator("scan").paginate(TableName=self.ledger, ConsistentRead=True)
        )
        return (item for page in pages for item in page["Items"])

    def _subscribe(self, topic: str) -> str:
        sqs = self.account.client("sqs")
        url: str = sqs.create_queue(QueueName=PEOPLE_QUEUE)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        self.account.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return url

    def _hear(self) -> None:
        sqs = self.account.client("sqs")
        for message in sqs.receive_message(QueueUrl=self._people, MaxNumberOfMessages=10).get("Messages", []):
            self._told.append(json.loads(message["Body"]).get("Subject") or "(without a subject)")
            sqs.delete_message(QueueUrl=self._people, ReceiptHandle=message["ReceiptHandle"])


def changes(old: View, new: View) -> list[Line]:
    """What is different, in the order of time. The ledger knows when; of a resource it is when it was looked at."""
    lines = [*_of_state(old.state, new.state, new.at), *_of_incident(old.incident, new.incident)]
    lines += [
        Line(one["at"], "refused", f"{one['reason']}: {one['detail']}")
        for name, one in new.records.items()
        if name not in old.records
    ]
    lines += [Line(new.at, "told", f"people: {subject}") for subject in new.told[len(old.told) :]]
    return sorted(lines, key=lambda line: line.at)


def waiting_for(incident: Document | None) -> str:
    """What an open incident waits for, in words; nothing when it is closed."""
    if incident is None or incident["phase"] == "closed":
        return ""
    asked = [step for step in (*incident["steps"], *incident["probes"]) if step["status"] == "asked"]
    if any(step["action"] == "replay_dlq" for step in asked):
        return "for the canary: one dead letter was sent, and must not come back before the others follow"
    if asked:
        return "for " + ", ".join(f"{step['action']} {step['target_name']}" for step in asked)
    if incident["phase"] == "settle":
        probed = any(run["status"] == "done" for run in incident["probes"])
        return "for the alarm's period to end" + ("; the probe has passed" if probed else "")
    return f"in phase {incident['phase']}"


def _of_state(old: State, new: State, at: float) -> Iterator[Line]:
    named = {
        f"{ALIAS} points to version": (old.version, new.version),
        "trading_enabled is": (old.flag, new.flag),
        f"{SCHEDULE} is": (old.schedule, new.schedule),
        f"{QUEUE} holds dead letters:": (old.dead_letters, new.dead_letters),
        "orders at the broker:": (old.orders, new.orders),
        **{f"{name} is": (old.alarms[name], state) for name, state in new.alarms.items()},
    }
    for what, (before, after) in named.items():
        if before != after:
            yield Line(at, "alarm" if after == "ALARM" else "resource", f"{what} {after} (was {before})")


def _of_incident(old: Document | None, new: Document | None) -> Iterator[Line]:
    if new is None:
        return
    if old is None:
        red = ", ".join(alarm["name"] for alarm in new["alarms"].values())
        yield Line(new["opened_at"], "incident", f"{new['severity']} opened: {new['response']} ({red}); {new['id']}")
        old = {"steps": [], "probes": [], "escalations": []}
    if new["green_at"] and not old.get("green_at"):
        yield Line(new["green_at"], "green", _why_green(new))
    known = {_key(step): step for step in (*old["steps"], *old["probes"])}
    for step in (*new["steps"], *new["probes"]):
        yield from _of_step(known.get(_key(step)), step, new)
    for why in new["escalations"][len(old["escalations"]) :]:
        yield Line(new["escalated_at"], "escalated", why)
    if new["closed_at"] and not old.get("closed_at"):
        yield Line(new["closed_at"], "closed", f"incident closed: {new['verdict']}")


def _of_step(old: Document | None, new: Document, incident: Document) -> Iterator[Line]:
    """Asked, and what became of it: a decision that was held or refused is as much a part of the story."""
    kind = "probe" if new["number"] < 0 else new["stage"]
    label = f"{new['action']} {new['target_name']}"
    if new["asked_at"] and (old is None or old["asked_at"] != new["asked_at"]):
        yield Line(new["asked_at"], kind, f"{label}: decided ({_WHY[kind]})")
    before = "waiting" if old is None else old["status"]
    if new["status"] == before or new["status"] in {"waiting", "asked"}:
        return
    why = new["detail"] or new["reason"]
    if new["status"] == "needs_person":
        yield Line(incident["closed_at"] or incident["green_at"] or 0.0, "person", f"{label}: waits for a person")
        return
    ended = new["done_at"] or new["retry_at"] or new["asked_at"] or 0.0
    took = f" ({ended - new['asked_at']:.1f} s)" if new["done_at"] and new["asked_at"] else ""
    kind = kind if new["status"] in {"done", "nothing_to_do"} else "refused"
    yield Line(ended, kind, f"{label}: {new['status'].replace('_', ' ')}{took}{': ' if why else ''}{why}")


def _why_green(incident: Document) -> str:
    probed = [run["detail"] for run in incident["probes"] if run["status"] == "done"]
    states = ", ".join(f"{alarm['name']} is {alarm['state']}" for alarm in incident["alarms"].values())
    return "; ".join([states, *probed])


def _key(step: Document) -> tuple[int, int]:
    """A probe runs under one number and several tries; a step that is tried again is the same step."""
    return step["number"], step["tries"] if step["number"] < 0 else 0
