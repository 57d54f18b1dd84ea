"""The compiled half of AWS's runtime interface client, in pure Python, for platforms without a wheel of it.

Installed beside ``awslambdaric`` (see :mod:`local.emulator.environments`), which calls these four functions.
Protocol: the Lambda Runtime API, https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import http.client
import os
from http import HTTPStatus

_BASE = "/2018-06-01/runtime"
_headers = {"User-Agent": "aws-lambda-python"}


def initialize_client(user_agent: str) -> None:
    _headers["User-Agent"] = user_agent


def next() -> tuple[bytes, dict[str, str]]:  # noqa: A001 - the name that awslambdaric calls
    """Wait for the next invocation: its payload and the ``Lambda-Runtime-*`` headers."""
    return _call("GET", f"{_BASE}/invocation/next", None, {}, HTTPStatus.OK)


def post_invocation_result(invoke_id: str, payload: bytes, content_type: str, invocation_id: str | None = None) -> None:
    _call(
        "POST",
        f"{_BASE}/invocation/{invoke_id}/response",
        payload,
        {"Content-Type": content_type, **_invocation(invocation_id)},
        HTTPStatus.ACCEPTED,
    )


def post_error(invoke_id: str, payload: str, xray_fault: str, invocation_id: str | None = None) -> None:
    _call(
        "POST",
        f"{_BASE}/invocation/{invoke_id}/error",
        payload.encode(),
        {
            "Content-Type": "application/json",
            "Lambda-Runtime-Function-XRay-Error-Cause": xray_fault,
            **_invocation(invocation_id),
        },
        HTTPStatus.ACCEPTED,
    )


def _invocation(invocation_id: str | None) -> dict[str, str]:
    return {"Lambda-Runtime-Invocation-Id": invocation_id} if invocation_id else {}


def _call(
    method: str, path: str, payload: bytes | None, headers: dict[str, str], expected: HTTPStatus
) -> tuple[bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        connection.request(method, path, payload, {**_headers, **headers})
        response = connection.getresponse()
        body = response.read()
        if response.status != expected:
            raise RuntimeError(f"the Runtime API answered {response.status} to {method} {path}")
        return body, {name.title(): value for name, value in response.getheaders()}
    finally:
        connection.close()
