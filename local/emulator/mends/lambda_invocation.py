"""What every invocation passes through: alias weights, reserved concurrency, the metrics of AWS/Lambda.

Stock ministack 1.5.33 ignores an alias's ``RoutingConfig``; honours reserved concurrency only when ``$LATEST`` is
invoked (a version's record does not carry it); emits metrics for direct invocations only, with the dimension
``FunctionName`` alone; and hands an alias's invocations through SNS, EventBridge or a queue the version's ARN.

AWS routes an alias's invocations by weight and answers with the executed version
(https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html); counts concurrency per function
whatever the qualifier (…/dg/configuration-concurrency.html); emits Invocations, Errors, Duration and Throttles for
every invocation, however it came, under FunctionName, FunctionName + Resource and, for an alias, ExecutedVersion
(…/dg/monitoring-metrics-types.html); throttled invocations are not Invocations.

The mend replaces the one function that all executors share, and silences the two places that counted before.
"""

from __future__ import annotations

import contextvars
import random
import time
from typing import Any

from ministack.core.responses import new_uuid, request_scope
from ministack.services import cloudwatch, lambda_svc

from local.emulator.mends import hook

_executed: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("executed_version", default=None)
_chance = random.Random()  # noqa: S311 - traffic shares, not secrets


def split(function_arn: str) -> tuple[str, str]:
    """Name and qualifier ("" when there is none) of a function's ARN."""
    _, _, name = function_arn.partition(":function:")
    name, _, qualifier = name.partition(":")
    return name, qualifier


def run(func: dict[str, Any], event: Any, request_id: str | None = None) -> dict[str, Any]:
    """Execute one invocation of the function, version or alias that the record's ``FunctionArn`` names."""
    config = func.get("config") or func
    account, region = lambda_svc._account_region_from_function_config(config)
    with request_scope(account, region):
        func = _routed(func, config)
        config = func["config"]
        executed = _executed.get()
        if executed is not None:
            executed.append(config.get("Version", "$LATEST"))
        began = time.time()
        slot, limit = lambda_svc._acquire_execution_slot(func, config)
        if slot is None:
            _count(config, {"Throttles": 1})
            reason = (
                "ReservedFunctionConcurrentInvocationLimitExceeded"
                if limit == "function"
                else "ConcurrentInvocationLimitExceeded"
            )
            return dict(lambda_svc._throttle_response(reason, "Rate Exceeded."))
        try:
            result = lambda_svc._execute_function_dispatch(func, config, event, request_id or new_uuid(), began)
        finally:
            lambda_svc._release_execution_slot(slot)
        _count(
            config,
            {
                "Invocations": 1,
                "Errors": 1 if result.get("error") else 0,
                "Throttles": 0,
                "Duration": (time.time() - began) * 1000,
            },
        )
        return dict(result)


def _routed(func: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The record to execute, with the ARN that was invoked: another version where the alias's weights say so."""
    name, qualifier = split(config["FunctionArn"])
    base = lambda_svc._functions.get(name) or {}
    alias = base.get("aliases", {}).get(qualifier)
    weights = (alias or {}).get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    point = _chance.random()
    for version, weight in weights.items():
        if point < weight and version in base["versions"]:
            chosen = base["versions"][version]
            return {**chosen, "config": {**chosen["config"], "FunctionArn": config["FunctionArn"]}}
        point -= weight
    return {**func, "config": config}


def _count(config: dict[str, Any], values: dict[str, float]) -> None:
    name, qualifier = split(config["FunctionArn"])
    resource = f"{name}:{qualifier}" if qualifier else name
    dimensions = [{}, {"FunctionName": name}, {"FunctionName": name, "Resource": resource}]
    if qualifier and qualifier != config.get("Version"):
        dimensions.append({"FunctionName": name, "Resource": resource, "ExecutedVersion": config["Version"]})
    for metric, value in values.items():
        unit = "Milliseconds" if metric == "Duration" else "Count"
        for dimension in dimensions:
            cloudwatch.record_metric("AWS/Lambda", metric, value, unit, dimension)


def _reserved(func: dict[str, Any] | None, config: dict[str, Any]) -> int | None:
    base = lambda_svc._functions.get(config.get("FunctionName"))
    reserved = (base or func or {}).get("concurrency")
    return None if reserved is None else int(reserved)


async def _invoke(
    name: str,
    event: Any,
    headers: dict[str, str],
    path_qualifier: str | None = None,
    query_params: dict[str, Any] | None = None,
) -> Any:
    executed: list[str] = []
    _executed.set(executed)
    answer = await _stock_invoke(name, event, headers, path_qualifier, query_params)
    if executed and "X-Amz-Executed-Version" in answer[1]:
        answer[1]["X-Amz-Executed-Version"] = executed[-1]
    return answer


def _run_sqs_batch(esm: dict[str, Any], func: dict[str, Any], *rest: Any) -> Any:
    """A queue's batch is an invocation of the ARN that the mapping names."""
    return _stock_run_sqs_batch(esm, {**func, "config": {**func["config"], "FunctionArn": esm["FunctionArn"]}}, *rest)


def _uncounted(*_: Any, **__: Any) -> None:
    """``run`` has counted already."""


def apply() -> None:
    global _stock_invoke, _stock_run_sqs_batch  # noqa: PLW0603
    hook(lambda_svc, "_execute_function", run)
    hook(lambda_svc, "_reserved_concurrency", _reserved)
    hook(lambda_svc, "_emit_lambda_metrics", _uncounted)
    _stock_invoke = hook(lambda_svc, "_invoke", _invoke)
    _stock_run_sqs_batch = hook(lambda_svc, "_run_sqs_batch", _run_sqs_batch)


_stock_invoke: Any = None
_stock_run_sqs_batch: Any = None
