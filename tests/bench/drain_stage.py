"""The drain's bench: a cloud in a process of its own, and whoever drains its queue in another one."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from selfheal.runbook import FORMAT_VERSION

from tests.bench.figure import REPOSITORY
from tests.bench.peers import base_environment, python
from tests.bench.processes import Command, Spent, spend

LATENCY_MS = 8
SIZE = 420
"""Bytes of a letter's body."""
CODE = ":".join(str(REPOSITORY / folder) for folder in (".", "layers/selfheal", "layers/build"))


@dataclass(frozen=True)
class Drained:
    """What one drain came to. Calls are those of SQS, of S3, of DynamoDB; `took_s` from the first receive to the last
    delete, `cloud_cpu` the share of one core that the cloud itself took."""

    letters: int
    spent: Spent
    took_s: float
    calls: Mapping[str, int]
    arrived: int
    left: int
    lost: int
    doubled: int
    gone_unarchived: int
    cloud_cpu: float
    result: Mapping[str, Any]

    @property
    def per_second(self) -> float:
        """Messages that left the queue, a second."""
        return (self.letters - self.left) / self.took_s if self.took_s else 0.0

    def per_letter(self, service: str) -> float:
        """Calls of one service for each message."""
        return self.calls.get(service, 0) / max(1, self.letters)


class Stage:
    """The cloud; `drain` fills it, lets somebody drain it and tells what became of the letters."""

    def __init__(self, port: int, folder: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._runbooks = folder / "runbooks.json"
        self._runbooks.write_text(json.dumps({"version": FORMAT_VERSION, "systems": []}))
        (folder / "home").mkdir()

    def url(self, queue: str) -> str:
        """As GetQueueUrl tells it."""
        return f"{self.endpoint}/123456789012/{queue}"

    def drain(self, letters: int, argv: list[str], *, by_lambda: bool = False) -> Drained:
        """One run of a command on a fresh cloud."""
        self._ask(f"reset?letters={letters}&size={SIZE}{'&by_lambda' if by_lambda else ''}")
        spent = spend(Command(argv, self._environment(), REPOSITORY))
        told = self._ask("tally")
        answer = self._folder / "answer.json"
        result = json.loads(answer.read_text()) if answer.exists() else {}
        answer.unlink(missing_ok=True)
        names = ("took_s", "calls", "arrived", "left", "lost", "doubled", "gone_unarchived")
        share = told["own_cpu_s"] / told["own_wall_s"]
        return Drained(letters, spent, cloud_cpu=share, result=result, **{name: told[name] for name in names})

    def ours(
        self, action: str, letters: int, *, by_lambda: bool = False, seconds: float = 900, **options: Any
    ) -> Drained:
        """Through the function's own handler. Each run of it gets `seconds`."""
        target: dict[str, Any] = {"queue": "dead"}
        if by_lambda:
            target["replay_to"] = {"function": "consumer", "alias": "live"}
        event = {
            "action": action,
            "action_id": "bench-1",
            "target": target,
            "requested_by": "bench",
            "reason": "to measure it",
            "options": {"canary": 0, "per_second": 100_000, **options},
        }
        argv = [python(), "-m", "tests.bench.drain_ours", json.dumps(event), str(seconds)]
        return self.drain(letters, [*argv, str(self._folder / "answer.json")], by_lambda=by_lambda)

    def _environment(self) -> dict[str, str]:
        return base_environment(
            AWS_ENDPOINT_URL=self.endpoint,
            ARCHIVE_BUCKET="archive",
            EVENT_BUS="bus",
            EVIDENCE_FUNCTION="PreserveEvidence",
            LEASE_SECONDS="0",  # a run that is resumed at once has waited for its lease
            LEDGER_TABLE="ledger",
            MAX_MODE="auto",
            POWERTOOLS_METRICS_NAMESPACE="selfheal",
            PYTHONPATH=CODE,
            RUNBOOKS_PATH=str(self._runbooks),
            HOME=str(self._folder / "home"),
        )

    def _ask(self, what: str) -> dict[str, Any]:
        answer = urllib3.request("GET", f"{self.endpoint}/bench/{what}", timeout=60, retries=False)
        told: dict[str, Any] = answer.json()
        return told


@contextmanager
def stage() -> Iterator[Stage]:
    """A cloud of its own."""
    command = [python(), "-m", "tests.bench.drain_cloud", str(LATENCY_MS)]
    environment = base_environment(PYTHONPATH=CODE)
    cloud = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert cloud.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            yield Stage(int(cloud.stdout.readline()), Path(folder))
    finally:
        cloud.kill()
        cloud.wait()
