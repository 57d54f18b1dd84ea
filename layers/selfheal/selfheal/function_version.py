"""A Lambda function's alias, and what its versions carry: for those who move an alias from one version to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client

SETTINGS = (
    "Architectures",
    "DeadLetterConfig",
    "EphemeralStorage",
    "FileSystemConfigs",
    "Handler",
    "ImageConfigResponse",
    "KMSKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PackageType",
    "Role",
    "Runtime",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)
"""What a version carries besides code and environment."""


def alias_of(target: Mapping[str, Any]) -> dict[str, Any]:
    """GetAlias of a target {function, alias}. Raises TargetNotFound, TargetForbidden, Unreadable, NotApplied."""
    function, name = target["function"], target["alias"]
    try:
        answer: dict[str, Any] = client("lambda").get_alias(FunctionName=function, Name=name)
    except AwsError as error:
        translate(error, f"alias {name} of {function}")
    return answer
