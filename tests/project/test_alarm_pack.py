"""The alarm pack: the thresholds of the procedures it comes from, dimensions that exist, words for who is woken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse
from selfheal.catalogue import ACTIONS

from tests.project.conftest import ROOT

TEXT = (ROOT / "alarms.yaml").read_text(encoding="utf-8")
PACK: Mapping[str, Any] = yaml_parse(TEXT)
ALARMS: Mapping[str, Mapping[str, Any]] = {
    one["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${System}-"): one["Properties"]
    for one in PACK["Resources"].values()
    if one["Type"] == "AWS::CloudWatch::Alarm"
}
OVER, AT_LEAST, UNDER = "GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold"
WARNING = "warning-"
FUNCTION = {"FunctionName", "Resource"}
SERVICE = {"ClusterName", "ServiceName"}
RULE = {"EventBusName", "RuleName"}
INSTANCE = {"DBInstanceIdentifier"}

TABLE: Mapping[str, tuple[Any, str, set[str], str]] = {
    "errors": ({"Ref": "LeastErrors"}, AT_LEAST, FUNCTION, "notBreaching"),
    "throttles": (1, AT_LEAST, FUNCTION, "notBreaching"),
    "duration": (80, OVER, FUNCTION, "notBreaching"),
    "error-rate": (5, OVER, FUNCTION, "notBreaching"),
    "warning-error-rate": (1, OVER, FUNCTION, "notBreaching"),
    "dlq-depth": (1, AT_LEAST, {"QueueName"}, "ignore"),
    "dlq-age": ({"Ref": "DeadLetterAge"}, OVER, {"QueueName"}, "ignore"),
    "rule-failures": (1, AT_LEAST, RULE, "notBreaching"),
    "rule-not-invoked": (1, AT_LEAST, RULE, "notBreaching"),
    "rule-dead-letters": (1, AT_LEAST, RULE, "notBreaching"),
    "rule-losses": (1, AT_LEAST, RULE, "notBreaching"),
    "service-cpu": (90, OVER, SERVICE, "missing"),
    "warning-service-cpu": (75, OVER, SERVICE, "missing"),
    "service-memory": (95, OVER, SERVICE, "missing"),
    "warning-service-memory": (80, OVER, SERVICE, "missing"),
    "service-tasks": ({"Ref": "LeastTasks"}, UNDER, SERVICE, "breaching"),
    "http-error-rate": (5, OVER, {"LoadBalancer"}, "notBreaching"),
    "warning-http-error-rate": (1, OVER, {"LoadBalancer"}, "notBreaching"),
    "http-latency": (2, OVER, {"LoadBalancer"}, "notBreaching"),
    "warning-http-latency": (1, OVER, {"LoadBalancer"}, "notBreaching"),
    "http-unhealthy": (1, AT_LEAST, {"LoadBalancer", "TargetGroup"}, "missing"),
    "db-cpu": (90, OVER, INSTANCE, "breaching"),
    "warning-db-cpu": (75, OVER, INSTANCE, "missing"),
    "db-connections": (90, OVER, INSTANCE, "missing"),
    "db-storage": (10, UNDER, INSTANCE, "missing"),
    "warning-db-storage": (20, UNDER, INSTANCE, "missing"),
    "db-lag": (60, OVER, INSTANCE, "breaching"),
    "warning-db-lag": (30, OVER, INSTANCE, "missing"),
}
"""Alarm → threshold, comparison, the dimensions that make its metric, and what no data means."""
SAYS_THAT_THERE_IS_NO_DATA = {
    "service-cpu": "service-tasks",
    "service-memory": "service-tasks",
    "http-unhealthy": "service-tasks",
    "db-connections": "db-cpu",
    "db-storage": "db-cpu",
}
"""An alarm that does not tell about missing data → the one that does."""


def metrics(alarm: Mapping[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Namespace, name and dimensions of each metric that an alarm looks at."""
    parts = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", ()) if "MetricStat" in one]
    for one in parts or [alarm]:
        named = [part["Fn::If"][1] if "Fn::If" in part else part for part in one["Dimensions"]]
        yield one["Namespace"], one["MetricName"], {dimension["Name"] for dimension in named}


def description(alarm: Mapping[str, Any]) -> str:
    told = alarm["AlarmDescription"]
    return str(told["Fn::Sub"] if isinstance(told, Mapping) else told)


def test_every_alarm_is_in_the_table() -> None:
    assert set(ALARMS) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_an_alarm_is_as_the_table_says(name: str) -> None:
    threshold, comparison, dimensions, missing = TABLE[name]
    alarm = ALARMS[name]

    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (threshold, comparison)
    assert alarm["TreatMissingData"] == missing
    assert {frozenset(of) for _, _, of in metrics(alarm)} == {frozenset(dimensions)}


@pytest.mark.parametrize("name", [name for name in TABLE if name.startswith(WARNING)])
def test_a_warning_comes_before_its_critical_alarm_and_takes_longer(name: str) -> None:
    warning, critical = ALARMS[name], ALARMS[name.removeprefix(WARNING)]
    less = warning["Threshold"] > critical["Threshold"]

    assert list(metrics(warning)) == list(metrics(critical))
    assert less == (critical["ComparisonOperator"] == UNDER)
    assert warning["EvaluationPeriods"] >= critical["EvaluationPeriods"]
    assert "Response: a person looks; nothing is changed." in description(warning)


