"""Contract of ``iam_requests``: a least-privilege role may what its policy says, and nothing beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local

DENIED = "AccessDeniedException"
SCOPE = "us-east-1:111111111111"


def acting(account: Account, service: str, action: str | list[str], resource: str, **more: Any) -> Any:
    return account.client(service, account.credentials({"Action": action, "Resource": resource, **more}))


def test_alias_is_read_and_moved_under_its_own_actions(account: Account) -> None:
    function = account.function()
    account.alias(function)
    named = {"FunctionName": function.name, "Name": "live"}

    lister = acting(account, "lambda", "lambda:ListAliases", function.arn)
    refused(lister.get_alias, DENIED, **named)
    refused(lister.update_alias, DENIED, **named, Description="x")

    mover = acting(account, "lambda", ["lambda:GetAlias", "lambda:UpdateAlias"], function.arn)
    mover.update_alias(**named, RevisionId=mover.get_alias(**named)["RevisionId"])
    refused(mover.list_aliases, DENIED, FunctionName=function.name)


def test_qualified_call_needs_the_qualified_arn(account: Account) -> None:
    function = account.function()
    alias = account.alias(function)

    plain = acting(account, "lambda", "lambda:InvokeFunction", function.arn)
    refused(plain.invoke, DENIED, FunctionName=function.name, Qualifier="live")
    plain.invoke(FunctionName=function.name)

    qualified = acting(account, "lambda", "lambda:InvokeFunction", alias)
    qualified.invoke(FunctionName=function.name, Qualifier="live")
    qualified.invoke(FunctionName=alias)
    refused(qualified.invoke, DENIED, FunctionName=function.name)


def test_concurrency_is_read_without_the_right_to_set_it(account: Account) -> None:
    function = account.function()
    reader = acting(account, "lambda", "lambda:GetFunctionConcurrency", function.arn)

    reader.get_function_concurrency(FunctionName=function.name)

    refused(reader.put_function_concurrency, DENIED, FunctionName=function.name, ReservedConcurrentExecutions=0)


def test_mapping_is_known_by_the_function_that_it_feeds(account: Account) -> None:
    function, other = account.function(), account.function()
    _, queue = account.queue()
    admin = account.client("lambda")
    uuid = admin.create_event_source_mapping(EventSourceArn=queue, FunctionName=function.name)["UUID"]
    mapping = f"arn:aws:lambda:{SCOPE}:event-source-mapping:{uuid}"

    def confined_to(arn: str) -> Any:
        condition = {"ArnLike": {"lambda:FunctionArn": arn}}
        return acting(account, "lambda", "lambda:UpdateEventSourceMapping", mapping, Condition=condition)

    refused(confined_to(other.arn).update_event_source_mapping, DENIED, UUID=uuid, Enabled=False)
    confined_to(function.arn).update_event_source_mapping(UUID=uuid, Enabled=False)


def test_batch_call_of_a_queue_needs_the_permission_of_the_single_one(account: Account) -> None:
    url, arn = account.queue()
    entries = [{"Id": "0", "MessageBody": "x"}]

    acting(account, "sqs", "sqs:SendMessage", arn).send_message_batch(QueueUrl=url, Entries=entries)

    reader = acting(account, "sqs", "sqs:ReceiveMessage", arn)
    refused(reader.send_message_batch, "AccessDenied", QueueUrl=url, Entries=entries)


def test_log_group_is_named_with_its_streams(account: Account) -> None:
    group = f"/test/{account.name('group')}"
    account.client("logs").create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:{SCOPE}:log-group:{group}"

    acting(account, "logs", "logs:FilterLogEvents", f"{arn}:*").filter_log_events(logGroupName=group)
    acting(account, "logs", "logs:PutRetentionPolicy", f"{arn}:*").put_retention_policy(
        logGroupName=group, retentionInDays=7
    )
    refused(acting(account, "logs", "logs:FilterLogEvents", arn).filter_log_events, DENIED, logGroupName=group)


@pytest.mark.parametrize("bus", ["default", "own"])
def test_rule_is_named_with_its_bus_unless_that_is_the_default(account: Account, bus: str) -> None:
    events, rule = account.client("events"), account.name("rule")
    where = {}
    if bus == "own":
        where = {"EventBusName": account.name("bus")}
        events.create_event_bus(Name=where["EventBusName"])
    arn = events.put_rule(Name=rule, EventPattern='{"source": ["x"]}', **where)["RuleArn"]
    switch = acting(account, "events", ["events:DisableRule", "events:DescribeRule", "events:ListTargetsByRule"], arn)

    switch.disable_rule(Name=rule, **where)
    switch.list_targets_by_rule(Rule=rule, **where)

    assert switch.describe_rule(Name=rule, **where)["State"] == "DISABLED"
    refused(switch.enable_rule, DENIED, Name=rule, **where)


def test_service_of_ecs_is_named_with_its_cluster(account: Account) -> None:
    ecs, name = account.client("ecs"), account.name("cluster")
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(family=name, containerDefinitions=[{"name": "a", "image": "b", "memory": 64}])
    arn = ecs.create_service(cluster=name, serviceName=name, taskDefinition=name, desiredCount=1)["service"][
        "serviceArn"
    ]
    operator = acting(account, "ecs", ["ecs:UpdateService", "ecs:DescribeServices"], arn)

    operator.update_service(cluster=name, service=name, desiredCount=2)

    assert operator.describe_services(cluster=name, services=[name])["services"][0]["desiredCount"] == 2
    refused(
        acting(account, "ecs", "ecs:UpdateService", arn + "-other").update_service,
        DENIED,
        cluster=name,
        service=name,
        desiredCount=0,
    )


def test_task_of_ecs_is_named_by_itself(account: Account) -> None:
    ecs, name = account.client("ecs"), account.name("cluster")
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(family=name, containerDefinitions=[{"name": "a", "image": "b", "memory": 64}])
    (task,) = ecs.run_task(cluster=name, taskDefinition=name)["tasks"]
    where = {"cluster": name, "tasks": [task["taskArn"].rpartition("/")[2]]}

    reader = acting(account, "ecs", "ecs:DescribeTasks", f"arn:aws:ecs:{SCOPE}:task/{name}/*")

    assert reader.describe_tasks(**where)["tasks"]
    other = acting(account, "ecs", "ecs:DescribeTasks", f"arn:aws:ecs:{SCOPE}:task/other/*")
    refused(other.describe_tasks, DENIED, **where)


def test_snapshot_of_a_database_is_named_by_itself(account: Account) -> None:
    rds, name = account.client("rds"), account.name("db").lower()
    rds.create_db_instance(
        DBInstanceIdentifier=name, Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20,
        MasterUsername="shop", MasterUserPassword="not-a-secret",
    )  # fmt: skip
    rds.create_db_snapshot(DBSnapshotIdentifier=f"auto-{name}", DBInstanceIdentifier=name)

    reader = acting(account, "rds", "rds:DescribeDBSnapshots", f"arn:aws:rds:{SCOPE}:snapshot:auto-*")

    assert reader.describe_db_snapshots(DBSnapshotIdentifier=f"auto-{name}")["DBSnapshots"]
    other = acting(account, "rds", "rds:DescribeDBSnapshots", f"arn:aws:rds:{SCOPE}:snapshot:other-*")
    refused(other.describe_db_snapshots, "AccessDenied", DBSnapshotIdentifier=f"auto-{name}")


def test_schedule_is_named_with_its_group_and_its_role_must_be_passed(account: Account) -> None:
    client, group, name = account.client("scheduler"), account.name("group"), account.name("schedule")
    client.create_schedule_group(Name=group)
    _, queue = account.queue()
    role = account.role([], "scheduler.amazonaws.com")
    document: dict[str, Any] = {
        "Name": name,
        "GroupName": group,
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": queue, "RoleArn": role},
    }
    client.create_schedule(**document)
    change = {
        "Action": ["scheduler:GetSchedule", "scheduler:UpdateSchedule"],
        "Resource": f"arn:aws:scheduler:{SCOPE}:schedule/{group}/{name}",
    }
    handing = {
        "Action": "iam:PassRole",
        "Resource": role,
        "Condition": {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
    }

    account.client("scheduler", account.credentials(change)).get_schedule(Name=name, GroupName=group)
    refused(account.client("scheduler", account.credentials(change)).update_schedule, DENIED, **document)
    account.client("scheduler", account.credentials(change, handing)).update_schedule(**document, State="DISABLED")

    assert client.get_schedule(Name=name, GroupName=group)["State"] == "DISABLED"


def test_metrics_may_be_confined_to_a_namespace(account: Account) -> None:
    confined = acting(
        account,
        "cloudwatch",
        "cloudwatch:PutMetricData",
        "*",
        Condition={"StringEquals": {"cloudwatch:namespace": "Ours"}},
    )
    data = [{"MetricName": "m", "Value": 1}]

    confined.put_metric_data(Namespace="Ours", MetricData=data)

    with pytest.raises(Exception, match="AccessDenied"):
        confined.put_metric_data(Namespace="Theirs", MetricData=data)


def test_tags_are_searched_under_their_own_action(account: Account) -> None:
    searcher = acting(account, "resourcegroupstaggingapi", "tag:GetResources", "*")

    searcher.get_resources()

    refused(acting(account, "resourcegroupstaggingapi", "tag:GetTagKeys", "*").get_resources, DENIED)
    assert json.dumps(searcher.get_resources()["PaginationToken"]) == '""'


def test_replay_needs_its_bus_its_archive_and_itself(account: Account) -> None:
    events, now = account.client("events"), datetime.now(UTC)
    replays: dict[str, dict[str, Any]] = {}
    for name in (account.name("bus"), account.name("bus")):
        bus = events.create_event_bus(Name=name)["EventBusArn"]
        archive = events.create_archive(ArchiveName=name, EventSourceArn=bus)["ArchiveArn"]
        window = {"EventStartTime": now - timedelta(hours=2), "EventEndTime": now - timedelta(hours=1)}
        replays[bus] = {"ReplayName": name, "EventSourceArn": archive, "Destination": {"Arn": bus}, **window}
    mine, theirs = replays
    where = mine.partition(":event-bus/")[0]
    some = account.client(
        "events",
        account.credentials(
            {"Action": "events:StartReplay", "Resource": mine},
            {"Action": "events:StartReplay", "Resource": [f"{where}:archive/*", f"{where}:replay/*"]},
        ),
    )

    refused(some.start_replay, DENIED, **replays[theirs])
    assert some.start_replay(**replays[mine])["State"] == "STARTING"
