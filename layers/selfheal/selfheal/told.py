"""What rules of the bus read of an incident's news: plain strings, ready to be put into somebody else's payload.

PagerDuty, a webhook or a ticket get them by an input transformer; there is no code of ours on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from selfheal import flapping, summary
from selfheal.incident import Incident
from selfheal.links import Console
from selfheal.plain import payload

MAX_TITLE = 250
MAX_LINE = 500
_URGENCIES = {"P0": "critical", "P1": "error", "P2": "warning"}
"""PagerDuty's words; https://developer.pagerduty.com/docs/events-api-v2/trigger-events/."""
YES, NO = "yes", "no"


def of(item: Mapping[str, Any], incident: Incident, also: Iterable[str], alarm_count: int = 0) -> dict[str, str]:
    """`page` and `ticket` say whether it is for one. `key` names the incident, `thread` the series it belongs to."""
    what = str(item["what"])
    if what not in summary.HEADLINES:
        return _nothing(incident)
    told = summary.of(what, str(item.get("detail", "")), incident, also, alarm_count)
    lines = {f"line{number}": payload(line, MAX_LINE) for number, line in enumerate(told.lines, 1)}
    return {
        **_nothing(incident),
        "title": payload(told.subject(incident), MAX_TITLE),
        **lines,
        "link": _link(incident),
        "page": _yes(_is_page(what, incident)),
        "ticket": _yes(_is_ticket(what, incident)),
    }


def of_refusal(record: str, reason: str, detail: str) -> dict[str, str]:
    """For an alarm that is red and that nothing answers: it is an escalation like any other."""
    title = payload(f"selfheal did not act: {reason}", MAX_TITLE)
    lines = ("Done: nothing", f"Not done: {detail}", "Now: the alarm is red and nothing heals it", "Next: look at it")
    return {
        "title": title,
        "line1": title,
        **{f"line{number}": payload(line, MAX_LINE) for number, line in enumerate(lines, 2)},
        "severity": "P1",
        "urgency": _URGENCIES["P1"],
        "system": "selfheal",
        "key": payload(record, MAX_TITLE),
        "thread": payload(record, MAX_TITLE),
        "link": "",
        "page": YES,
        "ticket": NO,
    }


def _nothing(incident: Incident) -> dict[str, str]:
    return {
        "severity": payload(incident.severity, 20),
        "urgency": _URGENCIES.get(incident.severity, "info"),
        "system": payload(incident.system, MAX_TITLE),
        "key": payload(incident.id, MAX_TITLE),
        "thread": payload(incident.thread_id, MAX_TITLE),
        "page": NO,
        "ticket": NO,
    }


def _is_page(what: str, incident: Incident) -> bool:
    """A rollout is nobody's emergency until it escalates; a series that flaps pages as often as it is told."""
    if what == "escalated":
        return True
    return what == "opened" and not incident.rollout and flapping.is_told(what, incident)


def _is_ticket(what: str, incident: Incident) -> bool:
    """For the root cause, once for a series: something was done, or a person was needed."""
    return what == "closed" and not incident.rollout and not incident.repeats and incident.verdict != "cleared"


def _link(incident: Incident) -> str:
    for alarm in incident.alarms.values():
        there = Console.of(alarm.arn)
        if there is not None:
            return there.alarm(alarm.name)
    return ""


def _yes(is_so: bool) -> str:
    return YES if is_so else NO
