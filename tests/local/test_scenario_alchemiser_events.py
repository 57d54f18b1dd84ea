"""alchemiser-events-dev on the local stack: rules come on one by one, are stopped all at once, and events come again.

The order of the tests matters: nothing fails before the rollouts, since a gate looks back for some minutes.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local import stack, system
from local.demos.alchemiser_events import (
    ARCHIVE,
    BUS,
    DEDUP,
    HANDLER,
    QUEUE,
    REMEMBERS_HOURS,
    RULES,
    handled,
    publish,
    states,
)
from local.demos.alchemiser_events import NAME as STACK
from tests.local.scenario import Systems, steps_of

pytestmark = pytest.mark.local

SYSTEM = "alchemiser-events-dev"
SIGNALS, PLANS, TRADES, MONITOR = RULES
ROLLOUT, GATE_S, SETTLED_S = "rollout enable-rules", 121.0, 61.0
EVERY = "every-rule"
OURS = {"bus": BUS, "archive": ARCHIVE}
NOWHERE = "http://127.0.0.1:9/on-call"
"""Nobody listens there, so that the subscription stays without its confirmation."""


@pytest.fixture(autouse=True)
def as_deployed(systems: Systems) -> Iterator[None]:
    """After a deployment every rule is off; what acted in an earlier scenario does not cool down in this one."""
    switch(systems, "DISABLED", *RULES)
    forget_cooldowns(systems)
    yield
    systems.weather.values.clear()
    systems.client("sqs").purge_queue(QueueUrl=systems.stack.account.queue_url(QUEUE))
    systems.wait(lambda: red_alarms(systems) == [], "the alarms to be OK", 40)


def switch(systems: Systems, to: str, *rules: str) -> None:
    events = systems.client("events")
    for rule in rules:
        call = events.enable_rule if to == "ENABLED" else events.disable_rule
        call(Name=rule, EventBusName=BUS)


def red_alarms(systems: Systems) -> list[str]:
    found = systems.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{SYSTEM}-", StateValue="ALARM")
    return [alarm["AlarmName"] for alarm in found["MetricAlarms"]]


def ledger_table(systems: Systems) -> str:
    return systems.stack.account.outputs(stack.NAME)["LedgerTable"]


def forget_cooldowns(systems: Systems) -> None:
    for item in systems.items():
        if item["sk"]["S"] == "COOLDOWN" and BUS in item["pk"]["S"]:
            key = {"pk": item["pk"], "sk": item["sk"]}
            systems.client("dynamodb").delete_item(TableName=ledger_table(systems), Key=key)


def failures(findings: Mapping[str, str]) -> set[str]:
    return {key for key, seen in findings.items() if not seen.startswith("pass")}


def names_on(states_seen: Mapping[str, str]) -> list[str]:
    return sorted(name for name, state in states_seen.items() if state == "ENABLED")


def on(systems: Systems) -> list[str]:
    """The rules of the system that are enabled."""
    return names_on(states(systems.stack.account))


# -- the verification checklist ----------------------------------------------------------------------------------------


def test_the_nine_points_pass_on_a_good_day_and_name_what_is_wrong(systems: Systems) -> None:
    account, sns = systems.stack.account, systems.client("sns")
    switch(systems, "ENABLED", *RULES)
    publish(account, "SignalGenerated", "checklist")
    systems.wait(lambda: "SignalGenerated#checklist" in handled(account), "the handler")
    systems.wait(lambda: counted(systems, "AWS/Lambda", "Errors", FunctionName=HANDLER), "the handler's metrics")

    good = systems.ask("check_health", {"system": SYSTEM}, options={"sweep": "events before the open"}, system=SYSTEM)

    findings = good["evidence"]["findings"]
    assert [one for one in findings if one["verdict"] != "pass"] == []
    counts = Counter(one["check"] for one in findings)
    assert counts == {
        "bus": 1,
        "rules": 4,
        "queue": 1,
        "alarms": 1,
        "topic": 1,
        "table": 1,
        "permission": 2,
        "invocations": 1,
        "throttles": 1,
        "archive": 1,
    }
    seen = {one["check"]: one["seen"] for one in findings}
    assert seen["invocations"].startswith("0 errors in "), "it ran, and did not only rest"

    switch(systems, "DISABLED", PLANS)
    # delayed: no alarm counts it as visible, and the check must
    systems.client("sqs").send_message(QueueUrl=account.queue_url(QUEUE), MessageBody="{}", DelaySeconds=300)
    topic = account.outputs(STACK)["AlarmTopicArn"]
    pending = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=NOWHERE, ReturnSubscriptionArn=True)
    assert pending["SubscriptionArn"] == "pending confirmation"

    broken = systems.sweep(SYSTEM, "events before the open")

    assert failures(broken) == {f"rules {BUS}/{PLANS}", f"queue {QUEUE}", f"topic {topic}"}
    assert broken[f"rules {BUS}/{PLANS}"] == "fail: it is DISABLED"
    assert broken[f"queue {QUEUE}"] == "fail: 0 visible, 0 in flight, 1 delayed"
    assert broken[f"topic {topic}"] == "fail: 1 subscriptions wait for confirmation"


def test_a_handler_that_may_not_publish_is_named(systems: Systems) -> None:
    """Two checks look at the permissions of one function: that one of them passes must not hide the other."""
    iam, role = systems.client("iam"), role_of(systems)
    switch(systems, "ENABLED", *RULES)
    deny = {"Effect": "Deny", "Action": "events:PutEvents", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName=role, PolicyName="scenario", PolicyDocument=document)
    try:
        findings = systems.sweep(SYSTEM, "events before the open")
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="scenario")

    [found] = [seen for key, seen in findings.items() if key.startswith("permission ")]
    assert found.startswith("fail: events:PutEvents on "), findings


def role_of(systems: Systems) -> str:
    arn = systems.client("lambda").get_function_configuration(FunctionName=HANDLER)["Role"]
    return str(arn.rpartition("/")[2])


def counted(systems: Systems, namespace: str, metric: str, **dimensions: str) -> bool:
    """CloudWatch has data of it of the last minutes."""
    now = datetime.now(UTC)
    found = systems.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    return bool(found["Datapoints"])


# -- rollouts ----------------------------------------------------------------------------------------------------------


def start(systems: Systems, rollout: str, **more: str) -> dict[str, Any]:
    """Ask for a rollout as the runbook's procedure does; the decision."""
    asked = {"rollout": rollout, "mode": "act", "requested_by": "ann", **more}
    [decision] = systems.invoke("Respond", asked)["decisions"]
    return dict(decision)


