"""Channels in the template: each behind its condition, with a dead-letter queue, and with payloads that are JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from selfheal import told

from tests.unit.incidents import incident

CHANNELS = ("AWS::Events::Connection", "AWS::Events::ApiDestination", "AWS::Chatbot::")


def targets(template: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Each target that is an API destination: its rule's name, the rule, the target."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Events::Rule":
            for target in resource["Properties"]["Targets"]:
                if target.get("RoleArn") == {"Fn::GetAtt": ["ChannelsRole", "Arn"]}:
                    yield name, resource, target


def test_no_channel_is_there_unless_a_parameter_asks_for_it(template: Mapping[str, Any]) -> None:
    for name, resource in template["Resources"].items():
        if resource["Type"].startswith(CHANNELS) or name in {"ChatRole", "ChannelsRole"}:
            assert resource["Condition"] in template["Conditions"], name
    assert {rule["Condition"] for _, rule, _ in targets(template)} == {
        "HasPagerDuty",
        "HasWebhook",
        "HasGithubTickets",
        "HasJiraTickets",
    }


def test_what_fails_for_good_goes_to_the_failure_queue(template: Mapping[str, Any]) -> None:
    found = list(targets(template))
    assert len(found) >= 9
    for name, _, target in found:
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}, name
        assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600, name


def test_every_payload_is_json_with_nothing_but_known_strings(template: Mapping[str, Any]) -> None:
    strings = told.of({"what": "closed"}, incident(), ())
    for name, _, target in targets(template):
        transformer = target.get("InputTransformer")
        if transformer is None:
            continue
        text = transformer["InputTemplate"]
        text = text["Fn::Sub"] if isinstance(text, dict) else text
        named = set(re.findall(r"<(\w+)>", text))
        assert named <= set(transformer["InputPathsMap"]), name
        filled = re.sub(r"(?<=: )<\w+>(?=[,}])", '"x"', text)
        assert isinstance(json.loads(re.sub(r"<\w+>", "x", filled)), dict), name
        for path in transformer["InputPathsMap"].values():
            if path.startswith("$.detail.told."):
                assert path.rpartition(".")[2] in strings, (name, path)


def test_secrets_are_read_from_secrets_manager_alone(template: Mapping[str, Any]) -> None:
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Events::Connection":
            continue
        key = resource["Properties"]["AuthParameters"]["ApiKeyAuthParameters"]["ApiKeyValue"]["Fn::Sub"]
        assert re.fullmatch(r"\{\{resolve:secretsmanager:\$\{\w+Secret\}:SecretString:\w+\}\}", key), name


def test_an_escalation_pages_whatever_its_severity(template: Mapping[str, Any]) -> None:
    pattern = template["Resources"]["PageEscalated"]["Properties"]["EventPattern"]
    assert pattern["detail"] == {"what": ["escalated"]}


@pytest.mark.parametrize("rule", ["PageOwnAlarm", "PageOwnAlarmOver"])
def test_every_alarm_of_selfheal_itself_pages(template: Mapping[str, Any], rule: str) -> None:
    alarms = [name for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"]
    pattern = template["Resources"][rule]["Properties"]["EventPattern"]
    assert sorted(one["Ref"] for one in pattern["detail"]["alarmName"]) == sorted(alarms)


def test_who_looks_by_chat_only_looks(template: Mapping[str, Any]) -> None:
    (policy,) = template["Resources"]["ChatRole"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert all(re.match(r"cloudwatch:(Describe|Get|List)", action) for action in statement["Action"])
    for name in ("SlackPeople", "TeamsPeople"):
        (guardrail,) = template["Resources"][name]["Properties"]["GuardrailPolicies"]
        assert guardrail["Fn::Sub"].endswith(":policy/CloudWatchReadOnlyAccess")
