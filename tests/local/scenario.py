"""What a scenario needs besides the stack: metrics that follow the system's state, its health page, its incident."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from local import stack
from local.account import Account
from local.demos import Demo, alchemiser_events, algo_trading, crypto_trading, polymarket
from local.stack import Stack

T = TypeVar("T")

DEMOS: tuple[Demo, ...] = (alchemiser_events, crypto_trading, polymarket, algo_trading)
HOSTS = ("trading.example.com", "staging.polymarket.example.com", "api.test.crypto.example.com")
Metric = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name, dimensions."""


@dataclass(frozen=True)
class Deployed:
    """A local stack with selfheal on it."""

    stack: Stack

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke a function of selfheal by its logical id, and wait for its answer."""
        answer = self.client("lambda").invoke(FunctionName=self.function(function), Payload=json.dumps(event))
        body: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        return body

    def function(self, logical_id: str) -> str:
        """The physical name of a function of selfheal."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=stack.NAME, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def client(self, service: str) -> Any:
        """A client of the stack's account."""
        return self.stack.account.client(service)

    def wait(self, probe: Callable[[], T], what: str, patience_s: float = 20.0) -> T:
        """The first truthy answer of ``probe``; an AssertionError when there is none in time."""
        deadline = time.monotonic() + patience_s
        while not (found := probe()):
            assert time.monotonic() < deadline, f"waited {patience_s} s for {what}"
            time.sleep(0.1)
        return found


@dataclass
class Health:
    """The health pages of all systems, on a port of this machine: path → what it answers with 200, else 503."""

    port: int
    pages: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def hosts(self, *names: str) -> str:
        """The stack's parameter: these hosts are allowed, and they are here."""
        return ",".join(f"{name}=http://127.0.0.1:{self.port}" for name in names)

    @classmethod
    @contextmanager
    def served(cls) -> Iterator[Health]:
        """While the block runs."""

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = health.pages.get(self.path)
                self.send_response(503 if page is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(page or {}).encode())

            def log_message(self, *_: object) -> None:
                """Not on the screen."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        health = cls(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield health
        finally:
            server.shutdown()
            server.server_close()


@dataclass
class Weather:
    """Puts a value of each metric every second, as long as one is known for it."""

    account: Account
    values: dict[Metric, Callable[[], float]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def of(cls, account: Account) -> Iterator[Weather]:
        """While the block runs."""
        weather, over = cls(Account(account.endpoint)), threading.Event()

        def blow() -> None:
            while not over.wait(1.0):
                for (namespace, name, dimensions), value in list(weather.values.items()):
                    described = [{"Name": key, "Value": text} for key, text in dimensions]
                    datum = {"MetricName": name, "Dimensions": described, "Value": value()}
                    weather.account.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])

        thread = threading.Thread(target=blow, daemon=True)
        thread.start()
        try:
            yield weather
        finally:
            over.set()
            thread.join()

    def let(self, namespace: str, name: str, value: Callable[[], float], **dimensions: str) -> None:
        """From now on the metric has this value."""
        self.values[namespace, name, tuple(dimensions.items())] = value


@dataclass(frozen=True)
class Systems(Deployed):
    """Every demo system on one stack."""

    health: Health
    weather: Weather

    def items(self) -> list[Mapping[str, Any]]:
        """Every item of the ledger."""
        table = self.stack.account.outputs(stack.NAME)["LedgerTable"]
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def calm_down(self) -> None:
        """Forget which systems went red in the last minutes, and what was changed lately."""
        table = self.stack.account.outputs(stack.NAME)["LedgerTable"]
        for item in self.items():
            if item["pk"]["S"] == "STORM":
                self.client("dynamodb").delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})

    def incident(self, system: str, response: str) -> Mapping[str, Any] | None:
        """The newest incident of this response."""
        documents = [
            json.loads(item["doc"]["S"])
            for item in self.items()
            if item["pk"]["S"] == "OPEN" or item["pk"]["S"].startswith("INCIDENT#")
        ]
        ours = [one for one in documents if (one.get("system"), one.get("response")) == (system, response)]
        return max(ours, key=lambda one: float(one["opened_at"]), default=None)

    def closed(self, system: str, response: str, patience_s: float = 90.0) -> Mapping[str, Any]:
        """The incident when it is over."""

        def over() -> Mapping[str, Any] | None:
            found = self.incident(system, response)
            return found if found and found["phase"] == "closed" else None

        found = self.wait(over, f"{system}/{response} to close", patience_s)
        assert found is not None
        return found


def steps_of(incident: Mapping[str, Any]) -> dict[str, str]:
    """Action → status."""
    return {step["action"]: step["status"] for step in (*incident["steps"], *incident["probes"])}