@pytest.mark.parametrize("name", TABLE)
def test_what_an_alarm_says_is_for_whoever_is_woken(name: str) -> None:
    told = description(ALARMS[name])
    meaning, _, response = told.partition(" Response: ")
    actions = set(re.findall(r"\b[a-z]+_[a-z_]+\b", response))

    assert len(meaning) > 30, told
    assert actions <= set(ACTIONS), actions - set(ACTIONS)
    assert actions or "a person" in response, told


@pytest.mark.parametrize("name", TABLE)
def test_what_missing_data_mean_has_its_reason_in_the_template(name: str) -> None:
    start = TEXT.index(f"AlarmName: !Sub ${{System}}-{name}\n")
    line = re.search(r"TreatMissingData: \w+ # (.+)", TEXT[start:])

    assert line
    assert len(line[1]) > 15


@pytest.mark.parametrize(("name", "other"), SAYS_THAT_THERE_IS_NO_DATA.items())
def test_where_an_alarm_does_not_tell_that_there_are_no_data_another_one_does(name: str, other: str) -> None:
    assert (ALARMS[name]["TreatMissingData"], ALARMS[other]["TreatMissingData"]) == ("missing", "breaching")


@pytest.mark.parametrize("name", TABLE)
def test_an_alarm_does_nothing_by_itself(name: str) -> None:
    """selfheal hears of every change on the default bus; a topic is for somebody else."""
    topic = {"Fn::If": ["HasTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}

    assert (ALARMS[name]["AlarmActions"], ALARMS[name]["OKActions"]) == (topic, topic)
    assert "InsufficientDataActions" not in ALARMS[name]
    assert PACK["Parameters"]["AlarmTopic"]["Default"] == ""


@pytest.mark.parametrize("name", [name for name, alarm in ALARMS.items() if "Metrics" in alarm])
def test_a_rate_needs_metric_math_and_its_parts_are_not_shown(name: str) -> None:
    result, *parts = ALARMS[name]["Metrics"]
    expression = result["Expression"]["Fn::Sub"]

    assert "HasMath" in str(condition(resource_of(name)["Condition"]))
    assert all(part["ReturnData"] is False and part["Id"] in expression for part in parts)


@pytest.mark.parametrize("name", ["error-rate", "warning-error-rate", "http-error-rate", "warning-http-error-rate"])
def test_a_few_calls_make_no_rate(name: str) -> None:
    expression = ALARMS[name]["Metrics"][0]["Expression"]["Fn::Sub"]

    assert expression == "IF(calls >= ${LeastCalls}, 100 * FILL(failed, 0) / calls, 0)"


def resource_of(name: str) -> Mapping[str, Any]:
    """The resource of the alarm with this name."""
    return next(
        one
        for one in PACK["Resources"].values()
        if one["Properties"]["AlarmName"] == {"Fn::Sub": f"${{System}}-{name}"}
    )


def condition(name: str) -> Any:
    """A condition with those that it names filled in."""
    own = PACK["Conditions"][name]
    return {"name": name, "is": own, "of": [condition(one) for one in re.findall(r"'Condition': '(\w+)'", str(own))]}


def test_without_a_parameter_there_is_no_alarm_on_what_it_names() -> None:
    """Every alarm stands behind a condition, and every condition behind a parameter that is empty, 0 or off."""
    for name, alarm in PACK["Resources"].items():
        named = set(re.findall(r"'Ref': '(\w+)'", str(condition(alarm["Condition"]))))
        off = {one for one in named if PACK["Parameters"][one]["Default"] in {"", 0, "false"}}

        assert off, name


def test_the_composite_alarm_has_every_critical_alarm_and_no_warning() -> None:
    rule = PACK["Resources"]["Red"]["Properties"]["AlarmRule"]["Fn::Join"][1]
    members = set(re.findall(r"ALARM\(\"\$\{(\w+)\}\"\)", " ".join(part["Fn::If"][1]["Fn::Sub"] for part in rule[1:])))
    conditions = {part["Fn::If"][0] for part in rule[1:]}
    critical = {
        name: one["Condition"]
        for name, one in PACK["Resources"].items()
        if one["Type"] == "AWS::CloudWatch::Alarm"
        and not one["Properties"]["AlarmName"]["Fn::Sub"].startswith(f"${{System}}-{WARNING}")
    }

    assert rule[0] == "FALSE"
    assert members == set(critical)
    assert conditions == set(critical.values())
    assert resource_of("red")["Condition"] == "HasComposite"


def test_the_output_lists_every_alarm() -> None:
    listed = PACK["Outputs"]["Alarms"]["Value"]["Fn::Join"][1]

    assert {(part["Fn::If"][1]["Ref"], part["Fn::If"][0]) for part in listed} == {
        (name, one["Condition"]) for name, one in PACK["Resources"].items()
    }


def test_every_parameter_says_what_it_is_and_has_its_place() -> None:
    groups = PACK["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(PACK["Parameters"])
    assert all(one["Description"] for one in PACK["Parameters"].values())


def test_the_page_has_every_alarm_and_every_parameter() -> None:
    page = (ROOT / "docs" / "alarm-pack.md").read_text(encoding="utf-8")

    assert [name for name in TABLE if f"`{name}`" not in page] == []
    assert [name for name in PACK["Parameters"] if f"`{name}`" not in page] == []
