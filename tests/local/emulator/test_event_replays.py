"""Contract of ``event_replays``: to whom a replay goes, how far it tells that it is, and what cancelling it leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Bus:
    """A bus with an archive, and two rules with a queue each."""

    def __init__(self, account: Account) -> None:
        self.events, self.name = account.client("events"), account.name("bus")
        self.sqs = account.client("sqs")
        self.arn = str(self.events.create_event_bus(Name=self.name)["EventBusArn"])
        self.archive = str(self.events.create_archive(ArchiveName=self.name, EventSourceArn=self.arn)["ArchiveArn"])
        self.rules, self.urls = {}, {}
        for rule in ("orders", "others"):
            url, queue = account.queue("events.amazonaws.com")
            pattern = '{"source": ["test"]}'
            put = self.events.put_rule(Name=rule, EventBusName=self.name, EventPattern=pattern, State="DISABLED")
            self.events.put_targets(Rule=rule, EventBusName=self.name, Targets=[{"Id": "1", "Arn": queue}])
            self.rules[rule], self.urls[rule] = str(put["RuleArn"]), url

    def put(self, *minutes: int) -> None:
        """One event at each of these minutes after noon, which no rule takes yet."""
        for minute in minutes:
            entry = {"Source": "test", "DetailType": "t", "Detail": json.dumps({"n": minute})}
            self.events.put_events(
                Entries=[{**entry, "EventBusName": self.name, "Time": NOON + timedelta(minutes=minute)}]
            )
        for rule in self.rules:
            self.events.enable_rule(Name=rule, EventBusName=self.name)

    def replay(self, name: str, start: int, end: int, **more: Any) -> dict[str, Any]:
        """What StartReplay takes."""
        return {
            "ReplayName": name,
            "EventSourceArn": self.archive,
            "EventStartTime": NOON + timedelta(minutes=start),
            "EventEndTime": NOON + timedelta(minutes=end),
            "Destination": {"Arn": self.arn, "FilterArns": [self.rules["orders"]]},
            **more,
        }

    def state(self, name: str) -> str:
        return str(self.events.describe_replay(ReplayName=name)["State"])

    def received(self, rule: str) -> list[dict[str, Any]]:
        """Everything in the rule's queue; it is not looked at twice."""
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.urls[rule], MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
        return found


def test_a_replay_goes_to_the_rules_that_are_named_with_new_ids_and_its_name(account: Account) -> None:
    bus, name = Bus(account), account.name("replay")
    bus.put(0, 1, 2, 90)
    bus.events.start_replay(**bus.replay(name, 0, 60))
    account.wait(lambda: bus.state(name) == "COMPLETED", "the replay")

    received = bus.received("orders")
    assert sorted(event["detail"]["n"] for event in received) == [0, 1, 2]
    assert {event["replay-name"] for event in received} == {name}
    assert {event["time"] for event in received} >= {"2026-01-31T12:01:00Z"}
    assert bus.received("others") == []


def test_progress_is_told_while_it_runs_and_stays_where_it_was_cancelled(account: Account) -> None:
    bus, name = Bus(account), account.name("replay")
    bus.put(*range(0, 60, 2))
    bus.events.start_replay(**bus.replay(name, 0, 60))

    def sent() -> Any:
        return bus.events.describe_replay(ReplayName=name).get("EventLastReplayedTime")

    account.wait(sent, "the first bucket")
    [listed] = bus.events.list_replays(State="RUNNING", NamePrefix=name)["Replays"]
    assert (listed["EventStartTime"], listed["EventEndTime"]) == (NOON, NOON + timedelta(hours=1))

    assert bus.events.cancel_replay(ReplayName=name)["State"] == "CANCELLING"
    account.wait(lambda: bus.state(name) == "CANCELLED", "the end of it")
    assert NOON <= sent() < NOON + timedelta(minutes=58)
    assert 0 < len(bus.received("orders")) < 30
    refused(bus.events.cancel_replay, "IllegalStatusException", ReplayName=name)


def test_what_is_over_cannot_be_cancelled(account: Account) -> None:
    bus, name = Bus(account), account.name("replay")
    bus.events.start_replay(**bus.replay(name, 0, 1))
    account.wait(lambda: bus.state(name) == "COMPLETED", "the replay")

    refused(bus.events.cancel_replay, "IllegalStatusException", ReplayName=name)


def test_ten_at_once_and_no_window_that_ends_before_its_start(account: Account) -> None:
    bus = Bus(account)
    bus.put(*range(0, 60, 2))
    refused(bus.events.start_replay, "ValidationException", **bus.replay(account.name("replay"), 5, 5))
    for number in range(10):
        bus.events.start_replay(**bus.replay(f"{bus.name}-{number}", 0, 60))

    refused(bus.events.start_replay, "LimitExceededException", **bus.replay(account.name("replay"), 0, 60))

    for number in range(10):
        bus.events.cancel_replay(ReplayName=f"{bus.name}-{number}")
    account.wait(lambda: not bus.events.list_replays(State="CANCELLING")["Replays"], "the end of them")


def test_the_source_is_an_archive_and_the_destination_the_bus_that_feeds_it(account: Account) -> None:
    """The stock emulator does that as well; the command that people copy names the bus as its source."""
    bus, other, name = Bus(account), Bus(account), account.name("replay")

    refused(bus.events.start_replay, "ValidationException", **bus.replay(name, 0, 1, EventSourceArn=bus.arn))
    refused(bus.events.start_replay, "ValidationException", **bus.replay(name, 0, 1, Destination={"Arn": other.arn}))
    missing = f"{bus.archive}-missing"
    refused(bus.events.start_replay, "ResourceNotFoundException", **bus.replay(name, 0, 1, EventSourceArn=missing))


def test_a_name_is_taken_once_and_for_all(account: Account) -> None:
    """What makes a repeated StartReplay harmless."""
    bus, name = Bus(account), account.name("replay")
    bus.events.start_replay(**bus.replay(name, 0, 1))
    account.wait(lambda: bus.state(name) == "COMPLETED", "the replay")

    refused(bus.events.start_replay, "ResourceAlreadyExistsException", **bus.replay(name, 0, 1))
