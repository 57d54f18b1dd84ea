"""ListProvisionedConcurrencyConfigs lists what a function has provisioned, each with its qualified ARN.

Stock ministack 1.5.33 takes the list for a get of a configuration without a qualifier, and answers that there is none.

AWS: https://docs.aws.amazon.com/lambda/latest/api/API_ListProvisionedConcurrencyConfigs.html; to get one configuration
its qualifier is required.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import json_response
from ministack.services import lambda_svc

from local.emulator.mends import hook


def _get_or_list(function: str, qualifier: str | None) -> Any:
    if qualifier or function not in lambda_svc._functions:
        return _stock_get(function, qualifier)
    arn = lambda_svc._func_arn(function)
    configs = lambda_svc._functions[function].get("provisioned_concurrency", {})
    listed = [{"FunctionArn": f"{arn}:{name}", **config} for name, config in configs.items()]
    return json_response({"ProvisionedConcurrencyConfigs": listed})


def apply() -> None:
    global _stock_get  # noqa: PLW0603 - the one stock function that is called on
    _stock_get = hook(lambda_svc, "_get_provisioned_concurrency", _get_or_list)


_stock_get: Any = None
