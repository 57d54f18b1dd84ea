"""CloudFormation creates a function with all the properties that the template gives it.

Stock ministack 1.5.33 drops DeadLetterConfig, ReservedConcurrentExecutions, KmsKeyArn, VpcConfig and
FileSystemConfigs when it creates an AWS::Lambda::Function, and does not change them with a stack update.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html
(all of them "No interruption"; one that leaves the template goes back to its default).
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local.emulator.mends import hook

CONFIGURATION = ("DeadLetterConfig", "KMSKeyArn", "VpcConfig", "FileSystemConfigs")


def _create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    created = _stock_create(logical_id, properties, stack)
    _set(created[0], properties)
    return created


def _update(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str | None = None
) -> Any:
    updated = _stock_update(physical_id, old, new, stack, logical_id)
    _set(updated[0], new)
    return updated


def _set(name: str, properties: dict[str, Any]) -> None:
    function = lambda_svc._functions[name]
    config = function["config"]
    wanted = {key: properties.get("KmsKeyArn" if key == "KMSKeyArn" else key) for key in CONFIGURATION}
    before = json.dumps({key: config.get(key) for key in CONFIGURATION}, sort_keys=True)
    for key, value in wanted.items():
        if value:
            config[key] = value
        else:
            config.pop(key, None)
    if json.dumps({key: config.get(key) for key in CONFIGURATION}, sort_keys=True) != before:
        config["RevisionId"] = lambda_svc.new_uuid()
    reserved = properties.get("ReservedConcurrentExecutions")
    function["concurrency"] = None if reserved is None else int(reserved)


def apply() -> None:
    global _stock_create, _stock_update  # noqa: PLW0603
    _stock_create = hook(provisioners, "_lambda_create", _create)
    _stock_update = hook(provisioners, "_lambda_update", _update)
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    handlers["create"] = _create
    handlers["update"] = _update


_stock_create: Any = None
_stock_update: Any = None
