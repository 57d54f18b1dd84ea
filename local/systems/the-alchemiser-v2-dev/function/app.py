"""A stand-in for a trading service: it computes the day's orders of one strategy and hands them to its broker.

Invoked by a schedule, asynchronously; its broker is a table that takes each order once. Everything that selfheal
meets is real: the flag that is read before each run, the test mode, a failure that ends in the dead-letter queue.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import boto3

RELEASE = "2026.11.0"

BOOK: Mapping[str, list[dict[str, Any]]] = {
    "momentum": [{"symbol": "SPY", "price": 585.5}, {"symbol": "QQQ", "price": 502.1}],
    "rotation": [{"symbol": "IWM", "price": 229.4}],
    "hedge": [{"symbol": "TLT", "price": 91.3}, {"symbol": "GLD", "price": 247.8}],
}
"""Strategy → last quotes of what it holds."""
BUDGET = 10_000.0
"""Dollars per symbol."""


def lambda_handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """`{"mode": "test"}` computes and orders nothing; else the event names a `strategy` and its trading `day`."""
    test = event.get("mode") == "test"
    answer = {"status": "ok", "release": RELEASE, "traded": False}
    orders = [order for strategy in _wanted(event, test=test) for order in _orders(strategy)]
    if test:
        return {**answer, "mode": "test", "would_order": len(orders)}
    if not _may_trade():
        print(f"halted: {len(orders)} orders of {event['strategy']} not placed")
        return {**answer, "status": "halted"}
    placed = [_place(event["day"], event["strategy"], order) for order in orders]
    return {**answer, "traded": any(placed)}


def _wanted(event: Mapping[str, Any], *, test: bool) -> list[str]:
    return list(BOOK) if test else [event["strategy"]]


def _orders(strategy: str) -> list[dict[str, Any]]:
    return [{"symbol": quote["symbol"], "shares": round(BUDGET / quote["price"])} for quote in BOOK[strategy]]


def _may_trade() -> bool:
    """Only the exact text `true` lets orders out; read at each run, so that a halt counts at once."""
    answer = boto3.client("ssm").get_parameter(Name=os.environ["TRADING_FLAG"])
    return bool(answer["Parameter"]["Value"] == "true")


def _place(day: str, strategy: str, order: Mapping[str, Any]) -> bool:
    """One order, at most once however often the event comes. Answers whether it was new."""
    broker = boto3.client("dynamodb")
    try:
        broker.put_item(
            TableName=os.environ["ORDERS"],
            Item={
                "order": {"S": f"{day}/{strategy}/{order['symbol']}"},
                "shares": {"N": str(order["shares"])},
                "release": {"S": RELEASE},
            },
            ConditionExpression="attribute_not_exists(#order)",
            ExpressionAttributeNames={"#order": "order"},
        )
    except broker.exceptions.ConditionalCheckFailedException:
        return False
    return True
