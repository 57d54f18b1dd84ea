"""Is an event bus there?"""

from __future__ import annotations

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, findings
from selfheal.checks.kind import Check, CheckKind, named
from selfheal.clients import client

KIND = CheckKind("bus", "an event bus exists", {"bus": named("event bus name")}, main="bus", named_by=("bus",))
SERVICES = ("events",)
PERMISSIONS = ("events:DescribeEventBus",)


def look(check: Check) -> list[Finding]:
    """DescribeEventBus; one that does not exist is a failure like for every kind."""
    try:
        client("events").describe_event_bus(Name=check["bus"])
    except AwsError as error:
        translate(error, f"event bus {check['bus']}")
    return findings(check, [], "it exists")