def let_pass(systems: Systems, seconds: float) -> None:
    """As if so much time had gone by for the rollout that is under way, and then the clock ticks."""

    def older() -> bool:
        [item] = [one for one in systems.items() if one["pk"]["S"] == "OPEN" and SYSTEM in one["sk"]["S"]]
        document = json.loads(item["doc"]["S"])
        for part in (document, *document["steps"]):
            for name in ("opened_at", "asked_at", "done_at", "retry_at", "settle_until", "due"):
                if part.get(name):
                    part[name] -= seconds
        dynamodb = systems.client("dynamodb")
        try:
            dynamodb.update_item(
                TableName=ledger_table(systems),
                Key={"pk": item["pk"], "sk": item["sk"]},
                UpdateExpression="SET doc = :doc, due = :due",
                ConditionExpression="revision = :read",
                ExpressionAttributeValues={
                    ":doc": {"S": json.dumps(document)},
                    ":due": {"N": str(document["due"])},
                    ":read": item["revision"],
                },
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:  # the clock was first
            return False
        return True

    systems.wait(older, "the rollout to stand still")
    systems.invoke("Respond", {"clock": "tick"})


def rollout(systems: Systems) -> Mapping[str, Any]:
    found = systems.incident(SYSTEM, ROLLOUT)
    assert found is not None
    return found


def gate(systems: Systems, rule: str) -> Mapping[str, Any]:
    """The look at this rule."""
    name = rule.removeprefix("alchemiser-").removesuffix("-dev")
    found = [one for one in rollout(systems)["steps"] if (one["action"], one["target_name"]) == ("check_gate", name)]
    return dict(found[0])


def rule_works(systems: Systems, rule: str, kind: str) -> None:
    """It is on, and an event comes through it."""
    systems.wait(lambda: rule in on(systems), f"{rule} to be enabled")
    publish(systems.stack.account, kind, uuid.uuid4().hex)
    came = {"EventBusName": BUS, "RuleName": rule}
    systems.wait(lambda: counted(systems, "AWS/Events", "Invocations", **came), f"an event through {rule}")


def let_settle(systems: Systems, rule: str) -> None:
    """The gate looks while the rule settles, and a last time at its end."""
    let_pass(systems, GATE_S)
    systems.wait(lambda: gate(systems, rule)["tries"] == 2, f"the first look at {rule}")
    let_pass(systems, SETTLED_S)
    systems.wait(lambda: gate(systems, rule)["status"] == "done", f"the last look at {rule}")


def test_each_rule_comes_on_only_after_the_one_before_has_worked(systems: Systems) -> None:
    planned = start(systems, f"{SYSTEM}/enable-rules", mode="plan")
    assert planned["decision"] == "planned"
    assert on(systems) == []

    assert start(systems, f"{SYSTEM}/enable-rules")["decision"] == "opened"

    kinds = {SIGNALS: "SignalGenerated", PLANS: "RebalancePlanned", TRADES: "TradeExecuted", MONITOR: "SignalGenerated"}
    for number, (rule, kind) in enumerate(kinds.items(), 1):
        rule_works(systems, rule, kind)
        assert on(systems) == sorted(RULES[:number]), "one at a time"
        again = start(systems, f"{SYSTEM}/enable-rules")
        assert (again["decision"], again["reason"]) == ("refused", "target_owned")
        let_settle(systems, rule)

    assert systems.closed(SYSTEM, ROLLOUT)["verdict"] == "rolled_out"
    assert on(systems) == sorted(RULES)
    early = start(systems, "alchemiser-events-prod/enable-rules")
    assert (early["decision"], early["reason"]) == ("refused", "rollout_too_early"), "no clean day in dev yet"
    assert "earliest at" in early["detail"]


def test_a_red_gate_takes_back_what_the_rollout_enabled_and_nothing_else(systems: Systems) -> None:
    switch(systems, "ENABLED", MONITOR)
    assert start(systems, f"{SYSTEM}/enable-rules")["decision"] == "opened"
    rule_works(systems, SIGNALS, "SignalGenerated")
    let_settle(systems, SIGNALS)
    systems.wait(lambda: PLANS in on(systems), "the second rule")
    systems.weather.let("AWS/Events", "FailedInvocations", lambda: 1.0, EventBusName=BUS, RuleName=PLANS)
    failed = {"EventBusName": BUS, "RuleName": PLANS}
    systems.wait(lambda: counted(systems, "AWS/Events", "FailedInvocations", **failed), "the failures")

    let_pass(systems, GATE_S)

    incident = systems.closed(SYSTEM, ROLLOUT)
    assert incident["verdict"] == "undone"
    assert on(systems) == [MONITOR], "it was on before, and stays so"
    assert "FailedInvocations" in incident["escalations"][0]
    undone = [step["target_name"] for step in incident["steps"] if step["undo_of"] is not None and step["done_at"]]
    assert undone == ["rebalance-planned", "signal-generated"], "the last one first"

    prod = start(systems, "alchemiser-events-prod/enable-rules")
    assert (prod["decision"], prod["reason"]) == ("refused", "rollout_too_early")
    assert "ended as undone" in prod["detail"]


# -- the emergency stop ------------------------------------------------------------------------------------------------


def test_rules_that_fail_are_all_stopped_at_once_and_only_a_person_brings_them_back(systems: Systems) -> None:
    events = systems.client("events")
    theirs = f"Events-Archive-{ARCHIVE}"
    pattern = '{"source": ["alchemiser"]}'
    extra = "alchemiser-of-somebody-dev"
    events.put_rule(Name=TRADES, EventPattern=pattern)  # the same name on the default bus
    events.put_rule(Name=extra, EventBusName=BUS, EventPattern=pattern)
    switch(systems, "ENABLED", *RULES)
    failed = {"EventBusName": BUS, "RuleName": TRADES}
    systems.weather.let("AWS/Events", "FailedInvocations", lambda: 1.0, **failed)
    systems.wait(lambda: on(systems) == [], "every rule to be off", 30)
    systems.weather.values.clear()

    incident = systems.closed(SYSTEM, "rules failing")

    now = {rule["Name"]: rule["State"] for rule in events.list_rules(EventBusName=BUS)["Rules"]}
    assert now == {**dict.fromkeys(RULES, "DISABLED"), extra: "DISABLED", theirs: "ENABLED"}
    assert events.describe_rule(Name=TRADES)["State"] == "ENABLED", "on the right bus"
    assert steps_of(incident)["disable_rules"] == "done"
    assert steps_of(incident)["enable_rules"] == "needs_person"
    assert incident["verdict"] == "escalated", "that nothing fails while every rule is off proves nothing"
    assert failures(systems.sweep(SYSTEM, "every rule is off")) == set()

    switch(systems, "ENABLED", SIGNALS)
    assert failures(systems.sweep(SYSTEM, "every rule is off")) == {f"rules {BUS}/{SIGNALS}"}
    switch(systems, "DISABLED", SIGNALS)

    step = next(one for one in incident["steps"] if one["action"] == "enable_rules")
    waiting = {"incident": incident["id"], "action_id": f"{incident['id']}.{step['number']}"}
    by_hand = {"action": "approve", "target": waiting, "mode": "act", "requested_by": "ann", "reason": "it is mended"}
    assert systems.invoke("Approve", by_hand)["outcome"] == "acted"

    systems.wait(lambda: on(systems) == sorted(RULES), "the rules to be on again")
    assert events.describe_rule(Name=extra, EventBusName=BUS)["State"] == "DISABLED", "nobody named it"
    events.delete_rule(Name=extra, EventBusName=BUS)
    events.delete_rule(Name=TRADES)


# -- replays -----------------------------------------------------------------------------------------------------------


def replay(systems: Systems, start_at: datetime, end_at: datetime, **more: Any) -> dict[str, Any]:
    options = {
        "rules": [TRADES],
        "start": start_at.isoformat(),
        "end": end_at.isoformat(),
        "dedup_table": DEDUP,
        "remembers_hours": REMEMBERS_HOURS,
    }
    return systems.ask("replay_events", OURS, options=options, system=SYSTEM, **more)


def replays(systems: Systems) -> set[str]:
    """The names of all replays."""
    return {one["ReplayName"] for one in systems.client("events").list_replays()["Replays"]}


def told_of(systems: Systems, key: str) -> list[bool]:
    """Each time that the handler got the event of this key: did it handle it?"""
    lines = [line for line in systems.stack.account.log_lines(f"/aws/lambda/{HANDLER}") if key in line]
    return [json.loads(line)["handled"] for line in lines]


@pytest.fixture
def archived_for_a_day(systems: Systems) -> None:
    """On a stack of some minutes the archive would be too young for every window that may be replayed."""
    systems.stack.emulator.archive_made_at(ARCHIVE, time.time() - 86_400)


def test_a_replay_is_refused_by_name_as_long_as_it_could_do_harm(systems: Systems) -> None:
    now = datetime.now(UTC)
    hour, before = now - timedelta(hours=1), replays(systems)
    systems.stack.emulator.archive_made_at(ARCHIVE, time.time() - 300)

    alone = replay(systems, hour, now - timedelta(minutes=20), requested_by=None)
    lagging = replay(systems, hour, now - timedelta(minutes=1))
    early = replay(systems, hour, now - timedelta(minutes=20))
    forgotten = replay(systems, now - timedelta(hours=REMEMBERS_HOURS + 1), hour)

    assert alone["reason"] == "person_required"
    assert lagging["reason"] == "archive_lags"
    assert (early["reason"], early["detail"][:20]) == ("window_unfit", "the archive was made")
    assert forgotten["reason"] == "handlers_forget"
    assert replays(systems) == before


@pytest.mark.usefixtures("archived_for_a_day")
def test_what_was_missed_is_replayed_to_the_rules_that_are_named_and_handled_once(systems: Systems) -> None:
    account, before = systems.stack.account, replays(systems)
    hour = datetime.now(UTC) - timedelta(hours=1)
    window = hour - timedelta(minutes=5), hour + timedelta(minutes=20)
    mark = uuid.uuid4().hex
    for kind, at in (
        ("TradeExecuted", hour),
        ("TradeExecuted", hour + timedelta(minutes=9)),
        ("SignalGenerated", hour),
    ):
        publish(account, kind, f"{mark}-{at:%M}", at=at)
    missed = sorted(f"TradeExecuted#{mark}-{at:%M}" for at in (hour, hour + timedelta(minutes=9)))
    assert replay(systems, *window)["reason"] == "rule_disabled"
    switch(systems, "ENABLED", SIGNALS, TRADES)

    started = replay(systems, *window)
    systems.wait(
        lambda: replay(systems, *window, action_id=started["action_id"], mode="resume")["outcome"] == "acted",
        "the replay",
    )

    systems.wait(lambda: [key for key in handled(account) if mark in key] == missed, "the trades")
    again = replay(systems, *window, action_id=started["action_id"])
    assert again["outcome"] in {"acted", "already_done"}, again
    assert len(replays(systems) - before) == 1, "one replay for one request"
    assert [told_of(systems, key) for key in missed] == [[True], [True]]

    second = replay(systems, *window)
    systems.wait(lambda: [told_of(systems, key) for key in missed] == [[True, False], [True, False]], "the second one")
    assert second["action_id"] != started["action_id"]
    assert [key for key in handled(account) if mark in key] == missed, "the signal was not for the rule that was named"


@pytest.mark.usefixtures("archived_for_a_day")
def test_a_replay_is_cancelled_while_it_runs(systems: Systems) -> None:
    account = systems.stack.account
    hour, mark = datetime.now(UTC) - timedelta(hours=2), uuid.uuid4().hex
    for minute in range(45):
        publish(account, "TradeExecuted", f"{mark}-{minute:02}", at=hour + timedelta(minutes=minute))
    switch(systems, "ENABLED", TRADES)
    window = hour - timedelta(minutes=1), hour + timedelta(minutes=50)

    started = replay(systems, *window)
    assert started["outcome"] == "in_progress", started
    systems.wait(lambda: any(mark in key for key in handled(account)), "the first trade")
    cancelled = systems.ask("cancel_replay", OURS, system=SYSTEM)

    assert cancelled["outcome"] == "acted", cancelled
    assert "that stays delivered" in cancelled["detail"]
    came = [key for key in handled(account) if mark in key]
    assert 0 < len(came) < 45
    time.sleep(1)
    assert [key for key in handled(account) if mark in key] == came, "the rest is not sent"
    assert systems.ask("cancel_replay", OURS, system=SYSTEM)["outcome"] == "already_done"
    end = replay(systems, *window, action_id=started["action_id"], mode="resume")
    assert (end["outcome"], end["evidence"]["state"]) == ("failed", "CANCELLED")


# -- the paper trade, the alarms' subscription -------------------------------------------------------------------------


def test_after_the_paper_trade_its_events_are_archived_and_nothing_is_a_dead_letter(systems: Systems) -> None:
    account = systems.stack.account
    switch(systems, "ENABLED", *RULES)
    live = {"function": system.FUNCTION, "alias": system.ALIAS}
    options = {"payload": {"mode": "test"}, "expect": {"status": "ok"}}

    traded = systems.ask("smoke_test", live, options=options)
    publish(account, "TradeExecuted", "paper")
    systems.wait(lambda: "TradeExecuted#paper" in handled(account), "the paper trade's event")

    assert traded["outcome"] == "acted", traded
    findings = systems.sweep(SYSTEM, "after the paper trade")
    assert failures(findings) == set(), findings
    assert len(findings) == 3
    wrong = systems.ask("smoke_test", live, options={**options, "expect": {"status": "halted"}})
    assert wrong["outcome"] == "failed", wrong

    systems.client("sqs").send_message(QueueUrl=account.queue_url(QUEUE), MessageBody="{}", DelaySeconds=300)
    assert failures(systems.sweep(SYSTEM, "after the paper trade")) == {f"queue {QUEUE}"}


def test_a_test_of_the_subscription_heals_nothing_and_reaches_who_is_on_call(systems: Systems) -> None:
    account, sns, sqs = systems.stack.account, systems.client("sns"), systems.client("sqs")
    switch(systems, "ENABLED", *RULES)
    mark = f"Test alarm notification {uuid.uuid4().hex}"
    test = {"Subject": "Test of the subscription", "Message": mark}
    known = {item["sk"]["S"] for item in systems.items() if item["pk"]["S"] == "OPEN"}

    sns.publish(TopicArn=account.outputs(stack.NAME)["AlarmTopicArn"], **test)
    sns.publish(TopicArn=account.outputs(STACK)["AlarmTopicArn"], **test)

    def records() -> list[Any]:
        found = [json.loads(item["doc"]["S"]) for item in systems.items() if item["pk"]["S"].startswith("RECORD#")]
        return [one for one in found if mark in one.get("event", "")]

    def received() -> bool:
        got = sqs.receive_message(QueueUrl=account.queue_url("alchemiser-on-call-dev"), MaxNumberOfMessages=10)
        return mark in [json.loads(message["Body"])["Message"] for message in got.get("Messages", [])]

    systems.wait(received, "the message to who is on call")
    systems.wait(records, "the record")
    assert [one["reason"] for one in records()] == ["not_an_alarm"]
    assert {item["sk"]["S"] for item in systems.items() if item["pk"]["S"] == "OPEN"} == known
    assert on(systems) == sorted(RULES)
