"""Many checks of a kind: AWS's lists instead of a call for each, and nothing is claimed that was not seen."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from selfheal import clients, sweep_outcome, sweep_results
from selfheal.aws_errors import translate
from selfheal.checks import alias, function, pages, patience, queue, read_checks, schedule, turns
from selfheal.checks.finding import Finding, Mark
from selfheal.checks.patience import OutOfTime, Pace, patiently, until
from selfheal.checks.runner import run
from selfheal.checks.turns import Turn
from selfheal.errors import LedgerUnavailable, Unreadable
from selfheal.ledger import Ledger

from tests.unit.wire import denied, refused_by_aws, throttled

gone = refused_by_aws("ResourceNotFoundException", 404)
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Account:
    """AWS as far as a test says it; every call is counted, under its operation."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.calls: Counter[str] = Counter()
        self.asked: list[Mapping[str, Any]] = []
        self._here = threading.local()

    @contextmanager
    def connected(self) -> Iterator[Account]:
        events = clients.hooks()
        hooks: dict[str, Callable[..., Any]] = {
            "provide-client-params.*.*": self._keep,
            "before-call.*.*": self._answer,
        }
        for name, hook in hooks.items():
            events.register(name, hook)
        clients.forget(session=False)
        try:
            yield self
        finally:
            for name, hook in hooks.items():
                events.unregister(name, hook)
            clients.forget(session=False)

    def _keep(self, params: Mapping[str, Any], **_: Any) -> None:
        self._here.params = params

    def _answer(self, model: Any, **_: Any) -> Any:
        self.calls[model.name] += 1
        self.asked.append(self._here.params)
        answer = self.answers[model.name](self._here.params)
        return SimpleNamespace(status_code=200), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}


