"""The throttling of an API Gateway stage, the same for REST and HTTP APIs: limits by key, and what else is set there.

A limit is `{"rate": requests a second, "burst": requests at once}`; None stands for no limit of its own (the account's
applies, 10 000 and 5 000 unless raised). A key that is not there at all has None instead of a limit.

    REST  `*/*` for every method, `PATH/METHOD` for one that overrides it     (methodSettings)
    HTTP  `default` for every route, `route KEY` for one that overrides it    (DefaultRouteSettings, RouteSettings)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.target import Target

Limit = Mapping[str, float | None]
Limits = Mapping[str, Limit | None]

DEFAULTS = {"rest_api": "*/*", "http_api": "default"}
"""Kind of target → the key of the limit for everything that does not override it."""
ROUTE = "route "
UNLIMITED = -1
"""Stands for no limit in methodSettings, where an entry always has numbers."""
PATCHES_AT_ONCE = 80
"""UpdateStage takes no more operations in one call."""
UNTOUCHED = {"cachingEnabled": False, "dataTraceEnabled": False, "loggingLevel": "OFF", "metricsEnabled": False}
"""What an entry of methodSettings holds besides a limit when nothing else was ever set in it."""


def read(target: Target) -> dict[str, Any]:
    """`limits` by key, and `settings`, the whole document they stand in. One AWS call. Raises as `translate` does."""
    return _read_rest(target) if target.kind == "rest_api" else _read_http(target)


def write(target: Target, settings: Mapping[str, Any], changes: Limits) -> None:
    """Bring each key of `changes` to its limit, and leave everything else as it is in `settings`, read right before."""
    if target.kind == "rest_api":
        _write_rest(target, changes)
    else:
        _write_http(target, settings, changes)


def more_than_a_limit(target: Target, settings: Mapping[str, Any], key: str) -> list[str]:
    """What was set in the entry of `key` besides a limit: to remove the entry would remove that as well."""
    if target.kind != "rest_api":
        return []
    entry = settings.get(key, {})
    return sorted(name for name, usual in UNTOUCHED.items() if entry.get(name, usual) != usual)


def _read_rest(target: Target) -> dict[str, Any]:
    try:
        stage = client("apigateway").get_stage(restApiId=target["rest_api"], stageName=target["stage"])
    except AwsError as error:
        translate(error, _named(target))
    settings = {key: dict(entry) for key, entry in stage.get("methodSettings", {}).items()}
    limits: dict[str, Any] = {DEFAULTS["rest_api"]: None}
    for key, entry in settings.items():
        limits[key] = {
            "rate": _number(entry.get("throttlingRateLimit", UNLIMITED)),
            "burst": _number(entry.get("throttlingBurstLimit", UNLIMITED)),
        }
    return {"limits": limits, "settings": settings}


def _write_rest(target: Target, changes: Limits) -> None:
    operations = [one for key, limit in changes.items() for one in _patches(key, limit)]
    for start in range(0, len(operations), PATCHES_AT_ONCE):
        batch = operations[start : start + PATCHES_AT_ONCE]
        try:
            client("apigateway").update_stage(
                restApiId=target["rest_api"], stageName=target["stage"], patchOperations=batch
            )
        except AwsError as error:
            translate(error, _named(target))


def _patches(key: str, limit: Limit | None) -> list[dict[str, str]]:
    """A path is a JSON pointer: the slashes of the resource's own path are escaped."""
    resource, _, method = key.rpartition("/")
    path = f"/{resource.replace('/', '~1')}/{method}"
    if limit is None:
        return [{"op": "remove", "path": path}]
    named = {"rateLimit": limit["rate"], "burstLimit": limit["burst"]}
    return [
        {"op": "replace", "path": f"{path}/throttling/{name}", "value": str(UNLIMITED if value is None else value)}
        for name, value in named.items()
    ]


def _read_http(target: Target) -> dict[str, Any]:
    try:
        stage = client("apigatewayv2").get_stage(ApiId=target["http_api"], StageName=target["stage"])
    except AwsError as error:
        translate(error, _named(target))
    settings = {DEFAULTS["http_api"]: dict(stage.get("DefaultRouteSettings", {}))}
    settings |= {f"{ROUTE}{key}": dict(entry) for key, entry in stage.get("RouteSettings", {}).items()}
    limits = {
        key: {"rate": entry.get("ThrottlingRateLimit"), "burst": entry.get("ThrottlingBurstLimit")}
        for key, entry in settings.items()
    }
    return {"limits": limits, "settings": settings}


def _write_http(target: Target, settings: Mapping[str, Any], changes: Limits) -> None:
    """Every setting is sent again: a PATCH of a part may replace the whole of it."""
    wanted = {key: _with(entry, changes[key]) if key in changes else entry for key, entry in settings.items()}
    routes = {key.removeprefix(ROUTE): entry for key, entry in wanted.items() if key.startswith(ROUTE)}
    try:
        client("apigatewayv2").update_stage(
            ApiId=target["http_api"],
            StageName=target["stage"],
            DefaultRouteSettings=wanted[DEFAULTS["http_api"]],
            **({"RouteSettings": routes} if routes else {}),
        )
    except AwsError as error:
        translate(error, _named(target))


def _with(entry: Mapping[str, Any], limit: Limit | None) -> dict[str, Any]:
    kept = {name: value for name, value in entry.items() if not name.startswith("Throttling")}
    limit = limit or {}
    named = {"ThrottlingRateLimit": limit.get("rate"), "ThrottlingBurstLimit": limit.get("burst")}
    return kept | {name: value for name, value in named.items() if value is not None}


def _number(value: float) -> float | None:
    return None if value == UNLIMITED else value


def _named(target: Target) -> str:
    return f"stage {target['stage']} of API {target[target.kind]}"
