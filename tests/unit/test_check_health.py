"""Health checks: no data, a wrong name and a blind alarm never pass."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal import changes, runbook, sweep_news
from selfheal import ledger as table
from selfheal.action import Change, Decline
from selfheal.checks import CHECKS, read_check, read_checks
from selfheal.checks.finding import Finding, Mark
from selfheal.checks.home import at_home
from selfheal.checks.kinds import MAX_CHECKS, MODULES
from selfheal.checks.runner import METRICS, SINGLE, TOGETHER, run
from selfheal.clients import client
from selfheal.errors import LedgerUnavailable, Misconfigured, Refused
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import read_request, result_of
from selfheal.words import Direction, Mode, Outcome, Verdict

from functions.check_health.app import MAX_EVIDENCE_BYTES, CheckHealth, left_over, report
from tests.unit.aws import ask, event, planned, script
from tests.unit.dead_letters import ACCOUNT, FUNCTION, REGION, make_function

SYSTEM = {"system": "the-alchemiser-v2-dev"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/demo"


def found(*checks: Mapping[str, Any], timeout_s: float = 20) -> list[Finding]:
    return run(read_checks(list(checks)), timeout_s)


def verdicts(*checks: Mapping[str, Any]) -> list[str]:
    return [finding.verdict.value for finding in found(*checks)]


@pytest.fixture
def moto() -> Iterator[None]:
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield


# -- what a check is --------------------------------------------------------------------------------------------------


def test_every_kind_has_a_runner_and_every_runner_a_kind() -> None:
    assert sorted(CHECKS) == sorted([*SINGLE, *TOGETHER, *METRICS])


def test_a_short_check_is_the_long_one() -> None:
    assert read_check({"queue": "q"}) == read_check({"queue": {"queue": "q"}})
    assert read_check({"queue": "q"}).fields == {"queue": "q", "at_most": 0}
    assert read_check({"rules": {"bus": "b", "names": ["x", "y"]}}).resource == "b/x,y"


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("queue", "mapping"),
        ({}, "one key"),
        ({"queue": "a", "bus": "b"}, "one key"),
        ({"nothing": {}}, "unknown check"),
        ({"alias": "live"}, "must be a mapping"),
        ({"alias": {"function": "f"}}, "missing"),
        ({"queue": {"queue": "q", "most": 1}}, "unknown"),
        ({"queue": {"queue": "q", "at_most": True}}, "at_most must be int"),
        ({"queue": {"queue": ""}}, "queue must be str"),
        ({"alarms": {}}, "exactly one"),
        ({"alarms": {"prefix": "p", "names": ["n"]}}, "exactly one"),
        ({"alarms": {"names": []}}, "names must be list"),
        ({"alarms": {"names": ["a"] * 101}}, "names must be list"),
        ({"flag": {"parameter": "/p", "value": "True"}}, "value must be"),
    ],
)
def test_a_wrong_check_is_refused_with_what_is_wrong(document: object, names: str) -> None:
    with pytest.raises(Refused, match=names) as refused:
        read_check(document)

    assert refused.value.refusal is Refusal.BAD_OPTIONS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(sorted(CHECKS)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(CHECKS)), inner, max_size=2),
    )
)
def test_anything_at_all_is_read_or_refused(document: object) -> None:
    try:
        checks = read_checks(document)
    except Refused as error:
        refusal, checks = error.refusal, ()
    else:
        refusal = Refusal.BAD_OPTIONS

    assert refusal is Refusal.BAD_OPTIONS
    assert all(set(check.fields) == set(CHECKS[check.kind].fields) for check in checks)


def test_too_many_checks_are_refused() -> None:
    with pytest.raises(Refused, match="at most"):
        read_checks([{"queue": "q"}] * (MAX_CHECKS + 1))


# -- decide -----------------------------------------------------------------------------------------------------------


def test_checks_come_from_the_request_or_else_from_the_runbook(monkeypatch: pytest.MonkeyPatch) -> None:
    class Of:
        checks = ({"queue": "from-runbook"},)

    class Runbooks:
        def system(self, name: str) -> Of | None:
            return Of() if name == SYSTEM["system"] else None

    monkeypatch.setattr(runbook, "load", Runbooks)
    given_here = ask("check_health", SYSTEM, options={"checks": [{"queue": "from-request"}]})

    assert planned(CheckHealth(), given_here).plan == {"checks": [{"queue": "from-request"}]}
    assert planned(CheckHealth(), ask("check_health", SYSTEM)).plan == {"checks": [{"queue": "from-runbook"}]}

    unknown_system = ask("check_health", {"system": "nobody"})
    decision = CheckHealth().decide(CheckHealth().observe(unknown_system), unknown_system)
    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS


@pytest.mark.parametrize("checks", [[], [{"nothing": {}}], ["queue"]])
def test_no_check_is_no_pass(checks: list[Any]) -> None:
    request = ask("check_health", SYSTEM, options={"checks": checks})

    decision = CheckHealth().decide(CheckHealth().observe(request), request)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS


def test_a_failing_check_is_a_finding_and_no_failure(moto: None) -> None:
    request = ask("check_health", SYSTEM, options={"checks": [{"queue": "nowhere"}, {"bus": "default"}]})
    action = CheckHealth()
    change = planned(action, request)

    evidence = action.apply(request, change)

    assert change.direction is Direction.READ
    assert (evidence["passed"], evidence["failed"], evidence["unknown"]) == (1, 1, 0)
    assert evidence["findings"][0]["resource"] == "nowhere"
    assert action.verify(request, change).verdict is Verdict.HOLDS
    assert "1 failed" in action.verify(request, change).detail
    assert json.loads(json.dumps(evidence)) == evidence


def test_evidence_is_bounded_and_the_worst_is_kept() -> None:
    many = [Finding("alarms", f"alarm-{number}", Mark.PASS, "x" * 400) for number in range(200)]

    evidence = report([*many, Finding("queue", "q", Mark.FAIL, "3 visible")])

    assert len(json.dumps(evidence).encode()) <= MAX_EVIDENCE_BYTES
    assert (evidence["passed"], evidence["failed"]) == (200, 1)
    assert evidence["findings"][0]["verdict"] == "fail"
    assert evidence["left_out"] + len(evidence["findings"]) == 201


# -- each kind --------------------------------------------------------------------------------------------------------

NOWHERE: list[dict[str, Any]] = [
    {"alias": {"function": "no", "alias": "live"}},
    {"alarms": {"names": ["no"]}},
    {"alarms": {"prefix": "no"}},
    {"schedule": "no"},
    {"rules": {"bus": "default", "names": ["no"]}},
    {"rules": {"bus": "no", "names": ["no"]}},
    {"queue": "no"},
    {"table": "no"},
    {"topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:no"},
    {"bus": "no"},
    {"flag": "/no"},
    {"invocations": {"function": "no", "may_rest": True}},
    {"throttles": "no"},
    {"permission": {"function": "no", "actions": ["s3:GetObject"], "resources": ["*"]}},
]


@pytest.mark.parametrize("check", NOWHERE, ids=lambda check: next(iter(check)))
def test_what_does_not_exist_fails(moto: None, check: dict[str, Any]) -> None:
    (finding,) = found(check)

    assert finding.verdict is Mark.FAIL
    assert finding.advice


@pytest.mark.parametrize("check", NOWHERE, ids=lambda check: next(iter(check)))
def test_what_cannot_be_reached_is_unknown(moto: None, check: dict[str, Any]) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws")

    for service in MODULES[next(iter(check))].SERVICES:
        client(service).meta.events.register("before-call.*.*", unreachable)

    assert verdicts(check) == ["unknown"]


def test_an_alias_that_can_run_passes(moto: None) -> None:
    make_function()

    assert verdicts({"alias": {"function": FUNCTION, "alias": "live"}}) == ["pass"]


def test_a_function_that_is_throttled_to_zero_fails(moto: None) -> None:
    make_function()
    client("lambda").put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=0)

    (finding,) = found({"alias": {"function": FUNCTION, "alias": "live"}})

    assert finding.verdict is Mark.FAIL
    assert "throttled" in finding.seen


@pytest.mark.parametrize(
    ("alias", "version", "marks"),
    [
        ({"RoutingConfig": {"AdditionalVersionWeights": {"4": 0.1}}}, {}, ["fail"]),
        ({"FunctionVersion": "$LATEST"}, {}, ["fail"]),
        ({}, {"State": "Failed"}, ["fail"]),
        ({}, {"State": "Inactive"}, ["unknown"]),
        ({}, {"State": "Pending"}, ["unknown"]),
        ({}, {"LastUpdateStatus": "Failed"}, ["fail"]),
        ({}, {"LastUpdateStatus": "InProgress"}, ["unknown"]),
        ({}, {"State": "Active", "LastUpdateStatus": "Successful"}, ["pass"]),
    ],
)
def test_an_alias_is_judged_by_version_weights_and_state(
    alias: dict[str, Any], version: dict[str, Any], marks: list[str]
) -> None:
    with script("lambda") as aws:
        aws.add_response("get_alias", {"Name": "live", "FunctionVersion": "3", **alias})
        aws.add_response("get_function_configuration", version, {"FunctionName": "f", "Qualifier": "live"})
        aws.add_response("get_function_concurrency", {})

        assert verdicts({"alias": {"function": "f", "alias": "live"}}) == marks


def with_alarms(*answers: Mapping[str, Any]) -> Any:
    def alarm(answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"StateReason": "because", "StateValue": "OK", **answer}

    made = Stubber(client("cloudwatch"))
    composite = [alarm(answer) for answer in answers if "AlarmRule" in answer]
    metric = [alarm(answer) for answer in answers if "AlarmRule" not in answer]
    made.add_response("describe_alarms", {"MetricAlarms": metric, "CompositeAlarms": composite})
    return made


@pytest.mark.parametrize(
    ("answer", "marks"),
    [
        ({"StateValue": "OK"}, ["pass"]),
        ({"StateValue": "ALARM"}, ["fail"]),
        ({"StateValue": "ALARM", "AlarmRule": "ALARM(x)"}, ["fail"]),
        ({"StateValue": "INSUFFICIENT_DATA"}, ["unknown"]),
        ({"StateValue": "OK", "EvaluationState": "EVALUATION_ERROR"}, ["unknown"]),
        ({"StateValue": "OK", "EvaluationState": "PARTIAL_DATA"}, ["unknown"]),
    ],
)
def test_alarms_of_both_types_are_judged(answer: dict[str, Any], marks: list[str]) -> None:
    with with_alarms({"AlarmName": "a-dev", **answer}):
        assert verdicts({"alarms": {"names": ["a-dev"]}}) == marks


def test_an_alarm_for_rare_events_may_lack_data() -> None:
    with with_alarms({"AlarmName": "a-dev", "StateValue": "INSUFFICIENT_DATA"}):
        assert verdicts({"alarms": {"prefix": "a", "may_lack_data": True}}) == ["pass"]


def test_a_prefix_does_not_mix_stages_and_counts_what_it_found() -> None:
    alarms = [{"AlarmName": "trade-errors-dev"}, {"AlarmName": "trade-errors-prod", "StateValue": "ALARM"}]
    with with_alarms(*alarms):
        assert verdicts({"alarms": {"prefix": "trade", "stage": "dev"}}) == ["pass"]
    with with_alarms(*alarms):
        assert verdicts({"alarms": {"prefix": "trade", "stage": "dev", "at_least": 2}}) == ["fail", "pass"]
    with with_alarms(*alarms):
        assert verdicts({"alarms": {"prefix": "trade", "stage": "test"}}) == ["fail"]


def test_alarms_of_all_checks_are_asked_for_100_at_a_time_and_of_both_types() -> None:
    names = [f"alarm-{number:03}" for number in range(150)]
    with script("cloudwatch") as aws:
        for part in (names[:100], names[100:]):
            asked = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100, "AlarmNames": part}
            alarms = [{"AlarmName": name, "StateValue": "OK"} for name in part]
            aws.add_response("describe_alarms", {"MetricAlarms": alarms}, asked)

        checks = [{"alarms": {"names": names[:75]}}, {"alarms": {"names": names[75:]}}]
        assert verdicts(*checks) == ["pass", "pass"]


def test_a_named_alarm_that_is_missing_fails_beside_those_that_are_there() -> None:
    with with_alarms({"AlarmName": "a"}):
        assert verdicts({"alarms": {"names": ["a", "b"]}}) == ["fail", "pass"]


@pytest.mark.parametrize(
    ("answer", "wanted", "marks"),
    [
        ({"State": "ENABLED"}, "ENABLED", ["pass"]),
        ({"State": "DISABLED"}, "ENABLED", ["fail"]),
        ({"State": "DISABLED"}, "DISABLED", ["pass"]),
        ({"State": "ENABLED", "EndDate": datetime.now(UTC) - timedelta(days=1)}, "ENABLED", ["fail"]),
        ({"State": "ENABLED", "EndDate": datetime.now(UTC) + timedelta(days=1)}, "ENABLED", ["pass"]),
    ],
)
def test_a_schedule_is_judged_by_state_and_end(answer: dict[str, Any], wanted: str, marks: list[str]) -> None:
    with script("scheduler") as aws:
        seen = {"ScheduleExpression": "cron(35 9 ? * MON-FRI *)", **answer}
        aws.add_response("get_schedule", seen, {"GroupName": "default", "Name": "s"})

        assert verdicts({"schedule": {"schedule": "s", "state": wanted}}) == marks


def test_rules_are_looked_for_on_their_bus_and_need_a_target(moto: None) -> None:
    events = client("events")
    events.create_event_bus(Name="trading")
    for name in ("with", "without", "off"):
        state = "DISABLED" if name == "off" else "ENABLED"
        events.put_rule(Name=name, EventBusName="trading", EventPattern='{"source": ["x"]}', State=state)
        if name != "without":
            targets = [{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"}]
            events.put_targets(Rule=name, EventBusName="trading", Targets=targets)

    assert verdicts({"rules": {"bus": "trading", "names": ["with", "without", "off"]}}) == ["pass", "fail", "fail"]
    assert verdicts({"rules": {"bus": "trading", "names": ["off"], "state": "DISABLED"}}) == ["pass"]
    assert verdicts({"rules": {"bus": "default", "names": ["with"]}}) == ["fail"]


def test_a_rule_for_management_events_is_enabled_as_well() -> None:
    with script("events") as aws:
        aws.add_response("describe_rule", {"State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"})
        aws.add_response("list_targets_by_rule", {"Targets": [{"Id": "1", "Arn": "arn:x"}]})

        assert verdicts({"rules": {"bus": "default", "names": ["r"]}}) == ["pass"]


@pytest.mark.parametrize("kind", ["", "NotVisible", "Delayed"])
def test_a_dead_letter_queue_counts_all_three_kinds(kind: str) -> None:
    for count, marks in ((0, ["pass"]), (1, ["fail"])):
        with script("sqs") as aws:
            aws.add_response("get_queue_url", {"QueueUrl": "https://sqs/q"})
            seen = {"QueueArn": "arn", f"ApproximateNumberOfMessages{kind}": str(count)}
            aws.add_response("get_queue_attributes", {"Attributes": seen})

            assert verdicts({"queue": "q"}) == marks


@pytest.mark.parametrize(
    ("status", "ttl", "marks"),
    [
        ("ACTIVE", {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}, ["pass"]),
        ("ACTIVE", {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}, ["fail"]),
        ("ACTIVE", {"TimeToLiveStatus": "ENABLING", "AttributeName": "expires"}, ["unknown"]),
        ("ACTIVE", {"TimeToLiveStatus": "DISABLED"}, ["fail"]),
        ("ACTIVE", {}, ["fail"]),
        ("UPDATING", {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}, ["unknown"]),
        ("ARCHIVED", {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}, ["fail"]),
    ],
)
def test_a_table_is_judged_by_status_and_ttl(status: str, ttl: dict[str, str], marks: list[str]) -> None:
    with script("dynamodb") as aws:
        aws.add_response("describe_table", {"Table": {"TableStatus": status}})
        aws.add_response("describe_time_to_live", {"TimeToLiveDescription": ttl})

        assert verdicts({"table": {"name": "t", "ttl": "expires"}}) == marks


@pytest.mark.parametrize(
    ("confirmed", "pending", "marks"), [("1", "0", ["pass"]), ("0", "0", ["fail"]), ("1", "1", ["fail"])]
)
def test_a_topic_needs_confirmed_subscriptions(confirmed: str, pending: str, marks: list[str]) -> None:
    with script("sns") as aws:
        seen = {"SubscriptionsConfirmed": confirmed, "SubscriptionsPending": pending}
        aws.add_response("get_topic_attributes", {"Attributes": seen})

        assert verdicts({"topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"}) == marks


@pytest.mark.parametrize(
    ("value", "wanted", "marks"),
    [
        ("true", "true", ["pass"]),
        ("false", "true", ["fail"]),
        ("false", "any", ["pass"]),
        ("secret-value", "any", ["fail"]),
        ("True", "true", ["fail"]),
    ],
)
def test_a_flag_is_compared_to_the_letter_and_nothing_else_is_shown(
    moto: None, value: str, wanted: str, marks: list[str]
) -> None:
    client("ssm").put_parameter(Name="/flag", Value=value, Type="SecureString")

    findings = found({"flag": {"parameter": "/flag", "value": wanted}})

    assert [finding.verdict for finding in findings] == marks
    assert "secret-value" not in str(findings)


# -- metrics ----------------------------------------------------------------------------------------------------------


def metric_answers(*values: list[float], status: str = "Complete") -> Stubber:
    made = Stubber(client("cloudwatch"))
    results = [{"Id": f"m{place}", "Values": each, "StatusCode": status} for place, each in enumerate(values)]
    made.add_response("get_metric_data", {"MetricDataResults": results})
    return made


@pytest.mark.parametrize(
    ("invocations", "errors", "more", "marks"),
    [
        ([3.0, 1.0], [0.0], {}, ["pass"]),
        ([3.0], [0.0, 1.0], {}, ["fail"]),
        ([3.0], [1.0], {"max_errors": 1}, ["pass"]),
        ([3.0], [], {}, ["unknown"]),
        ([], [], {}, ["unknown"]),
        ([], [], {"may_rest": True}, ["pass"]),
        ([0.0], [0.0], {}, ["unknown"]),
    ],
)
def test_invocations_that_did_not_happen_prove_nothing(
    moto: None, invocations: list[float], errors: list[float], more: dict[str, Any], marks: list[str]
) -> None:
    make_function()
    with metric_answers(invocations, errors):
        assert verdicts({"invocations": {"function": FUNCTION, **more}}) == marks


@pytest.mark.parametrize(("values", "marks"), [([], ["pass"]), ([0.0], ["pass"]), ([0.0, 2.0], ["fail"])])
def test_throttles(moto: None, values: list[float], marks: list[str]) -> None:
    make_function()
    with metric_answers(values):
        assert verdicts({"throttles": FUNCTION}) == marks


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_an_incomplete_answer_is_no_basis(status: str) -> None:
    with metric_answers([5.0], [0.0], status=status):
        assert verdicts({"invocations": "f"}) == ["unknown"]


def test_all_functions_of_a_window_are_asked_for_in_one_call() -> None:
    with script("cloudwatch") as aws:
        results = [{"Id": f"m{place}", "Values": [1.0 - place % 2], "StatusCode": "Complete"} for place in range(40)]
        aws.add_response("get_metric_data", {"MetricDataResults": results})

        assert verdicts(*({"invocations": f"f{number}"} for number in range(20))) == ["pass"] * 20


def test_a_long_list_is_split_where_aws_splits_it() -> None:
    sizes: list[int] = []

    def answer(params: dict[str, Any], **_: Any) -> None:
        sizes.append(len(params["MetricDataQueries"]))

    with mock_aws():
        client("cloudwatch").meta.events.register("before-parameter-build.cloudwatch.GetMetricData", answer)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("selfheal.checks.invocations.must_exist", lambda function: None)
            findings = found(*({"invocations": {"function": f"f{number}", "minutes": 1440}} for number in range(200)))

    assert sum(sizes) == 400
    assert max(sizes) * (1440 // 5 + 1) <= 100_800
    assert [finding.verdict for finding in findings] == ["unknown"] * 200


# -- permissions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "marks"),
    [
        ({"EvalDecision": "allowed"}, ["pass"]),
        ({"EvalDecision": "implicitDeny"}, ["fail"]),
        ({"EvalDecision": "explicitDeny"}, ["fail"]),
        ({"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:SourceVpc"]}, ["unknown"]),
    ],
)
def test_permissions_of_the_role_behind_the_alias_are_simulated(result: dict[str, Any], marks: list[str]) -> None:
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/dedup"
    with script("lambda") as functions, script("iam") as iam:
        functions.add_response("get_function_configuration", {"Role": ROLE}, {"FunctionName": "f", "Qualifier": "live"})
        asked = {"PolicySourceArn": ROLE, "ActionNames": ["dynamodb:PutItem"], "ResourceArns": [table]}
        seen = {"EvalActionName": "dynamodb:PutItem", "EvalResourceName": table, **result}
        iam.add_response("simulate_principal_policy", {"EvaluationResults": [seen]}, asked)

        check = {"function": "f", "alias": "live", "actions": ["dynamodb:PutItem"], "resources": [table]}
        assert verdicts({"permission": check}) == marks


def test_each_permission_that_a_role_lacks_is_a_finding_of_its_own() -> None:
    """Who was told that one is denied must hear of the next one."""
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/dedup"
    actions = ["dynamodb:GetItem", "dynamodb:PutItem"]
    with script("lambda") as functions, script("iam") as iam:
        functions.add_response("get_function_configuration", {"Role": ROLE})
        denied = [{"EvalActionName": action, "EvalDecision": "implicitDeny"} for action in actions]
        iam.add_response("simulate_principal_policy", {"EvaluationResults": denied})

        findings = found({"permission": {"function": "f", "actions": actions, "resources": [table]}})

    assert len({sweep_news.key_of(one) for one in findings}) == len(findings) == 2


# -- the runner -------------------------------------------------------------------------------------------------------


def test_a_check_that_hangs_is_unknown_and_holds_nobody_up(moto: None, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hanging(check: Any) -> list[Finding]:
        release.wait(10)
        return []

    monkeypatch.setitem(SINGLE, "bus", hanging)
    try:
        findings = found({"bus": "default"}, {"queue": "nowhere"}, timeout_s=1)
    finally:
        release.set()

    assert [finding.verdict.value for finding in findings] == ["unknown", "fail"]
    assert "not done" in findings[0].seen


def test_findings_come_in_the_order_of_the_checks(moto: None) -> None:
    client("sqs").create_queue(QueueName="q")

    findings = found(
        {"bus": "no"}, {"alarms": {"prefix": "no"}}, {"queue": "q"}, {"bus": "default"}, {"throttles": "f"}
    )

    assert [finding.check for finding in findings] == ["bus", "alarms", "queue", "bus", "throttles"]
    assert [finding.verdict.value for finding in findings] == ["fail", "fail", "pass", "pass", "fail"]


def test_a_defect_is_not_swallowed(moto: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(check: Any) -> list[Finding]:
        raise KeyError("defect")

    monkeypatch.setitem(SINGLE, "bus", broken)

    with pytest.raises(KeyError):
        found({"bus": "default"})


def test_the_event_file_is_a_plan() -> None:
    request = read_request(event("check_health"), (CheckHealth.name,), "id")

    assert (request.action, request.mode) == ("check_health", Mode.PLAN)
    assert request.target.key == "system:the-alchemiser-v2-dev"
    assert request.options["checks"] is None


def test_the_decision_reads_only() -> None:
    request = ask("check_health", SYSTEM, options={"checks": [{"bus": "default"}]})

    decision = CheckHealth().decide({"checks": [{"bus": "default"}], "from": "request"}, request)

    assert isinstance(decision, Change)
    assert (decision.direction, CheckHealth.reversible) == (Direction.READ, False)


# -- what is left over ------------------------------------------------------------------------------------------------


def _left_over(ledger: Ledger) -> None:
    now = time.time()
    for action_id, system in (("of-it", SYSTEM["system"]), ("by-hand", None), ("of-another", "other")):
        halted = ask("halt_trading", {"parameter": f"/{action_id}"}, action_id=action_id, system=system)
        result = result_of(halted, Outcome.ACTED, detail=f"set /{action_id} to false")
        ledger.write(changes.opened(halted, result, now - 7_200))
    for name in ("*", SYSTEM["system"], f"{SYSTEM['system']}-1a2b3c4d-19a9", "other"):
        doc = {"what": "all", "who": "ann", "reason": "a move", "since": "", "until": ""}
        ledger.write(table.put("PAUSE", name, doc, paused_until=now + 60))


def test_open_changes_and_pauses_of_the_system_are_in_the_evidence(ledger: Ledger) -> None:
    _left_over(ledger)
    request = ask("check_health", SYSTEM, options={"checks": [{"bus": "default"}]})
    action = CheckHealth()
    evidence = action.apply(request, planned(action, request))
    assert [(one["action_id"], one["age_h"]) for one in evidence["open_changes"]] == [("by-hand", 2.0), ("of-it", 2.0)]
    names = {"*", SYSTEM["system"], f"{SYSTEM['system']}-1a2b3c4d-19a9"}
    assert {pause["name"] for pause in evidence["pauses"]} == names
    assert json.loads(json.dumps(evidence)) == evidence


def test_a_ledger_that_is_down_is_said_and_fails_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise LedgerUnavailable("no answer")

    monkeypatch.setattr(changes, "still_open", down)
    left = left_over("demo")
    assert (left["open_changes"], left["pauses"]) == (None, None)
    assert "no answer" in left["left_over_not_read"]


def test_what_a_runbook_leaves_open_of_an_arn_is_filled_in_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOME_PARTITION": "aws-cn", "AWS_REGION": "cn-north-1", "HOME_ACCOUNT": ACCOUNT}.items():
        monkeypatch.setenv(name, value)
    check = {"permission": {"function": "f", "resources": ["arn:{partition}:sns:{region}:{account}:alarms"]}}

    filled = at_home(check)

    assert filled["permission"] == {"function": "f", "resources": [f"arn:aws-cn:sns:cn-north-1:{ACCOUNT}:alarms"]}


def test_an_arn_that_the_stack_does_not_complete_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME_ACCOUNT", raising=False)

    with pytest.raises(Misconfigured, match="HOME_ACCOUNT"):
        at_home({"topic": "arn:aws:sns:eu-central-1:{account}:alarms"})
