"""Evidence: what is gathered, what is masked, what is missing, how long it takes; and logs that are kept for longer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import log_retention
from selfheal.action import AlreadyDone, Change, Decline
from selfheal.aws_errors import translate
from selfheal.clients import client
from selfheal.dead_letter import preview
from selfheal.errors import NotApplied, Refused, TargetNotFound, Unreadable
from selfheal.evidence import document, function, gathering, insights, letters, lines, sources, trail
from selfheal.evidence.found import Found, Look, Once
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

from functions.preserve_evidence.app import MAX_MINUTES, CaptureEvidence, KeepLogs
from tests.unit.aws import ask, event, planned, script
from tests.unit.dead_letters import BUCKET, FUNCTION, Account, account, by_lambda
from tests.unit.doubles import throttled
from tests.unit.stage import Stage, stage
from tests.unit.wire import denied

GROUP = {"log_group": "/ecs/shop"}
ALIAS = {"function": FUNCTION, "alias": "live"}
NAME = f"/aws/lambda/{FUNCTION}"


def days(now: int | None, asked: int = 90, **more: Any) -> Any:
    """What is decided about a group that keeps its logs for so long."""
    return KeepLogs().decide({"days": now}, ask("keep_logs", GROUP, options={"days": asked}, **more))


# -- keep_logs ----------------------------------------------------------------------------------------------------


@given(st.sampled_from(log_retention.ALLOWED), st.sampled_from((None, *log_retention.ALLOWED)))
def test_retention_is_only_ever_raised(wanted: int, now: int | None) -> None:
    decision = days(now, wanted)

    if now is None or now >= wanted:
        assert isinstance(decision, AlreadyDone)
    else:
        assert isinstance(decision, Change)
        assert (decision.direction, decision.before, decision.after) == (
            Direction.SAFE, {"days": now}, {"days": wanted},
        )  # fmt: skip


@pytest.mark.parametrize("wanted", [0, 2, 10, 91, 10_000])
def test_days_that_cloudwatch_does_not_know_are_refused(wanted: int) -> None:
    decision = days(30, wanted)

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS
    assert str(wanted) in decision.detail


def test_an_undo_lowers_it_to_what_was_recorded_and_is_risky() -> None:
    decision = days(90, wanted={"days": 30})

    assert isinstance(decision, Change)
    assert (decision.direction, decision.after) == (Direction.RISKY, {"days": 30})


def test_an_undo_of_a_group_without_a_policy_changes_nothing() -> None:
    assert isinstance(days(None, wanted={"days": 30}), AlreadyDone)


def test_the_days_are_those_of_the_group_of_exactly_this_name(aws: None) -> None:
    logs = client("logs")
    for name, kept in (("/ecs/shop-2", 7), ("/ecs/shop", 30), ("/ecs/shop/web", None)):
        logs.create_log_group(logGroupName=name)
        if kept:
            logs.put_retention_policy(logGroupName=name, retentionInDays=kept)

    assert [log_retention.days_of(name) for name in ("/ecs/shop", "/ecs/shop/web")] == [30, None]
    with pytest.raises(TargetNotFound, match="/ecs/sho"):
        log_retention.days_of("/ecs/sho")


def test_it_is_raised_verified_and_brought_back(aws: None) -> None:
    client("logs").create_log_group(logGroupName="/ecs/shop")
    client("logs").put_retention_policy(logGroupName="/ecs/shop", retentionInDays=30)
    action, request = KeepLogs(), ask("keep_logs", GROUP, options={"days": 365})
    for one, expected in ((request, 365), (ask("keep_logs", GROUP, wanted={"days": 30}), 30)):
        change = planned(action, one)
        assert action.verify(one, change).verdict is Verdict.DOES_NOT_HOLD
        action.apply(one, change)
        assert action.verify(one, change).verdict is Verdict.HOLDS
        assert log_retention.days_of("/ecs/shop") == expected


# -- what is asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"minutes": 0},
        {"minutes": MAX_MINUTES + 1},
        {"log_groups": ["/a"] * 11},
        {"log_groups": ["a*"]},
        {"log_groups": [7]},
        {"log_groups": ["a\nb"]},
        {"query": ""},
        {"query": "x" * 10_001},
    ],
)
def test_options_that_make_no_sense_are_refused(options: Mapping[str, Any]) -> None:
    decision = CaptureEvidence().decide({"now": 1e9}, ask("capture_evidence", ALIAS, options=options))

    assert isinstance(decision, Decline)
    assert decision.refusal is Refusal.BAD_OPTIONS


SYSTEM, HTTP_API = {"system": "shop"}, {"http_api": "abc", "stage": "prod"}


@pytest.mark.parametrize(
    ("target", "options", "names"),
    [
        (ALIAS, {}, ["function", "versions", "lines"]),
        ({**ALIAS, "code_deploy": {"application": "a", "deployment_group": "b"}}, {},
         ["function", "versions", "deployments", "lines"]),
        ({"function": FUNCTION}, {"query": "fields x", "trail": True}, ["function", "lines", "query", "trail"]),
        ({"cluster": "c", "service": "s"}, {}, ["service", "stopped_tasks", "service_deployments", "lines"]),
        ({"queue": "q"}, {"log_groups": ["/x"]}, ["letters", "lines of /x"]),
        ({"database": "d"}, {}, ["events"]),
        ({"database_cluster": "d"}, {"query": "fields x"}, ["events"]),
        ({"rest_api": "abc", "stage": "prod"}, {}, ["lines"]),
        (GROUP, {"query": "fields x"}, ["lines", "query"]),
        (HTTP_API, {"traces": True}, ["traces"]),
        (SYSTEM, {"log_groups": ["/x"], "query": "fields x"}, ["lines of /x", "query"]),
        (SYSTEM, {}, None), (HTTP_API, {}, None), (SYSTEM, {"query": "fields x"}, None),
    ],
)  # fmt: skip
def test_each_target_has_its_sources(target: Any, options: Any, names: list[str] | None) -> None:
    decision = CaptureEvidence().decide({"now": 1e9}, ask("capture_evidence", target, options=options))

    if names is None:
        assert isinstance(decision, Decline)
        assert "log_groups" in decision.detail
    else:
        assert isinstance(decision, Change)
        assert decision.direction is Direction.READ
        assert decision.summary.startswith(f"capture {', '.join(names)} of ")


def test_the_event_file_asks_for_an_alias() -> None:
    request = ask("capture_evidence", event("preserve_evidence")["target"])

    assert request.target.kind == "alias"


# -- side by side -------------------------------------------------------------------------------------------------


def test_a_source_that_hangs_is_cut_off_and_listed() -> None:
    """The others do not wait for it, and its late answer is not used."""
    over = threading.Event()

    def hangs() -> Found:
        over.wait(30)
        return Found("late", {})

    found, missing = gathering.side_by_side({"hangs": hangs, "quick": lambda: Found("here", {})}, within_s=0.3)
    over.set()

    assert list(found) == ["quick"]
    assert missing == {"hangs": "no answer within 0.3 s"}


def test_the_time_is_one_for_all_of_them() -> None:
    """Not so much for each: the clock is read after every answer."""
    times = iter([0.0, 1.0, 99.0])
    over = threading.Event()
    sources_: dict[str, Callable[[], Found]] = {
        "quick": lambda: Found("here", {}),
        "hangs": lambda: Found(str(over.wait(30)), {}),
    }

    found, missing = gathering.side_by_side(sources_, within_s=10.0, clock=lambda: next(times))
    over.set()

    assert (list(found), list(missing)) == (["quick"], ["hangs"])


def test_an_error_is_the_reason_and_a_defect_is_raised() -> None:
    error = Unreadable("logs", "throttled")

    def fails() -> Found:
        raise error

    def broken() -> Found:
        raise ZeroDivisionError

    assert gathering.side_by_side({"one": fails}) == ({}, {"one": error})
    with pytest.raises(ZeroDivisionError):
        gathering.side_by_side({"one": broken})


def test_what_two_sources_need_is_asked_once() -> None:
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        time.sleep(0.01)
        return 7

    once = Once(call)
    found, _ = gathering.side_by_side(dict.fromkeys("abc", lambda: Found(str(once()), {})))

    assert [one.summary for one in found.values()] == ["7", "7", "7"]
    assert calls == [1]


# -- the sources --------------------------------------------------------------------------------------------------


def look(target: Mapping[str, Any], **options: Any) -> Look:
    return Look(ask("capture_evidence", target).target, 1_799_996_400.0, 1_800_000_000.0, options)


def line(number: int, text: str) -> dict[str, Any]:
    return {"timestamp": 1_799_999_000_000 + number, "logStreamName": "s", "message": text}


def test_lines_come_from_every_page_an_empty_one_included(aws: None) -> None:
    with script("logs") as answers:
        times = {"startTime": 1_799_996_400_000, "endTime": 1_800_000_000_000, "startFromHead": False}
        asked = {"logGroupName": "/x", **times}
        answers.add_response("filter_log_events", {"events": [line(9, "c")], "nextToken": "1"}, asked)
        answers.add_response("filter_log_events", {"events": [], "nextToken": "2"}, {**asked, "nextToken": "1"})
        answers.add_response("filter_log_events", {"events": [line(1, "a"), line(2, "b")]}, {**asked, "nextToken": "2"})
        found = lines.lines_of("/x", look(GROUP))

    assert [one["text"] for one in found.content["lines"]] == ["a", "b", "c"]
    assert found.content["whole"] is True
    assert found.summary == "3 lines of /x"


def test_of_too_many_lines_the_newest_stay(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_BYTES", 20)
    page = {"events": [line(number, "ten bytes!") for number in range(5)], "nextToken": "more"}
    with script("logs") as answers:
        answers.add_response("filter_log_events", page)
        found = lines.lines_of("/x", look(GROUP))

    assert [one["at"][-9:-6] for one in found.content["lines"]] == ["003", "004"]
    assert "left out" in found.summary


def test_pages_end_with_the_time(aws: None) -> None:
    over = Look(look(GROUP).target, 1_799_996_400.0, 1_800_000_000.0, {}, ends=time.monotonic() - 1)
    with script("logs") as answers:
        answers.add_response("filter_log_events", {"events": [line(1, "a")], "nextToken": "more"})
        found = lines.lines_of("/x", over)

    assert found.content["whole"] is False


SECRETS = [
    "Authorization: Bearer abc.def",
    "Authorization: Basic dXNlcjpodW50ZXIy",
    "headers {'Authorization': 'Basic dXNlcjpodW50ZXIy', 'x': 1}",
    '{"headers": {"authorization": "Basic dXNlcjpodW50ZXIy"}}',
    "key AKIAIOSFODNN7EXAMPLE used",
    "postgres password=hunter2 host=db",
    'login {"password": "hunter2"}',
    "x-api-key: hunter2",
    "token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
]


@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_secret_is_masked(text: str, aws: None) -> None:
    with script("logs") as answers:
        answers.add_response("filter_log_events", {"events": [line(1, text)]})
        (told,) = lines.lines_of("/x", look(GROUP)).content["lines"]

    for secret in ("hunter2", "dXNlcjpodW50ZXIy", "AKIAIOSFODNN7EXAMPLE", "abc.def", "eyJhbGciOiJIUzI1NiJ9"):
        assert secret not in told["text"]
    assert "***" in told["text"]


def test_a_masked_header_leaves_the_next_line_alone() -> None:
    assert preview("Authorization: Basic abc\nGET /orders 500") == "***\nGET /orders 500"


def test_an_environment_is_never_kept(aws: None) -> None:
    answer = {"FunctionName": "f", "Version": "3", "Environment": {"Variables": {"KEY": "hunter2"}}}
    with script("lambda") as answers:
        answers.add_response("get_function_configuration", answer, {"FunctionName": FUNCTION, "Qualifier": "live"})
        seen = function.configuration(look(ALIAS))

    assert seen == {"Version": "3"}


def test_a_function_s_own_log_group_comes_first() -> None:
    assert function.log_group({"LoggingConfig": {"LogGroup": "/shop"}}, "f") == "/shop"
    assert function.log_group({}, "f") == "/aws/lambda/f"


def test_a_query_is_asked_in_seconds_and_waited_for(aws: None) -> None:
    waits: list[float] = []
    rows = [[{"field": "@message", "value": "password=hunter2"}]]
    with script("logs") as answers:
        asked = {"startTime": 1_799_996_400, "endTime": 1_800_000_000, "queryString": "fields x", "limit": 1_000}
        answers.add_response("start_query", {"queryId": "q"}, {"logGroupNames": ["/x"], **asked})
        answers.add_response("get_query_results", {"status": "Running", "results": []}, {"queryId": "q"})
        answers.add_response("get_query_results", {"status": "Complete", "results": rows}, {"queryId": "q"})
        found = insights.answer_of(["/x"], look(GROUP, query="fields x"), waits.append)

    assert waits == [0.5]
    assert found.content["rows"] == [{"@message": "***"}]


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "Timeout"])
def test_a_query_that_fails_is_missing(status: str, aws: None) -> None:
    with script("logs") as answers:
        answers.add_response("start_query", {"queryId": "q"})
        answers.add_response("get_query_results", {"status": status, "results": []})
        with pytest.raises(Unreadable, match=status):
            insights.answer_of(["/x"], look(GROUP, query="fields x"))


def cloud_event(number: int, *, about: str = FUNCTION, read_only: bool = False) -> dict[str, Any]:
    whole = {"sourceIPAddress": "198.51.100.7", "requestParameters": {"functionName": about, "secret": "hunter2"}}
    return {
        "EventId": f"e-{number}",
        "EventName": "UpdateAlias",
        "EventSource": "lambda.amazonaws.com",
        "Username": "ann",
        "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "ReadOnly": str(read_only).lower(),
        "CloudTrailEvent": json.dumps(whole),
    }


def test_who_did_what_is_looked_up_by_name_and_by_service_twice_a_second_at_most(aws: None) -> None:
    waits: list[float] = []
    others = [cloud_event(2, about="another"), cloud_event(3, read_only=True), cloud_event(1), cloud_event(4)]
    with script("cloudtrail") as answers:
        answers.add_response("lookup_events", {"Events": [cloud_event(1)]})
        answers.add_response("lookup_events", {"Events": others[:2], "NextToken": "t"})
        answers.add_response("lookup_events", {"Events": others[2:]})
        found = trail.who_did_what(look(ALIAS), waits.append)

    assert waits == [trail.PAUSE_S] * 2
    assert sorted(one["event_id"] for one in found.content["events"]) == ["e-1", "e-4"]
    assert found.summary == "2 events by ann"
    assert "hunter2" not in json.dumps(found.content)
    assert "AKIA" not in json.dumps(found.content)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account(monkeypatch) as made:
        yield made


def test_a_queue_is_sampled_and_its_letters_stay(here: Account) -> None:
    here.use("dead")
    here.fill(by_lambda({"n": 1}), by_lambda({"n": 2}))

    found = letters.letters_of(look({"queue": "dead"}))

    assert found.summary == "2 messages, 2 of them sampled"
    assert here.visible("dead") == 2


def test_a_queue_with_a_redrive_policy_is_only_counted(here: Account) -> None:
    """To receive from it would push messages on."""
    here.use("dead")
    here.use("live")
    policy = {"deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:dead", "maxReceiveCount": 1}
    here.sqs.set_queue_attributes(QueueUrl=here.url(), Attributes={"RedrivePolicy": json.dumps(policy)})
    here.fill(by_lambda({"n": 1}))
    here.calls.clear()

    found = letters.letters_of(look({"queue": "live"}))

    assert "no sample" in found.summary
    assert "ReceiveMessage" not in here.calls


# -- the document -------------------------------------------------------------------------------------------------


def capture(request: Request, *, found: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """One run with these sources."""
    monkeypatch.setattr(sources, "sources_of", lambda look: found)
    action = CaptureEvidence()
    return action.apply(request, planned(action, request))


def fails(error: Exception) -> Callable[[], Found]:
    def source() -> Found:
        translate(error, "it")  # type: ignore[arg-type]

    return source


def test_what_was_found_and_what_is_missing_is_in_s3(here: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask("capture_evidence", ALIAS, incident="shop-1/2 x", reason="before roll_back_alias")
    found = {"one": lambda: Found("all of it", {"n": 1}), "two": fails(denied())}

    evidence = capture(request, found=found, monkeypatch=monkeypatch)

    assert evidence["has"] == {"one": "all of it"}
    assert "AccessDenied" in evidence["missing"]["two"]
    assert evidence["captured"].startswith(f"s3://{BUCKET}/evidence/shop-1-2-x/function-{FUNCTION}-live-")
    stored = read(evidence["captured"])
    written = json.loads(stored)
    assert written["has"] == {"one": {"n": 1}}
    assert "AccessDenied" in written["missing"]["two"]
    assert (written["key"], written["incident"]) == (f"function:{FUNCTION}:live", "shop-1/2 x")
    assert evidence["bytes"] == len(stored)
    overview = read(evidence["overview"]).decode()
    assert "**one**: all of it" in overview
    assert "**two**: it: " in overview


def read(uri: str) -> bytes:
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    body: bytes = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_the_same_id_writes_over_nothing_and_another_one_beside_it(
    here: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ({"one": lambda text=text: Found(text, text)} for text in ("first", "second"))
    request = ask("capture_evidence", ALIAS, incident="shop-1")

    told = [capture(request, found=found, monkeypatch=monkeypatch) for found in (first, second)]
    other = capture(
        ask("capture_evidence", ALIAS, incident="shop-1", action_id="b"), found=second, monkeypatch=monkeypatch
    )

    assert told[0]["captured"] == told[1]["captured"] != other["captured"]
    assert [one["kept_earlier"] for one in told] == [False, True]
    assert json.loads(read(told[0]["captured"]))["has"] == {"one": "first"}
    assert json.loads(read(other["captured"]))["has"] == {"one": "second"}


@pytest.mark.parametrize(
    ("errors", "refusal"),
    [
        ([denied(), denied()], Refusal.TARGET_FORBIDDEN),
        ([denied(), throttled()], Refusal.TARGET_UNREADABLE),
        ([throttled()], Refusal.TARGET_UNREADABLE),
    ],
)
def test_nothing_readable_at_all_is_refused_and_nothing_is_written(
    errors: list[Exception], refusal: Refusal, here: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {str(number): fails(error) for number, error in enumerate(errors)}

    with pytest.raises(Refused) as caught:
        capture(ask("capture_evidence", ALIAS), found=found, monkeypatch=monkeypatch)

    assert caught.value.refusal is refusal
    assert "Contents" not in client("s3").list_objects_v2(Bucket=BUCKET)


def test_an_archive_that_takes_nothing_is_no_fault_of_the_target(
    here: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVE_BUCKET", "no-such-bucket")

    with pytest.raises(NotApplied, match="could not be kept"):
        capture(ask("capture_evidence", ALIAS), found={"one": lambda: Found("x", 1)}, monkeypatch=monkeypatch)


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=80))
def test_a_key_is_one_that_s3_takes(incident: str, action_id: str) -> None:
    request = Request("capture_evidence", action_id, ask("capture_evidence", ALIAS).target, incident=incident)

    key = document.key_of(request)

    assert key.isascii()
    assert len(key) < 1_000
    assert key.count("/") == 2
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")


# -- through its handler ------------------------------------------------------------------------------------------


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


def test_the_same_id_is_answered_from_the_record(on_stage: Stage) -> None:
    play = on_stage.play("capture_evidence")
    first = on_stage.run(play)
    on_stage.wire.again()
    second = on_stage.run(play)

    assert first is not None
    assert second is not None
    assert (first["outcome"], first["evidence"]["captured"]) == (second["outcome"], second["evidence"]["captured"])
    assert [call for call in on_stage.wire.calls if not call.startswith(("dynamodb.", "events."))] == []


def test_a_service_s_stop_reasons_are_kept(on_stage: Stage) -> None:
    result = on_stage.run(on_stage.play("capture_a_service"))

    assert result is not None
    kept = json.loads(read(result["evidence"]["captured"]))
    assert kept["has"]["stopped_tasks"]["tasks"][0]["stopCode"] == "EssentialContainerExited"
    assert kept["missing"] == {}


def test_a_plan_looks_at_nothing(on_stage: Stage) -> None:
    result = on_stage.run(on_stage.play("capture_a_queue"), mode="plan")

    assert result is not None
    assert result["outcome"] == "planned"
    assert not [call for call in on_stage.wire.calls if call.startswith(("sqs.", "s3."))]
