"""What would selfheal have done? A recorded day, the world of the past, and that nothing is written."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from selfheal import runbook
from selfheal.action import Action, Change
from selfheal.alarm import Alarm, read
from selfheal.catalogue import ACTIONS
from selfheal.clients import client, client_once, instead
from selfheal.errors import Refused
from selfheal.refusal import Refusal
from selfheal.replay import asked, history, table
from selfheal.replay.past import Past
from selfheal.replay.readonly import WriteInReplay, guarded, is_read, reader
from selfheal.replay.rehearsal import ONLY_USES, Done, as_planned, direction_of, rehearsed
from selfheal.replay.simulation import Plan, Story, replay
from selfheal.words import Direction, ResponseMode
from selfheal_build import pages
from selfheal_build.runbooks import compiler

from functions.replay import app
from functions.switch_trading.app import HaltTrading
from local import replay as command
from tests.unit.aws import ROOT, ask, event
from tests.unit.conftest import FakeLambdaContext
from tests.unit.responding import ALARMS, HOME, NAME, response, runbooks, step

DAY = ROOT / "events" / "histories" / "a-busy-day.json"
GOLDEN = Path(__file__).parent / "a-busy-day.txt"
AGAIN = "make replay FILE=events/histories/a-busy-day.json MODE=auto > tests/unit/a-busy-day.txt"
RED_AT = datetime(2026, 11, 20, 9, 0, 12, 345_000, UTC)
QUESTION = {"alarms": [NAME], "max_mode": "auto"}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Readers of this test alone, and an environment that `make replay` may add to."""
    for name in ("POWERTOOLS_METRICS_DISABLED", "NO_COLOR"):
        monkeypatch.setenv(name, "1")
    reader.cache_clear()
    yield
    reader.cache_clear()


def told(name: str, **changes: Any) -> dict[str, Any]:
    """An alarm event of events/alarms."""
    return {**json.loads((ALARMS / f"{name}.json").read_text()), **changes}


def played(*events: Any, **more: Any) -> Story:
    """These events under the runbook of the unit tests, by itself."""
    plan = {"runbooks": runbooks(response()), "home": HOME, "max_mode": ResponseMode.AUTO, **more}
    return replay(history.deliveries(events, HOME), Plan(**plan))


def decided(story: Story, kind: str = "step") -> list[tuple[str, str]]:
    """What and decision of the rows of one kind."""
    return [(row.what, row.decision) for row in story.rows if row.kind == kind]


# -- a recorded day -----------------------------------------------------------------------------------------------


def test_a_busy_day_is_decided_as_it_is_written_down(capsys: pytest.CaptureFixture[str]) -> None:
    """Flapping, duplicates, OK before ALARM, a late delivery, no runbook, a mute; with the shipped runbooks."""
    code = command.main(["--file", str(DAY), "--mode", "auto"])

    assert code == 0
    assert capsys.readouterr().out == GOLDEN.read_text(), f"the decisions are other ones; if that is right: {AGAIN}"


def test_the_page_about_it_shows_lines_of_that_day() -> None:
    page = (ROOT / "docs" / "replay.md").read_text()
    shown = re.findall(r"^  \d{4}-.*$", page, re.MULTILINE)

    assert shown
    assert set(shown) <= set(GOLDEN.read_text().splitlines())


def test_the_same_history_gives_the_same_lines_and_its_order_in_the_file_does_not_matter() -> None:
    events = [told("eventbridge-metric-ok"), told("eventbridge-metric-alarm"), told("sns-metric-alarm")]

    first, second = (table.lines(played(*order), []) for order in (events, list(reversed(events))))

    assert first == second
    assert [decision for _, decision in decided(played(*events), "alarm")] == ["opened", "duplicate", "joined"]


def test_a_day_in_suggest_acts_only_where_it_is_safe() -> None:
    story = played(told("eventbridge-metric-alarm"), max_mode=ResponseMode.SUGGEST)

    assert ("halt_trading halt_trading", "would act") in decided(story)
    assert ("roll_back_alias roll_back_alias", "would suggest") in decided(story)


def test_nothing_acts_if_only_suggestions_are_assumed() -> None:
    story = played(told("eventbridge-metric-alarm"), assume_acted=False)

    assert {decision for _, decision in decided(story)} == {"would suggest"}
    assert story.incidents[0].contained_at is None


