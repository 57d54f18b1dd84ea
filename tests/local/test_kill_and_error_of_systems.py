"""One kill and one error per action, for real, of the actions on the further demo systems (test_kill_and_error).

Killed as soon as AWS shows the effect, where it does: then nobody has written down yet that there is one, and a second
run that only trusts its own record would do it again. Everything reversible is undone at the end, to what it was.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from selfheal.catalogue import ACTIONS

from local import release, stack
from local.demos import alchemiser_events, algo_trading, polymarket
from local.demos.alchemiser_events import ARCHIVE, BUS, HANDLER
from local.demos.crypto_trading import ALIAS, API, EXCHANGE, FUNCTION, STAGE
from tests.local.killing import Case, denied_twice, killed_and_finished, record
from tests.local.scenario import Systems, function_of

pytestmark = pytest.mark.local

ENGINE = {"cluster": f"{algo_trading.NAME}-cluster", "service": f"{algo_trading.NAME}-trading"}
BACKEND = {"cluster": f"{polymarket.NAME}-cluster", "service": polymarket.NAME}
LIVE = {"function": FUNCTION, "alias": ALIAS}
LOG = {"log_group": f"/ecs/{polymarket.NAME}"}
DATABASE = {"database": polymarket.NAME}
REPORTS = {"bucket": "algo-trading-prod-data", "prefix": "backups/"}
LOGOUT = {"function": f"{polymarket.NAME}-logout", "alias": "live"}
WORKFLOW = {"repository": "example/polymarket", "workflow": "rollback.yml", "token": "selfheal/github"}
INTAKE = "test-crypto-trading-kills"
TRADES = "alchemiser-trade-executed-dev"
MISSED_AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
REPLAY = {
    "rules": [TRADES],
    "start": (MISSED_AT - timedelta(minutes=5)).isoformat(),
    "end": (MISSED_AT + timedelta(minutes=5)).isoformat(),
    "dedup_table": alchemiser_events.DEDUP,
    "remembers_hours": alchemiser_events.REMEMBERS_HOURS,
}
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
ELSEWHERE = "elsewhere"


# -- what AWS says -----------------------------------------------------------------------------------------------------


def service(systems: Systems, target: Mapping[str, str]) -> dict[str, Any]:
    answer = systems.client("ecs").describe_services(cluster=target["cluster"], services=[target["service"]])
    found: dict[str, Any] = answer["services"][0]
    return found


def deployments(systems: Systems, target: Mapping[str, str]) -> int:
    return len(systems.client("ecs").list_service_deployments(**target)["serviceDeployments"])


def settled(systems: Systems, target: Mapping[str, str]) -> None:
    """The newest deployment is over, and every task runs."""

    def is_settled() -> bool:
        found = systems.client("ecs").list_service_deployments(**target)["serviceDeployments"]
        newest, seen = max(found, key=lambda one: one["createdAt"]), service(systems, target)
        return bool(newest["status"] == "SUCCESSFUL" and seen["runningCount"] == seen["desiredCount"])

    systems.wait(is_settled, "the deployment to end")


def desired(systems: Systems, target: Mapping[str, str]) -> int:
    return int(service(systems, target)["desiredCount"])


def revision(systems: Systems) -> str:
    return str(service(systems, BACKEND)["taskDefinition"])


def reserved(systems: Systems) -> int | None:
    found: dict[str, Any] = systems.client("lambda").get_function_concurrency(FunctionName=FUNCTION)
    return found.get("ReservedConcurrentExecutions")


def mapping(systems: Systems) -> dict[str, Any]:
    [found] = systems.client("lambda").list_event_source_mappings(FunctionName=f"{FUNCTION}:{ALIAS}")[
        "EventSourceMappings"
    ]
    return dict(found)


def limits(systems: Systems) -> tuple[float, int]:
    settings = systems.client("apigatewayv2").get_stage(ApiId=API, StageName=STAGE)["DefaultRouteSettings"]
    return settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]


def versions(systems: Systems) -> int:
    return len(systems.client("lambda").list_versions_by_function(FunctionName=FUNCTION)["Versions"])


def serving(systems: Systems) -> str:
    return str(systems.client("lambda").get_alias(FunctionName=FUNCTION, Name=ALIAS)["FunctionVersion"])


def labels(systems: Systems) -> dict[str, str]:
    found = systems.client("secretsmanager").describe_secret(SecretId=EXCHANGE)["VersionIdsToStages"]
    return {label: version for version, own in found.items() for label in own}


def snapshots(systems: Systems) -> int:
    listed = systems.client("rds").describe_db_snapshots(DBInstanceIdentifier=DATABASE["database"])
    return len(listed["DBSnapshots"])


def retention(systems: Systems) -> int:
    (group,) = systems.client("logs").describe_log_groups(logGroupNamePrefix=LOG["log_group"])["logGroups"]
    return int(group["retentionInDays"])


def keys(systems: Systems, bucket: str, prefix: str) -> list[str]:
    found = systems.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [one["Key"] for one in found.get("Contents", ())]


def evidence(systems: Systems) -> int:
    """How many documents are kept; each has an overview beside it."""
    bucket = systems.stack.account.outputs(stack.NAME)["ArchiveBucketName"]
    return sum(key.endswith(".json") for key in keys(systems, bucket, "evidence/"))


def restored(systems: Systems) -> int:
    return len(keys(systems, REPORTS["bucket"], "restore/"))


def dispatches(systems: Systems) -> int:
    return len(systems.health.dispatches)


def replays(systems: Systems) -> int:
    return len(systems.client("events").list_replays()["Replays"])


def handled(systems: Systems) -> list[bool]:
    """Each time that the handler got the event that was missed: did it handle it?"""
    lines = systems.stack.account.log_lines(f"/aws/lambda/{HANDLER}")
    return [json.loads(line)["handled"] for line in lines if MISSED in line]


# -- the cases ---------------------------------------------------------------------------------------------------------

MISSED = uuid.uuid4().hex


def leave(_: Systems) -> None:
    """Nothing to make ready, or to clear up."""


def engine_settled(systems: Systems) -> None:
    settled(systems, ENGINE)


def a_release(systems: Systems) -> None:
    """A second revision is what runs."""
    settled(systems, BACKEND)
    ecs = systems.client("ecs")
    now = ecs.describe_task_definition(taskDefinition=revision(systems))["taskDefinition"]
    kept = ("family", "cpu", "memory", "networkMode", "requiresCompatibilities", "containerDefinitions")
    made = ecs.register_task_definition(**{name: now[name] for name in kept})
    ecs.update_service(**BACKEND, taskDefinition=made["taskDefinition"]["taskDefinitionArn"])
    settled(systems, BACKEND)


def first_release(systems: Systems) -> None:
    systems.client("ecs").update_service(**BACKEND, taskDefinition=f"{polymarket.NAME}:1")
    settled(systems, BACKEND)


def a_source(systems: Systems) -> dict[str, str]:
    """A queue that the alias polls; which mapping that is."""
    sqs = systems.client("sqs")
    url = sqs.create_queue(QueueName=INTAKE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    made = systems.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName=f"{FUNCTION}:{ALIAS}")
    systems.wait(lambda: mapping(systems)["State"] == "Enabled", "the mapping")
    return {"event_source": made["UUID"]}


def no_source(systems: Systems) -> None:
    systems.client("lambda").delete_event_source_mapping(UUID=mapping(systems)["UUID"])
    systems.client("sqs").delete_queue(QueueUrl=systems.stack.account.queue_url(INTAKE))


def only_the_first_version(systems: Systems) -> None:
    functions = systems.client("lambda")
    release.point(systems.stack.account, FUNCTION, ALIAS, "1")
    for one in functions.list_versions_by_function(FunctionName=FUNCTION)["Versions"]:
        if one["Version"] not in {"$LATEST", "1"}:
            functions.delete_function(FunctionName=FUNCTION, Qualifier=one["Version"])


def nothing_restored(systems: Systems) -> None:
    for key in keys(systems, REPORTS["bucket"], "restore/"):
        systems.client("s3").delete_object(Bucket=REPORTS["bucket"], Key=key)


def a_missed_trade(systems: Systems) -> None:
    """It is in the archive, which is old enough, and no rule had it."""
    systems.stack.emulator.archive_made_at(ARCHIVE, time.time() - 86_400)
    events = systems.client("events")
    events.disable_rule(Name=TRADES, EventBusName=BUS)
    alchemiser_events.publish(systems.stack.account, "TradeExecuted", MISSED, at=MISSED_AT)
    events.enable_rule(Name=TRADES, EventBusName=BUS)


def no_rule(systems: Systems) -> None:
    systems.client("events").disable_rule(Name=TRADES, EventBusName=BUS)


def nothing(_: Systems) -> None:
    """What AWS does not show."""


def none(_: Systems) -> int:
    """There is nothing to count."""
    return 0


@dataclass(frozen=True)
class Play(Case[Systems]):
    """A case with its effect: what AWS shows of it, and how many more of something there are by it, once."""

    seen: Callable[[Systems], object] = nothing
    effects: Callable[[Systems], int] = none
    adds: int = 1
    clear: Callable[[Systems], None] = leave

    @property
    def hidden(self) -> bool:
        """AWS shows nothing of it."""
        return self.seen is nothing and self.effects is none

    def shows(self, systems: Systems) -> tuple[object, int]:
        """What would change by the action."""
        return self.seen(systems), self.effects(systems)


def play(
    action: str,
    target: Mapping[str, Any],
    right: Callable[[Systems], bool] = lambda _: True,
    *,
    ready: Callable[[Systems], Mapping[str, Any] | None] = leave,
    **more: Any,
) -> Play:
    return Play(function_of(action), action, dict(target), ready, right, **more)


PLAYS = {
    one.action: one
    for one in (
        play(
            "restart_service",
            ENGINE,
            ready=engine_settled,
            effects=partial(deployments, target=ENGINE),
        ),
        play(
            "scale_service",
            ENGINE,
            lambda systems: desired(systems, ENGINE) == 3,
            ready=engine_settled,
            options={"desired": 3},
            seen=partial(desired, target=ENGINE),
        ),
        play(
            "stop_service",
            ENGINE,
            lambda systems: desired(systems, ENGINE) == 0,
            ready=engine_settled,
            seen=partial(desired, target=ENGINE),
            clear=engine_settled,
        ),
        play(
            "roll_back_service",
            BACKEND,
            lambda systems: revision(systems).endswith(":1"),
            ready=a_release,
            seen=revision,
            effects=partial(deployments, target=BACKEND),
            clear=first_release,
        ),
        play("stop_function", {"function": FUNCTION}, lambda systems: reserved(systems) == 0, seen=reserved),
        play(
            "limit_function",
            {"function": FUNCTION},
            lambda systems: reserved(systems) == 3,
            options={"concurrency": 3},
            seen=reserved,
        ),
        play(
            "pause_source",
            {},
            lambda systems: mapping(systems)["State"] == "Disabled",
            ready=a_source,
            seen=lambda systems: mapping(systems)["State"],
            clear=no_source,
        ),
        play(
            "limit_api",
            {"http_api": API, "stage": STAGE},
            lambda systems: limits(systems) == (20, 20),
            options={"rate": 20},
            seen=limits,
        ),
        play(
            "reload_function",
            LIVE,
            lambda systems: serving(systems) != "1",
            seen=serving,
            effects=versions,
            clear=only_the_first_version,
        ),
        play("roll_back_secret", {"secret": EXCHANGE}, seen=labels),
        play("snapshot_database", DATABASE, effects=snapshots),
        play("keep_logs", LOG, lambda systems: retention(systems) == 90, options={"days": 90}, seen=retention),
        play("capture_evidence", LOG, effects=evidence),
        play(
            "restore_backup",
            REPORTS,
            options={"date": YESTERDAY},
            effects=restored,
            adds=2,
            clear=nothing_restored,
        ),
        play("run_hook", LOGOUT, options={"repeatable": True}),
        play(
            "dispatch_workflow",
            WORKFLOW,
            options={"ref": "main", "inputs": {"asked_by": "{action_id}"}},
            effects=dispatches,
        ),
        play(
            "replay_events",
            {"bus": BUS, "archive": ARCHIVE},
            lambda systems: bool(systems.wait(lambda: handled(systems) == [True], "the trade, once")),
            ready=a_missed_trade,
            options=REPLAY,
            effects=replays,
            clear=no_rule,
        ),
    )
}


@pytest.mark.parametrize("action", PLAYS)
def test_killed_it_is_finished_under_the_same_id_and_happens_once(systems: Systems, action: str) -> None:
    case = PLAYS[action]
    more = case.ready(systems)
    try:
        case = replace(case, target={**case.target, **(more if isinstance(more, dict) else {})})
        before = case.shows(systems)

        action_id, answer = killed_and_finished(systems, case, lambda: case.hidden or case.shows(systems) != before)

        assert answer["outcome"] in case.outcomes, answer
        assert record(systems, action_id)["run"]["S"] == "done"
        assert case.right(systems)
        after = case.shows(systems)
        assert (after[0] != before[0]) is (case.seen is not nothing)
        assert after[1] - before[1] == (0 if case.effects is none else case.adds), "once"
        again = systems.invoke(case.function, case.event(action_id))
        assert again["outcome"] in case.outcomes, again
        assert case.shows(systems) == after, "a third run changes nothing"

        if ACTIONS[action].undo:
            undone = undo(systems, case, action_id)
            assert undone["outcome"] == "acted", undone
            assert case.seen(systems) == before[0], "as it was before it was killed"
    finally:
        case.clear(systems)


def undo(systems: Systems, case: Play, action_id: str) -> dict[str, Any]:
    """Its undo, to its end."""
    event = {**case.event(f"undo-{uuid.uuid4().hex}"), "undo_of": action_id, "origin": "undo"}
    answer = systems.invoke(case.function, event)
    if answer["outcome"] == "in_progress":
        resume = {**event, "mode": "resume"}
        systems.wait(lambda: systems.invoke(case.function, resume)["outcome"] != "in_progress", "the undo's end", 60)
        answer = systems.invoke(case.function, resume)
    return answer


# -- IAM says no -------------------------------------------------------------------------------------------------------
AWAY = {"cluster": ELSEWHERE, "service": ELSEWHERE}
THERE = {"function": ELSEWHERE, "alias": ELSEWHERE}
STAGED = {"http_api": ELSEWHERE, "stage": ELSEWHERE}
DENIED: tuple[tuple[str, dict[str, str], dict[str, Any]], ...] = (
    ("restart_service", AWAY, {}),
    ("scale_service", AWAY, {"desired": 3}),
    ("stop_service", AWAY, {}),
    ("roll_back_service", AWAY, {"to_revision": f"{algo_trading.NAME}-dashboard:1"}),
    ("stop_function", {"function": ELSEWHERE}, {}),
    ("limit_function", {"function": ELSEWHERE}, {"concurrency": 3}),
    ("limit_api", STAGED, {"rate": 20}),
    ("reload_function", THERE, {}),
    ("roll_back_secret", {"secret": ELSEWHERE}, {}),
    ("snapshot_database", {"database": ELSEWHERE}, {}),
    ("keep_logs", {"log_group": ELSEWHERE}, {"days": 90}),
    ("capture_evidence", {"log_group": ELSEWHERE}, {}),
    ("restore_backup", {"bucket": ELSEWHERE, "prefix": "backups/"}, {"date": YESTERDAY}),
    ("run_hook", THERE, {}),
    ("dispatch_workflow", {**WORKFLOW, "token": ELSEWHERE}, {"ref": "main"}),
    ("replay_events", {"bus": ELSEWHERE, "archive": ELSEWHERE}, {**REPLAY, "rules": [ELSEWHERE]}),
)


@pytest.fixture(scope="module")
def elsewhere(all_systems: Systems) -> Callable[[], dict[str, Any]]:
    """One of each kind, well and able to be changed, that no parameter of the stack names; answers how they are."""
    systems, name, aws = all_systems, ELSEWHERE, all_systems.client
    aws("ecs").create_cluster(clusterName=name)
    aws("ecs").create_service(
        cluster=name, serviceName=name, taskDefinition=f"{algo_trading.NAME}-dashboard", desiredCount=1
    )
    code = aws("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="hook.lambda_handler",
        Role=aws("lambda").get_function_configuration(FunctionName=FUNCTION)["Role"],
        Code={"ZipFile": release.zipped("hook.py", "def lambda_handler(event, _):\n    return {'ok': True}\n")},
        Publish=True,
    )
    aws("lambda").create_alias(FunctionName=name, Name=name, FunctionVersion=code["Version"])
    aws("apigatewayv2").create_api(Name=name, ProtocolType="HTTP", Tags={"ms-custom-id": name})
    aws("apigatewayv2").create_stage(ApiId=name, StageName=name)
    aws("secretsmanager").create_secret(Name=name, SecretString="first")
    aws("secretsmanager").put_secret_value(SecretId=name, SecretString="second")
    aws("rds").create_db_instance(
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="admin_user",
        MasterUserPassword="not-a-real-one",
    )
    aws("logs").create_log_group(logGroupName=name)
    aws("logs").put_retention_policy(logGroupName=name, retentionInDays=30)
    aws("s3").create_bucket(Bucket=name)
    aws("s3").put_object(Bucket=name, Key=f"backups/{YESTERDAY}/trades.csv", Body=b"one,line\n")
    bus = aws("events").create_event_bus(Name=name)["EventBusArn"]
    aws("events").put_rule(Name=name, EventBusName=name, EventPattern='{"source": ["test"]}')
    aws("events").create_archive(ArchiveName=name, EventSourceArn=bus, RetentionDays=30)
    systems.stack.emulator.archive_made_at(name, time.time() - 86_400)

    def look() -> dict[str, Any]:
        retention = aws("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]["retentionInDays"]
        seen = service(systems, AWAY)
        return {
            "service": (seen["desiredCount"], seen["taskDefinition"], deployments(systems, AWAY)),
            "alias": aws("lambda").get_alias(FunctionName=name, Name=name)["RevisionId"],
            "concurrency": "ReservedConcurrentExecutions" in aws("lambda").get_function_concurrency(FunctionName=name),
            "versions": len(aws("lambda").list_versions_by_function(FunctionName=name)["Versions"]),
            "runs": len(aws("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]),
            "limits": aws("apigatewayv2").get_stage(ApiId=name, StageName=name).get("DefaultRouteSettings"),
            "labels": aws("secretsmanager").describe_secret(SecretId=name)["VersionIdsToStages"],
            "snapshots": len(aws("rds").describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"]),
            "retention": retention,
            "objects": keys(systems, name, ""),
            "evidence": evidence(systems),
            "dispatches": dispatches(systems),
            "replays": replays(systems),
        }

    return look


@pytest.mark.parametrize(("action", "target", "options"), DENIED, ids=[action for action, *_ in DENIED])
def test_what_iam_denies_is_refused_by_name_and_changes_nothing(
    systems: Systems,
    elsewhere: Callable[[], dict[str, Any]],
    action: str,
    target: dict[str, Any],
    options: dict[str, Any],
) -> None:
    before = elsewhere()

    denied_twice(systems, function_of(action), {"action": action, "target": target, "options": options})

    assert elsewhere() == before


def test_what_feeds_selfheal_itself_is_never_paused(systems: Systems) -> None:
    """A mapping's ARN has no name that a parameter could leave out: the functions of the stack are named instead."""
    functions = systems.client("lambda")
    [own] = functions.list_event_source_mappings(FunctionName=systems.function("RollBackAlias"))["EventSourceMappings"]

    denied_twice(systems, "ThrottleFunction", {"action": "pause_source", "target": {"event_source": own["UUID"]}})

    assert functions.get_event_source_mapping(UUID=own["UUID"])["State"] == "Enabled"
