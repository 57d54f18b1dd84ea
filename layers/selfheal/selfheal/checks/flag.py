"""Is a parameter a flag, and does it say what it should? Whatever else it holds is not shown: it may be a secret."""

from __future__ import annotations

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
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
PERMISSIONS = ("ssm:GetParameter",)

FLAGS = ("true", "false")


def look(check: Check) -> list[Finding]:
    """GetParameter."""
    try:
        value = client("ssm").get_parameter(Name=check["parameter"], WithDecryption=True)["Parameter"]["Value"]
    except AwsError as error:
        translate(error, f"parameter {check['parameter']}")
    wanted = check["value"]
    if value not in FLAGS:
        problem = Problem(
            "it is no flag (not shown)", "exactly true or false", "correct it by hand: readers will differ"
        )
        return findings(check, [problem], "")
    if wanted not in ("any", value):
        return findings(check, [Problem(f"it is {value}", wanted, "somebody, or selfheal, switched it; see why")], "")
    return findings(check, [], f"it is {value}")
