"""Which errors does an API answer, and whose are they: the caller's, the function's, or the time's?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.checks import log_lines
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.checks.metrics import Sums, Wanted, window_of
from selfheal.errors import NotApplied, TargetForbidden, TargetNotFound, Unreadable


def _wrong(fields: Mapping[str, Any]) -> str:
    if fields["rest_api"] and not fields["api_name"]:
        return "give the api_name of a REST API: CloudWatch counts under it and not under the id"
    return ""


KIND = CheckKind(
    "api_errors",
    "a stage of API Gateway answers few errors; 403, 502 and 504 are told apart",
    {
        "rest_api": Field(str, help="id of a REST API"),
        "http_api": Field(str, help="id of an HTTP API"),
        "api_name": Field(str, help="with `rest_api`: its name"),
        "stage": named("stage name"),
        "access_log": Field(str, help="log group of the stage's access log, in JSON with a `status`"),
        "minutes": Field(int, 15, help="look back this long, at most 1440"),
        "at_most": Field(int, 0, help="errors that are no finding"),
        "may_rest": Field(bool, False, help="no request at all is no finding"),
    },
    either=("rest_api", "http_api"),
    named_by=("rest_api", "http_api", "stage"),
    wrong=_wrong,
)
SERVICES = ("cloudwatch", "logs")
PERMISSIONS = ("cloudwatch:GetMetricData", "logs:FilterLogEvents")

MAX_LINES = 1_000
SLOW_MS = 28_500
"""An integration is given up after 29 s (REST) or 30 s (HTTP)."""
ERRORS = '{ ($.status >= 400) || ($.status = "4*") || ($.status = "5*") }'
FUNCTION = "see the function's log; if a release is to blame, roll_back_alias"
WHY: Mapping[str, str] = {
    "401": "no token, or one that has expired: see the authorizer",
    "403": "a missing or wrong API key, an authorizer or a policy that denies, WAF, or a path that does not exist",
    "404": "a path or a stage that does not exist: see the routes",
    "429": "throttled: raise the stage's or the usage plan's limit, or undo limit_api",
    "500": "API Gateway could not use its integration or authorizer: see its configuration",
    "502": f"the function failed, or answered in a shape that API Gateway does not take: {FUNCTION}",
    "503": "the function was throttled or not reachable: the check `limits` tells why",
    "504": "the integration took longer than API Gateway waits: the check `limits` tells what is slow; limit_api helps",
}
REASONS: Mapping[str, str] = {
    "INVALID_API_KEY": "the API key is missing or wrong",
    "ACCESS_DENIED": "an authorizer or a policy denies it",
    "UNAUTHORIZED": "the authorizer found no valid token",
    "EXPIRED_TOKEN": "the token has expired",
    "WAF_FILTERED": "WAF blocked it: see its sampled requests",
    "MISSING_AUTHENTICATION_TOKEN": "no such path or method, or a request that is not signed",
    "INTEGRATION_TIMEOUT": "the integration took longer than API Gateway waits",
    "INTEGRATION_FAILURE": "the integration did not answer",
    "API_CONFIGURATION_ERROR": "the function failed, or its answer has the wrong shape",
    "AUTHORIZER_FAILURE": "the authorizer's function failed",
    "AUTHORIZER_CONFIGURATION_ERROR": "the authorizer may not be invoked",
    "THROTTLED": "throttled",
    "QUOTA_EXCEEDED": "the usage plan's quota is used up",
}
"""Types of gateway responses ($context.error.responseType; API Gateway developer guide)."""


def wanted(check: Check) -> tuple[Wanted, ...]:
    """Requests, errors of both classes, and the longest integration. REST APIs are counted by name (developer guide of
    API Gateway, metrics and dimensions, of both kinds of API)."""
    rest = bool(check["rest_api"])
    api = ("ApiName", check["api_name"]) if rest else ("ApiId", check["http_api"])
    where = (api, ("Stage", check["stage"]))
    minutes = window_of(check)
    names = ("Count", "4XXError", "5XXError") if rest else ("Count", "4xx", "5xx")
    stat = {"Count": "SampleCount"}
    return (
        *(Wanted("AWS/ApiGateway", name, where, minutes, stat.get(name, "Sum")) for name in names),
        Wanted("AWS/ApiGateway", "IntegrationLatency", where, minutes, "Maximum", "max"),
    )


def judge(check: Check, sums: Sums) -> list[Finding]:
    """Metrics say how many; the access log says which. Without it 5xx are told apart by the latency alone."""
    asked = wanted(check)
    requests, wrong_by_caller, wrong_by_us, longest_ms = (sums[one] for one in asked)
    window = f"in the last {asked[0].minutes} minutes"
    if not requests:
        if check["may_rest"]:
            return findings(check, [], f"no request {window}, which is as expected")
        advice = "send one, or correct the names; if it may rest, set may_rest"
        return findings(check, [Problem(f"no request {window}", "requests", advice, Mark.UNKNOWN)], "")
    of_4xx, of_5xx = wrong_by_caller or 0, wrong_by_us or 0
    told = f"{of_4xx:.0f} 4xx and {of_5xx:.0f} 5xx of {requests:.0f} requests {window}"
    if of_4xx + of_5xx <= check["at_most"]:
        return findings(check, [], told)
    expected = f"at most {check['at_most']}"
    from_log: list[Problem] = []
    if check["access_log"]:
        try:
            from_log = _from_log(check, asked[0].minutes, expected)
        except (TargetNotFound, TargetForbidden, Unreadable, NotApplied) as error:
            told += f" (its access log was not read: {error})"[:300]
    return findings(check, from_log or _from_metrics(told, expected, of_4xx, of_5xx, longest_ms), "")


def _from_metrics(told: str, expected: str, of_4xx: float, of_5xx: float, longest_ms: float | None) -> list[Problem]:
    problems = []
    log = "name its access_log to tell them apart"
    if of_4xx:
        problems.append(Problem(told, f"{expected}: 4xx", f"most often 403: {WHY['403']}; {log}"))
    if of_5xx:
        slow = (longest_ms or 0.0) >= SLOW_MS
        seen = f"{told}; the longest integration took {(longest_ms or 0.0) / 1000:.1f} s"
        likely = f"most likely 504: {WHY['504']}" if slow else f"most likely 502: {WHY['502']}"
        problems.append(Problem(seen, f"{expected}: 5xx", f"{likely}; {log}"))
    return problems


def _from_log(check: Check, minutes: int, expected: str) -> list[Problem]:
    """A problem for each status, the most frequent first; none if the log has no `status` in JSON."""
    lines = log_lines.read(check["access_log"], ERRORS, minutes, MAX_LINES)
    seen = [entry for entry in map(_entry, lines.messages) if entry is not None]
    counts = Counter(status for status, _, _ in seen)
    whole = "" if lines.whole else "at least "
    return [
        Problem(f"{whole}{count} of {status}{_causes(seen, status)}", f"{expected}: {status}", _advice(status))
        for status, count in counts.most_common(5)
    ]


def _advice(status: str) -> str:
    return WHY.get(status, WHY["500"] if status >= "500" else "the caller's request: see the access log")


def _entry(message: str) -> tuple[str, str, str] | None:
    """(status, reason, status of the integration) of a line; None if it is no such JSON. Names are the user's own."""
    try:
        line = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or "status" not in line:
        return None
    reason = next((str(line[name]) for name in line if "error" in name.lower() and line[name] not in ("", "-")), "")
    integration = next((str(line[name]) for name in line if "integration" in name.lower()), "")
    return str(line["status"])[:3], reason, integration if integration != "-" else ""


def _causes(seen: Sequence[tuple[str, str, str]], status: str) -> str:
    counted = Counter((reason, behind) for found, reason, behind in seen if found == status)
    told = []
    for (reason, behind), _ in counted.most_common(2):
        words = REASONS.get(reason, log_lines.shown(reason)[:100])
        words += f"; the integration answered {behind}" if behind else ""
        told += [words.lstrip("; ")] if words else []
    return f": {', or '.join(told)}" if told else ""