def test_a_probe_passes_unless_the_alarm_is_red() -> None:
    with_probe = runbooks(response(probe=step("smoke_test", {"function": "demo", "alias": "live"})))

    stays = played(told("eventbridge-metric-alarm"), runbooks=with_probe)
    turns = played(told("eventbridge-metric-alarm"), told("eventbridge-metric-ok"), runbooks=with_probe)

    assert {decision for what, decision in decided(stays) if "smoke_test" in what} == {"would fail"}
    assert stays.incidents[0].verdict == ""
    assert turns.incidents[0].closed_at is not None


def test_a_target_that_another_incident_owns_is_left_alone() -> None:
    """Two responses with the same alias: the second is held back by the first, as the claim in the ledger has it."""
    two = runbooks(response(alarms=(NAME,)), response(name="other", alarms=("*-duration",)))
    other = json.loads(json.dumps(told("eventbridge-metric-alarm")).replace(NAME, "the-alchemiser-v2-dev-duration"))

    story = played(told("eventbridge-metric-alarm"), other, runbooks=two)

    assert ("roll_back_alias roll_back_alias", "would refuse target_owned") in decided(story)


def test_the_end_is_the_end_of_the_period() -> None:
    story = played(told("eventbridge-metric-alarm"), until=RED_AT.timestamp() + 5)

    assert story.rows[-1].at <= RED_AT.timestamp() + 5
    assert "still open" in table.lines(story, [])[-2][1]


def test_what_is_halted_and_not_resumed_needs_no_halt() -> None:
    again = told("eventbridge-metric-alarm", time="2026-11-20T09:40:00Z")
    again["detail"]["state"]["timestamp"] = "2026-11-20T09:40:00.000+0000"

    story = played(told("eventbridge-metric-alarm"), told("eventbridge-metric-ok"), again)

    assert [decision for what, decision in decided(story) if "halt_trading" in what] == ["would act", "nothing to do"]
    assert [decision for what, decision in decided(story) if "roll_back" in what] == ["would act", "would act"]


def test_who_cannot_wait_is_told_how_far_it_came() -> None:
    answers = iter([False] * 5 + [True])

    story = played(told("eventbridge-metric-alarm"), out_of_time=lambda: next(answers))

    assert story.stopped_at is not None
    assert story.stopped_at >= story.rows[-1].at
    assert "ran out of time at 2026-11-20" in table.lines(story, [])[-1][1]


