"""What a scenario needs besides the stack: metrics that follow the system's state, its health page, its incident."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from selfheal.catalogue import ACTIONS

from local import stack
from local.account import Account
from local.demos.registry import ALL
from local.stack import Stack

T = TypeVar("T")

DEMOS = tuple(ALL.values())
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
    """What is outside of AWS, on a port of this machine: the health pages of all systems, and GitHub."""

    port: int
    pages: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Path → what it answers with 200; else 503."""
    dispatches: list[Mapping[str, Any]] = field(default_factory=list)
    """What GitHub was asked to start: path, token, and the document. The runs are numbered from 1."""

    def hosts(self, *names: str) -> str:
        """The stack's parameter: these hosts are allowed, and they are here."""
        return ",".join(f"{name}=http://127.0.0.1:{self.port}" for name in names)

    @property
    def github(self) -> str:
        """The stack's parameter: a GitHub Enterprise Server is here."""
        return f"http://127.0.0.1:{self.port}/api/v3"

    def page(self, path: str) -> Mapping[str, Any] | None:
        """What a GET answers; GitHub knows every workflow, and the runs that it started."""
        if re.fullmatch(r"/api/v3/repos/[^/]+/[^/]+/actions/workflows/[^/]+", path):
            return {"name": path.rpartition("/")[2], "state": "active"}
        if re.match(r"/api/v3/repos/[^/]+/[^/]+/actions/workflows/[^/]+/runs\?", path):
            return {"workflow_runs": [self._run(number) for number in range(1, len(self.dispatches) + 1)]}
        run = re.fullmatch(r"/api/v3/repos/[^/]+/[^/]+/actions/runs/(\d+)", path)
        if run:
            return self._run(int(run[1])) if int(run[1]) <= len(self.dispatches) else None
        return self.pages.get(path)

    def dispatch(self, path: str, token: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Start a workflow's run."""
        self.dispatches.append({"path": path.removeprefix("/api/v3"), "token": token, "document": document})
        number = len(self.dispatches)
        return {"workflow_run_id": number, "html_url": self._url(number)}

    def _run(self, number: int) -> Mapping[str, Any]:
        """As a workflow has it that puts its inputs into its run-name."""
        named = " ".join(self.dispatches[number - 1]["document"].get("inputs", {}).values())
        return {"id": number, "status": "queued", "html_url": self._url(number), "display_title": named}

    def _url(self, run: int) -> str:
        return f"{self.github}/runs/{run}"

    @classmethod
    @contextmanager
    def served(cls) -> Iterator[Health]:
        """While the block runs."""

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(health.page(self.path))

            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(health.dispatch(self.path, self.headers["Authorization"], document))

            def _answer(self, page: Mapping[str, Any] | None) -> None:
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

    def ask(self, action: str, target: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """An action by hand, in a person's name; its result."""
        event = {"action": action, "target": dict(target), "mode": "act", "requested_by": "ann", "reason": "a scenario"}
        return self.invoke(function_of(action), {**event, "action_id": f"{action}-{uuid.uuid4().hex[:8]}", **more})

    def sweep(self, system: str, name: str) -> dict[str, str]:
        """Run a sweep; `check resource` → verdict. A check that looked twice keeps the worse one."""
        result = self.ask("check_health", {"system": system}, options={"sweep": name}, system=system)
        assert result["outcome"] == "acted", result
        found = reversed(result["evidence"]["findings"])  # the worst is first
        return {f"{one['check']} {one['resource']}": f"{one['verdict']}: {one['seen']}" for one in found}

    def kept(self, uri: str) -> dict[str, Any]:
        """A JSON document in S3, such as the evidence of a step (`captured`)."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        found: dict[str, Any] = json.loads(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        return found

    def items(self) -> list[Mapping[str, Any]]:
        """Every item of the ledger."""
        table = self.stack.account.outputs(stack.NAME)["LedgerTable"]
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def calm_down(self) -> None:
        """Forget which systems went red in the last minutes, what was changed lately, and what is still changed."""
        table = self.stack.account.outputs(stack.NAME)["LedgerTable"]
        for item in self.items():
            if item["pk"]["S"] in {"STORM", "CHANGE"} or item["sk"]["S"] == "COOLDOWN":
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

    def closed(self, system: str, response: str, patience_s: float = 90.0, *, since: float = 0.0) -> Mapping[str, Any]:
        """The incident when it is over; with `since` (epoch seconds) not one from before."""

        def over() -> Mapping[str, Any] | None:
            found = self.incident(system, response)
            return found if found and found["phase"] == "closed" and found["opened_at"] >= since else None

        found = self.wait(over, f"{system}/{response} to close", patience_s)
        assert found is not None
        return found


def function_of(action: str) -> str:
    """The logical id of the function that has the action."""
    return "".join(word.title() for word in ACTIONS[action].function.split("_"))


def steps_of(incident: Mapping[str, Any]) -> dict[str, str]:
    """Action → status."""
    return {step["action"]: step["status"] for step in (*incident["steps"], *incident["probes"])}
