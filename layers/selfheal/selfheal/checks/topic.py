"""Does a topic reach anybody? A subscription that was never confirmed gets nothing."""

from __future__ import annotations

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client

KIND = CheckKind(
    "topic",
    "an SNS topic has confirmed subscriptions and none that waits for confirmation",
    {"topic": named("topic ARN"), "at_least": Field(int, 1, help="confirmed subscriptions")},
    main="topic",
    named_by=("topic",),
)
SERVICES = ("sns",)
PERMISSIONS = ("sns:GetTopicAttributes",)


def look(check: Check) -> list[Finding]:
    """GetTopicAttributes: the counts tell enough, and no endpoint (a mail address) gets into a record."""
    try:
        seen = client("sns").get_topic_attributes(TopicArn=check["topic"])["Attributes"]
    except AwsError as error:
        translate(error, f"topic {check['topic']}")
    confirmed = int(seen.get("SubscriptionsConfirmed", 0))
    pending = int(seen.get("SubscriptionsPending", 0))
    problems = []
    if confirmed < check["at_least"]:
        advice = "subscribe, and follow the link in the mail"
        problems.append(Problem(f"{confirmed} confirmed subscriptions", f"at least {check['at_least']}", advice))
    if pending:
        advice = "follow the link in the mail, or subscribe again: AWS drops it after some days"
        problems.append(Problem(f"{pending} subscriptions wait for confirmation", "none", advice))
    return findings(check, problems, f"{confirmed} confirmed subscriptions")
