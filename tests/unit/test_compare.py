"""`make compare`: what a changed runbook decides otherwise."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from selfheal_build.runbooks import compiler, every_alarm

from local import compare

ROOT = Path(__file__).parents[2]
ERRORS = "the-alchemiser-v2-dev-errors"


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    return compiler.compile_files([(ROOT / "layers/runbooks/the-alchemiser.yaml", "the-alchemiser.yaml")])


def _response(runbooks: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one for system in runbooks["systems"] for one in system["responses"] if ERRORS in one["alarms"]
    )
    return found


def test_every_pattern_of_every_runbook_goes_red_once_and_green_again(compiled: dict[str, Any]) -> None:
    patterns = {name for system in compiled["systems"] for one in system["responses"] for name in one["alarms"]}
    tried = every_alarm.events([compiled])

    assert set(tried) == patterns
    assert [event["detail"]["state"]["value"] for event in tried[ERRORS]] == ["ALARM", "OK"]


def test_a_dimension_that_a_target_comes_from_is_there() -> None:
    runbooks = {"systems": [{"responses": [{"alarms": ["shop-*-?"], "target": {"function": "{alarm.FunctionName}"}}]}]}
    (name, (event, _)) = next(iter(every_alarm.events([runbooks]).items()))

    assert name == "shop-x-x"
    metric = event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]
    assert metric["dimensions"] == {"FunctionName": "example"}


def test_the_same_runbooks_decide_the_same(compiled: dict[str, Any]) -> None:
    assert compare.report(compiled, compiled, {}, "main").startswith("### No decision changes")


def test_a_step_less_is_shown_for_each_alarm_of_its_response_once(compiled: dict[str, Any]) -> None:
    changed = copy.deepcopy(compiled)
    response = _response(changed)
    response["contain"] = [step for step in response["contain"] if step["action"] != "disable_schedule"]

    told = compare.report(compiled, changed, {}, "main")

    assert told.startswith("### 2 alarms or histories are decided otherwise")
    assert "**the-alchemiser-v2-dev-duration, the-alchemiser-v2-dev-errors**" in told
    assert told.count("disable_schedule schedule would act") == 1
    assert "-2026-01-14 12:00:03 #1 disable_schedule schedule would act" in told
    assert "-prod-" not in told


def test_an_alarm_that_is_answered_no_more_is_shown_as_refused(compiled: dict[str, Any]) -> None:
    changed = copy.deepcopy(compiled)
    _response(changed)["alarms"].remove(ERRORS)

    assert f"{ERRORS}**\n" in compare.report(compiled, changed, {}, "main")
    assert "refused no_runbook" in compare.report(compiled, changed, {}, "main")


def test_a_history_is_replayed_through_both(compiled: dict[str, Any]) -> None:
    changed = copy.deepcopy(compiled)
    _response(changed)["cooldown_s"] = 1
    busy = json.loads((ROOT / "events/histories/a-busy-day.json").read_text())

    told = compare.report(compiled, changed, {"a busy day": busy}, "main")

    assert "**a busy day**" in told
    assert "-2026-11-20 09:10:25 #2 roll_back_alias live would refuse cooldown" in told


def test_what_does_not_fit_into_a_comment_is_left_out_whole() -> None:
    told = compare._as_much_as_fits(["title", "a" * 50_000, "b" * 50_000, "c"], "main")

    assert "b" * 100 not in told
    assert told.endswith("2 more do not fit here: `make compare BASE=main`")


def test_a_text_of_a_runbook_cannot_end_its_block() -> None:
    assert compare._block(compare.Changed("x", ("+ ``` <b>",))).count("```") == 2


def test_runbooks_that_are_not_valid_are_told_as_markdown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "layers/runbooks").mkdir(parents=True)
    (tmp_path / "layers/runbooks/shop.yaml").write_text("system: [\n")
    monkeypatch.setattr(compare, "REPOSITORY", tmp_path)
    monkeypatch.setattr(compare, "_compiled_at", lambda base: {"systems": []})

    assert compare.main(["--base", "main"]) == 1
    assert "layers/runbooks/shop.yaml:2" in capsys.readouterr().out


def test_a_commit_that_is_not_there_is_an_error_in_gits_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["--base", "no-such-commit"]) == 2
    assert "no-such-commit" in capsys.readouterr().err
