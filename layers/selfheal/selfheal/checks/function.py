"""Is a Lambda function there, and would it run if it were invoked?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks import pages
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, named
from selfheal.checks.turns import Turn
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

KIND = CheckKind(
    "function",
    "a Lambda function exists, is active and updated, and is not throttled to 0",
    {"function": named("function name")},
    main="function",
    named_by=("function",),
)
SERVICES = ("lambda",)
PERMISSIONS = ("lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration", "lambda:ListFunctions")
FEW = 30

HOW_TO_MAKE_IT_AGAIN = (
    "CloudFormation does not notice it and an unchanged template changes nothing: run `aws cloudformation"
    " create-change-set --stack-name STACK --change-set-name revert-drift --deployment-mode REVERT_DRIFT"
    " --use-previous-template`, look at it, then `aws cloudformation execute-change-set --stack-name STACK"
    " --change-set-name revert-drift`; or correct the name in the check"
)
"""A normal update compares templates only; with a changed one it fails on the function that is gone."""


def look(check: Check) -> list[Finding]:
    """GetFunctionConfiguration, GetFunctionConcurrency."""
    name = check["function"]
    try:
        seen = client("lambda").get_function_configuration(FunctionName=name)
        concurrency = client("lambda").get_function_concurrency(FunctionName=name)
    except AwsError as error:
        try:
            translate(error, f"function {name}")
        except TargetNotFound:
            return findings(check, [Problem("there is no such function", "it exists", HOW_TO_MAKE_IT_AGAIN)], "")
    idle = seen.get("State") == "Inactive"
    problems = [*([] if idle else of_state(seen)), *of_update(seen), *of_concurrency(concurrency)]
    return findings(check, problems, "it is idle: its next invocation wakes it, and may fail" if idle else "active")


def listed(checks: Sequence[Check], turn: Turn) -> list[list[Finding] | None]:
    """ListFunctions, 50 per page: it tells that they are there, and neither their state nor their concurrency (API
    reference), so that a share is looked at closely."""
    there = all_of_them(checks, turn)
    fine = "it is there; its state and concurrency were not looked at this time"

    def as_listed(check: Check) -> list[Finding] | None:
        if not there:
            return []
        return findings(check, [], fine) if check["function"] in there else None

    return turn.take(checks, FEW, "the state and concurrency", as_listed)


def all_of_them(checks: Sequence[Check], turn: Turn) -> frozenset[str]:
    """The names of the account's functions; empty where the list can't be read, or is too long for so few checks."""

    def read() -> frozenset[str]:
        found = pages.read(
            client("lambda").list_functions,
            "functions",
            tokens=("NextMarker", "Marker"),
            most=pages.most_pages(len(checks)),
        )
        try:
            return frozenset(one["FunctionName"] for page in found for one in page["Functions"])
        except (TargetForbidden, Unreadable, NotApplied):
            return frozenset()

    return turn.once("functions", read)


def of_state(seen: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the state of a function or a version; old versions have none: they were active before."""
    state = seen.get("State", "Active")
    if state == "Active":
        return []
    verdict = Mark.FAIL if state == "Failed" else Mark.UNKNOWN
    advice = "an idle function wakes with its next invocation, which may fail" if state == "Inactive" else "see why"
    told = f"its state is {state} {seen.get('StateReason', '')}".strip()
    return [Problem(told, "Active", advice, verdict)]


def of_update(seen: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with its last update."""
    status = seen.get("LastUpdateStatus", "Successful")
    if status == "Successful":
        return []
    verdict = Mark.FAIL if status == "Failed" else Mark.UNKNOWN
    told = f"its last update is {status} {seen.get('LastUpdateStatusReason', '')}".strip()
    return [Problem(told, "Successful", "deploy again, or roll back", verdict)]


def of_concurrency(seen: Mapping[str, Any]) -> list[Problem]:
    """Whether it is throttled to nothing."""
    if seen.get("ReservedConcurrentExecutions") != 0:
        return []
    advice = (
        "somebody, or stop_function, stopped it. Once the cause is mended: undo of stop_function, or"
        " `aws lambda delete-function-concurrency --function-name NAME`"
    )
    return [Problem("its reserved concurrency is 0: every invocation is throttled", "more than 0", advice)]
