"""`make explain ALARM=…`: what would happen, and by which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal.words import ResponseMode
from selfheal_build.runbooks import __main__ as command
from selfheal_build.runbooks.explain import explain

RUNBOOK = """\
system: shop-{stage}
stages: [dev]
owner: shop-oncall
maintenance: [{days: [sat], from: "06:00", to: "08:00"}]
targets:
  flag: {parameter: "/shop/{stage}/trading_enabled"}
  live: {function: "shop-{stage}", alias: live}
responses:
  - name: orders failing
    alarms:
      - "shop-{stage}-errors"
      - "shop-{stage}-slow-*"
    severity: P1
    contain:
      - {halt_trading: flag}
    remediate:
      - {roll_back_alias: live, settle: 3m}
    probe: {smoke_test: live, payload: {}, expect: {}}
    recover:
      - {resume_trading: flag, approval: required}
  - {name: only told, alarms: ["shop-{stage}-told"], severity: P2, mode: suggest, contain: [{halt_trading: flag}]}
  - {name: left alone, alarms: ["shop-{stage}-off"], severity: P3, mode: "off", contain: [{halt_trading: flag}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(RUNBOOK)
    return tmp_path


def told(folder: Path, alarm: str, mode: ResponseMode = ResponseMode.SUGGEST) -> str:
    return explain(folder, "rb", alarm, mode)


def test_each_step_is_told_with_its_line(folder: Path) -> None:
    lines = RUNBOOK.splitlines()
    text = told(folder, "shop-dev-slow-api")

    for what in (
        "- name: orders failing",
        "slow-*",
        "{halt_trading: flag}",
        "roll_back_alias",
        "probe:",
        "resume_trading",
    ):
        number = next(number for number, line in enumerate(lines, 1) if what in line)
        assert f"rb/shop.yaml:{number}  " in text, what
    assert "because of `shop-dev-slow-*`" in text
    assert "parameter /shop/dev/trading_enabled" in text
    assert "then 3 min to turn green" in text
    assert "rb/shop.yaml:4  in these windows nothing risky is done" in text


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        (ResponseMode.OFF, "with MaxMode off refused, and a person is told"),
        (ResponseMode.SUGGEST, "with MaxMode suggest planned, and a person is told"),
        (ResponseMode.AUTO, "with MaxMode auto done, if no guard stops it"),
    ],
)
def test_the_mode_bounds_what_is_risky_and_nothing_else(folder: Path, mode: ResponseMode, what: str) -> None:
    text = told(folder, "shop-dev-errors", mode)

    assert text.count(what) == 1
    assert text.count("safe: done, in any MaxMode") == 1
    assert text.count("waits for a person, in any mode") == 1


def test_a_response_that_only_suggests_says_so(folder: Path) -> None:
    assert "safe: planned, and a person is told (the response says `mode: suggest`)" in told(folder, "shop-dev-told")


def test_a_response_that_is_off_does_nothing(folder: Path) -> None:
    text = told(folder, "shop-dev-off")

    assert "nothing is done: the response is off" in text
    assert "halt_trading" not in text


def test_an_alarm_that_nothing_fits_gets_the_nearest_pattern(folder: Path) -> None:
    text = told(folder, "shop-dev-error")

    assert "no response fits it" in text
    assert "did you mean `shop-dev-errors`?" in text


def test_of_runbooks_that_are_wrong_nothing_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.yaml").write_text(
        RUNBOOK.replace("halt_trading: flag}\n    remediate", "halt_tradin: flag}\n    remediate")
    )

    assert command.main(["explain", "shop-dev-errors", "--source", str(folder)]) == 1
    assert "shop.yaml:15:" in (printed := capsys.readouterr()).err
    assert "did you mean `halt_trading`?" in printed.err
    assert printed.out == ""


def test_every_alarm_of_the_shipped_runbooks_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["explain", "the-alchemiser-v2-dev-errors", "--max-mode", "auto"]) == 0
    assert "roll_back_alias live" in capsys.readouterr().out
