"""Does an archive keep what comes over a bus? Without one, an event that was not handled is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client

KIND = CheckKind(
    "archive",
    "an archive keeps every event of a bus, for long enough",
    {
        "bus": named("event bus name"),
        "archive": Field(str, help="archive name; default: any archive of the bus"),
        "days": Field(int, 1, help="it must keep events for so many days, or for ever"),
        "may_be_empty": Field(bool, False, help="no event yet is no finding"),
    },
    named_by=("bus", "archive"),
)
SERVICES = ("events",)
PERMISSIONS = ("events:DescribeArchive", "events:DescribeEventBus", "events:ListArchives")
MOVING = ("CREATING", "UPDATING")


def look(check: Check) -> list[Finding]:
    """DescribeArchive; of any archive of the bus the best one counts."""
    name = check["archive"]
    names = [name] if name else _names(check["bus"])
    if not names:
        advice = "create an archive of the bus, without a pattern, before its rules are enabled"
        return findings(check, [Problem("the bus has no archive", "one that keeps every event", advice)], "")
    judged = [(_problems(check, archive), archive) for archive in map(_describe, names)]
    problems, best = min(judged, key=lambda each: (len(each[0]), any(one.verdict is Mark.FAIL for one in each[0])))
    kept = f"{best.get('RetentionDays')} days" if best.get("RetentionDays") else "for ever"
    return findings(
        check, problems, f"{best['ArchiveName']} is enabled, {best.get('EventCount', 0)} events, kept {kept}"
    )


def _names(bus: str) -> list[str]:
    """ListArchives wants the ARN of the bus."""
    try:
        arn = client("events").describe_event_bus(Name=bus)["Arn"]
        names: list[str] = []
        more: dict[str, str] = {}
        while True:
            page = client("events").list_archives(EventSourceArn=arn, **more)
            names += [one["ArchiveName"] for one in page["Archives"]]
            if not page.get("NextToken"):
                return names
            more = {"NextToken": page["NextToken"]}
    except AwsError as error:
        translate(error, f"archives of event bus {bus}")


def _describe(name: str) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = client("events").describe_archive(ArchiveName=name)
    except AwsError as error:
        translate(error, f"archive {name}")
    return answer


def _problems(check: Check, archive: Mapping[str, Any]) -> list[Problem]:
    problems = []
    state, name = archive["State"], archive["ArchiveName"]
    if archive["EventSourceArn"].rpartition("/")[2] != check["bus"]:
        seen = f"{name} archives {archive['EventSourceArn']}"
        problems.append(Problem(seen, f"the bus {check['bus']}", "name the archive of this bus"))
    if state != "ENABLED":
        verdict = Mark.UNKNOWN if state in MOVING else Mark.FAIL
        told = f"{name} is {state} {archive.get('StateReason', '')}".strip()
        problems.append(Problem(told, "ENABLED", "it keeps nothing until it is enabled; see why", verdict))
    if archive.get("EventPattern"):
        advice = "take the pattern away: events that do not fit it can't be replayed"
        problems.append(Problem(f"{name} keeps only events that fit a pattern", "every event", advice))
    days = archive.get("RetentionDays") or 0  # 0: for ever
    if 0 < days < check["days"]:
        advice = "raise its retention, or set it to 0 for ever"
        problems.append(Problem(f"{name} keeps events for {days} days", f"at least {check['days']} days", advice))
    if not problems and not archive.get("EventCount") and not check["may_be_empty"]:
        advice = "its count is up to 10 minutes late: look again; if it stays 0, nobody publishes to this bus"
        problems.append(Problem(f"{name} holds no event", "at least 1 event", advice, Mark.UNKNOWN))
    return problems
