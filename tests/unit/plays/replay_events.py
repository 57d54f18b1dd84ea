"""Plays of functions/replay_events: a replay that takes half a minute, and one that is cancelled on its way.

moto replays at once and knows no progress; the replays are of this file, the archives, rules and tables moto's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.events.models import events_backends
from selfheal.clients import client
from selfheal.event_replay import name_for, told

from tests.unit.conftest import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

TAKES_S = 30.0
CANCELLING_S = 3.0
HOUR_S = 3600.0


@dataclass
class Replays:
    """What EventBridge knows of replays; their state is a matter of the clock."""

    now: Callable[[], float]
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def start(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """StartReplay."""
        name = asked["ReplayName"]
        if name in self.known:
            raise refused("ResourceAlreadyExistsException", "StartReplay")
        times = {key: datetime.fromtimestamp(asked[key], UTC) for key in ("EventStartTime", "EventEndTime")}
        self.known[name] = {**asked, **times, "began": self.now(), "cancelled": None}
        return {"State": "STARTING"}

    def cancel(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """CancelReplay."""
        if self.state(asked["ReplayName"]) not in {"STARTING", "RUNNING"}:
            raise refused("IllegalStatusException", "CancelReplay")
        self.known[asked["ReplayName"]]["cancelled"] = self.now()
        return {"State": "CANCELLING"}

    def describe(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeReplay."""
        name = asked["ReplayName"]
        if name not in self.known:
            raise refused("ResourceNotFoundException", "DescribeReplay")
        one, state = self.known[name], self.state(name)
        fields = ("ReplayName", "EventSourceArn", "Destination", "EventStartTime", "EventEndTime")
        shown = {key: one[key] for key in fields} | {"State": state}
        shown["ReplayStartTime"] = datetime.fromtimestamp(one["began"], UTC)
        if state == "COMPLETED":
            shown["EventLastReplayedTime"] = one["EventEndTime"]
        return shown

    def list(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """ListReplays of one state."""
        shown = [self.describe({"ReplayName": name}) for name in self.known if self.state(name) == asked["State"]]
        return {"Replays": [{key: value for key, value in one.items() if key != "Destination"} for one in shown]}

    def state(self, name: str) -> str:
        """Where it stands now."""
        one, now = self.known[name], self.now()
        if one["cancelled"] is not None:
            return "CANCELLING" if now < one["cancelled"] + CANCELLING_S else "CANCELLED"
        return "RUNNING" if now < one["began"] + one.get("takes", TAKES_S) else "COMPLETED"


def refused(code: str, operation: str) -> Exception:
    """AWS says no."""
    made: Exception = client("events").exceptions.from_code(code)({"Error": {"Code": code, "Message": code}}, operation)
    return made


def replays(stage: Stage) -> Replays:
    """Those of this stage."""
    found = getattr(stage, "replays", None)
    if found is None:
        found = Replays(stage.clock.now)
        stage.replays = found  # type: ignore[attr-defined]
    return found


def answers(stage: Stage) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """EventBridge's replays."""
    known = replays(stage)
    return {
        "events.start_replay": known.start,
        "events.cancel_replay": known.cancel,
        "events.describe_replay": known.describe,
        "events.list_replays": known.list,
    }


def replay_events(stage: Stage, number: int) -> Play:
    """Half an hour of yesterday's events to one rule; done when EventBridge has sent them all."""
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    bus, archive = an_archive(stage, number)
    client("events").put_rule(Name="orders", EventBusName=bus, EventPattern='{"source": ["shop"]}')
    end = stage.clock.now() - HOUR_S
    options = {
        "rules": ["orders"],
        "start": told(end - 1800),
        "end": told(end),
        "dedup_table": a_memory(),
        "remembers_hours": 24,
    }
    name, known = name_for(f"replay_events-{number}"), replays(stage)
    for earlier in known.known.values():  # AWS allows ten at once, and the clock stands still between plays
        earlier["takes"] = 0.0
    return Play(
        number, "replay_events", {"bus": bus, "archive": archive},
        lambda: "COMPLETED" if name in known.known else "none",  # it ends by itself
        "COMPLETED", ("events.start_replay",), None, {"options": options, "requested_by": "ann"},
    )  # fmt: skip


def cancel_replay(stage: Stage, number: int) -> Play:
    """One that would run for days."""
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    bus, archive = an_archive(stage, number)
    described = client("events").describe_archive(ArchiveName=archive)
    name, known = f"long-{number}", replays(stage)
    known.known = {}  # AWS allows ten at once, and the matrix leaves more behind
    known.start({
        "ReplayName": name, "EventSourceArn": described["ArchiveArn"], "EventStartTime": stage.clock.now() - HOUR_S,
        "EventEndTime": stage.clock.now(), "Destination": {"Arn": described["EventSourceArn"]},
    })  # fmt: skip
    known.known[name]["takes"] = 1e9
    return Play(
        number, "cancel_replay", {"bus": bus, "archive": archive},
        lambda: "cancelled" if known.known[name]["cancelled"] else "running",
        "cancelled", ("events.cancel_replay",), None, {"options": {}},
    )  # fmt: skip


def an_archive(stage: Stage, number: int) -> tuple[str, str]:
    """A bus with an archive that was made a week ago."""
    bus, archive = f"shop-events-{number}", f"shop-archive-{number}"
    arn = client("events").create_event_bus(Name=bus)["EventBusArn"]
    client("events").create_archive(ArchiveName=archive, EventSourceArn=arn)
    events_backends[ACCOUNT][REGION].archives[archive].creation_time = stage.clock.now() - 7 * 24 * HOUR_S
    return bus, archive


def a_memory(name: str = "shop-memory") -> str:
    """The table in which the handlers remember what they have done."""
    dynamodb = client("dynamodb")
    if name not in dynamodb.list_tables()["TableNames"]:
        key = [{"AttributeName": "id", "AttributeType": "S"}]
        schema = [{"AttributeName": "id", "KeyType": "HASH"}]
        dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=key, KeySchema=schema)
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
    return name


PLAYS = (replay_events, cancel_replay)