# -- nothing is written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "method", "request_"),
    [
        ("ssm", "put_parameter", {"Name": "/x", "Value": "false"}),
        ("dynamodb", "put_item", {"TableName": "t", "Item": {}}),
        ("lambda", "invoke", {"FunctionName": "f"}),
        ("sqs", "receive_message", {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/1/q"}),
        ("events", "put_events", {"Entries": []}),
        ("cloudwatch", "set_alarm_state", {"AlarmName": "a", "StateValue": "OK", "StateReason": "x"}),
    ],
)
def test_a_call_that_is_no_read_never_leaves_the_process(service: str, method: str, request_: dict[str, Any]) -> None:
    """Sockets are off: a call that left would fail otherwise. Nor may a handler of AWS's errors swallow it."""
    with instead(reader), pytest.raises(WriteInReplay) as refused:
        getattr(client(service), method)(**request_)

    assert not isinstance(refused.value, Exception)


def test_a_read_does_leave() -> None:
    with Stubber(reader("ssm")) as aws:
        aws.add_response("get_parameter", {"Parameter": {"Value": "true"}}, {"Name": "/x"})
        with instead(reader):
            assert client("ssm").get_parameter(Name="/x")["Parameter"]["Value"] == "true"


def test_what_is_no_read_by_its_name_counts_as_a_write() -> None:
    assert [name for name in ("GetAlias", "ListTags", "Query", "GetterDone", "Gather", "Invoke") if is_read(name)] == [
        "GetAlias",
        "ListTags",
        "Query",
    ]


def test_every_call_that_actions_declare_as_a_change_is_refused_by_the_hook() -> None:
    """The hook knows operations by their names; a model that calls a change `Get…` would slip through."""
    changing = {"put_parameter", "update_schedule", "update_alias", "stop_deployment", "delete_message"}
    for service in ("ssm", "scheduler", "lambda", "codedeploy", "sqs"):
        aws = guarded(boto3.client(service))
        for method in changing & set(dir(aws)):
            with pytest.raises(WriteInReplay):
                getattr(aws, method)()


def test_in_the_past_s_world_reads_are_not_answered_and_writes_are_defects() -> None:
    past = Past(lambda: 0.0, None)
    with instead(past.client):
        with pytest.raises(ClientError, match="NotReplayed"):
            client("ssm").get_parameter(Name="x")
        for service in ("ssm", "lambda", "cloudwatch", "events", "sqs", "resourcegroupstaggingapi"):
            with pytest.raises(WriteInReplay):
                client_once(service).put_something()


def test_a_rehearsed_action_looks_with_the_reader_decides_itself_and_calls_nothing() -> None:
    answer = {"Parameter": {"Value": "true", "Version": 3, "Type": "String"}}
    with Stubber(reader("ssm")) as aws:
        aws.add_response("get_parameter", answer)
        aws.add_response("get_parameter_history", {"Parameters": [{"Version": 3, "Type": "String"}]})
        action = rehearsed("halt_trading", HaltTrading, reader, as_planned, Done())
        request = ask("halt_trading", {"parameter": "/x"})
        decision = action.decide(action.observe(request), request)
        assert isinstance(decision, Change)
        assert action.apply(request, decision) == {}
        assert action.verify(request, decision).after == {"value": "false"}


def test_with_observe_what_is_there_now_decides() -> None:
    """The flag is false today: nothing to do, whatever it was then."""
    halts = runbooks(response(contain=(step("halt_trading", {"parameter": "/x"}),), remediate=(), recover=()))

    class Halted(HaltTrading):
        def observe(self, request: Any) -> dict[str, Any]:
            return {"value": "false", "looks_like": "false", "version": 1, "type": "String", "kept": {}}

    story = played(
        told("eventbridge-metric-alarm"),
        runbooks=halts,
        actions=lambda name: Halted,
        read=Past(lambda: 0.0, None).client,
    )

    assert decided(story) == [("halt_trading halt_trading", "nothing to do")]


def test_the_unseen_action_has_the_direction_of_the_real_one() -> None:
    for entry in ACTIONS.values():
        if entry.person or entry.function in {"undo", "approve"}:
            continue
        told_so = pages._direction(entry)

        assert told_so.startswith(direction_of(entry).value) or direction_of(entry) is Direction.SAFE, entry.name
        assert (direction_of(entry) is Direction.READ) == (told_so == "read"), entry.name
        assert (direction_of(entry) is Direction.SAFE) == told_so.startswith("safe"), entry.name


# -- history ------------------------------------------------------------------------------------------------------


def item(name: str = NAME, value: str = "ALARM", at: datetime = RED_AT, **more: Any) -> dict[str, Any]:
    """An item of DescribeAlarmHistory."""
    points = [{"timestamp": (at - timedelta(minutes=1)).isoformat(), "value": 3.0}]
    new = {
        "stateValue": value,
        "stateReason": "Threshold Crossed",
        "stateReasonData": {"version": "1.0", "period": 60, "recentDatapoints": [3.0], "evaluatedDatapoints": points},
    }
    data = {"version": "1.0", "oldState": {"stateValue": "OK", "stateReason": "fine"}, "newState": new}
    return {
        "AlarmName": name,
        "AlarmType": "MetricAlarm",
        "Timestamp": at,
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from OK to {value}",
        "HistoryData": json.dumps(data),
        **more,
    }


DESCRIBED = {
    "AlarmName": NAME,
    "AlarmArn": f"arn:aws:cloudwatch:us-east-1:111111111111:alarm:{NAME}",
    "Namespace": "AWS/Lambda",
    "MetricName": "Errors",
    "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
    "Period": 60,
    "EvaluationPeriods": 2,
    "StateValue": "OK",
}


def first(items: list[dict[str, Any]], described: dict[str, Any] | None = None) -> Alarm:
    """The first item as the alarm that Respond would read."""
    events = history.written_as_events(items, HOME, {NAME: described or {}})
    alarm = read(events[0], HOME)[0]
    assert isinstance(alarm, Alarm), alarm
    return alarm


def test_an_item_of_the_history_reads_as_the_event_that_was_sent() -> None:
    alarm = first([item()], DESCRIBED)

    assert (alarm.name, alarm.state, alarm.previous_state) == (NAME, "ALARM", "OK")
    assert alarm.state_at == int(RED_AT.timestamp() * 1000)
    assert alarm.last_datapoint_at == int((RED_AT - timedelta(minutes=1)).timestamp() * 1000)
    assert alarm.dimensions == {"FunctionName": "f"}
    assert (alarm.period_s, alarm.reason) == (60, "Threshold Crossed")


def test_data_that_was_cut_off_leaves_the_state_of_the_summary() -> None:
    alarm = first([item(HistoryData='{"version":"1.0","oldState":{"stateVal')])

    assert (alarm.state, alarm.previous_state, alarm.last_datapoint_at) == ("ALARM", "OK", None)


def test_composites_and_contributors_are_what_they_were() -> None:
    composite = first([item(AlarmType="CompositeAlarm")])
    part = first(
        [
            item(
                HistoryItemType="AlarmContributorStateUpdate",
                AlarmContributorId="c1",
                AlarmContributorAttributes={"FunctionName": "f"},
            )
        ]
    )

    assert composite.kind == "composite"
    assert (part.contributor, part.dimensions) == ("c1", {"FunctionName": "f"})


def test_a_file_may_hold_events_or_an_answer_of_the_history() -> None:
    one = told("direct-metric-alarm")
    answer = {"AlarmHistoryItems": [item(Timestamp=RED_AT.isoformat()), item(HistoryItemType="ConfigurationUpdate")]}

    assert history.events_in(one) == [one]
    assert history.events_in([one, one]) == history.events_in({"events": [one, one]}) == [one, one]
    assert [event["detail"]["alarmName"] for event in history.events_in(answer)] == [NAME]
    assert history.home_of([one]) == HOME
    assert history.home_of([{"no": "alarm"}]) is None


def test_what_tells_no_time_comes_with_the_one_before() -> None:
    found = history.deliveries([told("direct-metric-alarm"), {"what": "ever"}], HOME)

    assert [one.at for one in found] == [RED_AT.timestamp()] * 2


def test_an_event_that_was_sent_late_arrives_late() -> None:
    (late,) = history.deliveries([told("eventbridge-metric-alarm", time="2026-11-20T09:05:00Z")], HOME)

    assert late.at == RED_AT.timestamp() + 287.655


# -- the alarms of the past ---------------------------------------------------------------------------------------


def test_the_alarms_of_the_past_tell_what_describealarms_told_then() -> None:
    past = Past(lambda: 0.0, None)
    past.alarms.know(DESCRIBED["AlarmArn"], DESCRIBED)  # type: ignore[arg-type]
    for name in ("eventbridge-metric-alarm", "sns-metric-alarm", "eventbridge-composite-alarm-suppressed"):
        (alarm,) = read(told(name), HOME)
        assert isinstance(alarm, Alarm)
        past.alarms.change(alarm)

    found = past.alarms.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"], StateValue="ALARM")

    (metric,), (composite,) = found["MetricAlarms"], found["CompositeAlarms"]
    assert (metric["EvaluationPeriods"], metric["StateTransitionedTimestamp"]) == (2, RED_AT)
    assert "2026-11-20T08:59:00" in metric["StateReasonData"]  # SNS told it in its reason for people
    assert composite["ActionsSuppressedBy"].startswith("suppressed by")
    assert past.alarms.describe_alarms(AlarmNamePrefix="no")["MetricAlarms"] == []


def test_an_older_change_that_comes_late_is_not_how_the_alarm_stands() -> None:
    past = Past(lambda: 0.0, None)
    for name in ("eventbridge-metric-ok", "eventbridge-metric-alarm"):
        (alarm,) = read(told(name), HOME)
        assert isinstance(alarm, Alarm)
        past.alarms.change(alarm)

    assert not past.alarms.some_are_red


def test_a_mute_ends_when_its_event_says_so() -> None:
    now = RED_AT.timestamp()
    past = Past(lambda: now, None)
    (alarm,) = read(told("eventbridge-metric-alarm-muted"), HOME)
    assert isinstance(alarm, Alarm)
    past.alarms.change(alarm)
    assert len(past.alarms.list_alarm_mute_rules()["AlarmMuteRuleSummaries"]) == 1
    assert past.alarms.get_alarm_mute_rule(AlarmMuteRuleName="dev-load-test")["MuteTargets"] == {"AlarmNames": [NAME]}

    now += 3_600

    assert past.alarms.list_alarm_mute_rules()["AlarmMuteRuleSummaries"] == []


# -- what is asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "detail"),
    [
        ([], "the event is a list"),
        ({"day": 3}, "unknown"),
        ({"days": 31}, "at most 30"),
        ({"days": True}, "at most 30"),
        ({"days": 0}, "more than 0"),
        ({"alarms": [1]}, "alarms must be"),
        ({"events": {}}, "events must be"),
        ({"assume": "healed"}, "assume is 'healed'; allowed are ['acted', 'suggested']"),
        ({"max_mode": "full"}, "allowed are ['off', 'suggest', 'auto']"),
        ({"observe": True}, "make replay"),
        ({"observe": 1}, "make replay"),
    ],
)
def test_a_wrong_question_is_refused_with_what_would_be_right(question: Any, detail: str, lambda_context: Any) -> None:
    answer = app.lambda_handler(question, lambda_context)

    assert (answer["outcome"], answer["reason"]) == ("refused", "bad_options")
    assert detail in answer["detail"]


