"""What limits a function: concurrency, its timeout, its memory, a permission? Told from metrics and its log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks import log_lines
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.metrics import Wanted, read_sums
from selfheal.clients import client
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable

KIND = CheckKind(
    "limits",
    "a function is not near its concurrency, its timeout or its memory, and is denied nothing",
    {
        "function": named("function name"),
        "alias": Field(str, help="look at the version behind this alias"),
        "minutes": Field(int, 60, help="look back this long, at most 1440"),
        "may_rest": Field(bool, False, help="no invocation at all is no finding"),
    },
    main="function",
    named_by=("function", "alias"),
)
SERVICES = ("cloudwatch", "lambda", "logs")
PERMISSIONS = (
    "cloudwatch:GetMetricData",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "logs:FilterLogEvents",
)

NEAR, NEAR_MEMORY = 0.8, 0.9
LONGEST_S = 900
MOST_MB = 10_240
MAX_LINES = 500
REPORTS = '?"Max Memory Used" ?maxMemoryUsedMB'
TROUBLE = '?"Task timed out after" ?"signal: killed" ?OutOfMemory ?AccessDenied ?"not authorized to perform"'
_MEMORY = re.compile(r'(?:Max Memory Used:\s*|"maxMemoryUsedMB"\s*:\s*)"?(\d+)')
_TIMED_OUT = re.compile(r"Task timed out after")
_KILLED = re.compile(r"signal: killed|OutOfMemory")
_DENIED = re.compile(r"not authorized to perform:? ([\w-]+:\w+)(?: on resource:? (\S+))?")


def look(check: Check) -> list[Finding]:
    """GetFunctionConfiguration, GetFunctionConcurrency, one GetMetricData, and FilterLogEvents twice."""
    function, qualifier = check["function"], {"Qualifier": check["alias"]} if check["alias"] else {}
    try:
        seen = client("lambda").get_function_configuration(FunctionName=function, **qualifier)
        reserved = client("lambda").get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions")
    except AwsError as error:
        translate(error, f"function {check.resource}")
    wanted = _wanted(check)
    sums = read_sums(tuple(wanted.values()))
    numbers = {name: sums[one] for name, one in wanted.items()}
    group = (seen.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{function}"
    problems = [*_concurrency(numbers, reserved), *_log_problems(check, seen, group, numbers)]
    if numbers["Invocations"] or problems or check["may_rest"]:
        return findings(check, problems, _fine(numbers, seen))
    advice = "wait for an invocation or start one; smoke_test does. If it may rest, set may_rest"
    return findings(check, [Problem("not invoked", "invocations", advice, Mark.UNKNOWN)], "")


def _wanted(check: Check) -> dict[str, Wanted]:
    return {
        "Invocations": Wanted.of(check, "Invocations"),
        "Throttles": Wanted.of(check, "Throttles"),
        "Duration": Wanted.of(check, "Duration", "Maximum", "max"),
        "ConcurrentExecutions": Wanted.of(check, "ConcurrentExecutions", "Maximum", "max"),
    }


def _fine(numbers: Mapping[str, float | None], seen: Mapping[str, Any]) -> str:
    longest = numbers["Duration"]
    slowest = "never" if longest is None else f"{longest / 1000:.1f} s at most"
    return f"{numbers['Invocations'] or 0:.0f} invocations, {slowest} of {seen['Timeout']} s; no throttle, no denial"


def _concurrency(numbers: Mapping[str, float | None], reserved: int | None) -> Iterator[Problem]:
    throttles, at_once = numbers["Throttles"] or 0, numbers["ConcurrentExecutions"] or 0
    if reserved == 0:
        advice = "somebody, or selfheal, stopped it; undo stop_function once the cause is mended"
        yield Problem("its reserved concurrency is 0: every invocation is throttled", "more than 0", advice)
    elif throttles and reserved is not None:
        advice = f"limit_function with concurrency above {reserved}, or find why so many run at once"
        yield Problem(f"{throttles:.0f} throttles; {at_once:.0f} of {reserved} reserved ran at once", "none", advice)
    elif throttles:
        advice = (
            "the account's concurrency is used up: limit_function with a concurrency of its own reserves some, "
            "limit_function on its neighbour frees some, and the quota L-B99A9384 can be raised"
        )
        yield Problem(f"{throttles:.0f} throttles; {at_once:.0f} ran at once, nothing is reserved", "none", advice)
    elif reserved and at_once >= NEAR * reserved:
        advice = f"limit_function with concurrency above {reserved} before it is throttled"
        yield Problem(f"{at_once:.0f} of {reserved} reserved ran at once", f"below {NEAR:.0%}", advice)


def _log_problems(
    check: Check, seen: Mapping[str, Any], group: str, numbers: Mapping[str, float | None]
) -> Iterator[Problem]:
    """What the log tells, and what the metrics tell alone where it can't be read."""
    minutes = _wanted(check)["Duration"].minutes
    trouble: Sequence[str] = ()
    reports: Sequence[str] = ()
    try:
        found = log_lines.read(group, TROUBLE, minutes, MAX_LINES)
        trouble = found.messages
        reports = log_lines.read(group, REPORTS, minutes, MAX_LINES).messages
        if not found.whole:
            advice = "look back over fewer minutes: what was not read may hold more"
            yield Problem(f"its log {group} was not read to the end", "its whole log", advice, Mark.UNKNOWN)
    except (TargetNotFound, TargetForbidden, Unreadable, NotApplied) as error:
        advice = "allow selfheal to read it (ProtectedLogGroups); memory and denials show in the log only"
        yield Problem(f"its log {group} was not read: {error}"[:400], "its log", advice, Mark.UNKNOWN)
    timed_out = sum(bool(_TIMED_OUT.search(line)) for line in trouble)
    yield from _time(seen["Timeout"], numbers["Duration"], timed_out)
    yield from _memory(seen["MemorySize"], reports, sum(bool(_KILLED.search(line)) for line in trouble))
    yield from _denials(seen.get("Role", "its role"), trouble)


