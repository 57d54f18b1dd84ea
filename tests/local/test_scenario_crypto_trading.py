"""crypto-trading-test on the local stack: looking first, a release is taken back, else the load is limited."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import release, stack
from local.account import Account
from local.demos import crypto_trading
from local.demos.crypto_trading import ACCESS_LOG, ALIAS, API, EXCHANGE, FUNCTION, STAGE
from local.demos.crypto_trading import NAME as SYSTEM
from tests.local.scenario import Systems, steps_of

pytestmark = pytest.mark.local

LIVE = {"function": FUNCTION, "alias": ALIAS}
MARKER = "SELFHEAL_RELOADED"
GOOD_ORDER, WRONG_ORDER = {"price": 2}, {"price": "many"}


@pytest.fixture(autouse=True)
def as_deployed(systems: Systems) -> Iterator[None]:
    """Every scenario leaves the system as its template has it: one version, and the limits as they were."""
    yield
    systems.weather.values.clear()
    functions = systems.client("lambda")
    release.point(systems.stack.account, FUNCTION, ALIAS, "1")
    for version in versions(systems):
        if version != "1":
            functions.delete_function(FunctionName=FUNCTION, Qualifier=version)
    functions.delete_function_concurrency(FunctionName=FUNCTION)
    systems.client("apigatewayv2").update_stage(
        ApiId=API, StageName=STAGE, DefaultRouteSettings={"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 500}
    )


def versions(systems: Systems) -> list[str]:
    listed = systems.client("lambda").list_versions_by_function(FunctionName=FUNCTION)["Versions"]
    return [one["Version"] for one in listed if one["Version"] != "$LATEST"]


def serving(systems: Systems) -> str:
    return str(systems.client("lambda").get_alias(FunctionName=FUNCTION, Name=ALIAS)["FunctionVersion"])


def limit(systems: Systems) -> tuple[float | None, int | None]:
    settings = systems.client("apigatewayv2").get_stage(ApiId=API, StageName=STAGE)["DefaultRouteSettings"]
    return settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")


def reserved(systems: Systems) -> int | None:
    found: dict[str, Any] = systems.client("lambda").get_function_concurrency(FunctionName=FUNCTION)
    return found.get("ReservedConcurrentExecutions")


def open_changes(systems: Systems, incident: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Action → the change of this incident that nobody has undone."""
    listed = [json.loads(item["doc"]["S"]) for item in systems.items() if item["pk"]["S"] == "CHANGE"]
    return {one["action"]: one for one in listed if one["incident"] == incident["id"]}


def evidence_of(systems: Systems, incident: Mapping[str, Any], action: str) -> dict[str, Any]:
    """What the ledger holds as evidence of a step."""
    step = next(one for one in incident["steps"] if one["action"] == action)
    key = f"ACTION#{incident['id']}.{step['number']}.{step['tries']}"
    item = next(one for one in systems.items() if (one["pk"]["S"], one["sk"]["S"]) == (key, "ACTION"))
    evidence: dict[str, Any] = json.loads(item["doc"]["S"])["result"]["evidence"]
    return evidence


def looked_at(systems: Systems, incident: Mapping[str, Any]) -> dict[str, str]:
    """Check → the worst verdict that the incident's own sweep found."""
    findings = evidence_of(systems, incident, "check_health")["findings"]
    return {one["check"]: f"{one['verdict']}: {one['seen']}" for one in reversed(findings)}


def invoke(account: Account, order: Mapping[str, Any]) -> dict[str, Any]:
    answer = account.client("lambda").invoke(FunctionName=FUNCTION, Qualifier=ALIAS, Payload=json.dumps(order))
    body: dict[str, Any] = json.loads(answer["Payload"].read())
    return body


