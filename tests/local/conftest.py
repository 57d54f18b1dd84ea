"""One mended emulator for the whole session, and one healed stack, each started when the first test asks for it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from local import demo, stack, system
from local.emulator.control import Emulator
from local.stack import Stack
from local.timeline import Screen
from local.watch import Watcher

T = TypeVar("T")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator with all mends and IAM enforced; tests share it, so they use names of their own."""
    with Emulator.start(port=None, home=tmp_path_factory.mktemp("emulator")) as running:
        yield running


@dataclass(frozen=True)
class Healed:
    """A local stack whose demo system broke and healed once. Tests share it and leave it as they found it."""

    stack: Stack
    code: int
    output: str
    watcher: Watcher
    incident: Mapping[str, Any]
    """The document of the story's incident."""

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
        return self.watcher.account.client(service)

    def wait(self, probe: Callable[[], T], what: str, patience_s: float = 20.0) -> T:
        """The first truthy answer of ``probe``; an AssertionError when there is none in time."""
        deadline = time.monotonic() + patience_s
        while not (found := probe()):
            assert time.monotonic() < deadline, f"waited {patience_s} s for {what}"
            time.sleep(0.1)
        return found


@pytest.fixture(scope="session")
def healed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healed]:
    """The demo, played once on a stack of its own whose alarm takes all three ways to selfheal at the same time."""
    out = io.StringIO()
    screen = Screen(out)
    running = stack.start(None, tmp_path_factory.mktemp("stack"), screen.step, detached=False)
    try:
        _take_all_three_ways(running)
        code = demo.play(screen, running, keep=False)
        account = running.account
        watcher = Watcher(account, account.outputs(stack.NAME), since=0.0)
        yield Healed(running, code, out.getvalue(), watcher, watcher.view(time.time()).incident or {})
    finally:
        running.stop()


def _take_all_three_ways(running: Stack) -> None:
    """EventBridge has every change of an alarm; its own actions add the topic and the function."""
    cloudwatch, outputs = running.account.client("cloudwatch"), running.account.outputs(stack.NAME)
    alarm = cloudwatch.describe_alarms(AlarmNames=[system.ALARMS[0]])["MetricAlarms"][0]
    settings = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    actions = [outputs["AlarmTopicArn"], outputs["RespondArn"]]
    kept = {name: value for name, value in alarm.items() if name in settings}
    cloudwatch.put_metric_alarm(**{**kept, "AlarmActions": actions, "OKActions": actions})
