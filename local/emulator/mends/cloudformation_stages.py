"""CloudFormation gives a stage of an HTTP API the route settings of its template.

Stock ministack 1.5.33 keeps DefaultRouteSettings and RouteSettings of an AWS::ApiGatewayV2::Stage under the template's
names, so that GetStage, which has names of its own, answers with empty settings: no limit, no metrics, no logging.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
aws-properties-apigatewayv2-stage-routesettings.html and
https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages-stagename.html (`throttlingRateLimit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.services.cloudformation import provisioners

from local.emulator.mends import hook

NUMBERS = {"ThrottlingBurstLimit": int, "ThrottlingRateLimit": float}
FLAGS = ("DataTraceEnabled", "DetailedMetricsEnabled")


def _properties(given: Mapping[str, Any]) -> dict[str, Any]:
    answered: dict[str, Any] = _stock_properties(given)
    routes = given.get("RouteSettings") or {}
    answered["defaultRouteSettings"] = _settings(given.get("DefaultRouteSettings") or {})
    answered["routeSettings"] = {key: _settings(entry) for key, entry in routes.items()}
    return answered


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """With the names and types of the API; a template may give numbers and booleans as texts."""
    return {name[0].lower() + name[1:]: _value(name, value) for name, value in given.items()}


def _value(name: str, value: Any) -> Any:
    if name in FLAGS:
        return str(value).lower() == "true"
    return NUMBERS.get(name, str)(value)


def apply() -> None:
    global _stock_properties  # noqa: PLW0603
    _stock_properties = hook(provisioners, "_apigw_v2_stage_props", _properties)


_stock_properties: Any = None
