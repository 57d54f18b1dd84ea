"""Somebody has exempted the target: by the tag `selfheal:exempt`, or in the runbook where there are no tags."""

from __future__ import annotations

from typing import Any

from selfheal.action import Decline
from selfheal.aws_errors import AwsError, unreadable
from selfheal.clients import client
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal

TAG = "selfheal:exempt"
_MEANS_NO = {"", "false", "no", "0"}


def check(context: GuardContext) -> Decline | None:
    """One call of the tagging API for any kind of resource; it does not count against Lambda's 15 calls/s.

    An untagged or unknown resource is absent from the answer, which means that nobody exempted it.
    """
    if context.runbook and context.runbook.is_exempt(context.request.target.key):
        return Decline(Refusal.EXEMPT, f"{context.request.target.key} is exempt in {context.runbook.file}")
    if not context.arns:
        return None
    arns = list(context.arns)
    for resource in context.ahead.tags(arns) if context.ahead else read_tags(arns):
        for tag in resource.get("Tags", ()):
            if tag["Key"] == TAG and tag["Value"].lower() not in _MEANS_NO:
                return Decline(Refusal.EXEMPT, f"{resource['ResourceARN']} has the tag {TAG}={tag['Value']}")
    return None


def read_tags(arns: list[str]) -> list[dict[str, Any]]:
    """These resources with their tags, 100 per call; one without tags, or unknown, is left out. Raises Unreadable."""
    resources: list[dict[str, Any]] = []
    for start in range(0, len(arns), 100):
        try:
            answer = client("resourcegroupstaggingapi").get_resources(ResourceARNList=arns[start : start + 100])
        except AwsError as error:
            raise unreadable(error, "tags") from error
        resources += answer["ResourceTagMappingList"]
    return resources
