"""Is a DynamoDB table there, active, and expiring its items by the attribute that the code writes?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client

KIND = CheckKind(
    "table",
    "a DynamoDB table is active and expires its items by the right attribute",
    {"name": named("table name"), "ttl": Field(str, help="the TTL attribute; unset: not looked at")},
    main="name",
    named_by=("name",),
)
SERVICES = ("dynamodb",)
PERMISSIONS = ("dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive")


def look(check: Check) -> list[Finding]:
    """DescribeTable; DescribeTimeToLive if an attribute is expected."""
    name = check["name"]
    try:
        status = client("dynamodb").describe_table(TableName=name)["Table"]["TableStatus"]
        ttl = client("dynamodb").describe_time_to_live(TableName=name) if check["ttl"] else {}
    except AwsError as error:
        translate(error, f"table {name}")
    problems = []
    if status != "ACTIVE":
        verdict = Mark.UNKNOWN if status in ("CREATING", "UPDATING") else Mark.FAIL
        problems.append(Problem(f"it is {status}", "ACTIVE", "wait if it was just deployed", verdict))
    if check["ttl"]:
        problems += _ttl(check["ttl"], ttl.get("TimeToLiveDescription", {}))
    return findings(check, problems, f"{status}{', items expire' if check['ttl'] else ''}")


def _ttl(wanted: str, seen: Mapping[str, Any]) -> list[Problem]:
    status, attribute = seen.get("TimeToLiveStatus", "DISABLED"), seen.get("AttributeName", "none")
    if status in ("DISABLED", "DISABLING"):
        return [Problem(f"its TTL is {status}", f"TTL on {wanted}", "items never expire: enable TTL in its template")]
    if attribute != wanted:
        return [Problem(f"its TTL is on {attribute}", f"TTL on {wanted}", "no item expires: correct the attribute")]
    if status != "ENABLED":
        return [Problem(f"its TTL is {status}", "ENABLED", "wait up to an hour", Mark.UNKNOWN)]
    return []
