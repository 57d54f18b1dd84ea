"""Is a parameter a flag, and does it say what it should? Whatever else it holds is not shown: it may be a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.patience import patiently
from selfheal.checks.turns import Turn
from selfheal.clients import client

KIND = CheckKind(
    "flag",
    "an SSM parameter is a flag and has the expected value",
    {
        "parameter": named("parameter name"),
        "value": Field(str, "true", one_of=("true", "false", "any")),
    },
    main="parameter",
    named_by=("parameter",),
)
SERVICES = ("ssm",)
PERMISSIONS = ("ssm:GetParameter", "ssm:GetParameters")
FEW = 1
PER_CALL = 10
"""GetParameters takes no more names."""

FLAGS = ("true", "false")


def look(check: Check) -> list[Finding]:
    """GetParameter."""
    try:
        value = client("ssm").get_parameter(Name=check["parameter"], WithDecryption=True)["Parameter"]["Value"]
    except AwsError as error:
        translate(error, f"parameter {check['parameter']}")
    return _judged(check, value)


def listed(checks: Sequence[Check], _: Turn) -> list[list[Finding] | None]:
    """GetParameters, ten at a time. What is not among the answers is looked at by itself."""
    names = list(dict.fromkeys(check["parameter"] for check in checks))
    values: dict[str, str] = {}
    for start in range(0, len(names), PER_CALL):
        values |= patiently(partial(_values, names[start : start + PER_CALL]))
    return [_judged(check, values[name]) if (name := check["parameter"]) in values else None for check in checks]


def _values(names: Sequence[str]) -> Mapping[str, str]:
    try:
        answer = client("ssm").get_parameters(Names=list(names), WithDecryption=True)
    except AwsError as error:
        translate(error, f"parameters {', '.join(names)}")
    return {one["Name"]: one["Value"] for one in answer["Parameters"]}


def _judged(check: Check, value: str) -> list[Finding]:
    wanted = check["value"]
    if value not in FLAGS:
        problem = Problem(
            "it is no flag (not shown)", "exactly true or false", "correct it by hand: readers will differ"
        )
        return findings(check, [problem], "")
    if wanted not in ("any", value):
        return findings(check, [Problem(f"it is {value}", wanted, "somebody, or selfheal, switched it; see why")], "")
    return findings(check, [], f"it is {value}")
