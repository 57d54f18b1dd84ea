"""The alarm pack, deployed by sam to the emulator for the demo's system: its runbook answers what goes red."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal import runbook
from selfheal_build.runbooks import compiler

from local import sam, system
from local.emulator.control import Emulator
from tests.local.emulator.account import Account

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
GIVEN = {
    "System": system.NAME,
    "MetricMath": "false",
    "Function": system.FUNCTION,
    "FunctionAlias": system.ALIAS,
    "FunctionTimeout": "10",
    "DeadLetterQueue": "the-alchemiser-dlq-dev",
    "EventBus": "shop-events",
    "Rule": "shop-orders",
    "Cluster": "shop",
    "Service": "web",
    "LoadBalancer": "app/shop/0123456789abcdef",
    "TargetGroup": "targetgroup/shop/0123456789abcdef",
    "Database": "shop-db",
    "DatabaseReplica": "shop-db-replica",
}
MADE = {
    "errors", "throttles", "dlq-depth", "dlq-age", "rule-failures", "rule-not-invoked", "rule-dead-letters",
    "rule-losses", "service-cpu", "warning-service-cpu", "service-memory", "warning-service-memory", "service-tasks",
    "http-latency", "warning-http-latency", "http-unhealthy", "db-cpu", "warning-db-cpu", "db-lag", "warning-db-lag",
}  # fmt: skip
"""All but what is calculated: the emulator knows no metric math."""


def deployed(account: Account, directory: Path, **given: str) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """The alarms of a pack by their names, and what its output says."""
    bucket, stack = account.name("bucket"), account.name("pack")
    account.client("s3").create_bucket(Bucket=bucket)
    environment, log = account.emulator.environment(), directory / "deploy.log"
    template = shutil.copy(
        ROOT / "alarms.yaml", directory
    )  # samconfig.toml lies beside the other, with a bucket for AWS
    sam.deploy(stack, Path(template), bucket=bucket, parameters=given, environment=environment, log=log)
    pages = (
        account.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{given['System']}-")
    )
    alarms = {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]}
    (described,) = account.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    (output,) = [one["OutputValue"] for one in described["Outputs"] if one["OutputKey"] == "Alarms"]
    return alarms, output.split(",")


@pytest.fixture
def runbooks(tmp_path: Path) -> runbook.Runbooks:
    """Those that are shipped, as the stack has them."""
    compiler.write(compiler.compile_folder(ROOT / "layers" / "runbooks"), tmp_path / "runbooks.json")
    return runbook.load(str(tmp_path / "runbooks.json"))


def test_a_red_alarm_of_the_pack_is_one_that_the_runbook_answers(
    emulator: Emulator, tmp_path: Path, runbooks: runbook.Runbooks
) -> None:
    account = Account(emulator, tmp_path)
    alarms, listed = deployed(account, tmp_path, **GIVEN)
    name = f"{system.NAME}-errors"

    assert set(alarms) == {f"{system.NAME}-{what}" for what in MADE}
    assert sorted(listed) == sorted(alarms)
    dimensions = {one["Name"]: one["Value"] for one in alarms[name]["Dimensions"]}
    assert dimensions == {"FunctionName": system.FUNCTION, "Resource": f"{system.FUNCTION}:{system.ALIAS}"}
    assert not any(alarm["AlarmActions"] or alarm["OKActions"] for alarm in alarms.values())

    account.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")

    red = account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{system.NAME}-", StateValue="ALARM")
    matched = [runbooks.match(one["AlarmName"]) for one in red["MetricAlarms"]]
    assert [(one.system, one.response.name) for one in matched if one] == [(system.NAME, "trading lambda failing")]


def test_what_is_not_named_has_no_alarm(emulator: Emulator, tmp_path: Path) -> None:
    account = Account(emulator, tmp_path)
    named = account.name("system")

    alarms, _ = deployed(account, tmp_path, System=named, MetricMath="false", Rule="shop-orders")

    assert set(alarms) == {f"{named}-rule-{what}" for what in ("failures", "not-invoked", "dead-letters", "losses")}
    default = alarms[f"{named}-rule-failures"]["Dimensions"]
    assert default == [{"Name": "RuleName", "Value": "shop-orders"}]
