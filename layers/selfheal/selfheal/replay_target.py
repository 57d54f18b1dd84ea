"""The Lambda function that dead letters are replayed to: what must be known of it before the first send."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.dead_letter import FunctionName, Stay, function_of
from selfheal.errors import TargetForbidden, TargetNotFound
from selfheal.frozen import dataclass

RETRY_PAUSES_S = (60, 120)
"""Lambda's pauses before the first and second retry of an asynchronous invocation (developer guide)."""
DEFAULT_RETRIES = 2
INPUTS = ("Input", "InputPath", "InputTransformer")


@dataclass(frozen=True)
class ReplayTarget:
    """A function behind an alias. `fails_within_s`: from an invocation to its last failed retry, at the longest."""

    function: str
    alias: str
    arn: str
    dead_letter_queue: str
    fails_within_s: int

    def as_dict(self) -> dict[str, Any]:
        """For a plan."""
        return asdict(self)


def read_target(function: str, alias: str) -> ReplayTarget:
    """Raises TargetNotFound, TargetForbidden, Unreadable."""
    try:
        seen = client("lambda").get_function_configuration(FunctionName=function, Qualifier=alias)
    except AwsError as error:
        translate(error, f"function {function}:{alias}, to which messages would be replayed")
    retries = _retries(function, alias)
    return ReplayTarget(
        function=function,
        alias=alias,
        arn=str(seen["FunctionArn"]),
        dead_letter_queue=str((seen.get("DeadLetterConfig") or {}).get("TargetArn", "")),
        fails_within_s=(retries + 1) * int(seen.get("Timeout", 3)) + sum(RETRY_PAUSES_S[:retries]),
    )


def _retries(function: str, alias: str) -> int:
    """How often Lambda tries again after a function error."""
    try:
        answer = client("lambda").get_function_event_invoke_config(FunctionName=function, Qualifier=alias)
    except AwsError as error:
        try:
            translate(error, f"asynchronous invocation of {function}:{alias}")
        except TargetNotFound:
            return DEFAULT_RETRIES
    return int(answer.get("MaximumRetryAttempts", DEFAULT_RETRIES))


def why_rule_stays(rule_arn: str, function: FunctionName) -> Stay | None:
    """None: the rule hands `function` the event as it is, which is what its dead letter holds.

    The ARN of a rule is `…:rule/NAME` on the default bus and `…:rule/BUS/NAME` on another; a partner's bus has
    slashes in its own name. Raises Unreadable.
    """
    bus, _, name = rule_arn.rpartition(":rule/")[2].rpartition("/")
    try:
        pages = (
            client("events").get_paginator("list_targets_by_rule").paginate(Rule=name, EventBusName=bus or "default")
        )
        targets = [target for page in pages for target in page["Targets"]]
    except AwsError as error:
        try:
            translate(error, f"targets of rule {rule_arn}")
        except (TargetNotFound, TargetForbidden):
            return Stay.RULE_UNREADABLE
    named = [(target, function_of(target["Arn"])) for target in targets]
    ours = [target for target, arn in named if arn is not None and arn.is_same_function(function)]
    if not ours:
        return Stay.RULE_UNREADABLE
    return Stay.INPUT_IS_TRANSFORMED if any(target.get(name) for target in ours for name in INPUTS) else None
