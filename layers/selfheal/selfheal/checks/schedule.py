"""Will a schedule fire? An ENABLED one whose end is past never does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks import pages
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.turns import Turn
from selfheal.clients import client

KIND = CheckKind(
    "schedule",
    "an EventBridge Scheduler schedule is in the expected state and its end is not past",
    {
        "schedule": named("schedule name"),
        "group": Field(str, "default"),
        "state": Field(str, "ENABLED", one_of=("ENABLED", "DISABLED")),
    },
    main="schedule",
    named_by=("group", "schedule"),
)
SERVICES = ("scheduler",)
PERMISSIONS = ("scheduler:GetSchedule", "scheduler:ListSchedules")
FEW = 20
PER_PAGE = 100


def look(check: Check) -> list[Finding]:
    """GetSchedule."""
    try:
        seen = client("scheduler").get_schedule(GroupName=check["group"], Name=check["schedule"])
    except AwsError as error:
        translate(error, f"schedule {check['group']}/{check['schedule']}")
    problems = []
    state, wanted = seen["State"], check["state"]
    if state != wanted:
        advice = "enable_schedule" if wanted == "ENABLED" else "disable_schedule"
        problems.append(Problem(f"it is {state}", wanted, f"if nobody did this on purpose: {advice}"))
    end = seen.get("EndDate")
    if wanted == "ENABLED" and end is not None and end <= datetime.now(UTC):
        advice = "it is ENABLED and never fires; give it a later end date, or none"
        problems.append(Problem(f"its end was {end.isoformat()}", "no end, or a later one", advice))
    return findings(check, problems, f"{state}, {seen['ScheduleExpression']}")


def listed(checks: Sequence[Check], turn: Turn) -> list[list[Finding] | None]:
    """ListSchedules, 100 per page: it tells the state and not the end, so that a share is looked at closely."""
    states = {
        (group, name): state
        for group in sorted({check["group"] for check in checks})
        for name, state in _states(group, [check["schedule"] for check in checks if check["group"] == group]).items()
    }
    return turn.take(checks, FEW, "the end", lambda check: _as_listed(check, states))


def _states(group: str, names: Sequence[str]) -> dict[str, str]:
    more: dict[str, Any] = {"NamePrefix": prefix} if (prefix := pages.common_start(names)) else {}
    found = pages.read(
        client("scheduler").list_schedules,
        f"schedules of group {group}",
        most=pages.most_pages(len(names)),
        GroupName=group,
        MaxResults=PER_PAGE,
        **more,
    )
    return {one["Name"]: one["State"] for page in found for one in page["Schedules"]}


def _as_listed(check: Check, states: dict[tuple[str, str], str]) -> list[Finding] | None:
    """Only what is as expected: the rest is looked at by itself."""
    state = states.get((check["group"], check["schedule"]))
    if state != check["state"]:
        return None
    return findings(check, [], f"{state}; its end was not looked at this time")