def listed(items: str, all_of_them: list[dict[str, Any]], size: int, tokens: tuple[str, str]) -> Answer:
    """A list by the page."""

    def page(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        start = int(asked.get(tokens[1], 0))
        more = {tokens[0]: str(start + size)} if start + size < len(all_of_them) else {}
        return {items: all_of_them[start : start + size], **more}

    return page


def functions(count: int, **more: Answer) -> dict[str, Answer]:
    names = [{"FunctionName": f"f{number:04}"} for number in range(count)]
    return {
        "ListFunctions": listed("Functions", names, 50, ("NextMarker", "Marker")),
        "GetFunctionConfiguration": lambda asked: {"State": "Active"},
        "GetFunctionConcurrency": lambda asked: {},
        "GetAlias": lambda asked: {"FunctionVersion": "7"},
        **more,
    }


def many(kind: str, count: int) -> list[dict[str, Any]]:
    if kind == "alias":
        return [{"alias": {"function": f"f{number:04}", "alias": "live"}} for number in range(count)]
    return [{kind: f"f{number:04}"} for number in range(count)]


def found(checks: list[dict[str, Any]], turn: Turn | None = None, timeout_s: float = 20) -> list[Finding]:
    return run(read_checks(checks), timeout_s, turn)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(patience, "MAX_WAIT_S", 0.05)


def in_turn(findings: list[Finding]) -> Finding:
    (one,) = [finding for finding in findings if finding.resource == "in turn"]
    return one


# -- functions and aliases --------------------------------------------------------------------------------------------


def test_many_functions_cost_pages_and_a_share_that_is_looked_at_closely() -> None:
    with Account(**functions(300)).connected() as aws:
        findings = found(many("function", 300))

    assert aws.calls == {
        "ListFunctions": 6,
        "GetFunctionConfiguration": function.FEW,
        "GetFunctionConcurrency": function.FEW,
    }
    assert Counter(one.seen.partition(";")[0] for one in findings if one.verdict is Mark.PASS) == {
        "it is there": 300 - function.FEW,
        "active": function.FEW,
    }
    assert in_turn(findings).verdict is Mark.UNKNOWN
    assert "the state and concurrency of 270 was not looked at" in in_turn(findings).seen


def test_a_few_are_all_looked_at_closely_without_a_list() -> None:
    with Account(**functions(500)).connected() as aws:
        findings = found(many("function", function.FEW))

    assert aws.calls["ListFunctions"] == 0
    assert [one.seen for one in findings] == ["active"] * function.FEW


def test_each_run_looks_at_others_until_each_was_looked_at() -> None:
    looked_at: Counter[str] = Counter()
    last = Mark.UNKNOWN
    with Account(**functions(70)).connected() as aws:
        for number in range(4):
            aws.asked.clear()
            findings = found(many("alias", 70), Turn(number))
            looked_at.update(asked["FunctionName"] for asked in aws.asked if "Name" in asked)
            last = in_turn(findings).verdict
            assert (last is Mark.PASS) == (number == 3)

    assert set(looked_at.values()) == {1}
    assert len(looked_at) == 70


def test_nothing_is_claimed_of_an_alias_that_was_not_looked_at() -> None:
    with Account(**functions(70)).connected():
        findings = found(many("alias", 70))

    assert Counter(one.verdict for one in findings) == {Mark.PASS: 18, Mark.UNKNOWN: 1}
    assert -(-70 // alias.FEW) == 4


def test_functions_and_aliases_share_one_list() -> None:
    with Account(**functions(100)).connected() as aws:
        found([*many("function", 100), *many("alias", 100)])

    assert aws.calls["ListFunctions"] == 2


def test_a_function_that_is_not_in_the_list_is_looked_at_and_fails() -> None:
    def configuration(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if asked["FunctionName"] == "gone":
            raise gone()
        return {"State": "Active"}

    with Account(**functions(100, GetFunctionConfiguration=configuration)).connected():
        findings = found([*many("function", 60), {"function": "gone"}])

    assert [one.resource for one in findings if one.verdict is Mark.FAIL] == ["gone"]


def test_what_was_wrong_the_last_time_is_looked_at_every_time() -> None:
    stopped = {"GetFunctionConcurrency": lambda asked: {"ReservedConcurrentExecutions": 0}}
    with Account(**functions(100, **stopped)).connected() as aws:
        suspects = frozenset({turns.label_of("function", "f0001")})
        findings = found(many("function", 100), Turn(0, suspects))

    assert "f0001" in {one.resource for one in findings if one.verdict is Mark.FAIL}
    assert aws.calls["GetFunctionConcurrency"] == 100 // 4 + 1


@pytest.mark.parametrize("error", [denied, throttled])
def test_without_the_list_only_the_share_is_looked_at_and_nothing_else_is_claimed(error: Callable[[], Any]) -> None:
    def refused(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        raise error()

    with Account(**functions(100, ListFunctions=refused)).connected():
        findings = found(many("function", 100), timeout_s=1)

    assert Counter(one.verdict for one in findings) == {Mark.PASS: 25, Mark.UNKNOWN: 1}


def test_a_list_that_is_longer_than_it_is_worth_is_not_read_to_its_end() -> None:
    with Account(**functions(5_000)).connected() as aws:
        findings = found(many("function", 40))

    assert aws.calls["ListFunctions"] == pages.most_pages(40) == 4
    assert in_turn(findings).verdict is Mark.UNKNOWN


# -- schedules, queues, flags, rules ----------------------------------------------------------------------------------


def test_schedules_are_listed_and_a_wrong_one_is_looked_at_closely() -> None:
    names = [{"Name": f"f{number:04}", "State": "DISABLED" if number == 5 else "ENABLED"} for number in range(250)]
    late = {"State": "ENABLED", "EndDate": datetime.now(UTC) - timedelta(days=1), "ScheduleExpression": "rate(1 day)"}

    def one(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**late, "State": "DISABLED"} if asked["Name"] == "f0005" else late

    answers = {"ListSchedules": listed("Schedules", names, 100, ("NextToken", "NextToken")), "GetSchedule": one}
    with Account(**answers).connected() as aws:
        findings = found(many("schedule", 250), Turn(1))

    share = len([number for number in range(250) if number % -(-250 // schedule.FEW) == 1])
    assert aws.calls == {"ListSchedules": 3, "GetSchedule": share + 1}
    assert {asked.get("NamePrefix") for asked in aws.asked} == {"f0", None}
    failing = [one for one in findings if one.verdict is Mark.FAIL]
    assert len(failing) == share + 2  # one of them for two reasons
    assert next(one.seen for one in failing if one.resource.endswith("f0005")) == "it is DISABLED"


def metrics_of(values: Mapping[str, list[float]]) -> Answer:
    def answer(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        results = [
            {"Id": query["Id"], "StatusCode": "Complete", "Values": values.get(_queue_of(query), [0.0])}
            for query in asked["MetricDataQueries"]
        ]
        return {"MetricDataResults": results}

    return answer


def _queue_of(query: Mapping[str, Any]) -> str:
    return str(query["MetricStat"]["Metric"]["Dimensions"][0]["Value"])


def test_only_queues_that_are_not_known_to_be_empty_are_counted_one_by_one() -> None:
    def attributes(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": "2" if asked["QueueUrl"].endswith("f0003") else "0"}}

    answers = {
        "GetMetricData": metrics_of({"f0003": [0.0, 1.0], "f0004": [], "f0005": [1.0, 0.0]}),
        "GetQueueUrl": lambda asked: {"QueueUrl": f"https://sqs/{asked['QueueName']}"},
        "GetQueueAttributes": attributes,
    }
    with Account(**answers).connected() as aws:
        findings = found(many("queue", 600))

    assert aws.calls == {"GetMetricData": 3, "GetQueueUrl": 3, "GetQueueAttributes": 3}
    assert [one.resource for one in findings if one.verdict is Mark.FAIL] == ["f0003"]
    assert "as CloudWatch counted in the last 10 minutes" in findings[0].seen
    assert len(findings) == 600 > queue.FEW


def test_flags_are_read_ten_at_a_time_and_what_is_no_flag_is_not_shown() -> None:
    def answer(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        values = {"/f1": "false", "/f2": "hunter2"}
        there = [name for name in asked["Names"] if name != "/f3"]
        return {"Parameters": [{"Name": name, "Value": values.get(name, "true")} for name in there]}

    def no_such(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        raise gone()

    with Account(GetParameters=answer, GetParameter=no_such).connected() as aws:
        findings = found([{"flag": f"/f{number}"} for number in range(25)])

    assert aws.calls == {"GetParameters": 3, "GetParameter": 1}
    assert [one.resource for one in findings if one.verdict is Mark.FAIL] == ["/f1", "/f2", "/f3"]
    assert "hunter2" not in str(findings)


def test_rules_of_a_bus_are_listed_and_each_still_needs_a_target() -> None:
    names = [f"r{number}" for number in range(30)]
    rules = [{"Name": name, "State": "DISABLED" if name == "r7" else "ENABLED"} for name in names]
    answers = {
        "ListRules": listed("Rules", rules, 100, ("NextToken", "NextToken")),
        "ListTargetsByRule": lambda asked: {"Targets": [] if asked["Rule"] == "r9" else [{"Id": "1", "Arn": "a"}]},
    }
    with Account(**answers).connected() as aws:
        findings = found([{"rules": {"bus": "b", "names": names}}])

    assert aws.calls == {"ListRules": 1, "ListTargetsByRule": 30}
    assert [one.resource for one in findings if one.verdict is Mark.FAIL] == ["b/r7", "b/r9"]


# -- throttling -------------------------------------------------------------------------------------------------------


def test_a_throttled_page_is_asked_for_again_and_only_that_page() -> None:
    names = [{"Name": f"f{number:04}", "State": "ENABLED"} for number in range(250)]
    answer = listed("Schedules", names, 100, ("NextToken", "NextToken"))
    refusals = iter([False, True, True, False, False])

    def now_and_then(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if next(refusals):
            raise throttled()
        return answer(asked)

    one = {"State": "ENABLED", "ScheduleExpression": "rate(1 day)"}
    with Account(ListSchedules=now_and_then, GetSchedule=lambda asked: one).connected() as aws:
        findings = found(many("schedule", 250))

    assert aws.calls["ListSchedules"] == 5
    assert {finding.verdict for finding in findings if finding.resource != "in turn"} == {Mark.PASS}


def test_what_is_throttled_to_the_end_is_unknown_and_no_exception() -> None:
    def always(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        raise throttled()

    began = time.monotonic()
    with Account(DescribeAlarms=always, GetParameters=always, GetParameter=always).connected():
        findings = found([{"alarms": {"names": ["a"]}}, {"flag": "/a"}, {"flag": "/b"}], timeout_s=0.5)

    assert [one.verdict for one in findings] == [Mark.UNKNOWN] * 3
    assert time.monotonic() - began < 5


def test_outside_of_a_sweep_nobody_waits() -> None:
    slept: list[float] = []

    def refused() -> None:
        translate(throttled(), "x")

    with pytest.raises(Unreadable):
        patiently(refused, slept.append)
    with pytest.raises(Unreadable), until(time.monotonic() + 0.2):
        patiently(refused, slept.append)
    assert slept


def test_lambda_is_asked_so_many_times_at_once_and_then_slowly() -> None:
    slept: list[float] = []
    with until(time.monotonic() + 60):
        pace = Pace(3, 5, slept.append)
        for _ in range(5):
            pace.take()

    assert [round(one, 1) for one in slept] == [0.2, 0.4]


def test_a_call_whose_turn_would_come_too_late_is_not_made() -> None:
    with until(time.monotonic() + 0.5):
        pace = Pace(1, 0.1, lambda seconds: None)
        pace.take()
        with pytest.raises(OutOfTime):
            pace.take()


# -- which run it is --------------------------------------------------------------------------------------------------


def report(**more: Any) -> dict[str, Any]:
    counts = {"passed": 1, "failed": 0, "unknown": 0}
    usual = {"system": "shop", "sweep": "morning", "action_id": "s.1", "verdict": "pass", "at": "", "took_s": 1}
    return {**usual, **counts, "red_alarms": {"count": 0}, **more}


def test_the_ledger_knows_whose_turn_it_is(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_outcome, "_tell", lambda *_: True)
    monkeypatch.setattr("selfheal.sweep_report.store", lambda _: "s3://b/k")
    checks = many("function", 3)
    broken = Finding("function", "f0001", Mark.FAIL, "stopped", "active")
    for number in range(3):
        turn = sweep_outcome.turn_of(ledger, "shop", "morning", checks)
        assert turn.number == number
        assert turn.suspects == (frozenset({"function f0001"}) if number else frozenset())
        sweep_outcome.keep(ledger, report(), [broken], 100.0 + number, turn)

    assert sweep_outcome.turn_of(ledger, "shop", "morning", checks[1:]).number == 0


def test_what_nobody_was_told_is_looked_at_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_outcome, "_tell", lambda *_: False)
    monkeypatch.setattr("selfheal.sweep_report.store", lambda _: "s3://b/k")
    broken = Finding("function", "f0001", Mark.FAIL, "stopped", "active")
    for _ in range(2):
        turn = sweep_outcome.turn_of(ledger, "shop", "morning", [])
        sweep_outcome.keep(ledger, report(), [broken], 100.0, turn)
        assert turn.number == 0


def test_without_the_ledger_some_share_is_looked_at(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise LedgerUnavailable("no answer")

    monkeypatch.setattr(sweep_results, "last", down)
    assert sweep_outcome.turn_of(ledger, "shop", "morning", []).number == 0
