"""Will a schedule fire? An ENABLED one whose end is past never does."""

from __future__ import annotations

from datetime import UTC, datetime

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
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
PERMISSIONS = ("scheduler:GetSchedule",)


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
