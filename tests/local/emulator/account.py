"""What a contract test needs of an account: clients, throw-away resources, and bounded patience."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from local.emulator.control import ACCOUNT, REGION, Emulator

T = TypeVar("T")

SESSION: Any = boto3.Session()  # one, because a session parses the model of each service anew

RECORDER = """
import json, os

def handler(event, context):
    line = json.dumps({"event": event, "arn": context.invoked_function_arn, "id": context.aws_request_id,
                       "version": context.function_version})
    with open(os.environ["OUT"], "a") as out:
        out.write(line + chr(10))
    if os.environ.get("FAIL"):
        raise RuntimeError(os.environ["FAIL"])
    return {"version": context.function_version}
"""


@dataclass
class Function:
    """A function that writes down how it was called, see :data:`RECORDER`."""

    name: str
    arn: str
    role: str
    out: Path

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def events(self) -> list[Any]:
        return [call["event"] for call in self.calls()]


@dataclass
class Account:
    """The account of one emulator; ``patience`` (seconds) bounds every wait."""

    emulator: Emulator
    directory: Path
    patience: float = 20.0
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, credentials: Mapping[str, str] | None = None) -> Any:
        """A client of ``service``, as the account's root or with the given credentials; it does not retry."""
        given = credentials or {"AccessKeyId": ACCOUNT, "SecretAccessKey": "test"}
        key = (service, given["AccessKeyId"])
        if key not in self.clients:
            self.clients[key] = SESSION.client(
                service,
                endpoint_url=self.emulator.endpoint,
                region_name=REGION,
                aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given.get("SessionToken"),
                config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=30),
            )
        return self.clients[key]

    def name(self, kind: str) -> str:
        return f"{kind}-{uuid.uuid4().hex[:8]}"

    def wait(self, probe: Callable[[], T], what: str) -> T:
        """The first truthy answer of ``probe``; an AssertionError when there is none in time."""
        deadline = time.monotonic() + self.patience
        while True:
            found = probe()
            if found:
                return found
            assert time.monotonic() < deadline, f"waited {self.patience} s for {what}"
            time.sleep(0.05)

    def role(self, statements: list[dict[str, Any]], service: str = "lambda.amazonaws.com") -> str:
        name = self.name("role")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
                {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"},
            ],
        }
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **entry} for entry in statements]}
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
        return str(arn)

    def credentials(self, *statements: dict[str, Any]) -> dict[str, str]:
        """Credentials of a fresh role that may do what the statements (Action, Resource) allow and no more."""
        session = self.client("sts").assume_role(RoleArn=self.role(list(statements)), RoleSessionName="test")
        return dict(session["Credentials"])

    def function(
        self,
        code: str = RECORDER,
        *,
        statements: list[dict[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Function:
        name = self.name("function")
        out = self.directory / f"{name}.jsonl"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("app.py", code)
        client = self.client("lambda")
        role = self.role(statements or [])
        created = client.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="app.handler",
            Role=role,
            Code={"ZipFile": archive.getvalue()},
            Environment={"Variables": {"OUT": str(out), **(environment or {})}},
            **{"Timeout": 5, **settings},
        )
        self.wait(lambda: client.get_function_configuration(FunctionName=name)["State"] == "Active", "the function")
        return Function(name, created["FunctionArn"], role, out)

    def alias(self, function: Function, name: str = "live") -> str:
        """Publish a version and point the alias at it; returns the alias's ARN."""
        client = self.client("lambda")
        version = client.publish_version(FunctionName=function.name)["Version"]
        return str(client.create_alias(FunctionName=function.name, Name=name, FunctionVersion=version)["AliasArn"])

    def permit(self, function: Function, principal: str, source: str, qualifier: str | None = None) -> None:
        self.client("lambda").add_permission(
            FunctionName=function.name,
            StatementId=self.name("permit"),
            Action="lambda:InvokeFunction",
            Principal=principal,
            SourceArn=source,
            **({"Qualifier": qualifier} if qualifier else {}),
        )

    def queue(self, *senders: str, **attributes: str) -> tuple[str, str]:
        """A queue's URL and ARN; ``senders`` are service principals that may write to it."""
        name = self.name("queue")
        client = self.client("sqs")
        url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        if senders:
            policy = {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": list(senders)},
                        "Action": "sqs:SendMessage",
                        "Resource": arn,
                    }
                ],
            }
            client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        return url, arn

    def message(self, url: str) -> dict[str, Any]:
        """The next message of the queue, taken out of it."""
        client = self.client("sqs")

        def receive() -> list[dict[str, Any]]:
            answer = client.receive_message(
                QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=0
            )
            return list(answer.get("Messages", []))

        message = self.wait(receive, "a message")[0]
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    def alarm(self, **settings: Any) -> str:
        """An alarm of its own metric (namespace "Test", the alarm's name), 10 s periods; returns its name."""
        name = self.name("alarm")
        self.client("cloudwatch").put_metric_alarm(
            **{
                "AlarmName": name,
                "Namespace": "Test",
                "MetricName": name,
                "Statistic": "Sum",
                "Period": 10,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                **settings,
            }
        )
        return name

    def datum(self, metric: str, value: float, dimensions: Mapping[str, str] | None = None) -> None:
        named = [{"Name": name, "Value": text} for name, text in (dimensions or {}).items()]
        self.client("cloudwatch").put_metric_data(
            Namespace="Test", MetricData=[{"MetricName": metric, "Value": value, "Dimensions": named}]
        )

    def state(self, alarm: str) -> dict[str, Any]:
        return dict(self.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0])
