"""The demo system of a bus: four rules that are off after a deployment, a handler that works once for each event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local.account import Account
from local.demos import SYSTEMS, arn

NAME = "alchemiser-trading-dev"
"""Of the stack, as the runbook's sweep asks for it."""
FOLDER = SYSTEMS / "alchemiser-events-dev"
BUS = "alchemiser-trading-events-dev"
ARCHIVE = BUS
RULES = (
    "alchemiser-signal-generated-dev",
    "alchemiser-rebalance-planned-dev",
    "alchemiser-trade-executed-dev",
    "alchemiser-all-events-monitor-dev",
)
HANDLER = "alchemiser-event-handler-dev"
DEDUP = "alchemiser-event-dedup-dev"
QUEUE = "alchemiser-event-dlq-dev"
RETENTION_DAYS = 30
REMEMBERS_HOURS = 24


def parameters() -> Mapping[str, list[str]]:
    """What selfheal may touch of it."""
    return {
        "ProtectedRules": [arn("events", f"rule/{BUS}/*")],
        "ProtectedBuses": [arn("events", f"event-bus/{BUS}")],
        "ProtectedQueues": [arn("sqs", QUEUE)],
        "ProtectedFunctions": [arn("lambda", f"function:{HANDLER}")],
        "ProtectedLogGroups": [arn("logs", f"log-group:/aws/lambda/{HANDLER}")],
    }


def prepare(account: Account) -> None:
    """The archive of every event of the bus, and the table's TTL: CloudFormation of the emulator makes neither."""
    account.client("dynamodb").update_time_to_live(
        TableName=DEDUP, TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True}
    )
    account.client("events").create_archive(
        ArchiveName=ARCHIVE, EventSourceArn=arn("events", f"event-bus/{BUS}"), RetentionDays=RETENTION_DAYS
    )


def publish(account: Account, kind: str, key: str, *, quantity: int = 1, at: datetime | None = None) -> None:
    """An event of the system (`SignalGenerated`, `RebalancePlanned`, `TradeExecuted`); of no pieces, it makes the
    handler fail."""
    entry: dict[str, Any] = {
        "Source": "alchemiser",
        "DetailType": kind,
        "Detail": json.dumps({"id": key, "quantity": quantity}),
        "EventBusName": BUS,
        **({"Time": at} if at else {}),
    }
    account.client("events").put_events(Entries=[entry])


def handled(account: Account) -> list[str]:
    """The keys of what the handler remembers."""
    items = account.client("dynamodb").scan(TableName=DEDUP, ConsistentRead=True)["Items"]
    return sorted(item["id"]["S"] for item in items)


def states(account: Account) -> dict[str, str]:
    """Rule → its state."""
    rules = account.client("events").list_rules(EventBusName=BUS)["Rules"]
    return {rule["Name"]: rule["State"] for rule in rules if rule["Name"] in RULES}
