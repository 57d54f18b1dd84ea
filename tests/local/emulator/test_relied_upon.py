"""What the project relies on and the stock emulator does right: no mend, but a test, for the day it changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def refused(call: Any, code: str, **arguments: Any) -> dict[str, Any]:
    """Call, and check that AWS's error ``code`` comes back; returns the error's response."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code
    return dict(error.value.response)


def test_parameter_keeps_what_an_overwrite_does_not_name(account: Account) -> None:
    ssm, name = account.client("ssm"), f"/{account.name('parameter')}"
    ssm.put_parameter(Name=name, Value="true", Type="String", Description="switch", AllowedPattern="^(true|false)$")

    assert ssm.put_parameter(Name=name, Value="false", Overwrite=True)["Version"] == 2

    refused(ssm.put_parameter, "ParameterAlreadyExists", Name=name, Value="true", Type="String")
    [described] = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [name]}])["Parameters"]
    assert (described["Type"], described["Tier"], described["Version"]) == ("String", "Standard", 2)
    history = ssm.get_parameter_history(Name=name)["Parameters"]
    assert [(entry["Version"], entry["Value"]) for entry in history] == [(1, "true"), (2, "false")]


def test_secure_parameter_stays_secure(account: Account) -> None:
    ssm, name = account.client("ssm"), f"/{account.name('parameter')}"
    ssm.put_parameter(Name=name, Value="true", Type="SecureString", KeyId="alias/aws/ssm")

    ssm.put_parameter(Name=name, Value="false", Overwrite=True)

    found = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert (found["Type"], found["Value"], found["Version"]) == ("SecureString", "false", 2)
    assert ssm.get_parameter_history(Name=name)["Parameters"][-1]["KeyId"] == "alias/aws/ssm"


def test_object_is_written_once(account: Account) -> None:
    s3, bucket = account.client("s3"), account.name("bucket")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")

    refused(s3.put_object, "PreconditionFailed", Bucket=bucket, Key="a", Body=b"2", IfNoneMatch="*")

    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"


def test_transaction_tells_which_condition_failed(account: Account) -> None:
    client, table = account.client("dynamodb"), account.name("table")
    client.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    once: dict[str, Any] = {"TableName": table, "ConditionExpression": "attribute_not_exists(id)"}
    client.put_item(Item={"id": {"S": "a"}, "n": {"N": "1"}}, **once)

    refused(client.put_item, "ConditionalCheckFailedException", Item={"id": {"S": "a"}}, **once)
    puts = [
        {"Put": {**once, "Item": {"id": {"S": key}}, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
        for key in ("b", "a")
    ]
    response = refused(client.transact_write_items, "TransactionCanceledException", TransactItems=puts)

    assert [reason["Code"] for reason in response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert response["CancellationReasons"][1]["Item"] == {"id": {"S": "a"}, "n": {"N": "1"}}
    assert "Item" not in client.get_item(TableName=table, Key={"id": {"S": "b"}})


def test_transaction_is_authorised_by_its_items(account: Account) -> None:
    table = account.name("table")
    account.client("dynamodb").create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    arn = f"arn:aws:dynamodb:us-east-1:111111111111:table/{table}"
    client = account.client("dynamodb", account.credentials({"Action": "dynamodb:PutItem", "Resource": arn}))

    client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": {"id": {"S": "a"}}}}])

    refused(
        client.transact_write_items,
        "AccessDeniedException",
        TransactItems=[{"Delete": {"TableName": table, "Key": {"id": {"S": "a"}}}}],
    )


def test_redriven_message_names_its_source(account: Account) -> None:
    dead, dead_arn = account.queue()
    url, arn = account.queue(
        RedrivePolicy=json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1}), VisibilityTimeout="0"
    )
    sqs = account.client("sqs")
    sqs.send_message(QueueUrl=url, MessageBody="x")
    account.wait(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), "the message")

    account.wait(lambda: not sqs.receive_message(QueueUrl=url).get("Messages"), "the redrive")

    assert account.message(dead)["Attributes"]["DeadLetterQueueSourceArn"] == arn


