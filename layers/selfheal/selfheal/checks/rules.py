"""Are the rules of a bus switched as they should be, and do they have a target?"""

from __future__ import annotations

from collections.abc import Mapping

from selfheal.aws_errors import AwsError, translate
from selfheal.checks import pages
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.patience import patiently
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

KIND = CheckKind(
    "rules",
    "rules of one event bus are in the expected state and have a target",
    {
        "bus": named("event bus name; `default` for the default bus"),
        "names": Field(list, required=True, help="rule names"),
        "state": Field(str, "ENABLED", one_of=("ENABLED", "DISABLED")),
    },
    named_by=("bus", "names"),
)
SERVICES = ("events",)
PERMISSIONS = ("events:DescribeRule", "events:ListRules", "events:ListTargetsByRule")
FEW_RULES = 3
PER_PAGE = 100


def look(check: Check) -> list[Finding]:
    """ListRules, or DescribeRule for a few, and ListTargetsByRule for each, always with the bus: without it the default
    bus is meant."""
    states = _states(check) if len(check["names"]) > FEW_RULES else {}
    return [finding for name in check["names"] for finding in _rule(check, name, states.get(name))]


def _states(check: Check) -> Mapping[str, str]:
    """Of all rules that the bus has; of those that are missing here DescribeRule tells."""
    more = {"NamePrefix": prefix} if (prefix := pages.common_start(check["names"])) else {}
    asked = {"EventBusName": check["bus"], "Limit": PER_PAGE, **more}
    most = pages.most_pages(len(check["names"]))
    try:
        found = pages.read(client("events").list_rules, f"rules of {check['bus']}", most=most, **asked)
        return {one["Name"]: one["State"] for page in found for one in page["Rules"]}
    except (TargetForbidden, TargetNotFound, Unreadable, NotApplied):
        return {}


def _rule(check: Check, name: str, state: str | None) -> list[Finding]:
    resource = f"{check['bus']}/{name}"
    try:
        state, targets = patiently(lambda: _read(check["bus"], name, state))
    except TargetNotFound:
        advice = "correct the name or the bus, or deploy the rule"
        return [Finding(check.kind, resource, Mark.FAIL, "there is no such rule on this bus", "it exists", advice)]
    problems = []
    # ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS is enabled as well
    if state.startswith("ENABLED") != (check["state"] == "ENABLED"):
        problems.append(Problem(f"it is {state}", check["state"], "switch it if nobody did this on purpose"))
    if not targets:
        problems.append(Problem("it has no target", "at least one", "events that match it go nowhere; deploy again"))
    return findings(check, problems, f"{state}, {targets} targets", resource)


def _read(bus: str, name: str, state: str | None) -> tuple[str, int]:
    try:
        state = state or client("events").describe_rule(Name=name, EventBusName=bus)["State"]
        answer = client("events").list_targets_by_rule(Rule=name, EventBusName=bus)
    except AwsError as error:
        translate(error, f"rule {bus}/{name}")
    return str(state), len(answer["Targets"])