def test_the_event_file_is_a_valid_question() -> None:
    assert asked.read_asked(event("replay"), may_observe=False).alarms == ("the-alchemiser-v2-dev-",)


def test_alarms_are_named_exactly_by_prefix_or_by_pattern() -> None:
    known = runbooks(response(alarms=("known-*",)))
    patterns = asked.Asked(alarms=("one", "two-*-x"))

    assert [name for name in ("one", "one-more", "two-a-x", "two", "known-1") if patterns.wants(name, known)] == [
        "one",
        "one-more",
        "two-a-x",
    ]
    assert asked.Asked().wants("known-1", known)
    assert not asked.Asked().wants("other", known)


def test_too_many_events_are_refused_and_not_cut() -> None:
    with pytest.raises(Refused) as refused:
        asked.read_asked({"events": [{}] * (asked.MAX_EVENTS + 1)}, may_observe=False)

    assert refused.value.refusal is Refusal.BAD_OPTIONS


# -- the function -------------------------------------------------------------------------------------------------


@pytest.fixture
def _compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "runbooks.json"
    compiler.write(compiler.compile_folder(ROOT / "layers" / "runbooks"), out)
    monkeypatch.setenv("RUNBOOKS_PATH", str(out))
    runbook.load(str(out))


CONTEXT: Any = FakeLambdaContext(invoked_function_arn="arn:aws:lambda:us-east-1:111111111111:function:selfheal-replay")
"""An invocation in the account and region of the alarms."""