def test_composite_alarm_follows_its_children(account: Account) -> None:
    cloudwatch, child, parent = account.client("cloudwatch"), account.alarm(), account.name("composite")
    cloudwatch.put_composite_alarm(AlarmName=parent, AlarmRule=f"ALARM({child})")
    cloudwatch.set_alarm_state(AlarmName=child, StateValue="ALARM", StateReason="test")

    def state() -> str:
        [alarm] = cloudwatch.describe_alarms(AlarmNames=[parent], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return str(alarm["StateValue"])

    account.wait(lambda: state() == "ALARM", "the composite alarm")


def test_archive_is_replayed_to_its_rule(account: Account) -> None:
    events, bus = account.client("events"), account.name("bus")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    archive = events.create_archive(ArchiveName=bus, EventSourceArn=bus_arn)["ArchiveArn"]
    rule = events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source": ["test"]}')["RuleArn"]
    url, queue = account.queue("events.amazonaws.com")
    events.put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": "{}", "EventBusName": bus}])
    events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "1", "Arn": queue}])
    now = datetime.now(UTC).timestamp()

    events.start_replay(
        ReplayName=bus,
        EventSourceArn=archive,
        EventStartTime=now - 60,
        EventEndTime=now + 60,
        Destination={"Arn": bus_arn, "FilterArns": [rule]},
    )

    assert json.loads(account.message(url)["Body"])["replay-name"] == bus


def rest_stage(account: Account) -> dict[str, str]:
    """A deployed stage of a REST API."""
    gateway = account.client("apigateway")
    api = gateway.create_rest_api(name=account.name("api"))
    which = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    gateway.put_method(**which, authorizationType="NONE")
    gateway.put_integration(**which, type="MOCK")
    gateway.create_deployment(restApiId=api["id"], stageName="prod")
    return {"restApiId": api["id"], "stageName": "prod"}


def test_limits_of_a_rest_stage_are_patched_one_by_one_and_removed_as_a_whole(account: Account) -> None:
    gateway, stage = account.client("apigateway"), rest_stage(account)
    assert not gateway.get_stage(**stage).get("methodSettings")
    path = "~1orders~1{id}/GET"

    def patch(*operations: dict[str, str]) -> None:
        gateway.update_stage(**stage, patchOperations=list(operations))

    patch({"op": "replace", "path": f"/{path}/logging/loglevel", "value": "INFO"})
    for key in ("*/*", path):
        patch(
            {"op": "replace", "path": f"/{key}/throttling/rateLimit", "value": "5"},
            {"op": "replace", "path": f"/{key}/throttling/burstLimit", "value": "10"},
        )

    settings = gateway.get_stage(**stage)["methodSettings"]
    limits = {(one["throttlingRateLimit"], one["throttlingBurstLimit"]) for one in settings.values()}
    assert (len(settings), limits) == (2, {(5.0, 10)})
    (other,) = [key for key in settings if key != "*/*"]
    assert settings[other]["loggingLevel"] == "INFO"
    patch({"op": "remove", "path": "/*/*"})
    assert list(gateway.get_stage(**stage)["methodSettings"]) == [other]


def test_limits_of_an_http_stage_are_sent_whole(account: Account) -> None:
    gateway = account.client("apigatewayv2")
    api = gateway.create_api(Name=account.name("api"), ProtocolType="HTTP")["ApiId"]
    stage = {"ApiId": api, "StageName": "$default"}
    gateway.create_stage(**stage, AutoDeploy=True, DefaultRouteSettings={"DetailedMetricsEnabled": True})
    limit = {"ThrottlingRateLimit": 5.0, "ThrottlingBurstLimit": 10}

    gateway.update_stage(
        **stage, DefaultRouteSettings={"DetailedMetricsEnabled": True, **limit}, RouteSettings={"GET /orders": limit}
    )

    found = gateway.get_stage(**stage)
    assert found["DefaultRouteSettings"] == {"DetailedMetricsEnabled": True, **limit}
    assert found["RouteSettings"] == {"GET /orders": limit}
    assert found["AutoDeploy"] is True


def test_a_stage_is_patched_by_whoever_may_patch_that_stage(account: Account) -> None:
    stage, other = rest_stage(account), rest_stage(account)
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{stage['restApiId']}/stages/prod"
    credentials = account.credentials({"Action": ["apigateway:GET", "apigateway:PATCH"], "Resource": arn})
    gateway = account.client("apigateway", credentials)
    limit = [{"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "5"}]

    gateway.update_stage(**stage, patchOperations=limit)

    assert gateway.get_stage(**stage)["methodSettings"]["*/*"]["throttlingRateLimit"] == 5.0
    refused(gateway.update_stage, "AccessDeniedException", **other, patchOperations=limit)
