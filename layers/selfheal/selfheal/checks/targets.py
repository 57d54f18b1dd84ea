"""Does a load balancer have healthy targets to send traffic to?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client

KIND = CheckKind(
    "targets",
    "a target group of a load balancer has enough healthy targets and no unhealthy one",
    {
        "target_group": named("name or ARN of the target group"),
        "at_least": Field(int, 1, help="healthy targets"),
        "at_most_unhealthy": Field(int, 0, help="unhealthy targets that are no finding"),
    },
    main="target_group",
    named_by=("target_group",),
)
SERVICES = ("elbv2",)
PERMISSIONS = ("elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth")

ADVICE: Mapping[str, str] = {
    "Elb.RegistrationInProgress": "wait: it is being registered",
    "Elb.InitialHealthChecking": "wait for its first health checks",
    "Elb.InternalError": "an error of the load balancer itself; see the AWS health page",
    "Target.ResponseCodeMismatch": "it answers with another status than the health check wants; see its path and log",
    "Target.Timeout": "it does not answer in time; see its security group, its port and its load",
    "Target.FailedHealthChecks": "it refuses or breaks the connection; see that it listens on the port",
    "Target.NotInUse": "no listener uses the group, or its zone is off for the load balancer; correct the listener",
    "Target.DeregistrationInProgress": "it is being taken out",
    "Target.InvalidState": "the instance is stopped or terminated; replace it",
    "Target.IpUnusable": "its address is used by a load balancer; give it another",
    "Target.NotRegistered": "register it: a service does when its tasks start",
    "Target.HealthCheckDisabled": "switch the health checks of the group on",
}
"""Reason of an unhealthy state (API reference of TargetHealth) → what helps."""
UNHEALTHY = ("unhealthy", "unhealthy.draining")
PASSING = ("initial",)
"""States that become healthy or unhealthy by themselves."""


def look(check: Check) -> list[Finding]:
    """DescribeTargetHealth; DescribeTargetGroups first where a name is given."""
    name = check["target_group"]
    try:
        arn = name if name.startswith("arn:") else _arn(name)
        answer = client("elbv2").describe_target_health(TargetGroupArn=arn)
    except AwsError as error:
        translate(error, f"target group {name}")
    targets = answer["TargetHealthDescriptions"]
    if not targets:
        advice = "nothing is registered: see that its service runs and names this group"
        return findings(check, [Problem("it has no target at all", f"{check['at_least']} healthy", advice)], "")
    states = Counter(target["TargetHealth"]["State"] for target in targets)
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return findings(check, _problems(check, targets, states, told), told)


def _arn(name: str) -> str:
    return str(client("elbv2").describe_target_groups(Names=[name])["TargetGroups"][0]["TargetGroupArn"])


def _problems(check: Check, targets: Sequence[Mapping[str, Any]], states: Counter[str], told: str) -> list[Problem]:
    reasons, advice = _reasons(targets)
    seen = f"{told}. {reasons}" if reasons else told
    healthy, unhealthy = states["healthy"], sum(states[state] for state in UNHEALTHY)
    if healthy < check["at_least"]:
        soon = healthy + sum(states[state] for state in PASSING) >= check["at_least"]
        return [Problem(seen, f"at least {check['at_least']} healthy", advice, Mark.UNKNOWN if soon else Mark.FAIL)]
    if unhealthy > check["at_most_unhealthy"]:
        return [Problem(seen, f"at most {check['at_most_unhealthy']} unhealthy", advice)]
    return []


def _reasons(targets: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Each reason once, with the target and port that gave it first, and what helps."""
    first: dict[str, str] = {}
    for target in targets:
        health = target["TargetHealth"]
        if reason := health.get("Reason"):
            where = f"{target['Target']['Id']}:{target['Target'].get('Port', '-')}"
            first.setdefault(reason, f"{where} {reason} {health.get('Description', '')}".strip())
    advice = "; ".join(ADVICE.get(reason, f"see what AWS means by {reason}") for reason in first)
    return "; ".join(first.values()), advice or "see the target group"
