"""Are there lines in a log that should not be there?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.checks import log_lines
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named

HOURS = 8
MAX_LINES = 1_000
SAMPLES = 3


def _wrong(fields: Mapping[str, Any]) -> str:
    if fields["hours"] is not None and fields["minutes"] is not None:
        return "give hours or minutes, not both"
    return "" if minutes_of(fields) > 0 else "look back at least one minute"


def minutes_of(fields: Mapping[str, Any]) -> int:
    """How long to look back."""
    if fields["minutes"] is not None:
        return int(fields["minutes"])
    return 60 * (HOURS if fields["hours"] is None else int(fields["hours"]))


KIND = CheckKind(
    "logs",
    "a log group has no more lines of a pattern than allowed",
    {
        "log_group": named("log group name"),
        "pattern": Field(str, "ERROR", help="filter pattern of CloudWatch Logs"),
        "hours": Field(int, help=f"look back this long; default {HOURS}"),
        "minutes": Field(int, help="look back this long, instead of hours"),
        "at_most": Field(int, 0, help="lines that are no finding"),
    },
    main="log_group",
    named_by=("log_group", "pattern"),
    wrong=_wrong,
)
SERVICES = ("logs",)
PERMISSIONS = ("logs:FilterLogEvents",)


def look(check: Check) -> list[Finding]:
    """FilterLogEvents. A log that was not read to its end is no pass, however little was found."""
    minutes, at_most = minutes_of(check.fields), int(check["at_most"])
    lines = log_lines.read(check["log_group"], check["pattern"], minutes, max(MAX_LINES, at_most))
    told = f"{lines.count} lines with {check['pattern']} in the last {minutes} minutes"
    expected = f"at most {at_most}"
    if len(lines.messages) > at_most:
        samples = " ¦ ".join(log_lines.shown(one) for one in lines.messages[-SAMPLES:])
        advice = (
            f"read them: aws logs tail {check['log_group']} --since {minutes}m --filter-pattern '{check['pattern']}'"
        )
        return findings(check, [Problem(f"{told}, the last: {samples}", expected, advice)], "")
    if not lines.whole:
        advice = "make the window shorter, or the pattern narrower"
        return findings(check, [Problem(f"{told}, not read to the end", expected, advice, Mark.UNKNOWN)], "")
    return findings(check, [], told)
