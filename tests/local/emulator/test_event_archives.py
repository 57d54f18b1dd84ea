"""Contract of ``event_archives``: an archive's own rule is nobody's to switch, and an archive can be made older."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local.emulator.control import EmulatorError
from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local


def archived_bus(account: Account) -> tuple[Any, str]:
    """A client, and the name that the bus and its archive have."""
    events, name = account.client("events"), account.name("archived")
    arn = events.create_event_bus(Name=name)["EventBusArn"]
    events.create_archive(ArchiveName=name, EventSourceArn=arn)
    return events, name


def test_an_archive_s_own_rule_is_switched_by_its_service_alone(account: Account) -> None:
    events, name = archived_bus(account)
    which = {"Name": f"Events-Archive-{name}", "EventBusName": name}

    owners = {rule["Name"]: rule.get("ManagedBy") for rule in events.list_rules(EventBusName=name)["Rules"]}
    assert owners == {which["Name"]: "prod.vhs.events.aws.internal"}
    for call in (events.disable_rule, events.enable_rule, events.delete_rule):
        refused(call, "ManagedRuleException", **which)
    refused(events.put_rule, "ManagedRuleException", **which, EventPattern='{"source": ["test"]}')
    assert events.describe_rule(**which)["State"] == "ENABLED"

    events.delete_archive(ArchiveName=name)
    assert events.list_rules(EventBusName=name)["Rules"] == []


def test_a_rule_of_the_same_bus_is_switched_as_ever(account: Account) -> None:
    events, name = archived_bus(account)
    which = {"Name": "orders", "EventBusName": name}
    events.put_rule(**which, EventPattern='{"source": ["test"]}')

    events.disable_rule(**which)

    assert events.describe_rule(**which)["State"] == "DISABLED"


def test_an_archive_is_made_older_than_it_is(account: Account) -> None:
    events, name = archived_bus(account)
    yesterday = int(time.time()) - 86_400

    account.emulator.archive_made_at(name, yesterday)

    assert events.describe_archive(ArchiveName=name)["CreationTime"].timestamp() == yesterday
    with pytest.raises(EmulatorError):
        account.emulator.archive_made_at("nobody-s", yesterday)