def _time(timeout_s: int, longest_ms: float | None, timed_out: int) -> Iterator[Problem]:
    share = (longest_ms or 0.0) / (timeout_s * 1000)
    if not timed_out and share < NEAR:
        return
    more = (
        f"{LONGEST_S} s are Lambda's most: split the work, or make what it waits for faster"
        if timeout_s >= LONGEST_S
        else f"set Timeout to {min(LONGEST_S, timeout_s * 2)} in its template and publish"
    )
    advice = f"see what it waits for; if a release made it slow, roll_back_alias; else {more}"
    if timed_out or share >= 1:
        told = f"{timed_out} runs timed out" if timed_out else "a run took as long as it may"
        yield Problem(f"{told} after {timeout_s} s", "no timeout", advice)
    else:
        seen = f"its longest run took {share:.0%} of its {timeout_s} s"
        yield Problem(seen, f"below {NEAR:.0%} of the timeout", advice)


def _memory(size_mb: int, reports: Sequence[str], killed: int) -> Iterator[Problem]:
    used = max((int(found[1]) for line in reports if (found := _MEMORY.search(line))), default=0)
    advice = f"set MemorySize to {min(MOST_MB, size_mb * 2)} in its template and publish; memory brings CPU as well"
    if killed:
        yield Problem(f"{killed} runs ran out of {size_mb} MB and were killed", "none", advice)
    elif used >= NEAR_MEMORY * size_mb:
        yield Problem(f"a run used {used} of {size_mb} MB", f"below {NEAR_MEMORY:.0%}", advice)


def _denials(role: str, lines: Sequence[str]) -> Iterator[Problem]:
    """`… is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:…` names what is missing."""
    denied = Counter((found[1], (found[2] or "").rstrip(".,;'\"")) for line in lines if (found := _DENIED.search(line)))
    for (action, resource), times in denied.most_common(5):
        more = "; with a key of your own also kms:Decrypt" if action.startswith("secretsmanager:") else ""
        advice = f"allow {action} on {resource or 'the resource in its log'} to {role} in its template{more}"
        yield Problem(f"denied {times} times: {action} on {resource or 'a resource'}"[:400], "allowed", advice)
    others = [line for line in lines if "AccessDenied" in line and not _DENIED.search(line)]
    if others and not denied:
        advice = "the message names the call: allow it in the function's template"
        yield Problem(f"denied: {log_lines.shown(others[-1])}", "allowed", advice)
