"""Contract of ``api_destinations``: a template's connection and destination, and what becomes of what is not taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_cloudformation import deploy
from tests.local.receiver import Receiver, receiving

pytestmark = pytest.mark.local


def stack(account: Account, receiver: Receiver, **target: Any) -> str:
    """A bus whose every event is posted to the receiver; returns the bus's name."""
    bus, secret = account.name("bus"), account.name("secret")
    account.client("secretsmanager").create_secret(Name=secret, SecretString=json.dumps({"key": "s3cret"}))
    value = f"{{{{resolve:secretsmanager:{secret}:SecretString:key}}}}"
    parameters = {"BodyParameters": [{"Key": "folded", "Value": value, "IsValueSecret": True}]}
    auth = {
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": value},
        "InvocationHttpParameters": parameters,
    }
    role = account.role([], "events.amazonaws.com")
    posted = {"Id": "1", "Arn": {"Fn::GetAtt": ["Destination", "Arn"]}, "RoleArn": role, **target}
    resources: dict[str, Any] = {
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": bus}},
        "Connection": {
            "Type": "AWS::Events::Connection",
            "Properties": {"AuthorizationType": "API_KEY", "AuthParameters": auth},
        },
        "Destination": {
            "Type": "AWS::Events::ApiDestination",
            "Properties": {
                "ConnectionArn": {"Fn::GetAtt": ["Connection", "Arn"]},
                "HttpMethod": "POST",
                "InvocationEndpoint": f"{receiver.url}/hook",
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventBusName": {"Ref": "Bus"},
                "EventPattern": {"source": ["test"]},
                "Targets": [posted],
            },
        },
    }
    deploy(account, {"Resources": resources})
    return bus


def put(account: Account, bus: str) -> None:
    """One event whose strings would break JSON that is put together carelessly."""
    detail = json.dumps({"said": 'a "quote" and a \\ and\na line'})
    account.client("events").put_events(
        Entries=[{"Source": "test", "DetailType": "t", "Detail": detail, "EventBusName": bus}]
    )


def test_template_may_have_a_connection_and_a_destination(account: Account) -> None:
    with receiving() as receiver:
        put(account, stack(account, receiver))
        account.wait(lambda: receiver.posted, "the event")

    (posted,) = receiver.posted
    assert posted.headers["x-key"] == "s3cret"
    assert posted.body["folded"] == "s3cret"
    assert posted.body["detail"]["said"].startswith('a "quote"')


def test_value_by_itself_is_escaped_by_the_transformer(account: Account) -> None:
    transformer = {"InputPathsMap": {"said": "$.detail.said"}, "InputTemplate": '{"text": <said>}'}
    with receiving() as receiver:
        put(account, stack(account, receiver, InputTransformer=transformer))
        account.wait(lambda: receiver.posted, "the event")

    assert receiver.posted[0].body["text"] == 'a "quote" and a \\ and\na line'


def test_what_is_not_taken_goes_to_the_dead_letter_queue(account: Account) -> None:
    url, queue = account.queue("events.amazonaws.com")
    with receiving() as receiver:
        receiver.answers["/hook"] = 503
        put(account, stack(account, receiver, DeadLetterConfig={"Arn": queue}))
        message = account.message(url)

    assert message["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"] == "HTTP 503"
    assert json.loads(message["Body"])["source"] == "test"
    assert len(receiver.posted) == 3


def test_what_is_wrong_is_not_tried_again(account: Account) -> None:
    url, queue = account.queue("events.amazonaws.com")
    with receiving() as receiver:
        receiver.answers["/hook"] = 400
        put(account, stack(account, receiver, DeadLetterConfig={"Arn": queue}))
        account.message(url)

    assert len(receiver.posted) == 1
