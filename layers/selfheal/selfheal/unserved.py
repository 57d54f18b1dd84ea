"""What becomes of a function's events while it may not run, or may run less: is one of them lost?

With a reserved concurrency of 0 an asynchronous event goes straight to its destination, without a retry; with a low
one after six hours of retries. Without a destination it is lost. The destination is that of the qualifier that was
invoked (on-failure destination of its event invoke config), or the dead-letter queue of the version behind it. Nobody
can tell whether somebody invokes the function without a qualifier, so $LATEST always counts.

An event source mapping that goes on polling is throttled: the receive counts of an SQS queue rise until its messages
are dead letters, a stream's records are tried until they age out. Neither is safe: the source is to be paused first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import SelfhealError
from selfheal.members import listed

PERMISSIONS = (
    "lambda:GetFunctionConfiguration",
    "lambda:ListAliases",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctionEventInvokeConfigs",
    "lambda:ListProvisionedConcurrencyConfigs",
)
LATEST = "$LATEST"
NOT_POLLING = {"Disabled", "Disabling", "Deleting"}
MOST_VERSIONS = 5
"""Versions whose dead-letter queue is looked up; what is behind more of them counts as without one."""


def look(function: str) -> dict[str, Any]:
    """What is around the function, in JSON types; `unread` says why it is not all there.

    AWS calls: 4, 1 for each alias, and 1 for each version behind a qualifier without an on-failure destination.
    """
    found: dict[str, Any] = {"provisioned": {}, "without_destination": [], "sources": {}, "unread": ""}
    try:
        found["provisioned"] = _provisioned(function)
        versions = {LATEST: {LATEST}, **_aliases(function)}
        kept = {**_invoke_configs(function)}
        found["without_destination"] = _without(function, {**{name: {name} for name in kept}, **versions}, kept)
        found["sources"] = _sources(function, versions)
    except AwsError as error:
        try:
            translate(error, f"what calls {function}")
        except SelfhealError as told:
            found["unread"] = str(told)
    return found


def losses(found: Mapping[str, Any]) -> list[str]:
    """Why an event may be lost, one sentence each; nothing if none is."""
    told = []
    if found["unread"]:
        told.append(f"it is not known whether its events are kept: {found['unread']}")
    if found["without_destination"]:
        names = listed(found["without_destination"])
        told.append(f"asynchronous events are lost: no dead-letter queue or on-failure destination for {names}")
    if found["sources"]:
        asks = [{"action": "pause_source", "target": {"event_source": uuid}} for uuid in found["sources"]]
        told.append(
            f"{listed(found['sources'].values())} would go on polling, and what it delivers would fail; "
            f"first: {listed([json.dumps(ask) for ask in asks], 3)}"
        )
    return told


def _provisioned(function: str) -> dict[str, int]:
    pages = client("lambda").get_paginator("list_provisioned_concurrency_configs").paginate(FunctionName=function)
    configs = [config for page in pages for config in page["ProvisionedConcurrencyConfigs"]]
    return {_qualifier(one["FunctionArn"]): one["RequestedProvisionedConcurrentExecutions"] for one in configs}


def _aliases(function: str) -> dict[str, set[str]]:
    """Each alias with the versions that it leads to."""
    pages = client("lambda").get_paginator("list_aliases").paginate(FunctionName=function)
    return {
        alias["Name"]: {
            alias["FunctionVersion"],
            *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}),
        }
        for page in pages
        for alias in page["Aliases"]
    }


def _invoke_configs(function: str) -> dict[str, str]:
    """Each qualifier that has an event invoke config, with its on-failure destination or an empty text."""
    pages = client("lambda").get_paginator("list_function_event_invoke_configs").paginate(FunctionName=function)
    configs = [config for page in pages for config in page["FunctionEventInvokeConfigs"]]
    return {
        _qualifier(one["FunctionArn"]): one.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
        for one in configs
    }


def _without(function: str, versions: Mapping[str, set[str]], kept: Mapping[str, str]) -> list[str]:
    """The qualifiers whose failed events go nowhere."""
    asked = sorted({version for name, behind in versions.items() if not kept.get(name) for version in behind})
    queues = {version: _dead_letter_queue(function, version) for version in asked[:MOST_VERSIONS]}
    return sorted(
        name
        for name, behind in versions.items()
        if not kept.get(name) and not all(queues.get(version) for version in behind)
    )


def _dead_letter_queue(function: str, version: str) -> str:
    which = {} if version == LATEST else {"Qualifier": version}
    found = client("lambda").get_function_configuration(FunctionName=function, **which)
    return str(found.get("DeadLetterConfig", {}).get("TargetArn", ""))


def _sources(function: str, versions: Mapping[str, set[str]]) -> dict[str, str]:
    """The mappings that poll for the function or one of its aliases: id → ARN of the source."""
    names = [function if name == LATEST else f"{function}:{name}" for name in versions]
    return {
        one["UUID"]: one.get("EventSourceArn", "a source without an ARN")
        for name in names
        for one in _mappings(name)
        if one.get("State") not in NOT_POLLING
    }


def _mappings(name: str) -> Iterator[Mapping[str, Any]]:
    for page in client("lambda").get_paginator("list_event_source_mappings").paginate(FunctionName=name):
        yield from page["EventSourceMappings"]


def _qualifier(arn: str) -> str:
    return (arn.split(":") + [""] * 8)[7] or LATEST