@pytest.mark.usefixtures("_compiled")
def test_the_function_reads_the_history_and_answers_a_table() -> None:
    now = datetime.now(UTC)
    page = {"AlarmHistoryItems": [item(at=now - timedelta(hours=1)), item("other", at=now - timedelta(hours=1))]}
    with Stubber(reader("cloudwatch")) as aws:
        aws.add_response("describe_alarm_history", page)
        aws.add_response("describe_alarm_history", {"AlarmHistoryItems": []})
        aws.add_response("describe_alarms", {"MetricAlarms": [DESCRIBED]})
        answer = app.lambda_handler(QUESTION, CONTEXT)
        aws.assert_no_pending_responses()

    assert answer["outcome"] == "replayed", answer
    assert answer["decisions"][0]["what"] == f"{NAME} ALARM"
    assert ("halt_trading trading", "would act") in {(row["what"], row["decision"]) for row in answer["decisions"]}
    assert any("roll_back_alias live" in line and "would act" in line for line in answer["table"])
    assert answer["decisions_left_out"] == 0
    json.dumps(answer)


@pytest.mark.usefixtures("_compiled")
def test_the_function_takes_events_as_well_and_cuts_a_long_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_ROWS", 2)

    answer = app.lambda_handler({"events": [told("eventbridge-metric-alarm")]}, CONTEXT)

    assert len(answer["decisions"]) == 2
    assert answer["decisions_left_out"] > 0
    hurried: Any = FakeLambdaContext(invoked_function_arn=CONTEXT.invoked_function_arn, remaining_ms=10_000)
    assert app.lambda_handler({"events": [told("eventbridge-metric-alarm")]}, hurried)["decisions"] == []


@pytest.mark.usefixtures("_compiled")
def test_a_history_that_cannot_be_read_is_said() -> None:
    with Stubber(reader("cloudwatch")) as aws:
        aws.add_client_error("describe_alarm_history", "AccessDenied")
        answer = app.lambda_handler(QUESTION, CONTEXT)

    assert (answer["outcome"], answer["reason"]) == ("failed", "unreadable")


def test_what_is_no_past_is_an_error_of_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("[]")

    assert command.main(["--file", str(empty)]) == 1
    assert command.main(["--file", str(tmp_path / "none")]) == 1
    assert command.main(["--file", str(DAY), "--days", "40"]) == 1
    assert "holds no alarm" in capsys.readouterr().err


def test_the_command_knows_the_class_of_every_action() -> None:
    assert {name for name in ACTIONS if command._action(name).name != name} == set()


def test_what_a_replay_takes_for_a_mere_use_of_its_target_is_one() -> None:
    uses = {
        action.name
        for function in {entry.function for entry in ACTIONS.values()}
        for action in vars(importlib.import_module(f"functions.{function}.app")).values()
        if isinstance(action, type) and issubclass(action, Action) and hasattr(action, "name")
        if not action.changes_target
    }

    assert uses == ONLY_USES
