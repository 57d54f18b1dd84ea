"""Did a function run lately, and without errors? A function that did not run has not proven anything."""

from __future__ import annotations

from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.metrics import Sums, Wanted, must_exist

KIND = CheckKind(
    "invocations",
    "a function was invoked lately and did not fail",
    {
        "function": named("function name"),
        "alias": Field(str, help="count this alias only"),
        "minutes": Field(int, 60, help="look back this long, at most 1440"),
        "max_errors": Field(int, 0, help="errors that are no finding"),
        "may_rest": Field(bool, False, help="no invocation at all is no finding"),
    },
    main="function",
    named_by=("function", "alias"),
)
SERVICES = ("cloudwatch", "lambda")
PERMISSIONS = ("cloudwatch:GetMetricData", "lambda:GetFunctionConfiguration")


def wanted(check: Check) -> tuple[Wanted, ...]:
    """The metrics that `judge` needs."""
    return Wanted.of(check, "Invocations"), Wanted.of(check, "Errors")


def judge(check: Check, sums: Sums) -> list[Finding]:
    """Lambda counts an error, or zero errors, with each invocation: errors without data are not seen yet."""
    of_invocations, of_errors = wanted(check)
    invocations, errors = sums[of_invocations], sums[of_errors]
    window = f"in the last {of_invocations.minutes} minutes"
    if not invocations:
        must_exist(check["function"])
        if check["may_rest"]:
            return findings(check, [], f"not invoked {window}, which is as expected")
        advice = "wait for an invocation or start one; smoke_test does. If it may rest, set may_rest"
        return findings(check, [Problem(f"not invoked {window}", "invocations", advice, Mark.UNKNOWN)], "")
    if errors is None:
        problem = Problem(f"{invocations:.0f} invocations, no data on errors", "data", "look again soon", Mark.UNKNOWN)
        return findings(check, [problem], "")
    told = f"{errors:.0f} errors in {invocations:.0f} invocations {window}"
    if errors > check["max_errors"]:
        return findings(check, [Problem(told, f"at most {check['max_errors']} errors", "see its log")], "")
    return findings(check, [], told)
