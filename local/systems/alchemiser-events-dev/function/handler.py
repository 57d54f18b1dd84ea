"""Handles the events of the trading system, each once: a replay, or a delivery that is repeated, changes nothing.

The key is the business's own (`detail.id`): the `id` of an event is a new one when it is replayed. An event that can't
be handled leaves no mark, so that it can be handled later.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

import boto3

REMEMBERS_S = 24 * 3600
_dynamodb = boto3.client("dynamodb")


def lambda_handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answers `{"handled": true}` for the first of each, false for every other."""
    detail = event["detail"]
    key = f"{event['detail-type']}#{detail['id']}"
    mark = {"id": {"S": key}, "expires_at": {"N": str(int(time.time()) + REMEMBERS_S)}}
    try:
        _dynamodb.put_item(
            TableName=os.environ["DEDUP_TABLE"], Item=mark, ConditionExpression="attribute_not_exists(id)"
        )
    except _dynamodb.exceptions.ConditionalCheckFailedException:
        print(json.dumps({"handled": False, "key": key, "replay": event.get("replay-name")}))
        return {"handled": False}
    try:
        _handle(detail)
    except Exception:
        _dynamodb.delete_item(TableName=os.environ["DEDUP_TABLE"], Key={"id": {"S": key}})
        raise
    print(json.dumps({"handled": True, "key": key, "replay": event.get("replay-name")}))
    return {"handled": True}


def _handle(detail: Mapping[str, Any]) -> None:
    if detail["quantity"] <= 0:
        raise ValueError(f"order {detail['id']} is of {detail['quantity']} pieces")
