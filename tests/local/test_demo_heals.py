"""The demo: what it says, and what it leaves behind, asked of the resources themselves."""

from __future__ import annotations

import io
import json
import re

import pytest

from local import demo, system
from local.timeline import Screen
from tests.local.conftest import Healed

pytestmark = pytest.mark.local


def test_demo_ends_well(healed: Healed) -> None:
    assert healed.code == 0, healed.output


def test_trading_is_halted_and_the_schedule_disabled_with_its_every_field(healed: Healed) -> None:
    flag = healed.client("ssm").get_parameter(Name=system.FLAG)["Parameter"]
    schedule = healed.client("scheduler").get_schedule(Name=system.SCHEDULE)

    assert (flag["Value"], flag["Version"]) == ("false", 2)
    assert schedule["State"] == "DISABLED"
    assert schedule["ScheduleExpression"] == "cron(35 9 ? * MON-FRI *)"
    assert schedule["ScheduleExpressionTimezone"] == "America/New_York"
    assert schedule["Target"]["Arn"].endswith(f":{system.FUNCTION}:{system.ALIAS}")
    assert schedule["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 0}
    assert json.loads(schedule["Target"]["Input"])["strategy"] == "momentum"


def test_alias_is_on_the_last_good_version_past_the_gap(healed: Healed) -> None:
    alias = healed.client("lambda").get_alias(FunctionName=system.FUNCTION, Name=system.ALIAS)

    assert alias["FunctionVersion"] == system.LAST_GOOD
    assert not alias.get("RoutingConfig", {}).get("AdditionalVersionWeights")
    assert system.WITHDRAWN not in healed.stack.system.versions()


def test_every_dead_letter_is_archived_and_ran_once_more_without_trading(healed: Healed) -> None:
    assert demo.archived_letters(healed.watcher.account) == len(system.STRATEGIES)
    assert sorted(healed.stack.system.halted_runs()) == sorted(system.STRATEGIES)
    orders = healed.client("dynamodb").scan(TableName=system.ORDERS)["Items"]
    assert {order["order"]["S"].partition("/")[0] for order in orders} == {demo.YESTERDAY}


def test_evidence_was_kept_before_the_rollback_and_is_linked(healed: Healed) -> None:
    rolled_back = next(step for step in healed.incident["steps"] if step["action"] == "roll_back_alias")
    bucket, _, key = rolled_back["captured"].removeprefix("s3://").partition("/")

    kept = json.loads(healed.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    assert any("KeyError" in str(lines) for lines in kept["has"].values()), "the log says what was wrong"


def test_timeline_tells_the_story_in_its_order(healed: Healed) -> None:
    moments = [
        "version 5 is published",
        "the-alchemiser-v2-dev-errors is red",
        "halt_trading trading: done",
        "roll_back_alias live: done",
        "smoke_test live: done",
        "replay_dlq dlq: done",
        "incident closed: healed",
        "Times from red",
        "resume_trading trading\n    sam remote invoke Approve",
    ]
    places = [healed.output.find(moment) for moment in moments]

    assert -1 not in places, dict(zip(moments, places, strict=True))
    assert places == sorted(places)
    assert "\x1b" not in healed.output


def test_red_is_contained_before_it_is_remediated_and_green_before_it_is_closed(healed: Healed) -> None:
    incident = healed.incident
    times = [incident[name] for name in ("opened_at", "contained_at", "remediated_at", "green_at", "closed_at")]

    assert times == sorted(times)
    assert incident["contained_at"] - incident["red_at_ms"] / 1000 < 20


def test_the_same_alarm_by_three_ways_is_one_incident_and_each_action_ran_once(healed: Healed) -> None:
    lines = healed.watcher.account.log_lines("/aws/cloudformation/")
    decided = [
        found for line in lines for found in re.findall(r'"decision":\s?"(\w+)","alarm":\s?"[^"]+-errors"', line)
    ]
    assert decided.count("opened") == 1
    assert decided.count("duplicate") >= 2

    actions = [
        item
        for item in healed.watcher.items()
        if item["pk"]["S"].startswith("ACTION#") and healed.incident["id"] in item["pk"]["S"]
    ]
    requests = [item["what"]["S"].split()[0] for item in actions if item["sk"]["S"] == "ACTION"]
    once = [request for request in requests if request != "capture_evidence"]
    assert len(once) == len(set(once))
    assert requests.count("capture_evidence") == 2, "before the rollback, and before letters were sent again"
    assert {item["sk"]["S"] for item in actions} == {"ACTION", "ATTEMPT#01"}


def test_people_heard_of_it_and_how_it_ended(healed: Healed) -> None:
    for what in ("opened", "contained", "remediated", "green again, waits for your decision"):
        assert f"people: [P0] the-alchemiser-v2-dev {what}" in healed.output


def test_a_failure_is_explained_with_the_record_and_the_logs(healed: Healed) -> None:
    out = io.StringIO()
    demo.explain(Screen(out), healed.stack, healed.watcher, "because of a test")

    told = out.getvalue()
    assert "because of a test" in told
    assert f'"id": "{healed.incident["id"]}"' in told
    assert "KeyError: 'last_price'" in told
    log = healed.stack.home / "functions.log"
    assert f"logs: {log}" in told
    assert "halted: " in log.read_text()


def test_a_wrong_end_state_is_not_called_right(healed: Healed, capsys: pytest.CaptureFixture[str]) -> None:
    seen = healed.watcher.view(0.0)
    before = demo.Before({**healed.stack.system.schedule(), "State": "ENABLED"}, seen.state.orders)
    healed.client("ssm").put_parameter(Name=system.FLAG, Value="true", Overwrite=True)
    try:
        assert demo.is_right(Screen(), healed.stack, seen, before) is False
        assert "✗ trading_enabled is true" in capsys.readouterr().out
    finally:
        healed.client("ssm").put_parameter(Name=system.FLAG, Value="false", Overwrite=True)
