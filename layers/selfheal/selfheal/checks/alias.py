"""Can the version behind a Lambda alias run? That a function exists says nothing about that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.function import all_of_them, of_concurrency, of_state, of_update
from selfheal.checks.kind import Check, CheckKind, named
from selfheal.checks.turns import Turn
from selfheal.clients import client

KIND = CheckKind(
    "alias",
    "the version behind a Lambda alias can run: active, updated, no left-over weights, not throttled to 0",
    {"function": named("function name"), "alias": named("alias name")},
    named_by=("function", "alias"),
)
SERVICES = ("lambda",)
PERMISSIONS = (
    "lambda:GetAlias",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:ListFunctions",
)
FEW = 20


def look(check: Check) -> list[Finding]:
    """GetAlias, GetFunctionConfiguration of the version behind it, GetFunctionConcurrency."""
    function, name = check["function"], check["alias"]
    try:
        alias = client("lambda").get_alias(FunctionName=function, Name=name)
        version = client("lambda").get_function_configuration(FunctionName=function, Qualifier=name)
        concurrency = client("lambda").get_function_concurrency(FunctionName=function)
    except AwsError as error:
        translate(error, f"alias {function}:{name}")
    problems = [*_alias(alias), *of_state(version), *of_update(version), *of_concurrency(concurrency)]
    return findings(check, problems, f"version {alias['FunctionVersion']} is active")


def listed(checks: Sequence[Check], turn: Turn) -> list[list[Finding] | None]:
    """AWS has no list of the aliases of many functions: a share is looked at closely, and those whose function is not
    in ListFunctions. Of the others nothing is claimed."""
    there = all_of_them(checks, turn)
    return turn.take(checks, FEW, "the version", lambda check: [] if not there or check["function"] in there else None)


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
