"""Contract of ``log_filters``."""

from __future__ import annotations

import json
import time

import pytest
from botocore.exceptions import ClientError

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def found(account: Account, lines: list[str], pattern: str) -> list[str]:
    """The lines that fit the pattern, of a log group of their own."""
    logs, group = account.client("logs"), account.name("group")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines]
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)
    return [event["message"] for event in logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]]


def test_fields_of_json_are_compared(account: Account) -> None:
    lines = [json.dumps({"status": status}) for status in (200, 403, "200", "502")]
    pattern = '{ ($.status >= 400) || ($.status = "4*") || ($.status = "5*") }'

    assert found(account, [*lines, "ERROR 403", "[403]"], pattern) == [lines[1], lines[3]]


def test_conditions_are_joined_and_fields_lie_in_fields(account: Account) -> None:
    lines = [json.dumps({"at": {"path": path}, "ms": ms}) for path, ms in (("/a", 1), ("/a", 9), ("/b", 9))]

    assert found(account, lines, '{ $.at.path = "/a" && $.ms > 5 }') == [lines[1]]
    assert found(account, lines, '{ $.ms = 9 && ($.at.path != "/a" || $.ms < 5) }') == [lines[2]]


def test_one_of_several_optional_terms_is_enough(account: Account) -> None:
    lines = ["Task timed out after 10 s", "Task timed", "signal: killed", "all is well"]

    assert found(account, lines, '?"Task timed out after" ?"signal: killed" ?OutOfMemory') == [lines[0], lines[2]]


def test_terms_are_all_there_in_their_case_and_none_that_must_not_be(account: Account) -> None:
    lines = ["ERROR of orders", "error of orders", "ERROR of a drill for orders", "ERROR"]

    assert found(account, lines, "ERROR orders -drill") == [lines[0]]
    assert found(account, lines, "") == lines


def test_what_is_not_known_here_fails(account: Account) -> None:
    with pytest.raises(ClientError):
        found(account, ["a line"], "%a.*%")
    with pytest.raises(ClientError):
        found(account, ["a line"], "{ $.a[0] = 1 }")
