"""May the role of a function do what its code does? Asked of IAM's own simulator, nothing is tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client

KIND = CheckKind(
    "permission",
    "the role of a function may do these actions on these resources",
    {
        "function": named("function name"),
        "alias": Field(str, help="look at the role of the version behind this alias"),
        "actions": Field(list, required=True, help="IAM actions such as dynamodb:PutItem"),
        "resources": Field(list, required=True, help="ARNs"),
    },
    named_by=("function", "alias"),
)
SERVICES = ("iam", "lambda")
PERMISSIONS = ("iam:SimulatePrincipalPolicy", "lambda:GetFunctionConfiguration")


def look(check: Check) -> list[Finding]:
    """GetFunctionConfiguration for the role, then SimulatePrincipalPolicy.

    The simulator knows the role's policies, its boundary and the organisation's. It does not know policies of the
    resources, nor values of conditions that it was not told: a denial that names such is unknown, and no failure.
    """
    resources = {resource: _problems(check, resource) for resource in check["resources"]}
    problems = [problem for found in resources.values() for problem in found]
    return findings(check, problems, f"its role may do {', '.join(check['actions'])}")


def _problems(check: Check, resource: str) -> list[Problem]:
    return [
        problem
        for result in _simulate(_role(check), check["actions"], resource)
        if (problem := _problem(result, resource)) is not None
    ]


def _role(check: Check) -> str:
    qualifier = {"Qualifier": check["alias"]} if check["alias"] else {}
    try:
        return str(client("lambda").get_function_configuration(FunctionName=check["function"], **qualifier)["Role"])
    except AwsError as error:
        translate(error, f"function {check['function']}")


def _simulate(role: str, actions: Iterable[str], resource: str) -> list[Mapping[str, Any]]:
    """One resource per call: with several, answers for `*` are mixed among those for each."""
    try:
        pages = (
            client("iam")
            .get_paginator("simulate_principal_policy")
            .paginate(PolicySourceArn=role, ActionNames=list(actions), ResourceArns=[resource])
        )
        return [result for page in pages for result in page["EvaluationResults"]]
    except AwsError as error:
        translate(error, f"permissions of {role}")


def _problem(result: Mapping[str, Any], resource: str) -> Problem | None:
    decision, action = result["EvalDecision"], result["EvalActionName"]
    if decision == "allowed":
        return None
    told = f"{action} on {resource} is {decision}"
    expected = f"{action} allowed on {resource}"  # tells the findings of one role apart: each is news of its own
    if missing := result.get("MissingContextValues"):
        advice = "the policy has conditions that cannot be simulated; invoke the function to see"
        return Problem(f"{told} without {sorted(missing)}", expected, advice, Mark.UNKNOWN)
    return Problem(told, expected, "add the statement to the function's role, in its template")
