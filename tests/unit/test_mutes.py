"""Mute rules: what mutes now, and what is said where that can't be known."""

from __future__ import annotations

import pytest
from selfheal import mutes
from selfheal.errors import Unreadable

from tests.unit.aws import script

ARN = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm-mute-rule:"


def rule(name: str, *alarms: str, status: str = "ACTIVE") -> dict[str, object]:
    return {"Name": name, "AlarmMuteRuleArn": f"{ARN}{name}", "Status": status, "MuteTargets": {"AlarmNames": alarms}}


def test_every_page_of_active_rules_is_read_and_each_rule_tells_its_alarms() -> None:
    with script("cloudwatch") as aws:
        aws.add_response(
            "list_alarm_mute_rules",
            {"AlarmMuteRuleSummaries": [{"AlarmMuteRuleArn": f"{ARN}night"}], "NextToken": "more"},
            {"Statuses": ["ACTIVE"]},
        )
        aws.add_response("get_alarm_mute_rule", rule("night", "errors", "latency"), {"AlarmMuteRuleName": "night"})
        aws.add_response(
            "list_alarm_mute_rules",
            {"AlarmMuteRuleSummaries": [{"AlarmMuteRuleArn": f"{ARN}move"}]},
            {"Statuses": ["ACTIVE"], "NextToken": "more"},
        )
        aws.add_response("get_alarm_mute_rule", rule("move", "queue"), {"AlarmMuteRuleName": "move"})
        found = mutes.active()
    assert found.by_alarm == {"errors": "muted by night", "latency": "muted by night", "queue": "muted by move"}
    assert found.of("errors", "") == "muted by night"
    assert found.of("other", "muted by an event") == ""


def test_a_rule_that_ended_or_went_away_in_between_mutes_nothing() -> None:
    summaries = [{"AlarmMuteRuleArn": f"{ARN}over"}, {"AlarmMuteRuleArn": f"{ARN}gone"}]
    with script("cloudwatch") as aws:
        aws.add_response("list_alarm_mute_rules", {"AlarmMuteRuleSummaries": summaries})
        aws.add_response("get_alarm_mute_rule", rule("over", "errors", status="SCHEDULED"))
        aws.add_client_error("get_alarm_mute_rule", "ResourceNotFoundException")
        assert mutes.active() == mutes.Mutes()


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InvalidAction", 400)])
def test_what_can_never_be_read_is_said_and_changes_nothing(code: str, status: int) -> None:
    with script("cloudwatch") as aws:
        aws.add_client_error("list_alarm_mute_rules", code, http_status_code=status)
        found = mutes.active()
    assert code in found.not_read
    assert found.of("errors", "muted by an event") == "muted by an event"


def test_what_may_be_read_later_is_raised() -> None:
    with script("cloudwatch") as aws:
        aws.add_client_error("list_alarm_mute_rules", "Throttling")
        with pytest.raises(Unreadable):
            mutes.active()
