"""A sweep's report: stored, recorded, measured; people hear of what changed, once, and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal import changes, message, outcome, sweep_news, sweep_report, sweep_results
from selfheal.action import Decline
from selfheal.checks.finding import Finding, Mark
from selfheal.clients import client
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import read_request, result_of
from selfheal.sweep_outcome import keep
from selfheal.words import Mode, Outcome, Verdict

from functions.check_health.app import CheckHealth
from tests.unit.aws import ROOT, ask, event, planned
from tests.unit.doubles import timed_out
from tests.unit.plays.sweep import write_runbook
from tests.unit.stage import Stage, stage
from tests.unit.wire import denied, throttled

NAME = "before the open"
SYSTEM = {"system": "shop"}
RED = Finding("queue", "orders-dlq", Mark.FAIL, "3 visible", "at most 0", "inspect_dlq tells what they are")
BLIND = Finding("flag", "/shop/flag", Mark.UNKNOWN, "parameter /shop/flag: denied", advice="look by hand")
FINE = Finding("bus", "shop", Mark.PASS, "it exists")


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


class Told(list[dict[str, Any]]):
    """The notices that were sent; none is taken while `broken`."""

    broken = False

    def __call__(self, kind: str, *details: Mapping[str, Any]) -> bool:
        if not self.broken:
            self.extend(json.loads(json.dumps(detail)) for detail in details if detail["what"] == "sweep")
        return not self.broken


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    sent = Told()
    monkeypatch.setattr(outcome, "send", sent)
    return sent


def swept(ledger: Ledger, *findings: Finding, at: float = 1_800_000_000.0, left: Any = None) -> dict[str, Any]:
    report = sweep_report.document(
        system="shop",
        sweep=NAME,
        action_id=f"sweep.{at:.0f}",
        at=at,
        took_s=1.25,
        findings=findings,
        left_over=left or {"open_changes": [], "pauses": []},
    )
    return keep(ledger, report, findings, at)


def body_of(notice: Mapping[str, Any]) -> str:
    found = message.of({"detail-type": outcome.NOTICE, "detail": notice})
    assert found is not None
    return f"{found.severity} {found.subject}\n{found.body}"


# -- through the engine -----------------------------------------------------------------------------------------------


def objects(on_stage: Stage) -> list[str]:
    listed = client("s3").list_objects_v2(Bucket="selfheal-archive", Prefix="sweeps/")
    return [each["Key"] for each in listed.get("Contents", [])]


def test_a_sweep_is_stored_recorded_measured_and_told(on_stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    play = on_stage.play("a_sweep")
    result = on_stage.run(play)
    assert result is not None
    assert (result["outcome"], result["evidence"]["told"]) == ("acted", True)

    page, document = sorted(objects(on_stage), key=lambda key: not key.endswith(".md"))
    assert page.startswith(f"sweeps/{play.target['system']}/before-the-open/")
    assert result["evidence"]["report"] == f"s3://selfheal-archive/{page}"
    read = client("s3").get_object(Bucket="selfheal-archive", Key=document)["Body"].read()
    report = json.loads(read)
    assert (report["verdict"], report["passed"], report["failed"], report["unknown"]) == ("fail", 1, 1, 0)
    assert report["findings"][0]["resource"] == "nowhere"

    last = sweep_results.last(on_stage.ledger, play.target["system"], NAME)
    assert last is not None
    assert (last.verdict, last.report, last.action_id) == ("fail", f"s3://selfheal-archive/{page}", result["action_id"])
    (notice,) = [one["detail"] for one in on_stage.wire.events() if one["detail-type"] == outcome.NOTICE]
    assert (notice["first"], notice["new_count"]) == (True, 1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    (measured,) = [line for line in lines if "ChecksFailed" in line]
    assert (measured["ChecksPassed"], measured["ChecksFailed"], measured["ChecksUnknown"]) == ([1.0], [1.0], [0.0])
    assert (measured["System"], measured["Sweep"]) == (play.target["system"], NAME)
    assert "Action" not in measured
    assert [line for line in lines if "ActionActed" in line]


def test_the_same_id_twice_is_one_report_and_one_message(on_stage: Stage) -> None:
    play = on_stage.play("a_sweep")
    first = on_stage.run(play)
    on_stage.clock.advance(30)
    again = on_stage.run(play)
    assert first is not None
    assert again is not None
    assert again["evidence"]["report"] == first["evidence"]["report"]
    assert len(objects(on_stage)) == 2
    assert sum(one["detail-type"] == outcome.NOTICE for one in on_stage.wire.events()) == 1


@pytest.mark.parametrize("error", [denied, throttled, timed_out])
def test_a_store_that_fails_is_noted_and_fails_nothing(on_stage: Stage, error: Any) -> None:
    play = on_stage.play("a_sweep")
    on_stage.wire.again(names=("s3.put_object",), error=error)
    result = on_stage.run(play)
    assert result is not None
    assert (result["outcome"], result["evidence"]["report"]) == ("acted", "")
    assert "report" in result["evidence"]["report_note"]
    assert sweep_results.last(on_stage.ledger, play.target["system"], NAME) is not None


def test_without_the_ledger_it_answers_and_tells_what_is_wrong(on_stage: Stage) -> None:
    play = on_stage.play("a_sweep")
    on_stage.wire.again(names=("dynamodb.",), error=throttled)
    result = on_stage.run(play)
    assert result is not None
    assert (result["outcome"], result["evidence"]["told"]) == ("acted", True)
    assert result["evidence"]["result_not_recorded"]


def test_without_a_bucket_it_answers(on_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCHIVE_BUCKET")
    result = on_stage.run(on_stage.play("a_sweep"))
    assert result is not None
    assert result["outcome"] == "acted"
    assert "ARCHIVE_BUCKET" in result["evidence"]["report_note"]


def test_checks_without_a_sweep_leave_no_report(on_stage: Stage) -> None:
    result = on_stage.run(on_stage.play("check_health"))
    assert result is not None
    assert "report" not in result["evidence"]
    assert objects(on_stage) == []


# -- which checks -----------------------------------------------------------------------------------------------------


def refused(**options: Any) -> Decline:
    request = ask("check_health", SYSTEM, options=options)
    decision = CheckHealth().decide(CheckHealth().observe(request), request)
    assert isinstance(decision, Decline)
    return decision


def test_a_sweep_brings_its_checks(on_stage: Stage) -> None:
    write_runbook("shop", [{"queue": {"queue": "empty"}}])
    request = ask("check_health", SYSTEM, options={"sweep": NAME})
    change = planned(CheckHealth(), request)
    assert change.plan == {"checks": [{"queue": {"queue": "empty"}}]}
    assert change.summary == "run 1 health checks of shop from the before the open"


def test_an_unknown_sweep_is_refused_with_the_nearest_names(on_stage: Stage) -> None:
    write_runbook("shop", [{"queue": {"queue": "empty"}}])
    decision = refused(sweep="before open")
    assert decision.refusal is Refusal.NO_SUCH_SWEEP
    assert "'before the open'" in decision.detail
    assert "'before the open'" in refused(sweep="xyz").detail


def test_a_system_without_a_runbook_has_no_sweep(on_stage: Stage) -> None:
    decision = refused(sweep=NAME)
    assert (decision.refusal, "it has none" in decision.detail) == (Refusal.NO_SUCH_SWEEP, True)


def test_checks_and_a_sweep_together_are_refused(on_stage: Stage) -> None:
    assert refused(sweep=NAME, checks=[{"bus": "shop"}]).refusal is Refusal.BAD_OPTIONS


# -- must_pass --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "must_pass", "verdict"),
    [
        ([FINE], True, Verdict.HOLDS),
        ([FINE, RED], True, Verdict.DOES_NOT_HOLD),
        ([FINE, BLIND], True, Verdict.DOES_NOT_HOLD),
        ([FINE, BLIND, RED], False, Verdict.HOLDS),
    ],
)
def test_what_must_pass_does_not_hold_unless_all_pass(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, found: list[Finding], must_pass: bool, verdict: Verdict
) -> None:
    monkeypatch.setattr("functions.check_health.app.run", lambda checks, timeout_s, turn: found)
    request = ask("check_health", SYSTEM, options={"checks": [{"bus": "shop"}], "must_pass": must_pass})
    action = CheckHealth()
    change = planned(action, request)
    assert action.verify(request, change).verdict is (Verdict.UNKNOWN if must_pass else Verdict.HOLDS)
    action.apply(request, change)
    seen = action.verify(request, change)
    assert seen.verdict is verdict
    if verdict is Verdict.DOES_NOT_HOLD:
        worst = RED if RED in found else BLIND
        assert sweep_news.line_of(worst) in seen.detail


def test_a_step_that_must_pass_fails(on_stage: Stage) -> None:
    play = on_stage.play("a_sweep")
    options = {**play.more["options"], "must_pass": True}
    result = on_stage.run(play, options=options)
    assert result is not None
    assert (result["outcome"], result["reason"]) == ("failed", "does_not_hold")
    assert "bus nowhere: it does not exist" in result["detail"]
    assert result["evidence"]["report"]


# -- what is told -----------------------------------------------------------------------------------------------------


def test_only_changes_are_told(ledger: Ledger, told: Told) -> None:
    swept(ledger, FINE, at=1.0)
    swept(ledger, FINE, at=2.0)
    assert [(one["first"], one["new_count"]) for one in told] == [(True, 0)]

    swept(ledger, FINE, RED, at=3.0)
    more = Finding(**{**vars(RED), "seen": "17 visible"})
    assert not swept(ledger, FINE, more, at=4.0)["told"]
    assert [one["new_count"] for one in told] == [0, 1]

    swept(ledger, FINE, RED, BLIND, at=5.0)
    assert (told[-1]["new_count"], told[-1]["still"], told[-1]["new"][0]["resource"]) == (1, 1, "/shop/flag")
    swept(ledger, FINE, at=6.0)
    assert (told[-1]["over"], told[-1]["new_count"]) == (["queue orders-dlq", "flag /shop/flag"], 0)
    assert len(told) == 4


def test_what_becomes_worse_is_told_again(ledger: Ledger, told: Told) -> None:
    lag = Finding("archive", "shop/a", Mark.UNKNOWN, "no events yet", "at least 1")
    swept(ledger, lag, at=1.0)
    swept(ledger, Finding("archive", "shop/a", Mark.FAIL, "no events", "at least 1"), at=2.0)
    assert (told[-1]["new_count"], told[-1]["over_count"]) == (1, 0)


def test_what_could_not_be_looked_at_is_not_over(ledger: Ledger, told: Told) -> None:
    swept(ledger, RED, at=1.0)
    swept(ledger, Finding("queue", "orders-dlq", Mark.UNKNOWN, "no answer"), at=2.0)
    assert (told[-1]["over_count"], told[-1]["new_count"]) == (0, 1)
    assert not swept(ledger, RED, Finding("queue", "orders-dlq", Mark.UNKNOWN, "no answer"), at=3.0)["told"]
    swept(ledger, FINE, at=4.0)
    assert told[-1]["over_count"] == 2


def test_a_message_that_nobody_took_is_sent_with_the_next_sweep(ledger: Ledger, told: Told) -> None:
    told.broken = True
    assert not swept(ledger, RED, at=1.0)["told"]
    told.broken = False
    assert swept(ledger, RED, at=2.0)["told"]
    told.broken = True
    swept(ledger, FINE, at=3.0)
    told.broken = False
    swept(ledger, FINE, at=4.0)
    assert told[-1]["over"] == ["queue orders-dlq"]
    assert len(told) == 2


def test_a_late_older_run_overwrites_and_tells_nothing(ledger: Ledger, told: Told) -> None:
    swept(ledger, FINE, at=20.0)
    late = swept(ledger, RED, at=10.0)
    assert (late["told"], len(told)) == (False, 1)
    assert "newer" in late["result_not_recorded"]
    last = sweep_results.last(ledger, "shop", NAME)
    assert last is not None
    assert (last.at, last.verdict) == (20.0, "pass")
    assert not sweep_results.record(ledger, "shop", NAME, last.__class__(**{**vars(last), "at": 5.0}))


def test_the_digest_is_of_what_is_wrong_and_not_of_its_numbers() -> None:
    assert sweep_news.digest_of([RED, BLIND, FINE]) == sweep_news.digest_of([BLIND, RED])
    assert sweep_news.digest_of([RED]) != sweep_news.digest_of([])


# -- words ------------------------------------------------------------------------------------------------------------


def test_the_message_says_what_changed_the_worst_first(ledger: Ledger, told: Told) -> None:
    at = 1_800_000_000.0
    request = ask("halt_trading", {"parameter": "/shop/flag"}, action_id="halt-1", system="shop", incident="shop-1")
    ledger.write(changes.opened(request, result_of(request, Outcome.ACTED, detail="set /shop/flag to false"), at))
    left = {"open_changes": [{**change, "age_h": 1.0} for change in changes.still_open(ledger)], "pauses": []}
    halted = Finding("flag", "/shop/flag", Mark.FAIL, "it is false", "true", "see why")
    swept(ledger, Finding("bus", "gone", Mark.FAIL, "it does not exist", "it exists"), at=1.0)
    swept(ledger, BLIND, halted, FINE, at=at, left=left)
    text = body_of(told[-1])
    assert text.splitlines()[:8] == [
        "P2 shop before the open: 2 new findings, 1 as expected again",
        "shop before the open: 2 new findings, 1 as expected again",
        "Seen: 1 passed, 1 failed, 1 unknown",
        "",
        "- FAIL flag /shop/flag: it is false; expected true",
        "  selfheal did: set /shop/flag to false (shop-1)",
        "  selfheal suggests: see why",
        "",
    ]
    assert "- again as expected: bus gone" in text
    assert "Report: not stored: environment variable ARCHIVE_BUCKET is missing" in text
    command = next(line for line in text.splitlines() if line.startswith("Look again: "))
    event = json.loads(command.partition("--event '")[2].rstrip("'"))
    assert event["options"] == {"sweep": NAME}


def test_severity_is_that_of_what_is_new(ledger: Ledger, told: Told) -> None:
    swept(ledger, FINE, at=1.0)
    swept(ledger, RED, at=2.0)
    swept(ledger, RED, BLIND, at=3.0)
    swept(ledger, FINE, at=4.0)
    assert [body_of(one)[:2] for one in told] == ["P4", "P2", "P3", "P4"]


def test_red_alarms_are_said_to_be_answered() -> None:
    alarm = Finding("alarms", "shop-errors", Mark.FAIL, "ALARM: threshold crossed", "OK", "see its runbook")
    left: dict[str, Any] = {"open_changes": [], "pauses": []}
    more: dict[str, Any] = {"system": "shop", "sweep": NAME, "action_id": "a", "at": 1.0, "took_s": 1.0}
    report = sweep_report.document(findings=[alarm, RED], left_over=left, **more)
    assert report["red_alarms"] == {"count": 1, "next": sweep_report.RED}
    assert sweep_report.RED in sweep_report.markdown(report)
    assert sweep_report.document(findings=[RED], left_over=left, **more)["red_alarms"] == {"count": 0}


def test_nothing_found_is_no_pass() -> None:
    assert sweep_report.verdict_of([]) is Mark.FAIL
    assert sweep_report.verdict_of([FINE]) is Mark.PASS


def test_the_page_keeps_hostile_names_in_their_cells() -> None:
    name = "a|b\n# owned [x](http://example.com) <script>"
    left = {"open_changes": None, "pauses": None, "left_over_not_read": name}
    finding = Finding("queue", name, Mark.FAIL, name, name, name)
    page = sweep_report.markdown(
        sweep_report.document(
            system=name, sweep=name, action_id=name, at=1.0, took_s=1.0, findings=[finding, FINE], left_over=left
        )
    )
    row = next(line for line in page.splitlines() if line.startswith("| fail"))
    assert row.replace("\\|", "").count("|") == 7
    assert "<script>" not in page.replace("\\<", "")
    assert "\n# owned" not in page


def test_a_report_lies_under_its_system_and_day() -> None:
    report = {"system": "shop/eu", "sweep": "../x y", "at": "2026-01-05T08:45:01+00:00", "action_id": "a"}
    assert sweep_report.key_of(report).startswith("sweeps/shop-eu/x-y/2026/01/05/084501-")


@pytest.mark.parametrize(
    ("resource", "target", "did"),
    [
        ("default/daily", {"schedule_group": "default"}, True),
        ("default/daily", {"schedule": "daily"}, True),
        ("default/daily", {"schedule": "other"}, False),
        ("shop/rule-1", {"bus": "shop", "rule_prefix": "rule-"}, True),
        ("f/live", {"function": "f", "alias": "live"}, True),
        ("f/live", {"gone": "f"}, False),
    ],
)
def test_a_finding_says_what_selfheal_did_to_its_resource(resource: str, target: dict[str, str], did: bool) -> None:
    change = {"target": target, "summary": "did it", "incident": None, "action_id": "a-1"}
    finding = Finding("any", resource, Mark.FAIL, "seen")
    assert sweep_report.told(finding, [change]).get("did") == ("did it (a-1)" if did else None)
    assert "did" not in sweep_report.told(Finding("any", resource, Mark.PASS, "seen"), [change])


def test_the_example_of_a_sweep_is_a_plan_that_check_health_takes() -> None:
    request = read_request(event("sweeps/before_the_open"), (CheckHealth.name,), "id")
    (runbook,) = (ROOT / "layers/runbooks").glob("the-alchemiser.yaml")
    assert request.mode is Mode.PLAN
    assert f"name: {request.options['sweep']}," in runbook.read_text()
