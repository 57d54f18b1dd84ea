"""Who did what: CloudTrail's management events about the target."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.evidence.found import Found, Look
from selfheal.target import Target

PERMISSIONS = ("cloudtrail:LookupEvents",)
PAGES = 3
PAUSE_S = 0.5
"""LookupEvents takes two calls a second in an account and region."""
SERVICES = {
    "alias": "lambda",
    "function": "lambda",
    "service": "ecs",
    "queue": "sqs",
    "rest_api": "apigateway",
    "http_api": "apigateway",
    "database": "rds",
    "database_cluster": "rds",
    "log_group": "logs",
}


def who_did_what(look: Look, sleep: Callable[[float], None] = time.sleep) -> Found:
    """What changed the target, and who did it. LookupEvents takes one attribute: the events that CloudTrail filed under
    the target's name, and those of its service that name it and changed something. For a whole system: all changes.

    CloudTrail shows an event some minutes after it happened. Parameters of calls are not kept: they may hold secrets,
    and the event's id leads to them.
    """
    name = _name(look.target)
    asked = [("ReadOnly", "false")] if name is None else [("ResourceName", name)]
    if service := SERVICES.get(look.target.kind):
        asked.append(("EventSource", f"{service}.amazonaws.com"))
    kept: dict[str, dict[str, Any]] = {}
    try:
        for event in _events(look, asked, sleep):
            if name is None or _is_about(event, name):
                kept[event["EventId"]] = _told(event)
    except AwsError as error:
        translate(error, "events of CloudTrail")
    told = sorted(kept.values(), key=lambda one: str(one["at"]))
    who = ", ".join(sorted({one["who"] for one in told})[:5])
    return Found(f"{len(told)} events" + (f" by {who}" if who else ""), {"events": told})


def _events(look: Look, asked: list[tuple[str, str]], sleep: Callable[[float], None]) -> Iterator[Mapping[str, Any]]:
    since, until = look.times
    first = True
    for key, value in asked:
        token: dict[str, str] = {}
        for _ in range(PAGES):
            if look.is_over:
                return
            if not first:
                sleep(PAUSE_S)
            first = False
            page = client("cloudtrail").lookup_events(
                LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}],
                StartTime=since,
                EndTime=until,
                MaxResults=50,
                **token,
            )
            yield from page.get("Events", ())
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}


def _name(target: Target) -> str | None:
    """The target's own name, as calls carry it; None for a whole system."""
    if target.kind == "system":
        return None
    return str(target["function"] if target.kind == "alias" else target[target.kind])


def _is_about(event: Mapping[str, Any], name: str) -> bool:
    filed = any(name in str(one.get("ResourceName", "")) for one in event.get("Resources", ()))
    changed = str(event.get("ReadOnly", "")).lower() != "true"
    return filed or (changed and name in event.get("CloudTrailEvent", ""))


def _told(event: Mapping[str, Any]) -> dict[str, Any]:
    try:
        whole = json.loads(event.get("CloudTrailEvent", "{}"))
    except ValueError:
        whole = {}
    identity = whole.get("userIdentity") or {}
    return {
        "at": event["EventTime"].isoformat() if "EventTime" in event else "",
        "call": f"{event.get('EventSource', '')} {event.get('EventName', '')}".strip(),
        "who": str(event.get("Username") or identity.get("arn") or "unknown"),
        "as": identity.get("arn", ""),
        "from": whole.get("sourceIPAddress", ""),
        "with": whole.get("userAgent", ""),
        "error": whole.get("errorCode", ""),
        "read_only": str(event.get("ReadOnly", "")).lower() == "true",
        "event_id": event["EventId"],
    }
