"""How long CloudWatch keeps the logs of a group."""

from __future__ import annotations

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import TargetNotFound

PERMISSIONS = ("logs:DescribeLogGroups", "logs:PutRetentionPolicy")
ALLOWED = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The days that PutRetentionPolicy takes (API reference)."""


def days_of(group: str) -> int | None:
    """None: for ever. Raises TargetNotFound, TargetForbidden, Unreadable, NotApplied."""
    try:
        pages = client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
        found = next((one for page in pages for one in page["logGroups"] if one["logGroupName"] == group), None)
    except AwsError as error:
        translate(error, f"log group {group}")
    if found is None:
        raise TargetNotFound(f"log group {group} does not exist")
    days = found.get("retentionInDays")
    return None if days is None else int(days)
