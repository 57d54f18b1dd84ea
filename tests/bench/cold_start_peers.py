"""The handlers that ours is measured beside, and what AWS answers to them: a rollback of an alias in three calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.bench.cold_start_record import Answer

FUNCTION = "shop"
EVENT = {"function": FUNCTION, "alias": "live", "id": "rollback-1"}
NULL = """
def lambda_handler(event, context):
    return {}
"""
BOTO3 = """
import boto3

aws = boto3.client("lambda")

def lambda_handler(event, context):
    return roll_back(event)

def roll_back(event):
    name = {"FunctionName": event["function"]}
    alias = aws.get_alias(Name=event["alias"], **name)
    versions = aws.list_versions_by_function(**name)["Versions"]
    older = [int(one["Version"]) for one in versions if one["Version"] != "$LATEST"]
    good = str(max(one for one in older if one < int(alias["FunctionVersion"])))
    aws.update_alias(Name=event["alias"], FunctionVersion=good, RevisionId=alias["RevisionId"], **name)
    return {"from": alias["FunctionVersion"], "to": good}
"""
USUAL = (
    """
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
"""
    + BOTO3.replace("def lambda_handler(event, context):\n    return roll_back(event)\n", "")
    + """
logger, tracer = Logger(service="rollback"), Tracer(service="rollback")
metrics = Metrics(namespace="m", service="rollback")
store = DynamoDBPersistenceLayer(table_name="idempotency")
config = IdempotencyConfig(event_key_jmespath="id")

@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
@idempotent(persistence_store=store, config=config)
def lambda_handler(event, context):
    if parameters.get_parameter("/rollback/enabled") != "true":
        return {}
    answer = roll_back(event)
    logger.info("rolled back", extra=answer)
    metrics.add_metric(name="RolledBack", unit=MetricUnit.Count, value=1)
    return answer
"""
)
SAME_CALLS = """
import os
import boto3

aws = {name: boto3.client(name) for name in os.environ["SERVICES"].split(",")}

def lambda_handler(event, context):
    for service, method, arguments in event["calls"]:
        try:
            getattr(aws[service], method)(**arguments)
        except aws[service].exceptions.ClientError:
            pass
    return {}
"""
CUSTODIAN = {
    "execution-options": {"account_id": "123456789012"},
    "policies": [
        {
            "name": "stop",
            "resource": "aws.lambda",
            "mode": {
                "type": "cloudtrail",
                "role": "arn:aws:iam::123456789012:role/custodian",
                "events": [
                    {
                        "source": "lambda.amazonaws.com",
                        "event": "UpdateFunctionCode20150331v2",
                        "ids": "requestParameters.functionName",
                    }
                ],
            },
            "actions": [{"type": "set-concurrency", "value": 0}],
        }
    ],
}
CUSTODIAN_POLICY = """
from c7n import handler

def run(event, context):
    return handler.dispatch_event(event, context)
"""
CUSTODIAN_EVENT = {
    "detail-type": "AWS API Call via CloudTrail",
    "source": "aws.lambda",
    "region": "eu-central-1",
    "detail": {
        "eventSource": "lambda.amazonaws.com",
        "eventName": "UpdateFunctionCode20150331v2",
        "requestParameters": {"functionName": FUNCTION},
    },
}

_VERSION = {"FunctionName": FUNCTION, "FunctionArn": f"arn:aws:lambda:eu-central-1:123456789012:function:{FUNCTION}"}
_BASE = f"/2015-03-31/functions/{FUNCTION}"


def answers() -> dict[str, list[Answer]]:
    """Everything that the peers ask."""
    alias = {"FunctionVersion": "3", "Name": "live", "RevisionId": "r"}
    versions = {"Versions": [{**_VERSION, "Version": name} for name in ("$LATEST", "1", "2", "3")]}
    parameter = {"Parameter": {"Name": "/rollback/enabled", "Type": "String", "Value": "true", "Version": 1}}
    return {
        f"GET {_BASE}/aliases/live": [_json(alias)],
        f"PUT {_BASE}/aliases/live": [_json({**alias, "FunctionVersion": "2"})],
        f"GET {_BASE}/versions": [_json(versions)],
        f"GET {_BASE}": [_json({"Configuration": {**_VERSION, "Version": "$LATEST"}, "Tags": {}, "Code": {}})],
        f"PUT /2017-10-31/functions/{FUNCTION}/concurrency": [_json({"ReservedConcurrentExecutions": 0})],
        "DynamoDB_20120810.PutItem": [_json({})],
        "DynamoDB_20120810.UpdateItem": [_json({})],
        "AmazonSSM.GetParameter": [_json(parameter)],
    }


def _json(document: Mapping[str, Any]) -> Answer:
    return Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode())
