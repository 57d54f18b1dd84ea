"""Somebody has exempted the target: by the tag `selfheal:exempt`, or in the runbook where there are no tags."""

from __future__ import annotations

from selfheal.action import Decline
from selfheal.aws_errors import AwsError
from selfheal.clients import client
from selfheal.errors import Unreadable
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
    try:
        answer = client("resourcegroupstaggingapi").get_resources(ResourceARNList=list(context.arns))
    except AwsError as error:
        raise Unreadable("tags", str(error)) from error
    for resource in answer["ResourceTagMappingList"]:
        for tag in resource.get("Tags", ()):
            if tag["Key"] == TAG and tag["Value"].lower() not in _MEANS_NO:
                return Decline(Refusal.EXEMPT, f"{resource['ResourceARN']} has the tag {TAG}={tag['Value']}")
    return None
