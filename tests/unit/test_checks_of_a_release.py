"""Checks of logs, metrics, limits, API errors, archives, backups, deployments and selfheal's own records."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws
from selfheal import changes, incident_store
from selfheal.checks import read_check
from selfheal.checks.finding import Finding, Mark
from selfheal.checks.log_lines import LATE_S, MAX_PAGES
from selfheal.checks.logs import MAX_LINES
from selfheal.clients import client
from selfheal.errors import LedgerUnavailable, Refused
from selfheal.ledger import Ledger
from selfheal.request import result_of
from selfheal.words import Outcome

from tests.unit.aws import ask, script
from tests.unit.checking import found, the_only
from tests.unit.dead_letters import ACCOUNT, REGION
from tests.unit.incidents import incident

GROUP = "/aws/lambda/shop"
NOW = datetime.now(UTC)


def page(*lines: str, more: str = "") -> dict[str, Any]:
    events = [{"timestamp": place, "message": line} for place, line in enumerate(lines)]
    return {"events": events, **({"nextToken": more} if more else {})}


@pytest.fixture
def moto() -> Iterator[None]:
    with mock_aws():
        yield


# -- what a check is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({"logs": {"log_group": "g", "hours": 1, "minutes": 5}}, "not both"),
        ({"logs": {"log_group": "g", "hours": 0}}, "at least one minute"),
        ({"metric": {"namespace": "n", "name": "m"}}, "exactly one"),
        ({"metric": {"namespace": "n", "name": "m", "at_most": 1, "at_least": 1}}, "exactly one"),
        ({"metric": {"namespace": "n", "name": "m", "at_most": True}}, "at_most must be float"),
        ({"metric": {"namespace": "n", "name": "m", "at_most": float("nan")}}, "at_most must be float"),
        ({"metric": {"namespace": "n", "name": "m", "at_most": 1, "dimensions": {}}}, "dimensions must be dict"),
        ({"metric": {"namespace": "n", "name": "m", "at_most": 1, "dimensions": {"a": 1}}}, "dimensions must be dict"),
        ({"metric": {"namespace": "n", "name": "m", "at_most": 1, "dimensions": ["a"]}}, "dimensions must be dict"),
        ({"metric": {"namespace": "n", "name": "m", "at_most": 1, "stat": "Median"}}, "stat must be"),
        ({"api_errors": {"rest_api": "a", "stage": "s"}}, "api_name"),
        ({"backup": {"bucket": "b", "prefix": "p", "day": "tomorrow"}}, "day must be"),
    ],
)
def test_a_wrong_check_is_refused(document: object, names: str) -> None:
    with pytest.raises(Refused, match=names):
        read_check(document)


def test_metrics_of_one_name_are_told_apart_by_their_dimensions() -> None:
    of = {"namespace": "AWS/RDS", "name": "CPUUtilization", "at_most": 80}
    resources = {read_check({"metric": {**of, "dimensions": {"Db": db}}}).resource for db in ("a", "b")}
    assert resources == {"AWS/RDS/CPUUtilization/a", "AWS/RDS/CPUUtilization/b"}


UNREACHABLE: list[dict[str, Any]] = [
    {"logs": GROUP},
    {"metric": {"namespace": "n", "name": "m", "at_most": 1}},
    {"limits": "shop"},
    {"api_errors": {"http_api": "a", "stage": "live"}},
    {"archive": {"bus": "shop"}},
    {"archive": {"bus": "shop", "archive": "all"}},
    {"backup": {"bucket": "b", "prefix": "db/"}},
    {"deployment": {"application": "shop", "deployment_group": "web"}},
]


@pytest.mark.parametrize("check", UNREACHABLE, ids=lambda check: next(iter(check)))
def test_what_cannot_be_reached_is_unknown(moto: None, check: dict[str, Any]) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws")

    for service in ("logs", "cloudwatch", "lambda", "events", "s3", "codedeploy"):
        client(service).meta.events.register("before-call.*.*", unreachable)
    assert the_only(check).verdict is Mark.UNKNOWN


@pytest.mark.parametrize("service", ["logs", "lambda", "events", "s3", "codedeploy"])
def test_what_does_not_exist_fails(service: str) -> None:
    answers: dict[str, tuple[str, str, dict[str, Any]]] = {
        "logs": ("filter_log_events", "ResourceNotFoundException", {"logs": GROUP}),
        "lambda": ("get_function_configuration", "ResourceNotFoundException", {"limits": "shop"}),
        "events": ("describe_archive", "ResourceNotFoundException", {"archive": {"bus": "b", "archive": "no"}}),
        "s3": ("list_objects_v2", "NoSuchBucket", {"backup": {"bucket": "no", "prefix": "p"}}),
        "codedeploy": (
            "list_deployments",
            "ApplicationDoesNotExistException",
            {"deployment": {"application": "no", "deployment_group": "no"}},
        ),
    }
    call, code, check = answers[service]
    with script(service) as aws:
        aws.add_client_error(call, code)
        assert the_only(check).verdict is Mark.FAIL


# -- logs -------------------------------------------------------------------------------------------------------------


def test_a_page_without_lines_is_not_the_end() -> None:
    before = time.time()
    with script("logs") as aws:
        aws.add_response("filter_log_events", page(more="t1"))
        aws.add_response("filter_log_events", page("ERROR one", more="t2"))
        aws.add_response("filter_log_events", page("ERROR two password=hunter2"))
        seen: list[dict[str, Any]] = []
        client("logs").meta.events.register("before-parameter-build.logs", lambda params, **_: seen.append(params))
        finding = the_only({"logs": {"log_group": GROUP, "minutes": 10}})
    assert finding.verdict is Mark.FAIL
    assert finding.seen.startswith("2 lines with ERROR in the last 10 minutes, the last: ERROR one ¦ ERROR two")
    assert "hunter2" not in finding.seen
    assert finding.expected == "at most 0"
    assert [params.get("nextToken") for params in seen] == [None, "t1", "t2"]
    assert seen[0]["startTime"] == pytest.approx((before - 600 - LATE_S) * 1000, abs=5_000)


@pytest.mark.parametrize(("at_most", "verdict"), [(1, Mark.FAIL), (2, Mark.PASS)])
def test_some_lines_may_be_no_finding(at_most: int, verdict: Mark) -> None:
    with script("logs") as aws:
        aws.add_response("filter_log_events", page("ERROR", "ERROR"))
        assert the_only({"logs": {"log_group": GROUP, "at_most": at_most}}).verdict is verdict


def test_very_many_lines_are_counted_up_to_a_point() -> None:
    with script("logs") as aws:
        aws.add_response("filter_log_events", page(*["ERROR x"] * (MAX_LINES + 1), more="t"))
        finding = the_only({"logs": GROUP})
    assert finding.seen.startswith(f"at least {MAX_LINES + 1} lines")


def test_a_log_that_was_not_read_to_its_end_is_no_pass() -> None:
    with script("logs") as aws:
        for number in range(MAX_PAGES):
            aws.add_response("filter_log_events", page(more=f"t{number}"))
        finding = the_only({"logs": GROUP})
    assert (finding.verdict, "not read to the end" in finding.seen) == (Mark.UNKNOWN, True)


def test_a_log_that_may_not_be_read_is_unknown() -> None:
    with script("logs") as aws:
        aws.add_client_error("filter_log_events", "AccessDeniedException")
        assert the_only({"logs": GROUP}).verdict is Mark.UNKNOWN


# -- metrics ----------------------------------------------------------------------------------------------------------


def metrics(stack: ExitStack, *values: list[float]) -> None:
    results = [{"Id": f"m{place}", "Values": each, "StatusCode": "Complete"} for place, each in enumerate(values)]
    stack.enter_context(script("cloudwatch")).add_response("get_metric_data", {"MetricDataResults": results})


@pytest.mark.parametrize(
    ("more", "values", "verdict"),
    [
        ({"at_most": 80}, [20.0, 79.9], Mark.PASS),
        ({"at_most": 80}, [20.0, 80.5], Mark.FAIL),
        ({"at_most": 80}, [], Mark.UNKNOWN),
        ({"at_most": 80, "may_lack_data": True}, [], Mark.PASS),
        ({"at_least": 1, "stat": "Maximum"}, [2.0, 0.0], Mark.FAIL),
        ({"at_least": 0.5}, [0.5], Mark.PASS),
        ({"at_most": 3, "stat": "Sum"}, [2.0, 2.0], Mark.FAIL),
        ({"at_most": 0}, [0.0], Mark.PASS),
    ],
)
def test_a_metric_is_judged_by_its_worst_period(more: dict[str, Any], values: list[float], verdict: Mark) -> None:
    with ExitStack() as stack:
        metrics(stack, values)
        check = {"namespace": "AWS/RDS", "name": "CPUUtilization", "dimensions": {"DBInstanceIdentifier": "shop"}}
        assert the_only({"metric": {**check, **more}}).verdict is verdict


def test_metrics_of_all_kinds_are_read_in_one_call() -> None:
    checks: list[dict[str, Any]] = [
        {"metric": {"namespace": "AWS/RDS", "name": "CPUUtilization", "at_most": 80, "minutes": 15, "stat": "p95"}},
        {"throttles": {"function": "shop", "minutes": 15}},
        {"api_errors": {"http_api": "a", "stage": "live", "minutes": 15}},
    ]
    with ExitStack() as stack:
        metrics(stack, [90.0], [0.0], [5.0], [0.0], [0.0], [20.0])
        assert [finding.verdict.value for finding in found(*checks)] == ["fail", "pass", "pass"]


# -- limits -----------------------------------------------------------------------------------------------------------

ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop"
DENIED = (
    f"AccessDeniedException: User: arn:aws:sts::{ACCOUNT}:assumed-role/shop/shop is not authorized to perform: "
    f"secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop/broker because"
)


def limits(
    numbers: list[list[float]],
    trouble: list[str] | None,
    reports: list[str],
    *,
    reserved: int | None = None,
    timeout_s: int = 30,
    **more: Any,
) -> list[Finding]:
    with ExitStack() as stack:
        functions, logs = stack.enter_context(script("lambda")), stack.enter_context(script("logs"))
        seen = {"Timeout": timeout_s, "MemorySize": 128, "Role": ROLE, "LoggingConfig": {"LogGroup": GROUP}}
        functions.add_response("get_function_configuration", seen, {"FunctionName": "shop", "Qualifier": "live"})
        functions.add_response(
            "get_function_concurrency", {"ReservedConcurrentExecutions": reserved} if reserved is not None else {}
        )
        metrics(stack, *numbers)
        if trouble is None:
            logs.add_client_error("filter_log_events", "AccessDeniedException")
        else:
            logs.add_response("filter_log_events", page(*trouble))
            logs.add_response("filter_log_events", page(*reports))
        return found({"limits": {"function": "shop", "alias": "live", **more}})


WELL = [[10.0], [], [1_000.0], [2.0]]


def test_a_function_with_room_passes() -> None:
    (finding,) = limits(WELL, [], ["REPORT RequestId: 1 Memory Size: 128 MB\tMax Memory Used: 70 MB"])
    assert (finding.verdict, finding.seen) == (
        Mark.PASS,
        "10 invocations, 1.0 s at most of 30 s; no throttle, no denial",
    )


def test_a_function_that_did_not_run_proves_nothing() -> None:
    idle: list[list[float]] = [[], [], [], []]
    assert [finding.verdict for finding in limits(idle, [], [])] == [Mark.UNKNOWN]
    assert [finding.verdict for finding in limits(idle, [], [], may_rest=True)] == [Mark.PASS]


@pytest.mark.parametrize(
    ("numbers", "lines", "more", "seen", "advice"),
    [
        ([[10.0], [4.0], [1.0], [5.0]], [], {"reserved": 5}, "4 throttles; 5 of 5 reserved", "limit_function"),
        ([[10.0], [4.0], [1.0], [5.0]], [], {}, "nothing is reserved", "the account's concurrency"),
        ([[10.0], [], [1.0], [4.0]], [], {"reserved": 5}, "4 of 5 reserved ran at once", "above 5"),
        ([[], [9.0], [], []], [], {"reserved": 0}, "reserved concurrency is 0", "undo stop_function"),
        ([[10.0], [], [25_000.0], [1.0]], [], {}, "took 83% of its 30 s", "Timeout to 60"),
        ([[10.0], [], [30_000.0], [1.0]], [], {}, "a run took as long as it may after 30 s", "roll_back_alias"),
        (
            [[10.0], [], [30_000.0], [1.0]],
            ["x Task timed out after 30.03 seconds"],
            {},
            "1 runs timed out",
            "Timeout",
        ),
        ([[10.0], [], [900_000.0], [1.0]], [], {"timeout_s": 900}, "after 900 s", "Lambda's most"),
        (WELL, ["REPORT … Max Memory Used: 120 MB"], {}, "used 120 of 128 MB", "MemorySize to 256"),
        (WELL, ['{"record":{"metrics":{"maxMemoryUsedMB":128}}}'], {}, "used 128 of 128 MB", "MemorySize"),
        (WELL, ["Runtime exited with error: signal: killed"], {}, "1 runs ran out of 128 MB", "MemorySize"),
        (WELL, [DENIED, DENIED], {}, "denied 2 times: secretsmanager:GetSecretValue on arn:", "kms:Decrypt"),
        (WELL, ["AccessDenied when calling PutObject"], {}, "denied: AccessDenied when calling", "allow it"),
    ],
)
def test_what_limits_it_is_named_with_what_would_help(
    numbers: list[list[float]], lines: list[str], more: dict[str, Any], seen: str, advice: str
) -> None:
    (finding,) = limits(numbers, lines, lines, **more)
    assert finding.verdict is Mark.FAIL
    assert seen in finding.seen
    assert advice in finding.advice
    assert finding.expected


def test_a_denial_names_action_resource_and_role() -> None:
    (finding,) = limits(WELL, [DENIED], [])
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop/broker"
    assert finding.advice.startswith(f"allow secretsmanager:GetSecretValue on {secret} to {ROLE}")


def test_without_its_log_the_metrics_still_tell() -> None:
    findings = limits([[10.0], [], [30_000.0], [1.0]], None, [])
    assert [finding.verdict.value for finding in findings] == ["unknown", "fail"]
    assert GROUP in findings[0].seen


def test_a_log_that_was_not_read_to_its_end_may_hold_more() -> None:
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr("selfheal.checks.log_lines.MAX_PAGES", 1)
        functions, logs = stack.enter_context(script("lambda")), stack.enter_context(script("logs"))
        functions.add_response("get_function_configuration", {"Timeout": 30, "MemorySize": 128})
        functions.add_response("get_function_concurrency", {})
        metrics(stack, *WELL)
        for _ in range(2):
            logs.add_response("filter_log_events", page(more="t"), None)
        finding = the_only({"limits": "shop"})
    assert (finding.verdict, "/aws/lambda/shop was not read to the end" in finding.seen) == (Mark.UNKNOWN, True)


# -- API errors -------------------------------------------------------------------------------------------------------


def api_errors(numbers: list[list[float]], log: list[str] | None = None, **more: Any) -> list[Finding]:
    with ExitStack() as stack:
        metrics(stack, *numbers)
        if log is not None:
            stack.enter_context(script("logs")).add_response("filter_log_events", page(*log))
            more["access_log"] = "/api/access"
        return found({"api_errors": {"http_api": "a1", "stage": "live", **more}})


def line(status: int | str, error: str = "-", integration: str = "-") -> str:
    return json.dumps({"status": status, "path": "/orders", "error": error, "integration": integration})


@pytest.mark.parametrize(
    ("numbers", "more", "verdict"),
    [
        ([[9.0], [0.0], [], [20.0]], {}, Mark.PASS),
        ([[9.0], [2.0], [1.0], [20.0]], {"at_most": 3}, Mark.PASS),
        ([[], [], [], []], {}, Mark.UNKNOWN),
        ([[], [], [], []], {"may_rest": True}, Mark.PASS),
    ],
)
def test_few_errors_pass_and_no_request_proves_nothing(
    numbers: list[list[float]], more: dict[str, Any], verdict: Mark
) -> None:
    assert [finding.verdict for finding in api_errors(numbers, **more)] == [verdict]


def test_the_access_log_tells_403_502_and_504_apart() -> None:
    log = [
        line(403, "INVALID_API_KEY"),
        line("403", "INVALID_API_KEY"),
        line(502, "-", "200"),
        line(504, "INTEGRATION_TIMEOUT"),
    ]
    findings = api_errors([[9.0], [2.0], [2.0], [29_500.0]], log)
    assert [finding.seen for finding in findings] == [
        "2 of 403: the API key is missing or wrong",
        "1 of 502: the integration answered 200",
        "1 of 504: the integration took longer than API Gateway waits",
    ]
    assert "roll_back_alias" in findings[1].advice
    assert "limit_api" in findings[2].advice
    assert all(finding.verdict is Mark.FAIL for finding in findings)


@pytest.mark.parametrize(("longest", "likely"), [(29_100.0, "504"), (900.0, "502")])
def test_without_an_access_log_the_latency_tells(longest: float, likely: str) -> None:
    (finding,) = api_errors([[9.0], [0.0], [2.0], [longest]])
    assert finding.advice.startswith(f"most likely {likely}")
    (finding,) = api_errors([[9.0], [2.0], [0.0], [longest]])
    assert "403" in finding.advice


def test_an_access_log_that_may_not_be_read_hides_nothing() -> None:
    with ExitStack() as stack:
        metrics(stack, [9.0], [0.0], [2.0], [900.0])
        stack.enter_context(script("logs")).add_client_error("filter_log_events", "AccessDeniedException")
        check = {"http_api": "a1", "stage": "live", "access_log": "/api/access"}
        finding = the_only({"api_errors": check})
    assert (finding.verdict, "its access log was not read" in finding.seen) == (Mark.FAIL, True)


def test_an_access_log_in_another_format_hides_nothing() -> None:
    (finding,) = api_errors([[9.0], [0.0], [2.0], [900.0]], ["127.0.0.1 - - GET / 502"])
    assert finding.verdict is Mark.FAIL


def test_a_rest_api_is_counted_by_its_name() -> None:
    with ExitStack() as stack:
        seen: list[Any] = []
        metrics(stack, [9.0], [0.0], [0.0], [1.0])
        events = client("cloudwatch").meta.events
        events.register("before-parameter-build.cloudwatch.GetMetricData", lambda params, **_: seen.append(params))
        found({"api_errors": {"rest_api": "a1", "api_name": "shop", "stage": "live"}})
    metric = seen[0]["MetricDataQueries"][1]["MetricStat"]["Metric"]
    assert metric["MetricName"] == "4XXError"
    assert metric["Dimensions"] == [{"Name": "ApiName", "Value": "shop"}, {"Name": "Stage", "Value": "live"}]


# -- archives ---------------------------------------------------------------------------------------------------------

BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/shop"
GOOD = {"ArchiveName": "all", "EventSourceArn": BUS, "State": "ENABLED", "RetentionDays": 30, "EventCount": 7}


@pytest.mark.parametrize(
    ("answer", "more", "verdict"),
    [
        ({}, {}, Mark.PASS),
        ({"RetentionDays": 0}, {"days": 90}, Mark.PASS),
        ({}, {"days": 90}, Mark.FAIL),
        ({"State": "DISABLED"}, {}, Mark.FAIL),
        ({"State": "CREATING"}, {}, Mark.UNKNOWN),
        ({"EventPattern": '{"source": ["x"]}'}, {}, Mark.FAIL),
        ({"EventSourceArn": f"{BUS}-other"}, {}, Mark.FAIL),
        ({"EventCount": 0}, {}, Mark.UNKNOWN),
        ({"EventCount": 0}, {"may_be_empty": True}, Mark.PASS),
    ],
)
def test_an_archive_keeps_everything_for_long_enough(
    answer: dict[str, Any], more: dict[str, Any], verdict: Mark
) -> None:
    with script("events") as aws:
        aws.add_response("describe_archive", GOOD | answer, {"ArchiveName": "all"})
        assert the_only({"archive": {"bus": "shop", "archive": "all", **more}}).verdict is verdict


def test_of_the_archives_of_a_bus_the_best_counts() -> None:
    with script("events") as aws:
        aws.add_response("describe_event_bus", {"Arn": BUS}, {"Name": "shop"})
        listed = {"Archives": [{"ArchiveName": "part"}], "NextToken": "n"}
        aws.add_response("list_archives", listed, {"EventSourceArn": BUS})
        aws.add_response("list_archives", {"Archives": [{"ArchiveName": "all"}]})
        aws.add_response("describe_archive", {**GOOD, "ArchiveName": "part", "EventPattern": "{}"})
        aws.add_response("describe_archive", GOOD)
        assert the_only({"archive": {"bus": "shop"}}).seen == "all is enabled, 7 events, kept 30 days"


def test_a_bus_without_an_archive_fails() -> None:
    with script("events") as aws:
        aws.add_response("describe_event_bus", {"Arn": BUS})
        aws.add_response("list_archives", {"Archives": []})
        assert the_only({"archive": {"bus": "shop"}}).verdict is Mark.FAIL


# -- backups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "sizes", "more", "verdicts"),
    [
        ("today", [10, 20], {}, ["pass"]),
        ("yesterday", [10], {}, ["pass"]),
        ("today", [], {}, ["fail"]),
        ("today", [0], {}, ["fail"]),
        ("today", [10], {"at_least": 2}, ["fail"]),
        ("today", [10, 99], {"at_least": 3, "min_bytes": 50}, ["fail", "fail"]),
    ],
)
def test_a_backup_has_enough_objects_of_enough_bytes(
    day: str, sizes: list[int], more: dict[str, Any], verdicts: list[str]
) -> None:
    date = NOW.date() - timedelta(days=day == "yesterday")
    prefix = f"db/{date.isoformat()}/"
    objects = [{"Key": f"{prefix}{number}", "Size": size, "LastModified": NOW} for number, size in enumerate(sizes)]
    objects.append({"Key": prefix, "Size": 0, "LastModified": NOW})  # a folder, as consoles make it
    with script("s3") as aws:
        aws.add_response("list_objects_v2", {"Contents": objects}, {"Bucket": "backups", "Prefix": prefix})
        findings = found({"backup": {"bucket": "backups", "prefix": "db/", "day": day, **more}})
    assert [finding.verdict.value for finding in findings] == verdicts


# -- deployments ------------------------------------------------------------------------------------------------------


def deployments(*infos: Mapping[str, Any], target: Mapping[str, Any] | None = None, **more: Any) -> Finding:
    with script("codedeploy") as aws:
        asked = {"applicationName": "shop", "deploymentGroupName": "web"}
        aws.add_response("list_deployments", {"deployments": [info["deploymentId"] for info in infos]}, asked)
        for info in infos:
            aws.add_response("get_deployment", {"deploymentInfo": dict(info)})
        if target is not None:
            aws.add_response("list_deployment_targets", {"targetIds": ["shop:live"]})
            aws.add_response("get_deployment_target", {"deploymentTarget": {"lambdaTarget": dict(target)}})
        return the_only({"deployment": {"application": "shop", "deployment_group": "web", **more}})


def info(status: str, minutes: int = 5, name: str = "d-1", **more: Any) -> dict[str, Any]:
    began = datetime.now(UTC) - timedelta(minutes=minutes)
    return {"deploymentId": name, "status": status, "createTime": began, **more}


HANGS = {
    "lifecycleEvents": [
        {"lifecycleEventName": "BeforeAllowTraffic", "status": "Succeeded"},
        {"lifecycleEventName": "AllowTraffic", "status": "InProgress", "diagnostics": {"message": "10 % shifted"}},
    ]
}


def test_the_newest_deployment_counts() -> None:
    finding = deployments(info("Failed", 60, "d-old"), info("Succeeded", 5, "d-new"))
    assert (finding.verdict, finding.seen) == (Mark.PASS, "d-new Succeeded, begun 5 min ago")


def test_nothing_deployed_yet_is_unknown() -> None:
    assert deployments().verdict is Mark.UNKNOWN


def test_one_under_way_is_unknown_until_it_hangs() -> None:
    assert deployments(info("InProgress", 10)).verdict is Mark.UNKNOWN
    finding = deployments(info("InProgress", 31), target=HANGS)
    assert finding.verdict is Mark.FAIL
    assert finding.seen.endswith("it hangs at AllowTraffic (InProgress) 10 % shifted")
    assert "stop_deployment" in finding.advice
    assert deployments(info("InProgress", 31), stuck_minutes=40).verdict is Mark.UNKNOWN


def test_a_failure_is_explained() -> None:
    error = {"code": "HOOK_EXECUTION_FAILURE", "message": "the hook said Failed"}
    finding = deployments(info("Failed", errorInformation=error), target={"lifecycleEvents": []})
    assert "HOOK_EXECUTION_FAILURE the hook said Failed" in finding.seen
    assert "not rolled back" in finding.seen
    assert "PutLifecycleEventHookExecutionStatus" in finding.advice

    back: dict[str, Any] = {
        "rollbackInfo": {"rollbackDeploymentId": "d-2"},
        "errorInformation": {"code": "ALARM_ACTIVE"},
    }
    stopped = deployments(info("Stopped", **back), target={"lifecycleEvents": []})
    assert "rolled back by d-2" in stopped.seen


def test_a_rollback_that_succeeded_is_no_release() -> None:
    more: dict[str, Any] = {"creator": "codeDeployRollback", "rollbackInfo": {"rollbackTriggeringDeploymentId": "d-0"}}
    finding = deployments(info("Succeeded", **more))
    assert (finding.verdict, "rollback of d-0" in finding.seen) == (Mark.FAIL, True)


# -- selfheal's own records -------------------------------------------------------------------------------------------


def change(ledger: Ledger, action: str, target: dict[str, str], system: str | None) -> None:
    request = ask(action, target, action_id=f"{action}-1", system=system, requested_by="ann")
    ledger.write(changes.opened(request, result_of(request, Outcome.ACTED, detail=f"did {action}"), time.time()))


def test_open_incidents_of_the_system_fail(ledger: Ledger) -> None:
    assert the_only({"incidents": {"system": "demo"}}).verdict is Mark.PASS
    opened = incident()
    assert incident_store.commit(ledger, opened, time.time()) is not None
    finding = the_only({"incidents": {"system": "demo"}})
    assert (finding.verdict, finding.resource) == (Mark.FAIL, opened.id)
    assert the_only({"incidents": {}}).verdict is Mark.FAIL
    assert the_only({"incidents": {"system": "other"}}).verdict is Mark.PASS


def test_what_is_still_off_fails_and_what_was_rolled_back_does_not(ledger: Ledger) -> None:
    change(ledger, "roll_back_alias", {"function": "shop", "alias": "live"}, "shop")
    assert the_only({"changes": {"system": "shop"}}).verdict is Mark.PASS
    change(ledger, "halt_trading", {"parameter": "/shop/flag"}, "shop")
    finding = the_only({"changes": {"system": "shop"}})
    assert (finding.verdict, finding.resource) == (Mark.FAIL, "/shop/flag")
    assert "halt_trading-1" in finding.advice
    assert the_only({"changes": {"system": "other"}}).verdict is Mark.PASS


def test_a_change_by_hand_may_be_of_any_system(ledger: Ledger) -> None:
    change(ledger, "disable_schedule", {"schedule": "daily"}, None)
    assert the_only({"changes": {"system": "shop"}}).verdict is Mark.UNKNOWN
    assert the_only({"changes": {}}).verdict is Mark.FAIL


@pytest.mark.parametrize("kind", ["incidents", "changes"])
def test_without_the_ledger_nothing_is_known(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def down(*_: object, **__: object) -> Any:
        raise LedgerUnavailable("no answer")

    monkeypatch.setattr(Ledger, "query", down)
    assert the_only({kind: {"system": "shop"}}).verdict is Mark.UNKNOWN
