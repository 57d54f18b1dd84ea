"""One mended emulator for the whole session, and one healed stack, each started when the first test asks for it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from local import demo, stack, system
from local.emulator.control import Emulator
from local.stack import Stack
from local.timeline import Screen
from local.watch import Watcher
from tests.local.scenario import DEMOS, HOSTS, Deployed, Health, Systems, Weather


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator with all mends and IAM enforced; tests share it, so they use names of their own."""
    with Emulator.start(port=None, home=tmp_path_factory.mktemp("emulator")) as running:
        yield running


@dataclass(frozen=True)
class Healed(Deployed):
    """A local stack whose demo system broke and healed once. Tests share it and leave it as they found it."""

    code: int
    output: str
    watcher: Watcher
    incident: Mapping[str, Any]
    """The document of the story's incident."""


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


@pytest.fixture(scope="session")
def all_systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systems]:
    """A stack of its own with every demo system on it; the scenarios share it, one after the other."""
    with Health.served() as health:
        running = stack.start(
            None,
            tmp_path_factory.mktemp("systems"),
            Screen(io.StringIO()).step,
            detached=False,
            further=DEMOS,
            more={"HealthHosts": health.hosts(*HOSTS), "GithubApi": health.github},
        )
        try:
            with Weather.of(running.account) as weather:
                yield Systems(running, health, weather)
        finally:
            running.stop()


@pytest.fixture
def systems(all_systems: Systems) -> Systems:
    """The same, calm: what went red in an earlier scenario is no storm for this one."""
    all_systems.calm_down()
    return all_systems


def _take_all_three_ways(running: Stack) -> None:
    """EventBridge has every change of an alarm; its own actions add the topic and the function."""
    cloudwatch, outputs = running.account.client("cloudwatch"), running.account.outputs(stack.NAME)
    alarm = cloudwatch.describe_alarms(AlarmNames=[system.ALARMS[0]])["MetricAlarms"][0]
    settings = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    actions = [outputs["AlarmTopicArn"], outputs["RespondArn"]]
    kept = {name: value for name, value in alarm.items() if name in settings}
    cloudwatch.put_metric_alarm(**{**kept, "AlarmActions": actions, "OKActions": actions})
