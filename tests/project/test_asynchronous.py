"""At least once, never late, never lost without an alarm: what the template must say for every asynchronous way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from selfheal import deployments, drills, handler, pace

MAX_AGE_S = 900
WEEK_S = 604_800


def _events(template: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for logical_id, resource in template["Resources"].items():
        for event in resource.get("Properties", {}).get("Events", {}).values():
            if event["Type"] == kind:
                yield logical_id, event["Properties"]


def test_asynchronous_events_end_in_the_failure_queue_and_are_at_most_15_minutes_old(
    template: Mapping[str, Any],
) -> None:
    config = template["Globals"]["Function"]["EventInvokeConfig"]

    assert config["MaximumEventAgeInSeconds"] <= MAX_AGE_S
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["FailureQueue", "Arn"]}


def test_rules_drop_nothing_silently_and_keep_no_event_for_a_day(template: Mapping[str, Any]) -> None:
    rules = list(_events(template, "EventBridgeRule"))

    assert len(rules) >= 3
    for _, rule in rules:
        assert rule["RetryPolicy"]["MaximumEventAgeInSeconds"] <= MAX_AGE_S
        assert rule["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}


def test_schedules_have_no_fixed_name(template: Mapping[str, Any]) -> None:
    schedules = list(_events(template, "ScheduleV2"))

    assert schedules
    assert all(schedule["OmitName"] is True for _, schedule in schedules)


def test_requests_in_line_are_not_older_than_15_minutes(template: Mapping[str, Any]) -> None:
    queue = template["Resources"]["LambdaPaceQueue"]["Properties"]

    assert queue["MessageRetentionPeriod"] <= MAX_AGE_S
    assert queue["VisibilityTimeout"] >= 6 * template["Globals"]["Function"]["Timeout"]


def test_what_waits_in_line_takes_less_than_lambda_gives_and_loses_nothing(template: Mapping[str, Any]) -> None:
    """15 control-plane calls a second are an account's (Lambda quotas), and not all of them are selfheal's."""
    ((owner, mapping),) = _events(template, "SQS")
    variables = template["Resources"][owner]["Properties"]["Environment"]["Variables"]
    workers = mapping["ScalingConfig"]["MaximumConcurrency"]
    a_second = float(variables["LAMBDA_CALLS_PER_SECOND"])
    storm_s = 1_000 * 3 / (workers * a_second)

    assert workers * a_second < 15
    assert workers * pace.BURST < 15
    assert "MaximumBatchingWindowInSeconds" not in mapping, "a single rollback would wait for it"
    assert 1 < mapping["BatchSize"] <= 10
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert variables["PACED_QUEUE"] == {"Ref": mapping["Queue"]["Fn::GetAtt"][0]}
    assert storm_s < template["Resources"]["LambdaPaceQueue"]["Properties"]["MessageRetentionPeriod"]
    timeout = template["Globals"]["Function"]["Timeout"]
    assert handler.NEEDED_S + mapping["BatchSize"] * 3 / a_second < timeout, "a batch fits, versions listed"


def test_alarms_of_selfheal_go_to_people_and_never_to_respond(template: Mapping[str, Any]) -> None:
    alarms = [one for one in template["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]

    assert len(alarms) >= 3
    for alarm in alarms:
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "PeopleTopic"}]


def test_a_silent_clock_is_an_alarm(template: Mapping[str, Any]) -> None:
    heartbeat = template["Resources"]["HeartbeatAlarm"]["Properties"]

    assert heartbeat["TreatMissingData"] == "breaching"
    assert heartbeat["MetricName"] == "Heartbeat"


def test_all_three_ways_in_lead_to_respond(template: Mapping[str, Any]) -> None:
    default_bus = {
        (owner, *rule["Pattern"]["source"])
        for owner, rule in _events(template, "EventBridgeRule")
        if "EventBusName" not in rule
    }
    topics = [owner for owner, topic in _events(template, "SNS") if topic["Topic"] == {"Ref": "AlarmTopic"}]
    direct = template["Resources"]["DirectAlarmActions"]["Properties"]

    assert default_bus == {("Respond", source) for source in ("aws.cloudwatch", *deployments.SOURCES)}
    assert topics == ["Respond"]
    assert direct["Principal"] == "lambda.alarms.cloudwatch.amazonaws.com"
    assert direct["FunctionName"] == {"Ref": "Respond"}


def test_only_deployments_that_are_done_arrive(template: Mapping[str, Any]) -> None:
    patterns = {
        rule["Pattern"]["source"][0]: rule["Pattern"]
        for _, rule in _events(template, "EventBridgeRule")
        if rule["Pattern"]["source"][0] in deployments.SOURCES
    }

    assert patterns == {
        "aws.codedeploy": {
            "source": ["aws.codedeploy"],
            "detail-type": [deployments.CODE_DEPLOY],
            "detail": {"state": ["SUCCESS"]},
        },
        "aws.ecs": {
            "source": ["aws.ecs"],
            "detail-type": [deployments.ECS],
            "detail": {"eventName": ["SERVICE_DEPLOYMENT_COMPLETED"]},
        },
    }


def test_a_drill_that_failed_or_did_not_happen_is_an_alarm(template: Mapping[str, Any]) -> None:
    drill = template["Resources"]["DrillAlarm"]["Properties"]
    weekly = [schedule for owner, schedule in _events(template, "ScheduleV2") if owner == "Drill"]

    assert (drill["MetricName"], drill["Statistic"]) == ("DrillPassed", "Minimum")
    assert drill["TreatMissingData"] == "notBreaching", "a new stack has no data; the clock tells what is overdue"
    assert drill["Period"] * drill["EvaluationPeriods"] <= WEEK_S, "CloudWatch looks back no further"
    assert drill["Period"] > drills.WATCH_EVERY_S, "each period has a datapoint"
    assert [schedule["ScheduleExpression"].startswith("cron(") for schedule in weekly] == [True]
    assert drills.STALE_AFTER_S > WEEK_S


def test_a_drill_is_told_by_the_topic_that_people_get(template: Mapping[str, Any]) -> None:
    subscription = template["Resources"]["DrillSubscription"]["Properties"]

    assert subscription["TopicArn"] == {"Ref": "PeopleTopic"}
    assert subscription["FilterPolicy"] == {"what": ["drill"]}