@contextmanager
def traffic(systems: Systems, order: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """One order a second through the alias while the block runs, so that the alarm gets data."""
    account, over = Account(systems.stack.emulator.endpoint), threading.Event()

    def send() -> None:
        while not over.wait(1.0):
            invoke(account, order())

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


@contextmanager
def people(systems: Systems) -> Iterator[Callable[[], list[str]]]:
    """What people are told while the block runs: the texts so far."""
    sqs, sns, told = systems.client("sqs"), systems.client("sns"), list[str]()
    url = sqs.create_queue(QueueName="crypto-trading-people")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    send = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**send, "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    topic = systems.stack.account.outputs(stack.NAME)["PeopleTopicArn"]
    subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    def heard() -> list[str]:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            told.append(json.loads(message["Body"])["Message"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return told

    try:
        yield heard
    finally:
        sns.unsubscribe(SubscriptionArn=subscribed)
        sqs.delete_queue(QueueUrl=url)


# -- incidents ---------------------------------------------------------------------------------------------------


def test_without_a_release_to_blame_the_function_is_limited(systems: Systems) -> None:
    began = time.time()

    def order() -> Mapping[str, Any]:
        return WRONG_ORDER if reserved(systems) is None else GOOD_ORDER

    with traffic(systems, order):
        incident = systems.closed(SYSTEM, "high error rate", since=began)

    assert incident["verdict"] == "healed", incident["escalations"]
    assert reserved(systems) == 5
    assert serving(systems) == "1"
    rung = next(step for step in incident["steps"] if step["action"] == "roll_back_alias")
    assert (rung["status"], rung["reason"]) == ("refused", "no_earlier_version")
    assert steps_of(incident)["limit_function"] == "done"
    assert incident["escalations"] == [], "a rung that is not for this case is no failure"

    undone = systems.ask("undo", {"incident": incident["id"]})

    assert undone["outcome"] == "acted", undone
    systems.wait(lambda: (reserved(systems), limit(systems)) == (None, (500, 500)), "the undo of both limits")


def test_a_faulty_release_is_taken_back(systems: Systems) -> None:
    began = time.time()
    good = crypto_trading.publish(systems.stack.account, "2")
    with traffic(systems, lambda: GOOD_ORDER):
        faulty = crypto_trading.publish(systems.stack.account, "3", faulty=True)
        incident = systems.closed(SYSTEM, "high error rate", since=began)

    assert incident["verdict"] == "healed", incident["escalations"]
    assert serving(systems) == good
    assert faulty in versions(systems), "the faulty version stays, to be looked at"
    assert incident["contained_at"] < incident["remediated_at"] < incident["green_at"]
    assert limit(systems) == (20, 20)
    assert reserved(systems) is None, "green before that rung was needed"
    statuses = steps_of(incident)
    assert (statuses["limit_api"], statuses["roll_back_alias"], statuses["run_hook"]) == ("done", "done", "done")
    assert statuses["limit_function"] == "skipped"
    assert json.loads(evidence_of(systems, incident, "run_hook")["answer"])["did"] == {"status": "resolved"}
    findings = looked_at(systems, incident)
    assert findings["logs"].startswith("fail"), findings
    assert "KeyError" in findings["logs"], "the sweep has the error itself"
    [alarm] = incident["alarms"].values()
    assert alarm["last_datapoint_at"] > incident["remediated_at"] * 1000, "green by data"
    rolled_back = next(step for step in incident["steps"] if step["action"] == "roll_back_alias")
    kept = systems.kept(rolled_back["captured"])
    assert "KeyError" in json.dumps(kept["has"]["lines"]), "kept before it was taken back"

    changes = open_changes(systems, incident)
    assert changes["limit_api"]["after"] == {"default": {"rate": 20, "burst": 20}}
    undone = systems.ask("undo", {"incident": incident["id"], "action_id": changes["limit_api"]["action_id"]})
    assert undone["outcome"] == "acted", undone
    systems.wait(lambda: limit(systems) == (500, 500), "the undo of the limit")
    systems.wait(lambda: "limit_api" not in open_changes(systems, incident), "the change to be closed")
    assert serving(systems) == good, "only the limit was undone"


def test_a_slow_api_is_braked_and_told_with_its_evidence(systems: Systems) -> None:
    invoke(systems.stack.account, GOOD_ORDER)
    began, latency = time.time(), {"ApiId": API, "Stage": STAGE}
    with people(systems) as heard:
        systems.weather.let(
            "AWS/ApiGateway", "Latency", lambda: 5000.0 if limit(systems) == (500, 500) else 100.0, **latency
        )
        incident = systems.closed(SYSTEM, "performance degradation", since=began)
        systems.wait(lambda: any("find-what-is-slow" in text for text in heard()), "people to be told")

    assert limit(systems) == (50, 50)
    assert (incident["verdict"], incident["escalations"]) == ("escalated", ["no remediation applies"]), "a person looks"
    assert {alarm["state"] for alarm in incident["alarms"].values()} == {"OK"}
    statuses = steps_of(incident)
    assert (statuses["check_health"], statuses["capture_evidence"], statuses["limit_api"]) == ("done", "done", "done")
    assert {"limits", "throttles", "invocations", "cache"} <= looked_at(systems, incident).keys()
    kept = systems.kept(evidence_of(systems, incident, "capture_evidence")["captured"])
    asked = kept["has"].get("query", {"groups": [f"/aws/lambda/{FUNCTION}"]} if "query" in kept["missing"] else {})
    assert asked.get("groups") == [f"/aws/lambda/{FUNCTION}"], "answered over its log, or said to be late"
    assert "traces" not in kept["has"], "the emulator has no X-Ray"
    assert kept["missing"]["traces"], kept["missing"]
    assert [one["name"] for one in incident["procedures"]] == ["find-what-is-slow"]
    assert systems.ask("undo", {"incident": incident["id"]})["outcome"] == "acted"
    systems.wait(lambda: limit(systems) == (500, 500), "the undo of the brake")


def test_throttles_are_looked_at_and_left_to_a_person(systems: Systems) -> None:
    began = time.time()
    invoke(systems.stack.account, GOOD_ORDER)
    systems.weather.let("AWS/Lambda", "Throttles", lambda: 3.0, FunctionName=FUNCTION)

    def escalated() -> Mapping[str, Any] | None:
        found = systems.incident(SYSTEM, "functions throttled")
        return found if found and (found["escalated_at"] or 0) >= began else None

    incident = systems.wait(escalated, "a person to be told")

    assert incident is not None
    assert steps_of(incident) == {"check_health": "done"}, "only looked at"
    assert looked_at(systems, incident)["limits"].startswith(("pass", "fail"))
    assert [one["name"] for one in incident["procedures"]] == ["raise-a-limit-of-a-function"]
    assert (reserved(systems), limit(systems)) == (None, (500, 500))
    systems.weather.values.clear()
    assert systems.closed(SYSTEM, "functions throttled", since=began)["verdict"] == "escalated"


# -- by hand -----------------------------------------------------------------------------------------------------


def variables(systems: Systems, qualifier: str) -> dict[str, str]:
    found = systems.client("lambda").get_function_configuration(FunctionName=FUNCTION, Qualifier=qualifier)
    environment: dict[str, str] = found["Environment"]["Variables"]
    return environment


def current_secret(systems: Systems) -> str:
    described = systems.client("secretsmanager").describe_secret(SecretId=EXCHANGE)["VersionIdsToStages"]
    [holder] = [version for version, labels in described.items() if "AWSCURRENT" in labels]
    return str(holder)


def verdict_of_the_secret(systems: Systems) -> str:
    return systems.sweep(SYSTEM, "the secrets")[f"secrets {EXCHANGE}"].partition(":")[0]


def test_a_function_reads_its_secrets_anew_and_keeps_its_environment(systems: Systems) -> None:
    old = crypto_trading.publish(systems.stack.account, "2")
    before, known = variables(systems, ALIAS), versions(systems)
    time.sleep(1.0)  # the secret's date has seconds
    systems.client("secretsmanager").put_secret_value(SecretId=EXCHANGE, SecretString='{"api_key": "third"}')
    assert verdict_of_the_secret(systems) == "fail", "the version has what the secret was before"
    time.sleep(1.0)

    reloaded = systems.ask("reload_function", LIVE)
    again = systems.ask("reload_function", LIVE, action_id=reloaded["action_id"])

    assert (reloaded["outcome"], again["outcome"]) == ("acted", "acted"), (reloaded, again)
    [new] = set(versions(systems)) - set(known)
    assert serving(systems) == new
    after = variables(systems, ALIAS)
    assert {**after, MARKER: None} == {**before, MARKER: None}, "every other variable is as it was"
    assert after[MARKER] != before.get(MARKER)
    assert verdict_of_the_secret(systems) == "pass"

    undone = systems.ask("reload_function", LIVE, undo_of=reloaded["action_id"], origin="undo")
    assert undone["outcome"] == "acted", undone
    assert serving(systems) == old
    assert variables(systems, ALIAS) == before


def test_a_secret_goes_back_once_and_forward_again(systems: Systems) -> None:
    was = current_secret(systems)
    secrets = systems.client("secretsmanager")
    new = secrets.put_secret_value(SecretId=EXCHANGE, SecretString='{"api_key": "refused"}')["VersionId"]

    back = systems.ask("roll_back_secret", {"secret": EXCHANGE})
    again = systems.ask("roll_back_secret", {"secret": EXCHANGE}, action_id=back["action_id"])

    assert (back["outcome"], again["outcome"]) == ("acted", "acted"), (back, again)
    assert current_secret(systems) == was, "twice is no swap"
    undone = systems.ask("roll_back_secret", {"secret": EXCHANGE}, undo_of=back["action_id"], origin="undo")
    assert undone["outcome"] == "acted", undone
    assert current_secret(systems) == new


@pytest.fixture
def source(systems: Systems) -> Iterator[str]:
    """A queue that the alias polls; the id of the mapping."""
    sqs, functions = systems.client("sqs"), systems.client("lambda")
    url = sqs.create_queue(QueueName="test-crypto-trading-intake")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    mapping = functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=f"{FUNCTION}:{ALIAS}")["UUID"]
    systems.wait(lambda: state_of(systems, mapping) == "Enabled", "the mapping")
    yield mapping
    functions.delete_event_source_mapping(UUID=mapping)
    sqs.delete_queue(QueueUrl=url)


def state_of(systems: Systems, mapping: str) -> str:
    return str(systems.client("lambda").get_event_source_mapping(UUID=mapping)["State"])


def test_a_queue_is_paused_and_goes_on_where_it_stood(systems: Systems, source: str) -> None:
    paused = systems.ask("pause_source", {"event_source": source})

    assert (paused["outcome"], paused["direction"]) == ("acted", "safe"), paused
    assert state_of(systems, source) == "Disabled"
    url = systems.stack.account.queue_url("test-crypto-trading-intake")
    systems.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(GOOD_ORDER))
    time.sleep(2.0)
    assert waiting(systems, url) == 1, "it waits, and nobody takes it"

    undone = systems.ask("pause_source", {"event_source": source}, undo_of=paused["action_id"], origin="undo")

    assert undone["outcome"] == "acted", undone
    assert state_of(systems, source) == "Enabled"
    systems.wait(lambda: waiting(systems, url) == 0, "the message to be taken")


def waiting(systems: Systems, url: str) -> int:
    found = systems.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return sum(int(value) for name, value in found.items() if name.startswith("ApproximateNumberOfMessages"))


def test_a_function_is_stopped_and_the_request_says_first_what_would_be_lost(systems: Systems, source: str) -> None:
    functions, target = systems.client("lambda"), {"function": FUNCTION}
    risky = systems.ask("stop_function", target, mode="plan")
    assert risky["direction"] == "risky"
    lost = "no dead-letter queue or on-failure destination for $LATEST;"  # what the alias fails goes to a queue
    assert lost in risky["detail"]
    assert f'{{"action": "pause_source", "target": {{"event_source": "{source}"}}}}' in risky["detail"]

    failed = functions.get_function_event_invoke_config(FunctionName=FUNCTION, Qualifier=ALIAS)["DestinationConfig"]
    functions.put_function_event_invoke_config(FunctionName=FUNCTION, DestinationConfig=failed)
    try:
        assert systems.ask("pause_source", {"event_source": source})["outcome"] == "acted"
        stopped = systems.ask("stop_function", target)
    finally:
        functions.delete_function_event_invoke_config(FunctionName=FUNCTION)

    assert (stopped["outcome"], stopped["direction"]) == ("acted", "safe"), stopped
    assert reserved(systems) == 0
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        invoke(systems.stack.account, GOOD_ORDER)
    undone = systems.ask("stop_function", target, undo_of=stopped["action_id"], origin="undo")
    assert undone["outcome"] == "acted", undone
    assert reserved(systems) is None
    assert invoke(systems.stack.account, GOOD_ORDER)["status"] == "ok"


# -- looks -------------------------------------------------------------------------------------------------------


def test_errors_of_an_api_are_told_apart_by_its_access_log(systems: Systems) -> None:
    logs, metrics = systems.client("logs"), systems.client("cloudwatch")
    answered = [(200, "-"), (403, "INVALID_API_KEY"), (502, "API_CONFIGURATION_ERROR"), (504, "INTEGRATION_TIMEOUT")]
    logs.create_log_group(logGroupName=ACCESS_LOG)
    try:
        logs.create_log_stream(logGroupName=ACCESS_LOG, logStreamName="one")
        lines = [
            {"timestamp": int(time.time() * 1000), "message": json.dumps({"status": status, "error": error})}
            for status, error in answered
        ]
        logs.put_log_events(logGroupName=ACCESS_LOG, logStreamName="one", logEvents=lines)
        dimensions = [{"Name": "ApiId", "Value": API}, {"Name": "Stage", "Value": STAGE}]
        counted = {"Count": 4.0, "4xx": 1.0, "5xx": 2.0}
        data = [{"MetricName": name, "Dimensions": dimensions, "Value": value} for name, value in counted.items()]
        metrics.put_metric_data(Namespace="AWS/ApiGateway", MetricData=data)
        check = {"http_api": API, "stage": STAGE, "access_log": ACCESS_LOG}

        looked = systems.ask("check_health", {"system": SYSTEM}, options={"checks": [{"api_errors": check}]})
    finally:
        logs.delete_log_group(logGroupName=ACCESS_LOG)

    told = {one["expected"].rpartition(" ")[2]: one for one in looked["evidence"]["findings"]}
    assert {status: one["verdict"] for status, one in told.items()} == {"403": "fail", "502": "fail", "504": "fail"}
    assert "API key is missing or wrong" in told["403"]["seen"]
    assert "WAF" in told["403"]["advice"]
    assert "roll_back_alias" in told["502"]["advice"]
    assert "limit_api" in told["504"]["advice"]


def test_the_databases_are_there_and_can_be_reached(systems: Systems) -> None:
    found = systems.sweep(SYSTEM, "the databases")

    group = "test-crypto-trading-redis"
    passed = {"table test-crypto-trading-positions", f"cache {group}"}
    way_in = f"security_group {group}/test-crypto-trading-functions"
    assert {key for key, verdict in found.items() if verdict.startswith("pass")} == {*passed, way_in}
    assert found["timestream test-crypto-trading"].startswith("unknown"), "the emulator has no Timestream"


def test_a_way_in_that_is_closed_is_found(systems: Systems) -> None:
    way_in = {"group": "test-crypto-trading-redis", "port": 6380, "from_group": "test-crypto-trading-functions"}

    looked = systems.ask("check_health", {"system": SYSTEM}, options={"checks": [{"security_group": way_in}]})

    [finding] = looked["evidence"]["findings"]
    assert (finding["verdict"], "does not get in on tcp 6380" in finding["seen"]) == ("fail", True), finding
    assert "--source-group sg-" in finding["advice"], "a command takes ids"
