"""The AWS of the drain's bench, in a process of its own: `… -m tests.bench.drain_cloud LATENCY_MS`; prints its port.

SQS, S3, Lambda and DynamoDB as far as a drain asks them, each answer held back by the latency. One thread, no
framework: what it costs is told by `/bench/tally`, so that a reader sees that it is not what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore import xform_name
from botocore.exceptions import ClientError
from selfheal.replay.memory import MemoryTable

from tests.bench.drain_queues import Queues, Refused, number_of

EVIDENCE = b'{"outcome": "acted", "evidence": {"captured": "s3://archive/evidence/bench.json"}}'
FUNCTION = b'{"FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:consumer:live", "Timeout": 1}'
NOT_FOUND = b'{"Type": "User", "Message": "none"}'


class Cloud:
    """Everything that there is; every call counted by its service."""

    def __init__(self, port: int, latency_s: float) -> None:
        self.latency_s = latency_s
        self._queues = Queues(f"http://127.0.0.1:{port}")
        self._reset({})

    def _reset(self, asked: Mapping[str, list[str]]) -> None:
        self.calls: Counter[str] = Counter()
        self.invoked: Counter[str] = Counter()
        self.archived: Counter[str] = Counter()
        self._table = MemoryTable()
        self._began = time.process_time(), time.time()
        letters, size = int(asked.get("letters", ["0"])[0]), int(asked.get("size", ["420"])[0])
        self._queues.make(letters, size, by_lambda="by_lambda" in asked)

    def bench(self, path: str, asked: Mapping[str, list[str]]) -> bytes:
        """What the bench itself asks, without latency."""
        if path == "/bench/reset":
            self._reset(asked)
            return b"{}"
        dead, orders = self._queues.queues["dead"], self._queues.queues["orders"]
        arrived = orders.numbers + self.invoked
        there = {number_of(message.body) for message in dead.messages.values()}
        letters = set(dead.numbers)
        told = {
            "calls": dict(self.calls),
            "arrived": len(arrived),
            "doubled": sum(count - 1 for count in arrived.values()),
            "left": len(there),
            "lost": len(letters - set(arrived) - there - set(self.archived)),
            "gone_unarchived": len(letters - there - set(self.archived)),
            "took_s": self._queues.last_at - self._queues.first_at,
            "own_cpu_s": time.process_time() - self._began[0],
            "own_wall_s": time.time() - self._began[1],
        }
        return json.dumps(told).encode()

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        target = headers.get("x-amz-target", "")
        try:
            if target.startswith("AmazonSQS."):
                self.calls["sqs"] += 1
                operation = getattr(self._queues, xform_name(target.rpartition(".")[2]))
                return 200, json.dumps(await operation(json.loads(body))).encode()
            if target.startswith("DynamoDB"):
                self.calls["dynamodb"] += 1
                return 200, json.dumps(self._ledger(target.rpartition(".")[2], json.loads(body))).encode()
        except (Refused, ClientError) as error:
            return 400, _refusal(error)
        if target.startswith("AWSEvents."):
            self.calls["events"] += 1
            return 200, b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}'
        if target.startswith("ResourceGroupsTagging"):
            self.calls["tagging"] += 1
            return 200, b'{"ResourceTagMappingList": []}'
        if method == "PUT":
            self.calls["s3"] += 1
            self.archived.update(number_of(json.loads(line)["body"]) for line in body.splitlines())
            return 200, b""
        return self._function(path, body)

    def _ledger(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        asked.pop("ClientRequestToken", None)
        told: dict[str, Any] = getattr(self._table, xform_name(operation))(**asked)
        return told

    def _function(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.calls["lambda"] += 1
        if path.endswith("/invocations"):
            if "/PreserveEvidence/" in path:
                return 200, EVIDENCE
            self.invoked[number_of(body.decode())] += 1
            return 202, b""
        return (200, FUNCTION) if "/configuration" in path else (404, NOT_FOUND)


def _refusal(error: Refused | ClientError) -> bytes:
    if isinstance(error, Refused):
        return json.dumps({"__type": f"com.amazonaws.sqs#{error}", "message": str(error)}).encode()
    code = error.response["Error"]["Code"]
    more = {name: value for name, value in error.response.items() if name not in {"Error", "ResponseMetadata"}}
    return json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more}).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1, kept alive, one request after another."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._read = b""
        self._told_to_go_on = False
        self._working: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, separator, rest = self._read.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            if headers.get("expect") and not self._told_to_go_on:
                self._told_to_go_on = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._read, self._told_to_go_on = rest[length:], False
        method, address, _ = first.split(" ")
        task = asyncio.ensure_future(self._answer(method, address, headers, rest[:length]))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _answer(self, method: str, address: str, headers: Mapping[str, str], body: bytes) -> None:
        parts = urlsplit(address)
        if parts.path.startswith("/bench/"):
            status, answer = 200, self._cloud.bench(parts.path, parse_qs(parts.query, keep_blank_values=True))
        else:
            began = time.monotonic()
            status, answer = await self._cloud.answer(method, parts.path, headers, body)
            await asyncio.sleep(max(0.0, self._cloud.latency_s - (time.monotonic() - began)))
        kind = "application/x-amz-json-1.0" if "x-amz-target" in headers else "application/json"
        head = f"HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {len(answer)}\r\n"
        error = "x-amzn-errortype: ResourceNotFoundException\r\n" if status == 404 else ""
        self._transport.write(f"{head}{error}x-amzn-requestid: {time.monotonic_ns()}\r\n\r\n".encode() + answer)


async def serve(latency_ms: float) -> None:
    """Until it is killed."""
    loop = asyncio.get_running_loop()
    clouds: list[Cloud] = []
    server = await loop.create_server(lambda: Connection(clouds[0]), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clouds.append(Cloud(port, latency_ms / 1000))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
