"""Can the version behind a Lambda alias run? That a function exists says nothing about that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, named
from selfheal.clients import client

KIND = CheckKind(
    "alias",
    "the version behind a Lambda alias can run: active, updated, no left-over weights, not throttled to 0",
    {"function": named("function name"), "alias": named("alias name")},
    named_by=("function", "alias"),
)
SERVICES = ("lambda",)


def look(check: Check) -> list[Finding]:
    """GetAlias, GetFunctionConfiguration of the version behind it, GetFunctionConcurrency."""
    function, name = check["function"], check["alias"]
    try:
        alias = client("lambda").get_alias(FunctionName=function, Name=name)
        version = client("lambda").get_function_configuration(FunctionName=function, Qualifier=name)
        concurrency = client("lambda").get_function_concurrency(FunctionName=function)
    except AwsError as error:
        translate(error, f"alias {function}:{name}")
    problems = [*_alias(alias), *_version(version), *_concurrency(concurrency)]
    return findings(check, problems, f"version {alias['FunctionVersion']} is active")


def _alias(alias: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if alias["FunctionVersion"] == "$LATEST":
        advice = "publish a version and point the alias there: $LATEST changes with each upload"
        problems.append(Problem("it points to $LATEST", "a published version", advice))
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if weights:
        advice = "a deployment shifts it, or was stopped without rollback; roll_back_alias clears the weights"
        problems.append(Problem(f"part of the traffic goes to {dict(weights)}", "no additional weights", advice))
    return problems


def _version(version: Mapping[str, Any]) -> list[Problem]:
    problems = []
    state = version.get("State", "Active")  # old versions have none: they were active before states existed
    if state != "Active":
        verdict = Mark.FAIL if state == "Failed" else Mark.UNKNOWN
        advice = "an idle function wakes with its next invocation, which may fail" if state == "Inactive" else "see why"
        told = f"its state is {state} {version.get('StateReason', '')}".strip()
        problems.append(Problem(told, "Active", advice, verdict))
    status = version.get("LastUpdateStatus", "Successful")
    if status != "Successful":
        verdict = Mark.FAIL if status == "Failed" else Mark.UNKNOWN
        told = f"its last update is {status} {version.get('LastUpdateStatusReason', '')}".strip()
        problems.append(Problem(told, "Successful", "deploy again, or roll back", verdict))
    return problems


def _concurrency(concurrency: Mapping[str, Any]) -> list[Problem]:
    if concurrency.get("ReservedConcurrentExecutions") != 0:
        return []
    advice = "somebody stopped it; delete the reserved concurrency once the cause is mended"
    return [Problem("its reserved concurrency is 0: every invocation is throttled", "more than 0", advice)]
