"""Was a function throttled lately?"""

from __future__ import annotations

from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.metrics import Sums, Wanted, must_exist

KIND = CheckKind(
    "throttles",
    "a function was not throttled lately",
    {
        "function": named("function name"),
        "alias": Field(str, help="count this alias only"),
        "minutes": Field(int, 15, help="look back this long, at most 1440"),
    },
    main="function",
    named_by=("function", "alias"),
)
SERVICES = ("cloudwatch", "lambda")
PERMISSIONS = ("cloudwatch:GetMetricData", "lambda:GetFunctionConfiguration")


def wanted(check: Check) -> tuple[Wanted, ...]:
    """The metric that `judge` needs."""
    return (Wanted.of(check, "Throttles"),)


def judge(check: Check, sums: Sums) -> list[Finding]:
    """Lambda counts a throttle whenever one happens, so no data means none; unless there is no such function."""
    (of_throttles,) = wanted(check)
    throttles = sums[of_throttles]
    window = f"in the last {of_throttles.minutes} minutes"
    if throttles is None:
        must_exist(check["function"])
        return findings(check, [], f"neither invoked nor throttled {window}")
    if throttles:
        advice = "see reserved concurrency and the account's limit"
        return findings(check, [Problem(f"{throttles:.0f} throttles {window}", "none", advice)], "")
    return findings(check, [], f"no throttles {window}")
