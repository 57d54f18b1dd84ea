"""Contracts of the mends ``cloudformation_…`` and ``sam_parameters``; test_sam.py has the real ``sam deploy``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def deploy(account: Account, template: dict[str, Any], **parameters: str) -> dict[str, str]:
    """Create the stack; returns the physical id of each resource."""
    client, name = account.client("cloudformation"), account.name("stack")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    client.create_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=given,
    )

    def status() -> str:
        [stack] = client.describe_stacks(StackName=name)["Stacks"]
        assert "FAILED" not in stack["StackStatus"], stack
        assert "ROLLBACK" not in stack["StackStatus"], stack
        return str(stack["StackStatus"])

    account.wait(lambda: status() == "CREATE_COMPLETE", "the stack")
    resources = client.describe_stack_resources(StackName=name)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def test_function_is_created_with_its_failure_queue_and_its_concurrency(account: Account) -> None:
    _, queue = account.queue()
    function = {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": account.role([]),
        "Code": {"ZipFile": "def handler(event, context): return 1"},
        "DeadLetterConfig": {"TargetArn": queue},
        "ReservedConcurrentExecutions": 0,
    }

    name = deploy(account, {"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": function}}})["F"]

    client = account.client("lambda")
    assert client.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == {"TargetArn": queue}
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0


def test_stage_of_an_http_api_has_the_limits_of_its_template(account: Account) -> None:
    template = {
        "Resources": {
            "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "api", "ProtocolType": "HTTP"}},
            "Live": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "StageName": "live",
                    "DefaultRouteSettings": {"ThrottlingRateLimit": "12.5", "ThrottlingBurstLimit": 25},
                    "RouteSettings": {"GET /slow": {"ThrottlingRateLimit": 1, "DetailedMetricsEnabled": "true"}},
                },
            },
        }
    }

    api = deploy(account, template)["Api"]

    stage = account.client("apigatewayv2").get_stage(ApiId=api, StageName="live")
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": 12.5, "ThrottlingBurstLimit": 25}
    assert stage["RouteSettings"] == {"GET /slow": {"ThrottlingRateLimit": 1.0, "DetailedMetricsEnabled": True}}


def test_parameter_s_value_decides_in_the_transform(account: Account) -> None:
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Alias": {"Type": "String", "Default": "default"}},
        "Resources": {
            "F": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "Runtime": "python3.13",
                    "Handler": "index.handler",
                    "AutoPublishAlias": {"Ref": "Alias"},
                    "InlineCode": "def handler(event, context): return 1",
                },
            }
        },
    }

    name = deploy(account, template, Alias="override")["F"]

    aliases = account.client("lambda").list_aliases(FunctionName=name)["Aliases"]
    assert [alias["Name"] for alias in aliases] == ["override"]
