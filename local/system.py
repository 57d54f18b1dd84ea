"""The demo system ``the-alchemiser-v2-dev``: its names, its releases, its work, and what state it is in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local import release
from local.account import Account
from local.emulator.environments import REPOSITORY

NAME = "the-alchemiser-v2-dev"
FUNCTION = "the-alchemiser-v2-lambda-dev"
ALIAS = "live"
SCHEDULE = "the-alchemiser-daily-trading-dev"
QUEUE = "the-alchemiser-dlq-dev"
FLAG = "/the-alchemiser/dev/trading_enabled"
ORDERS = "the-alchemiser-orders-dev"
ALARMS = (f"{NAME}-errors", f"{NAME}-duration", f"{NAME}-throttles")
FOLDER = REPOSITORY / "local" / "systems" / NAME
STRATEGIES = ("momentum", "rotation", "hedge")

LAST_GOOD = "3"
WITHDRAWN = "4"
FAULTY = "5"
"""Versions as :func:`publish_history` and :func:`publish_faulty` leave them. 4 was deleted: the one before the faulty
one is not "current minus one"."""

_DEFECT = ('quote["price"]', 'quote["last_price"]')
"""What the faulty release changes: a field of the quotes that does not exist. It fails in test mode as well."""


@dataclass(frozen=True)
class State:
    """What the resources of the system are, read from AWS's APIs. ``dead_letters`` counts all three kinds."""

    flag: str
    schedule: str
    version: str
    dead_letters: int
    alarms: Mapping[str, str]
    orders: int


class System:
    """The system in one account."""

    def __init__(self, account: Account) -> None:
        self.account = account

    # -- releases -----------------------------------------------------------------------------------------------

    def publish_history(self) -> None:
        """Three good releases and a withdrawn one; the template published the first. The alias is on the last good."""
        for number in (2, 3, 4):
            self._publish(_source(f"2026.11.{number - 1}"))
        self._point_alias_to(LAST_GOOD)
        self.account.client("lambda").delete_function(FunctionName=FUNCTION, Qualifier=WITHDRAWN)

    def publish_faulty(self) -> str:
        """The release that fails, live at once: without a canary. Answers its version."""
        version = self._publish(_source("2026.11.4", _DEFECT))
        self._point_alias_to(version)
        return version

    def _publish(self, source: str) -> str:
        return release.publish(self.account, FUNCTION, "app.py", source)

    def _point_alias_to(self, version: str) -> None:
        release.point(self.account, FUNCTION, ALIAS, version)

    # -- work ---------------------------------------------------------------------------------------------------

    def trade(self, strategy: str, day: str) -> dict[str, Any]:
        """One run of a strategy, and its answer (``errorMessage`` in it when it failed)."""
        answer = self.account.client("lambda").invoke(
            FunctionName=FUNCTION, Qualifier=ALIAS, Payload=json.dumps({"strategy": strategy, "day": day})
        )
        result: dict[str, Any] = json.loads(answer["Payload"].read())
        return result

    def trade_later(self, strategy: str, day: str) -> None:
        """The same as the schedule does it: asynchronously, so that a failure becomes a dead letter."""
        self.account.client("lambda").invoke(
            FunctionName=FUNCTION,
            Qualifier=ALIAS,
            InvocationType="Event",
            Payload=json.dumps({"strategy": strategy, "day": day}),
        )

    # -- state --------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Read it all, now."""
        client = self.account.client
        counts = client("sqs").get_queue_attributes(QueueUrl=self.queue_url(), AttributeNames=["All"])["Attributes"]
        described = client("cloudwatch").describe_alarms(AlarmNames=list(ALARMS))["MetricAlarms"]
        return State(
            flag=client("ssm").get_parameter(Name=FLAG)["Parameter"]["Value"],
            schedule=client("scheduler").get_schedule(Name=SCHEDULE)["State"],
            version=client("lambda").get_alias(FunctionName=FUNCTION, Name=ALIAS)["FunctionVersion"],
            dead_letters=sum(int(value) for name, value in counts.items() if name.startswith("ApproximateNumberOf")),
            alarms={alarm["AlarmName"]: alarm["StateValue"] for alarm in described},
            orders=client("dynamodb").scan(TableName=ORDERS, Select="COUNT", ConsistentRead=True)["Count"],
        )

    def schedule(self) -> dict[str, Any]:
        """Every field of the schedule that somebody chose."""
        found = self.account.client("scheduler").get_schedule(Name=SCHEDULE)
        return {
            name: value
            for name, value in found.items()
            if name not in {"ResponseMetadata", "CreationDate", "LastModificationDate"}
        }

    def versions(self) -> list[str]:
        """The versions that exist."""
        listed = self.account.client("lambda").list_versions_by_function(FunctionName=FUNCTION)["Versions"]
        return [version["Version"] for version in listed]

    def red_since(self, alarm: str) -> tuple[float, str]:
        """When an alarm went to its present state (epoch seconds), and why."""
        found = self.account.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
        return found["StateTransitionedTimestamp"].timestamp(), found["StateReason"]

    def halted_runs(self) -> list[str]:
        """The strategies of the runs that found trading halted, from the function's log."""
        return [
            found[1]
            for message in self.account.log_lines(f"/aws/lambda/{FUNCTION}")
            if (found := re.match(r"halted: \d+ orders of (\w+) not placed", message))
        ]

    def queue_url(self) -> str:
        """Of the dead-letter queue."""
        return self.account.queue_url(QUEUE)


def _source(number: str, defect: tuple[str, str] | None = None) -> str:
    source = (FOLDER / "function" / "app.py").read_text()
    named = ('RELEASE = "2026.11.0"', f'RELEASE = "{number}"')
    return release.changed(source, named, *([defect] if defect else []))
