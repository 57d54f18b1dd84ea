"""Alarms that nobody sends again: CloudWatch acts on changes of state only.

What is red and held by no open incident enters the same path as a delivered alarm: what got lost, what was held up
when this stack did not exist yet, what a mute kept quiet. A state change that was taken in before is left alone:

* It is of an incident that is open: nothing to do.
* It was refused (no response, response off): recorded and told once, until there is a response for it.
* Its incident was closed. Then the probe passed while the alarm had had no newer data: the same old red, which must not
  open one incident after the other. Only data newer than the closing, or an incident that never knew this alarm,
  open a new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from selfheal import incident_store, mutes
from selfheal.alarm import Alarm, from_description, refuse_own
from selfheal.aws_errors import AwsError
from selfheal.clients import client
from selfheal.errors import Refused, Unreadable
from selfheal.incident import Incident
from selfheal.respond import Decision, Respond, delivery_key
from selfheal.rounds import Done
from selfheal.words import ResponseMode

EVERY_S = 300.0
GRACE_MS = 60_000
"""So long the deliveries of a state change may take; then it is looked for."""
MAX_AT_ONCE = 40
"""A tick has a minute, and each alarm costs some calls to the ledger; the next tick goes on."""

Description = Mapping[str, Any]


def take_in(respond: Respond, incidents: list[Incident]) -> Done:
    """Find what is red and has no open incident, and let it in. Raises Unreadable: the next tick tries again."""
    held = {arn for incident in incidents for arn in incident.alarms}
    red = [(alarm, found) for alarm, found in _red(respond.now()) if alarm.arn not in held]
    if not red:
        return Done()
    muted = mutes.active()
    seen = [(with_mute(alarm, muted), found) for alarm, found in red]
    keys = {key for alarm, _ in seen for key in (alarm.delivery_key, delivery_key(alarm))}
    known = incident_store.deliveries(respond.ledger, sorted(keys))
    decisions: list[Decision] = []
    for alarm, found in seen:
        if len(decisions) == MAX_AT_ONCE:
            break
        delivered = known.get(alarm.delivery_key) or known.get(delivery_key(alarm))
        decision = _take_in_one(respond, alarm, found, delivered)
        if decision is not None:
            decisions.append(decision)
    told = {"red": len(red), "decisions": decisions, "mute_rules_not_read": muted.not_read}
    again = len(decisions) == MAX_AT_ONCE or any(decision.get("retry") for decision in decisions)
    return Done(told if decisions or muted.not_read else None, finished=not again)


def with_mute(alarm: Alarm, muted: mutes.Mutes) -> Alarm:
    """The alarm as CloudWatch would deliver it now, mute rules included."""
    return Alarm(**{**vars(alarm), "muted": alarm.muted or muted.of(alarm.name, "")})


def _take_in_one(
    respond: Respond, alarm: Alarm, found: Description, delivered: incident_store.Delivered | None
) -> Decision | None:
    """None: it was taken in before, and that still holds."""
    after = incident_store.REFUSED
    if delivered is not None:
        incident_store.keep_delivery(respond.ledger, delivered, respond.now())
        if not _holds_no_more(respond, alarm, delivered):
            return None
        after = delivered.incident
    event = json.loads(json.dumps(found, default=str))
    return respond.take_alarm(alarm, delivery_key(alarm), event, after=after)


def _holds_no_more(respond: Respond, alarm: Alarm, delivered: incident_store.Delivered) -> bool:
    if delivered.incident == incident_store.REFUSED:
        match = respond.runbooks.match(alarm.name)
        return match is not None and match.response.mode is not ResponseMode.OFF
    closed = incident_store.find(respond.ledger, delivered.incident) if delivered.incident else None
    if closed is None or closed.closed_at is None or alarm.muted:
        return False
    return _is_red_anew(alarm, closed)


def _is_red_anew(alarm: Alarm, closed: Incident) -> bool:
    """It is more than the old red that the incident was closed with."""
    if alarm.arn not in closed.alarms:
        return True
    return alarm.last_datapoint_at is not None and alarm.last_datapoint_at > (closed.closed_at or 0.0) * 1000


def _red(now: float) -> Iterator[tuple[Alarm, Description]]:
    """Every alarm in ALARM that is any of our business, long enough for its delivery to have come."""
    for found in described():
        try:
            alarm = from_description(found)
            refuse_own(alarm)
        except Refused:
            continue
        if alarm.state_at + GRACE_MS <= now * 1000:
            yield alarm, found


def described() -> list[Description]:
    """Metric and composite alarms in ALARM, 100 per call. Raises Unreadable."""
    pages = client("cloudwatch").get_paginator("describe_alarms")
    which = {"StateValue": "ALARM", "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    try:
        return [
            alarm
            for page in pages.paginate(**which, PaginationConfig={"PageSize": 100})
            for kind in ("MetricAlarms", "CompositeAlarms")
            for alarm in page.get(kind, ())
        ]
    except AwsError as error:
        raise Unreadable("cloudwatch", str(error)) from error
