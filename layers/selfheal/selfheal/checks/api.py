"""Is the stage of an API there, and does it let calls through?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks import ours
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client

KIND = CheckKind(
    "api",
    "a stage of API Gateway exists and is not throttled by an emergency limit",
    {
        "rest_api": Field(str, help="id of a REST API"),
        "http_api": Field(str, help="id of an HTTP API"),
        "stage": named("stage name"),
    },
    either=("rest_api", "http_api"),
    named_by=("rest_api", "http_api", "stage"),
)
SERVICES = ("apigateway", "apigatewayv2", "dynamodb")
PERMISSIONS = ("apigateway:GET",)

EVERY_METHOD = "*/*"
Limits = Mapping[str, tuple[Any, Any]]
"""What the limit is for → requests a second, burst; None is the account's limit."""


def look(check: Check) -> list[Finding]:
    """GetStage of one of the two APIs."""
    try:
        limits = _rest(check) if check["rest_api"] else _http(check)
    except AwsError as error:
        translate(error, f"API stage {check.resource}")
    return findings(check, _problems(check, limits), _told(limits))


def _rest(check: Check) -> Limits:
    """A stage answers -1 for a limit that is not set."""
    stage = client("apigateway").get_stage(restApiId=check["rest_api"], stageName=check["stage"])
    settings = stage.get("methodSettings") or {}
    return {name: _limit(one, "throttlingRateLimit", "throttlingBurstLimit") for name, one in sorted(settings.items())}


def _http(check: Check) -> Limits:
    stage = client("apigatewayv2").get_stage(ApiId=check["http_api"], StageName=check["stage"])
    settings = {EVERY_METHOD: stage.get("DefaultRouteSettings") or {}, **(stage.get("RouteSettings") or {})}
    return {name: _limit(one, "ThrottlingRateLimit", "ThrottlingBurstLimit") for name, one in sorted(settings.items())}


def _limit(settings: Mapping[str, Any], rate: str, burst: str) -> tuple[Any, Any]:
    found = (settings.get(rate), settings.get(burst))
    rate_limit, burst_limit = (None if value == -1 else value for value in found)
    return rate_limit, burst_limit


def _told(limits: Limits) -> str:
    rate, burst = limits.get(EVERY_METHOD, (None, None))
    if rate is None and burst is None:
        return "it exists, with the account's limits"
    return f"it exists, limited to {rate} requests a second, {burst} at once"


def _problems(check: Check, limits: Limits) -> list[Problem]:
    kind = "rest-api" if check["rest_api"] else "http-api"
    limited = ours.open_change(f"{kind}:{check.resource}", "limit_api")
    if limited is not None:
        advice = "undo it once the cause is mended"
        return [Problem(f"{_told(limits)}: {ours.told(limited)}", "its own limits", advice)]
    advice = "raise the throttling of the stage in its template; selfheal did not set it"
    return [
        Problem(f"{name} is throttled to nothing: every call gets 429", "more than 0", advice)
        for name, limit in limits.items()
        if 0 in limit
    ]
