"""Trading is resumed after a sweep only if that sweep passed, and lately; a halt waits for nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selfheal import sweep_gate, sweep_results
from selfheal.clients import client
from selfheal.refusal import Refusal
from selfheal.sweep_results import SweepResult

from tests.unit.stage import Stage, stage
from tests.unit.wire import denied, throttled

SWEEP = "morning checklist"
FLAG = "/shop/gated"


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        client("ssm").put_parameter(Name=FLAG, Value="false", Type="String")
        yield made


def passed(on_stage: Stage, ago_s: float, verdict: str = "pass", worst: str = "") -> None:
    result = SweepResult(time.time() - ago_s, "sweep.1", verdict, 3, 0, 0, "s3://b/k", "d", worst, {})
    assert sweep_results.record(on_stage.ledger, "shop", SWEEP, result)


def resume(on_stage: Stage, number: int = 1, **more: Any) -> dict[str, Any]:
    request = {
        "action": "resume_trading",
        "action_id": f"resume-{number}",
        "target": {"parameter": FLAG},
        "mode": "act",
        "system": "shop",
        "requested_by": "ann",
        "options": {"after_sweep": SWEEP, "within_minutes": 15},
    }
    result = on_stage.invoke("switch_trading", request | more)
    assert result is not None
    return result


def value() -> str:
    return str(client("ssm").get_parameter(Name=FLAG)["Parameter"]["Value"])


def test_it_resumes_after_a_sweep_that_passed(on_stage: Stage) -> None:
    passed(on_stage, ago_s=14 * 60)
    assert resume(on_stage)["outcome"] == "acted"
    assert value() == "true"


def test_it_is_refused_until_the_sweep_has_run(on_stage: Stage) -> None:
    result = resume(on_stage)
    assert (result["outcome"], result["reason"], value()) == ("refused", Refusal.CHECKS_NOT_PASSED, "false")
    assert "has never run" in result["detail"]
    event = json.loads(result["detail"].partition("--event '")[2].rpartition("'")[0])
    assert event == {
        "target": {"system": "shop"},
        "options": {"sweep": SWEEP},
        "mode": "act",
        "requested_by": "YOUR NAME",
    }


def test_one_that_failed_or_could_not_tell_is_named(on_stage: Stage) -> None:
    for number, verdict in enumerate(("fail", "unknown")):
        passed(on_stage, ago_s=60 - number, verdict=verdict, worst="queue orders-dlq: 3 visible; expected at most 0")
        result = resume(on_stage, number)
        assert (result["reason"], value()) == (Refusal.CHECKS_NOT_PASSED, "false")
        assert "queue orders-dlq: 3 visible" in result["detail"]


def test_an_old_pass_is_no_pass(on_stage: Stage) -> None:
    passed(on_stage, ago_s=16 * 60)
    result = resume(on_stage)
    assert (result["reason"], value()) == (Refusal.CHECKS_NOT_PASSED, "false")
    assert "16 min ago; at most 15" in result["detail"]
    assert resume(on_stage, 2, options={"after_sweep": SWEEP, "within_minutes": 17})["outcome"] == "acted"


def test_a_pass_from_the_future_is_no_pass() -> None:
    seen = {"sweep": SWEEP, "system": "shop", "not_read": "", "verdict": "pass", "worst": "", "at": 1e9}
    assert sweep_gate.decide(seen | {"age_s": -30.0}, 15) is None
    assert sweep_gate.decide(seen | {"age_s": -3_600.0}, 15) is not None


def test_it_needs_to_know_whose_sweep(on_stage: Stage) -> None:
    passed(on_stage, ago_s=1)
    result = resume(on_stage, system=None)
    assert (result["reason"], value()) == (Refusal.BAD_OPTIONS, "false")


@pytest.mark.parametrize("error", [denied, throttled])
def test_without_the_ledger_it_is_refused(on_stage: Stage, error: Any) -> None:
    passed(on_stage, ago_s=1)
    on_stage.wire.again(names=("dynamodb.",), error=error)
    result = resume(on_stage)
    assert (result["reason"], value()) == (Refusal.GUARD_UNREADABLE, "false")


def test_to_undo_a_resume_is_a_halt_and_waits_for_nothing(on_stage: Stage) -> None:
    passed(on_stage, ago_s=1)
    assert resume(on_stage)["outcome"] == "acted"
    passed(on_stage, ago_s=0, verdict="fail")
    undo = {"undo_of": "resume-1", "origin": "undo"}
    assert resume(on_stage, 2, **undo)["outcome"] == "acted"
    assert value() == "false"


def test_a_halt_does_not_know_the_option(on_stage: Stage) -> None:
    result = resume(on_stage, action="halt_trading")
    assert (result["outcome"], result["reason"]) == ("refused", Refusal.BAD_OPTIONS)
