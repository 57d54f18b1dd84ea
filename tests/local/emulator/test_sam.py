"""A SAM application is built, deployed, invoked and updated by the real ``sam``, with IAM enforced."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.emulator.control import Emulator
from tests.local.emulator.account import Account

pytestmark = pytest.mark.local

SAM_TIMEOUT = 120  # seconds


@dataclass
class Stack:
    name: str
    directory: Path
    account: Account
    outputs: dict[str, str]

    def sam(self, *arguments: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), **self.account.emulator.environment()}
        done = subprocess.run(
            [str(Path(sys.executable).parent / "sam"), *arguments],
            cwd=self.directory,
            text=True,
            env=environment,
            capture_output=True,
            timeout=SAM_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"sam {arguments}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def deploy(self, *parameters: str) -> None:
        self.sam(
            "deploy",
            "--stack-name",
            self.name,
            "--resolve-s3",
            "--no-confirm-changeset",
            "--no-progressbar",
            "--capabilities",
            "CAPABILITY_IAM",
            "--parameter-overrides",
            *parameters,
        )
        stack = self.account.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def came(self, function: str) -> list[Any]:
        """The events that the function has printed."""
        logs = self.account.client("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{function}")["logGroups"]
        events = [
            event
            for group in groups
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
            for event in page["events"]
        ]
        return [json.loads(event["message"][5:]) for event in events if event["message"].startswith("CAME ")]


@pytest.fixture(scope="module")
def stack(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("sam")
    shutil.copytree(Path(__file__).with_name("sam_app"), directory, dirs_exist_ok=True)
    account = Account(emulator, directory)
    deployed = Stack(account.name("app"), directory, account, {})
    deployed.sam("build")
    deployed.deploy("Canary=false", "Word=world")
    yield deployed
    deployed.sam("delete", "--stack-name", deployed.name, "--no-prompts")


def test_remote_invoke_runs_the_alias_s_code_with_its_layer(stack: Stack) -> None:
    answer = json.loads(
        stack.sam(
            "remote",
            "invoke",
            "Worker",
            "--stack-name",
            stack.name,
            "--event",
            '{"a": 1}',
            "--parameter",
            "Qualifier=live",
        )
    )

    assert answer["greeting"] == "hello world"
    assert answer["arn"].endswith(":live")
    assert answer["event"] == {"a": 1}


def test_parameter_override_reaches_the_transform(stack: Stack) -> None:
    types = {
        resource["ResourceType"]
        for resource in stack.account.client("cloudformation").list_stack_resources(StackName=stack.name)[
            "StackResourceSummaries"
        ]
    }

    assert "AWS::CodeDeploy::DeploymentGroup" not in types


def test_function_has_every_property_of_the_template(stack: Stack) -> None:
    client = stack.account.client("lambda")

    worker = client.get_function_configuration(FunctionName=stack.outputs["Worker"], Qualifier="live")
    assert worker["DeadLetterConfig"]["TargetArn"].rpartition(":")[2] == stack.outputs["Failures"].rpartition("/")[2]
    stopped = client.get_function_concurrency(FunctionName=stack.outputs["Stopped"])
    assert stopped["ReservedConcurrentExecutions"] == 0


def test_schedules_have_every_property_of_the_template(stack: Stack) -> None:
    client = stack.account.client("scheduler")

    clock = client.get_schedule(Name="WorkerClock")
    assert clock["Description"] == "every minute"
    assert clock["ScheduleExpressionTimezone"] == "Asia/Kolkata"
    assert clock["State"] == "DISABLED"
    assert clock["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
    assert clock["Target"]["DeadLetterConfig"]["Arn"].startswith("arn:aws:sqs:")
    unnamed = client.get_schedule(Name=stack.outputs["Unnamed"])
    assert unnamed["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}


def test_failing_alias_turns_its_alarm_red_and_both_ways_lead_to_the_function(stack: Stack) -> None:
    account, worker = stack.account, stack.outputs["Worker"]
    account.client("lambda").invoke(FunctionName=worker, Qualifier="live", Payload=b'{"fail": 1}')

    account.wait(lambda: account.state(f"{stack.name}-worker")["StateValue"] == "ALARM", "the alarm")
    shapes = {
        "event": lambda event: event.get("detail-type") == "CloudWatch Alarm State Change",
        "action": lambda event: event.get("source") == "aws.cloudwatch" and "alarmData" in event,
    }
    for what, fits in shapes.items():
        account.wait(lambda fits=fits: any(map(fits, stack.came(worker))), f"the alarm as {what}")  # type: ignore[misc]


def test_events_of_the_bus_the_topic_and_the_queue_arrive(stack: Stack) -> None:
    account, worker = stack.account, stack.outputs["Worker"]
    account.client("events").put_events(
        Entries=[
            {"Source": "test", "DetailType": "t", "Detail": '{"from": "bus"}', "EventBusName": stack.outputs["Bus"]}
        ]
    )
    account.client("sns").publish(TopicArn=stack.outputs["Topic"], Message="from topic")
    account.client("sqs").send_message(QueueUrl=stack.outputs["Work"], MessageBody="from queue")

    for word in ("bus", "topic", "queue"):
        account.wait(
            lambda word=word: f"from {word}" in json.dumps(stack.came(worker)).replace('": "', " "),  # type: ignore[misc]
            f"the event from the {word}",
        )


def test_update_publishes_a_version(stack: Stack) -> None:
    client = stack.account.client("lambda")
    before = client.get_alias(FunctionName=stack.outputs["Worker"], Name="live")["FunctionVersion"]
    app = stack.directory / "function" / "app.py"
    app.write_text(app.read_text() + "\n# changed\n")

    stack.sam("build")
    stack.deploy("Canary=false", "Word=world")

    after = client.get_alias(FunctionName=stack.outputs["Worker"], Name="live")["FunctionVersion"]
    assert int(after) == int(before) + 1
