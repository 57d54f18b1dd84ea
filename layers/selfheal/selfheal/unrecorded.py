"""What was done while the ledger did not answer, written into it afterwards: records, open changes, incidents.

The event of such an outcome carries its request and its before-image, and a queue of the stack keeps it. A message is
deleted only when all of it is in the ledger; each write is conditional, so that a second delivery, or a run that died
half-way, changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from selfheal import changes, incident_store, record, settings
from selfheal.alarm import Alarm, from_description
from selfheal.aws_errors import AwsError
from selfheal.clients import client
from selfheal.errors import Refused, SelfhealError
from selfheal.frozen import dataclass
from selfheal.guards.alarm import read_alarms
from selfheal.ledger import Lost
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.request import MAX_ID_LENGTH, AlarmReference, Request, Result, read_request
from selfheal.respond import Respond
from selfheal.words import Mode, Outcome

PERMISSIONS = ("sqs:DeleteMessage", "sqs:ReceiveMessage")
BATCH = 10
MOST_BATCHES = 10
HIDDEN_S = 50
"""What could not be written now comes back before the next tick."""
TRIES = 3

Standing = Mapping[str, Any] | None
"""What the ledger has under an action_id."""


@dataclass(frozen=True)
class Unrecorded:
    """One outcome that is not in the ledger yet. `at`: when it was, in epoch seconds."""

    request: Request
    result: Result
    at: float

    @property
    def changed(self) -> bool:
        """The target may be other than before."""
        return self.result.before is not None and self.result.before != self.result.after


def ingest(respond: Respond) -> int:
    """Take in what the queue holds; answers how many. What fails stays in the queue and does not stop the others."""
    url = settings.unrecorded_queue()
    if not url:
        return 0
    taken = 0
    try:
        for _ in range(MOST_BATCHES):
            answer = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH, VisibilityTimeout=HIDDEN_S)
            messages = answer.get("Messages", [])
            for message in messages:
                if take_in(respond, message["Body"]):
                    client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    taken += 1
            if not messages:
                break
    except AwsError as error:
        logger.error("the queue of unrecorded outcomes does not answer", cause=str(error))
    return taken


def take_in(respond: Respond, body: str) -> bool:
    """Write what one message says. False: not all of it is in the ledger yet."""
    try:
        unrecorded = read(body)
        return _write(respond, unrecorded) and _incident_is_known(respond, unrecorded.request)
    except SelfhealError as error:
        logger.error("unrecorded outcome not taken in", cause=str(error), body=body[:1000])
        return False


def read(body: str) -> Unrecorded:
    """The outcome in a message. Raises Refused for what is none: after some tries it goes to the failure queue."""
    try:
        event = json.loads(body)
        detail = event["detail"]
        sent = detail["evidence"]["request"]
        request = read_request(sent, (sent["action"],), detail["action_id"])
        evidence = dict(detail["evidence"])
        del evidence["request"]
        # under another name: an answer from the record must not come into the queue again
        evidence["recorded_afterwards"] = evidence.pop("not_recorded")
        result = replace(record.read_result(detail), evidence=evidence)
        return Unrecorded(request, result, datetime.fromisoformat(event["time"]).timestamp())
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(Refusal.NOT_A_REQUEST, f"no outcome that was left unrecorded: {error!r}") from error


# -- the action ---------------------------------------------------------------------------------------------------


def _write(respond: Respond, unrecorded: Unrecorded) -> bool:
    """Record and open change, in one transaction. False: look again later.

    An outcome that changed nothing needs no record. One whose attempt is in the ledger is left to the engine: asked
    again under its id, it verifies and records.
    """
    ledger, request, now = respond.ledger, unrecorded.request, respond.now()
    for _ in range(TRIES):
        standing = record.find(ledger, request.action_id)
        if standing is not None and standing["run"] == "running":
            if float(standing["claimed_until"]) >= now:
                return False
            if record.attempts(ledger, request.action_id):
                respond.start({**request.as_event(), "mode": Mode.RESUME.value})
                return False
        if not unrecorded.changed or _has_this_image(standing, unrecorded):
            return True
        ours, over = unrecorded, standing["run_id"] if standing else None
        if unrecorded.result.outcome is Outcome.IN_PROGRESS or not _gives_way(standing, unrecorded):
            ours, over = _under_its_own_id(unrecorded), None
            if record.find(ledger, ours.request.action_id) is not None:
                return True
        change = changes.opened(ours.request, ours.result, ours.at)
        try:
            record.write_afterwards(ledger, ours.request, ours.result, now, change, over=over)
        except Lost:
            continue
        return True
    return False


def _has_this_image(standing: Standing, unrecorded: Unrecorded) -> bool:
    if standing is None or standing["run"] != "done":
        return False
    return bool(standing["doc"]["result"]["before"] == unrecorded.result.before)


def _gives_way(standing: Standing, unrecorded: Unrecorded) -> bool:
    """A record without an image: a later run of the same id found everything done, or one died before its attempt."""
    if standing is None:
        return True
    if standing["what"] != record.what(unrecorded.request):
        return False
    return standing["run"] == "running" or standing["doc"]["result"]["before"] is None


def _under_its_own_id(unrecorded: Unrecorded) -> Unrecorded:
    """For a change beside one that has the id already: both can be undone. The same image makes the same id."""
    image = json.dumps(unrecorded.result.before, sort_keys=True)
    digest = hashlib.sha256(image.encode()).hexdigest()[:8]
    action_id = f"{unrecorded.request.action_id[: MAX_ID_LENGTH - 9]}.{digest}"
    return replace(
        unrecorded,
        request=replace(unrecorded.request, action_id=action_id),
        result=replace(unrecorded.result, action_id=action_id),
    )


# -- the incident -------------------------------------------------------------------------------------------------


def _incident_is_known(respond: Respond, request: Request) -> bool:
    """Open the incident that could not be opened then. Its steps meet their records, and are answered by them."""
    if request.incident is None or incident_store.find(respond.ledger, request.incident) is not None:
        return True
    described = {one["AlarmArn"]: one for one in read_alarms([reference.name for reference in request.alarms])}
    decisions = [
        respond.take_alarm(_as_it_was(reference, described.get(reference.arn)), request.action_id, request.as_event())
        for reference in request.alarms
    ]
    return not any(decision.get("retry") for decision in decisions)


def _as_it_was(reference: AlarmReference, described: Mapping[str, Any] | None) -> Alarm:
    """The alarm, red as it was then; what is not told by the reference is as it is now. Raises Refused."""
    now = described or {
        "AlarmName": reference.name,
        "AlarmArn": reference.arn,
        "StateValue": "ALARM",
        "StateTransitionedTimestamp": datetime.fromtimestamp(int(reference.state_at) / 1000).astimezone(),
    }
    known = from_description(now)
    return replace(known, state="ALARM", state_at=int(reference.state_at), muted="", last_datapoint_at=None)
