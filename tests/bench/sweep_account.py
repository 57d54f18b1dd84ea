"""An AWS account on this machine for the sweep: N of each resource, 20 ms a call, and AWS's own rate limits.

`python -m tests.bench.sweep_account N BUSY` prints its port. With BUSY every second call is throttled besides.
`GET /calls` answers the calls since it was asked last, by operation, and how many of them were throttled.
"""

from __future__ import annotations

import asyncio
import io
import json
import struct
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.parsers import RpcV2CBORParser

LATENCY_S = 0.02
LAMBDA_PER_S = 15
"""Of all control-plane calls together, not adjustable (Lambda quotas)."""
DESCRIBE_ALARMS_PER_S = 9
"""CloudWatch quotas."""
THROTTLED = {
    "lambda": (429, "TooManyRequestsException"),
    "cloudwatch": (400, "Throttling"),
    "scheduler": (429, "ThrottlingException"),
    "sqs": (400, "RequestThrottled"),
}
NOTHING: Mapping[str, Any] = {}


class Limit:
    """As many calls at once as AWS allows a second, and then so many a second."""

    def __init__(self, per_s: int) -> None:
        self.per_s, self.left, self.at = per_s, float(per_s), time.monotonic()

    def takes(self) -> bool:
        now = time.monotonic()
        self.left = min(self.per_s, self.left + (now - self.at) * self.per_s)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Account:
    """What it has, and what was asked of it."""

    def __init__(self, size: int, *, busy: bool) -> None:
        self.names = [f"shop-{number:04}" for number in range(size)]
        self.busy = busy
        self.calls: Counter[str] = Counter()
        self.limits = {"lambda": Limit(LAMBDA_PER_S), "DescribeAlarms": Limit(DESCRIBE_ALARMS_PER_S)}

    def answer(self, service: str, operation: str, asked: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Status and document."""
        self.calls[operation] += 1
        limit = self.limits.get(operation) or self.limits.get(service)
        every_second = self.busy and service in THROTTLED and self.calls[operation] % 2
        if (limit and not limit.takes()) or every_second:
            self.calls["throttled"] += 1
            status, code = THROTTLED[service]
            return status, {"__type": code, "message": "Rate exceeded"}
        return 200, getattr(self, f"_{operation}", lambda _: NOTHING)(asked)

    def _page(self, asked: Mapping[str, Any], token: str, size: int) -> tuple[list[str], int | None]:
        start = int(asked.get(token) or 0)
        return self.names[start : start + size], start + size if start + size < len(self.names) else None

    def _ListFunctions(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802 - AWS's name, as the others
        names, more = self._page(asked, "Marker", 50)
        found = [{"FunctionName": name, "Runtime": "python3.13", "MemorySize": 512} for name in names]
        return {"Functions": found, **({"NextMarker": str(more)} if more else {})}

    def _GetFunctionConfiguration(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"FunctionName": asked["name"], "State": "Active", "LastUpdateStatus": "Successful", "Version": "7"}

    def _GetAlias(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"Name": "live", "FunctionVersion": "7"}

    def _ListSchedules(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        names, more = self._page(asked, "NextToken", 100)
        found = [{"Name": name, "GroupName": "default", "State": "ENABLED"} for name in names]
        return {"Schedules": found, **({"NextToken": str(more)} if more else {})}

    def _GetSchedule(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"Name": asked["name"], "State": "ENABLED", "ScheduleExpression": "rate(1 day)"}

    def _DescribeAlarms(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        names, more = list(asked.get("AlarmNames") or ()), None
        if not names:
            names, more = self._page(asked, "NextToken", 100)
        found = [{"AlarmName": name, "StateValue": "OK", "StateReason": "fine"} for name in names]
        return {"MetricAlarms": found, "CompositeAlarms": [], **({"NextToken": str(more)} if more else {})}

    def _GetMetricData(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        found = [{"Id": one["Id"], "StatusCode": "Complete", "Values": [0.0]} for one in asked["MetricDataQueries"]]
        return {"MetricDataResults": found}

    def _GetQueueUrl(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"QueueUrl": f"http://127.0.0.1/queue/{asked['QueueName']}"}

    def _GetQueueAttributes(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"Attributes": {"QueueArn": "arn", "ApproximateNumberOfMessages": "0"}}

    def _PutEvents(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in asked["Entries"]]}

    def _Query(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N802
        return {"Items": [], "Count": 0}


def which(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str, Mapping[str, Any]]:
    """Service, operation and parameters of a request."""
    if target := headers.get("x-amz-target"):
        service, _, operation = target.partition(".")
        named = {"AmazonSQS": "sqs", "AWSEvents": "events", "DynamoDB_20120810": "dynamodb"}
        return named.get(service, service), operation, json.loads(body or b"{}")
    parts = urlsplit(path)
    asked: dict[str, Any] = {name: values[0] for name, values in parse_qs(parts.query).items()}
    steps = parts.path.strip("/").split("/")
    if steps[:1] == ["service"]:  # CloudWatch: smithy-rpc-v2-cbor
        parsed = RpcV2CBORParser().parse_data_item(io.BytesIO(body)) if body else {}
        return "cloudwatch", steps[-1], parsed
    if steps[:1] == ["schedules"]:
        return "scheduler", "GetSchedule" if len(steps) > 1 else "ListSchedules", {**asked, "name": steps[-1]}
    if len(steps) > 1 and steps[1] == "functions":
        named = {"configuration": "GetFunctionConfiguration", "concurrency": "GetFunctionConcurrency"}
        operation = "ListFunctions" if len(steps) < 3 else "GetAlias" if "aliases" in steps else named[steps[-1]]
        return "lambda", operation, {**asked, "name": steps[2] if len(steps) > 2 else ""}
    return "s3", "PutObject" if method == "PUT" else method, {}


def cbor(value: Any) -> bytes:
    """The few types that CloudWatch's answers have here (RFC 8949)."""
    match value:
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return _head(3, len(text)) + text
        case list():
            return _head(4, len(value)) + b"".join(map(cbor, value))
        case _:
            return _head(5, len(value)) + b"".join(cbor(name) + cbor(each) for name, each in value.items())


def _head(major: int, size: int) -> bytes:
    return struct.pack(">BH", major << 5 | 25, size)


async def serve(account: Account, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    while head := await reader.readline():
        method, path, _ = head.decode().split(" ", 2)
        headers = {}
        while line := (await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(reader, headers)
        if path == "/calls":
            status, document, service = 200, dict(account.calls), ""
            account.calls.clear()
        else:
            service, operation, asked = which(method, path, headers, body)
            await asyncio.sleep(LATENCY_S)
            status, found = account.answer(service, operation, asked)
            document = dict(found)
        writer.write(_answer(service, status, document))
        await writer.drain()
    writer.close()


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    while size := int((await reader.readline()).split(b";")[0], 16):
        await reader.readexactly(size + 2)
    while (await reader.readline()).strip():
        pass
    return b""


def _answer(service: str, status: int, document: Mapping[str, Any]) -> bytes:
    kind, body, more = "application/x-amz-json-1.0", json.dumps(document).encode(), ""
    if service == "cloudwatch":
        kind, body, more = "application/cbor", cbor(document), "smithy-protocol: rpc-v2-cbor\r\n"
    elif service == "s3":
        body = b""
    if status != 200:
        more += f"x-amzn-ErrorType: {document['__type']}\r\n"
    return f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def main() -> None:
    account = Account(int(sys.argv[1]), busy=sys.argv[2] == "busy")
    server = await asyncio.start_server(lambda *streams: serve(account, *streams), "127.0.0.1", 0, backlog=256)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
