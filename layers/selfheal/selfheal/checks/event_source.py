"""Does Lambda read from its queue or stream, and did the last batch go well?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks import ours
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field
from selfheal.clients import client

KIND = CheckKind(
    "event_source",
    "event source mappings are in the expected state and their last batch was processed",
    {
        "event_source": Field(str, help="UUID of one mapping"),
        "function": Field(str, help="all mappings of this function; none at all fails"),
        "alias": Field(str, help="with `function`: the mappings of this alias"),
        "state": Field(str, "Enabled", one_of=("Enabled", "Disabled")),
    },
    either=("event_source", "function"),
    named_by=("event_source", "function", "alias"),
)
SERVICES = ("lambda", "dynamodb")
PERMISSIONS = ("lambda:GetEventSourceMapping", "lambda:ListEventSourceMappings")


def look(check: Check) -> list[Finding]:
    """GetEventSourceMapping, or ListEventSourceMappings of a function."""
    try:
        seen = _mappings(check)
    except AwsError as error:
        translate(error, f"event source {check.resource}")
    if not seen:
        advice = "deploy it again, or correct the name: without a mapping nothing is ever read"
        return findings(check, [Problem("it has no event source mapping", "at least one", advice)], "")
    return [found for one in seen for found in findings(check, _problems(check, one), _state(one), _name(check, one))]


def _mappings(check: Check) -> list[Mapping[str, Any]]:
    if check["event_source"]:
        return [client("lambda").get_event_source_mapping(UUID=check["event_source"])]
    name = f"{check['function']}:{check['alias']}" if check["alias"] else check["function"]
    pages = client("lambda").get_paginator("list_event_source_mappings").paginate(FunctionName=name)
    return [one for page in pages for one in page["EventSourceMappings"]]


def _name(check: Check, mapping: Mapping[str, Any]) -> str:
    source = str(mapping.get("EventSourceArn", "")).rsplit(":", 1)[-1]
    return " ".join(filter(None, (check.resource, f"from {source}" if source else "")))


def _state(mapping: Mapping[str, Any]) -> str:
    return f"{mapping['State']}, last batch: {mapping.get('LastProcessingResult') or 'not told'}"


def _problems(check: Check, mapping: Mapping[str, Any]) -> list[Problem]:
    problems = []
    state, wanted = mapping["State"], check["state"]
    if state != wanted:
        problems.append(_not_as_wanted(mapping, wanted))
    last = str(mapping.get("LastProcessingResult") or "")
    if last.upper().startswith("PROBLEM"):
        advice = "see the function's log; records are read again, or given up when their age or retries run out"
        problems.append(Problem(f"last batch: {last}", "OK", advice))
    return problems


def _not_as_wanted(mapping: Mapping[str, Any], wanted: str) -> Problem:
    uuid, state = mapping["UUID"], mapping["State"]
    told = f"it is {state}: {mapping.get('StateTransitionReason', 'no reason given')}"
    if state not in ("Enabled", "Disabled"):
        return Problem(told, wanted, "wait: AWS is switching it", Mark.UNKNOWN)
    if paused := ours.open_change(f"event-source:{uuid}", "pause_source"):
        told = f"it is {state}: {ours.told(paused)}"
    switch = "--enabled" if wanted == "Enabled" else "--no-enabled"
    advice = f"once the cause is mended: `aws lambda update-event-source-mapping --uuid {uuid} {switch}`"
    return Problem(told, wanted, advice)
