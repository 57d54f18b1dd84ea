"""What would have been done about the local stack's alarms: asked of the function and by make; nothing changes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local import sam, stack, system
from local.emulator.control import REGION
from local.emulator.environments import REPOSITORY
from tests.local.conftest import Healed

pytestmark = pytest.mark.local

EVENT = json.loads((REPOSITORY / "events" / "replay.json").read_text())


def everything(healed: Healed) -> Any:
    """All that could change: the systems, and every item of the ledger but what the clock writes for itself."""
    items = [item for item in healed.watcher.items() if item["pk"]["S"] not in {"CLOCK", "SWEEP"}]
    ledger = sorted(json.dumps(item, sort_keys=True) for item in items)
    alarms = healed.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return healed.stack.system.state(), healed.stack.system.schedule(), ledger, [one["StateValue"] for one in alarms]


def test_the_function_says_what_it_would_have_done_and_changes_nothing(healed: Healed) -> None:
    before = everything(healed)

    answer = healed.invoke("Replay", {**EVENT, "max_mode": "auto"})

    assert answer["outcome"] == "replayed", answer
    decisions = {(row["what"], row["decision"]) for row in answer["decisions"]}
    assert (f"{system.ALARMS[0]} ALARM", "opened") in decisions
    assert ("halt_trading trading", "would act") in decisions
    assert ("disable_schedule schedule", "would act") in decisions
    assert "roll_back_alias live" in {what for what, _ in decisions}  # in ten seconds of red it may come too late
    assert any("would act" in line for line in answer["table"])
    assert everything(healed) == before


def test_make_replay_prints_the_same_decisions_and_looks_at_what_is_there_now(healed: Healed) -> None:
    """The flag is off since the healing: with `--observe`, halting it is nothing to do."""
    before = everything(healed)
    printed = {}
    for options in ([], ["--observe"]):
        command = [sys.executable, "-m", "local.replay", "--alarm", EVENT["alarms"][0], "--mode", "auto", *options]
        paths = f"{REPOSITORY / 'layers' / 'build'}:{REPOSITORY / 'layers' / 'selfheal'}"
        environment = {**sam.clean_environment(), **healed.stack.emulator.environment(), "PYTHONPATH": paths}
        done = subprocess.run(
            command, env=environment, cwd=REPOSITORY, text=True, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        printed[" ".join(options)] = [line for line in done.stdout.splitlines() if "  halt_trading trading" in line]

    assert "would act" in printed[""][0]
    assert all("nothing to do" in line for line in printed["--observe"])
    assert printed["--observe"]
    assert everything(healed) == before


@pytest.fixture
def as_replay(healed: Healed) -> Any:
    """A session with nothing but the rights of Replay's role."""
    iam, sts = healed.client("iam"), healed.client("sts")
    function = healed.client("lambda").get_function_configuration(FunctionName=healed.function("Replay"))
    arn = function["Role"]
    trusted = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    assert "lambda.amazonaws.com" in json.dumps(trusted)
    found = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    session = boto3.Session(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], REGION)
    return lambda service: session.client(service, endpoint_url=healed.stack.emulator.endpoint)


def test_the_role_of_replay_can_read_alarms_and_nothing_else(healed: Healed, as_replay: Any) -> None:
    outputs = healed.watcher.account.outputs(stack.NAME)
    assert as_replay("cloudwatch").describe_alarms()["MetricAlarms"]
    assert as_replay("cloudwatch").describe_alarm_history()["AlarmHistoryItems"]

    key = {"pk": {"S": "x"}, "sk": {"S": "x"}}
    event = {"EventBusName": outputs["BusName"], "Source": "selfheal", "DetailType": "x", "Detail": "{}"}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("dynamodb", "put_item", {"TableName": outputs["LedgerTable"], "Item": key}),
        ("dynamodb", "get_item", {"TableName": outputs["LedgerTable"], "Key": key}),
        ("events", "put_events", {"Entries": [event]}),
        ("lambda", "invoke", {"FunctionName": healed.function("SwitchTrading"), "Payload": b"{}"}),
        ("sns", "publish", {"TopicArn": outputs["PeopleTopicArn"], "Message": "x"}),
        ("sqs", "send_message", {"QueueUrl": outputs["FailureQueueUrl"], "MessageBody": "x"}),
        ("ssm", "put_parameter", {"Name": system.FLAG, "Value": "false", "Overwrite": True}),
        ("cloudwatch", "set_alarm_state", {"AlarmName": system.ALARMS[0], "StateValue": "OK", "StateReason": "x"}),
    ]  # fmt: skip
    for service, method, request in calls:
        with pytest.raises(ClientError, match=r"AccessDenied|not authorized|AuthorizationError"):
            getattr(as_replay(service), method)(**request)
