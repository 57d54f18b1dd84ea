"""Aliases and versions are validated as Lambda validates them.

Stock ministack 1.5.33 lets an alias point at a version that does not exist or carry a weight of 1.5, and publishes a
version whatever ``RevisionId`` or ``CodeSha256`` the caller expects.

AWS (https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html, API_CreateAlias, API_PublishVersion): a missing
version is ``ResourceNotFoundException`` (404), a weight lies between 0 and 1, only one additional version, both of
them published; another revision is ``PreconditionFailedException`` (412); other code is
``InvalidParameterValueException``.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc

from local.emulator.mends import hook


def _refusal(function: str, current: str, data: dict[str, Any]) -> Any:
    versions = lambda_svc._functions[function]["versions"]
    version = data.get("FunctionVersion", current)
    weights = (data.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    for wanted in [version, *weights]:
        if wanted != "$LATEST" and wanted not in versions:
            return error_response_json(
                "ResourceNotFoundException", f"Function not found: {lambda_svc._func_arn(function)}:{wanted}", 404
            )
    if not weights:
        return None
    if len(weights) > 1 or version == "$LATEST" or "$LATEST" in weights or version in weights:
        return error_response_json(
            "InvalidParameterValueException", "An alias routes to at most two different published versions.", 400
        )
    if not all(0 <= float(weight) <= 1 for weight in weights.values()):
        return error_response_json(
            "ValidationException",
            "Value at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: "
            "Map value must be between 0.0 and 1.0",
            400,
        )
    return None


def _create_alias(function: str, data: dict[str, Any]) -> Any:
    if function in lambda_svc._functions:
        refusal = _refusal(function, "$LATEST", data)
        if refusal:
            return refusal
    return _stock_create_alias(function, data)


def _update_alias(function: str, name: str, data: dict[str, Any]) -> Any:
    alias = (lambda_svc._functions.get(function) or {"aliases": {}})["aliases"].get(name)
    if alias is not None:
        # AWS compares the revision first: a caller that lost a race is told so.
        refusal = lambda_svc._check_revision(alias, data) or _refusal(function, alias["FunctionVersion"], data)
        if refusal:
            return refusal
    return _stock_update_alias(function, name, data)


def _publish_version(function: str, data: dict[str, Any]) -> Any:
    record = lambda_svc._functions.get(function)
    if record is not None:
        refusal = lambda_svc._check_revision(record["config"], data)
        if refusal:
            return refusal
        if data.get("CodeSha256") and data["CodeSha256"] != record["config"]["CodeSha256"]:
            return error_response_json(
                "InvalidParameterValueException", "CodeSHA256 is different from that of the current code.", 400
            )
    return _stock_publish_version(function, data)


def apply() -> None:
    global _stock_create_alias, _stock_update_alias, _stock_publish_version  # noqa: PLW0603
    _stock_create_alias = hook(lambda_svc, "_create_alias", _create_alias)
    _stock_update_alias = hook(lambda_svc, "_update_alias", _update_alias)
    _stock_publish_version = hook(lambda_svc, "_publish_version", _publish_version)


_stock_create_alias: Any = None
_stock_update_alias: Any = None
_stock_publish_version: Any = None
