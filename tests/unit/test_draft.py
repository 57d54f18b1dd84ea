"""`make new-runbook`: a first draft that is valid, that only suggests, and that reads nothing but lists."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as some
from moto import mock_aws
from ruamel.yaml import YAML
from selfheal_build.draft.found import Alarm, Found, Function, Schedule
from selfheal_build.draft.look import look
from selfheal_build.draft.write import draft
from selfheal_build.runbooks import compiler

from local import new_runbook

SHOP = Found(
    prefix="shop",
    functions=(Function("shop-orders", ("canary", "live"), "shop-dlq"), Function("shop-bare")),
    alarms=(
        Alarm("shop-orders-errors", {"FunctionName": "shop-orders"}),
        Alarm("shop-orders-slow", {"FunctionName": "shop-orders", "Resource": "shop-orders:live"}),
        Alarm("shop-engine-cpu", {"ClusterName": "shop", "ServiceName": "shop-engine"}),
        Alarm("shop-dlq-depth", {"QueueName": "shop-dlq"}),
        Alarm("shop-whole"),
    ),
    queues=("shop-dlq", "shop-work"),
    schedules=(Schedule("shop-nightly", "shop", "shop-orders"), Schedule("shop-report")),
    flags=("/shop/trading_enabled",),
    services=(("shop", "shop-engine"),),
    databases=("shop-db",),
)


def compiled(text: str, folder: Path) -> dict[str, Any]:
    (folder / "draft.yaml").write_text(text)
    (system,) = compiler.compile_files([(folder / "draft.yaml", "draft.yaml")])["systems"]
    found: dict[str, Any] = system
    return found


def test_alarms_of_one_resource_are_one_response_with_what_fits_it(tmp_path: Path) -> None:
    system = compiled(draft(SHOP, "shop", "shop-oncall"), tmp_path)
    responses = {one["name"]: one for one in system["responses"]}

    orders = responses["shop-orders failing"]
    assert orders["alarms"] == ["shop-orders-errors", "shop-orders-slow"]
    assert [(step["action"], step["target"]) for step in orders["contain"]] == [
        ("halt_trading", {"parameter": "/shop/trading_enabled"}),
        ("disable_schedule", {"schedule": "shop-nightly", "group": "shop"}),
    ]
    assert [step["target"] for step in orders["remediate"]] == [{"function": "shop-orders", "alias": "live"}]
    assert [step["action"] for step in orders["recover"]] == ["inspect_dlq", "enable_schedule", "resume_trading"]
    assert all(step["approval"] for step in orders["recover"][1:])
    engine = responses["shop-engine failing"]
    assert [step["action"] for step in engine["remediate"]] == ["restart_service", "roll_back_service"]
    assert [step["action"] for step in responses["dead letters in shop-dlq"]["contain"]] == ["inspect_dlq"]
    assert [step["action"] for step in responses["shop-whole is red"]["contain"]] == ["check_health"]


def test_nothing_acts_before_a_person_has_read_it(tmp_path: Path) -> None:
    system = compiled(draft(SHOP, "shop", "shop-oncall"), tmp_path)

    assert {one["mode"] for one in system["responses"]} == {"suggest"}


def test_dead_letters_know_their_function(tmp_path: Path) -> None:
    targets = YAML(typ="safe", pure=True).load(draft(SHOP, "shop", "shop-oncall"))["targets"]

    assert targets["dlq"] == {"queue": "shop-dlq", "replay_to": {"function": "shop-orders", "alias": "live"}}
    assert "shop-work" not in json.dumps(targets), "a live queue is nobody's dead letters"
    assert "shop-bare" not in json.dumps(targets), "without an alias there is nothing to roll back"


NAMES = some.from_regex(r"\Ashop[A-Za-z0-9_-]{0,12}\Z")


@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_whatever_things_are_called_the_draft_is_valid(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = data.draw(some.lists(NAMES, min_size=1, max_size=6, unique=True))
    alarms = tuple(
        Alarm(f"{name}-{kind}", {"FunctionName": name} if kind == "errors" else {})
        for name in names
        for kind in ("errors", "other")
    )
    found = Found(
        prefix="shop",
        functions=tuple(Function(name, ("live",), f"{name}-dlq") for name in names),
        alarms=tuple({one.name: one for one in alarms}.values()),
        queues=tuple(f"{name}-dlq" for name in names),
        schedules=tuple(Schedule(name, "default", name) for name in names),
        flags=tuple(f"/{name}/{flag}" for name in names for flag in ("trading_enabled", "on")),
        services=tuple((name, name) for name in names),
    )
    system = compiled(draft(found, "shop", "on"), tmp_path_factory.mktemp("draft"))

    assert {alarm for one in system["responses"] for alarm in one["alarms"]} == {one.name for one in found.alarms}


# -- what is there ------------------------------------------------------------------------------------------------


@pytest.fixture
def account() -> Any:
    with mock_aws():
        yield boto3.Session()


def _fill(session: Any) -> None:
    role = "arn:aws:iam::123456789012:role/shop"
    session.client("iam").create_role(RoleName="shop", AssumeRolePolicyDocument="{}")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "")
    aws = session.client("lambda")
    queue = session.client("sqs").create_queue(QueueName="shop-dlq")["QueueUrl"]
    session.client("sqs").create_queue(QueueName="other-dlq")
    arn = session.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    for name in ("shop-orders", "other"):
        aws.create_function(
            FunctionName=name, Runtime="python3.13", Role=role, Handler="app.x", Code={"ZipFile": code.getvalue()},
            Publish=True,
        )  # fmt: skip
    aws.create_alias(FunctionName="shop-orders", Name="live", FunctionVersion="1")
    aws.put_function_event_invoke_config(
        FunctionName="shop-orders", DestinationConfig={"OnFailure": {"Destination": arn["QueueArn"]}}
    )
    session.client("cloudwatch").put_metric_alarm(
        AlarmName="shop-orders-errors", Namespace="AWS/Lambda", MetricName="Errors", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
        Dimensions=[{"Name": "FunctionName", "Value": "shop-orders"}],
    )  # fmt: skip
    session.client("ssm").put_parameter(Name="/shop/trading_enabled", Value="true", Type="String")
    session.client("scheduler").create_schedule(
        Name="shop-nightly", ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:lambda:eu-central-1:123456789012:function:shop-orders", "RoleArn": role},
    )  # fmt: skip


def test_it_finds_what_begins_alike_and_nothing_else(account: Any) -> None:
    _fill(account)
    found = look(account.client, "shop")

    assert found.functions == (Function("shop-orders", ("live",), "shop-dlq"),)
    assert found.alarms == (Alarm("shop-orders-errors", {"FunctionName": "shop-orders"}),)
    assert found.queues == ("shop-dlq",)
    assert found.flags == ("/shop/trading_enabled",)
    assert found.schedules == (Schedule("shop-nightly", "default", "shop-orders"),)
    assert found.not_read == ()
    assert look(account.client, "nothing").is_empty


def test_what_may_not_be_read_is_named_and_the_rest_is_there(account: Any) -> None:
    _fill(account)

    def client(service: str) -> Any:
        if service == "sqs":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListQueues")
        return account.client(service)

    found = look(client, "shop")
    assert found.queues == ()
    assert [what.split(":")[0] for what in found.not_read] == ["queues"]
    assert found.functions


def test_the_command_writes_a_valid_file_once(account: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _fill(account)
    out = tmp_path / "shop.yaml"

    assert new_runbook.main(["shop", "--out", str(out)]) == 0
    text = out.read_text()
    assert "roll_back_alias: live" in text
    assert new_runbook.main(["shop", "--out", str(out)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert out.read_text() == text


@pytest.mark.parametrize(
    ("system", "why"), [("../x", "letters, digits"), ("nobody", "nothing here begins with nobody")]
)
def test_what_can_not_be_is_refused_with_the_reason(
    system: str, why: str, account: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_runbook.main([system, "--out", str(tmp_path / "x.yaml")]) == 1
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
