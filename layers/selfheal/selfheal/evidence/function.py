"""A Lambda function as it is configured, without its environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.evidence.found import Found, Look, only

PERMISSIONS = ("lambda:GetFunctionConfiguration",)
KEPT = (
    "Architectures",
    "CodeSha256",
    "CodeSize",
    "DeadLetterConfig",
    "FunctionArn",
    "Handler",
    "LastModified",
    "LastUpdateStatus",
    "LastUpdateStatusReason",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PackageType",
    "RevisionId",
    "Role",
    "Runtime",
    "State",
    "StateReason",
    "Timeout",
    "TracingConfig",
    "Version",
)
"""The environment is not among them: it may hold secrets."""


def configuration(look: Look) -> dict[str, Any]:
    """What GetFunctionConfiguration says of the function, or of the version behind the alias."""
    name, alias = look.target["function"], look.target.fields.get("alias")
    try:
        answer = client("lambda").get_function_configuration(
            FunctionName=name, **({"Qualifier": alias} if alias else {})
        )
    except AwsError as error:
        translate(error, f"configuration of {name}")
    return only(answer, *KEPT)


def described(seen: Mapping[str, Any]) -> Found:
    """The configuration as evidence."""
    modified = seen.get("LastModified", "an unknown time")
    return Found(f"version {seen.get('Version')}, {seen.get('State', 'no state')}, modified {modified}", dict(seen))


def log_group(seen: Mapping[str, Any], name: str) -> str:
    """Where it logs to; by default the group of its own name."""
    return str(seen.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}")
