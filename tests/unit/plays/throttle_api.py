"""Plays of throttle_api: a stage of a REST API and one of an HTTP API, each with a method of its own mind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.unit.api_stages import RestStages, http_update
from tests.unit.play import Play
from tests.unit.wire import refused_by_aws

if TYPE_CHECKING:
    from tests.unit.stage import Stage

not_found = refused_by_aws("NotFoundException", 404)
VARIANTS = {"limit_http_api": "limit_api"}
STAGES: dict[str, dict[str, Any]] = {}
"""What stands in for API Gateway: moto's REST API needs a package of its own, its HTTP API lacks UpdateStage."""


def limit_api(stage: Stage, number: int) -> Play:
    """Of a REST API in which one method has a limit of its own."""
    api = f"rest{number}"
    STAGES[api] = {"stageName": "prod", "methodSettings": {"~1orders/GET": RestStages.entry(rate=500.0, burst=9)}}
    return _play(stage, number, {"rest_api": api, "stage": "prod"}, "methodSettings")


def limit_http_api(stage: Stage, number: int) -> Play:
    """Of an HTTP API in which one route has a limit of its own."""
    api = f"http{number}"
    STAGES[api] = {
        "StageName": "$default",
        "DefaultRouteSettings": {"DetailedMetricsEnabled": True},
        "RouteSettings": {"GET /orders": {"ThrottlingRateLimit": 500.0, "ThrottlingBurstLimit": 9}},
    }
    return _play(stage, number, {"http_api": api, "stage": "$default"}, "")


def _play(stage: Stage, number: int, target: Mapping[str, str], part: str) -> Play:
    (api, name), effects = target.values(), ("apigateway.update_stage", "apigatewayv2.update_stage")
    done: Any = {
        "*/*": RestStages.entry(rate=5.0, burst=10),
        "~1orders/GET": RestStages.entry(rate=5.0, burst=9),
    }
    if not part:
        done = {
            "StageName": name,
            "DefaultRouteSettings": {
                "DetailedMetricsEnabled": True, "ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 10,
            },
            "RouteSettings": {"GET /orders": {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 9}},
        }  # fmt: skip

    def look() -> Any:
        return json.loads(json.dumps(STAGES[api][part] if part else STAGES[api]))

    more = {**stage.by_an_alarm, "options": {"rate": 5, "burst": 10}}
    return Play(number, "limit_api", target, look, done, effects, more=more)


def answers(stage: Stage) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """API Gateway's, for stages of both kinds."""
    STAGES.clear()

    def found(asked: Mapping[str, Any]) -> dict[str, Any]:
        api = asked["url_path"].split("/")[-3]
        if api not in STAGES:
            raise not_found()
        return STAGES[api]

    def patched(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        RestStages.patch(found(asked), asked["patchOperations"])
        return found(asked)

    def updated(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        http_update(found(asked), asked)
        return found(asked)

    def got(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        copied: dict[str, Any] = json.loads(json.dumps(found(asked)))
        return copied

    return {
        "apigateway.get_stage": got,
        "apigateway.update_stage": patched,
        "apigatewayv2.get_stage": got,
        "apigatewayv2.update_stage": updated,
    }


PLAYS = (limit_api, limit_http_api)
