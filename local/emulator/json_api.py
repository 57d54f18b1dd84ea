"""A service of the emulator that stock ministack does not have and that speaks AWS's JSON protocol: its front door."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, json_response

Operation = Callable[[dict[str, Any]], Any]


class ApiError(Exception):
    """An error of an API: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def handler(service: str, operations: Mapping[str, Operation]) -> Callable[..., Awaitable[Any]]:
    """What ministack calls for each request: the operation that the header names gets the body's document."""

    async def handle_request(_method: str, _path: str, headers: dict[str, str], body: bytes, _query: Any) -> Any:
        operation = operation_of(headers)
        act = operations.get(operation)
        if act is None:
            return error_response_json("InvalidAction", f"this emulator has no {service}:{operation}", 400)
        try:
            return json_response(act(json.loads(body or b"{}")))
        except ApiError as error:
            return error_response_json(error.code, str(error), 400)

    return handle_request


def operation_of(headers: Mapping[str, str]) -> str:
    """`x-amz-target: CodeDeploy_20141006.GetDeployment` names GetDeployment."""
    return headers.get("x-amz-target", "").rpartition(".")[2]
