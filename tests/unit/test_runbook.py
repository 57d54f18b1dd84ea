"""The reader in the Lambda: matching, targets from an alarm's dimensions, and what it says about a wrong file."""

import fnmatch
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selfheal.errors import Misconfigured, Refused
from selfheal.refusal import Refusal
from selfheal.runbook import Runbooks, Step, Window, fits, load
from selfheal.words import ResponseMode, Stage
from selfheal_build.runbooks import compile_folder, write

SHOP = """\
system: shop-{stage}
stages: [dev, prod]
owner: shop-oncall
timezone: Asia/Kolkata
maintenance: [{days: [sat], from: "06:00", to: "08:00"}]
holidays: [2026-01-26]
exempt: [old, {schedule_group: frozen}, {bus: shop, rule_prefix: audit-}, {bus: shop, rule: ledger}]
targets:
  flag: {parameter: "/shop/{stage}/enabled"}
  any: {function: "{alarm.FunctionName}", alias: live}
  old: {function: "shop-old-{stage}", alias: live}
responses:
  - name: one function failing
    alarms: ["shop-{stage}-fn-*", "shop-{stage}-x?"]
    severity: P1
    mode: suggest
    contain: [{halt_trading: flag}]
    remediate: [{roll_back_alias: any, settle: 2m}]
    probe: {smoke_test: any, payload: {mode: test}}
    recover: [{resume_trading: flag, approval: required}]
    limits: {per_hour: 1}
checks: [{flag: flag}]
sweeps: [{name: morning, at: 45 8 ? * MON-FRI *}]
"""


@pytest.fixture
def runbooks(tmp_path: Path) -> Runbooks:
    (tmp_path / "shop.yaml").write_text(SHOP)
    write(compile_folder(tmp_path), tmp_path / "runbooks.json")
    return load(str(tmp_path / "runbooks.json"))


def test_a_match_has_the_system_and_the_whole_response(runbooks: Runbooks) -> None:
    match = runbooks.match("shop-prod-fn-web")

    assert match is not None
    assert match.system == "shop-prod"
    assert match.runbook is runbooks.system("shop-prod")
    response = match.response
    assert (response.system, response.name, response.severity) == ("shop-prod", "one function failing", "P1")
    assert response.mode is ResponseMode.SUGGEST
    assert [step.action for stage in Stage for step in response.steps(stage)] == [
        "halt_trading",
        "roll_back_alias",
        "resume_trading",
    ]
    assert response.remediate[0].settle_s == 120
    assert response.recover[0].approval
    assert response.probe is not None
    assert response.probe.options == {"payload": {"mode": "test"}}
    assert (response.escalate_after_s, response.cooldown_s) == (900, 900)
    assert (response.limits.per_hour, response.limits.per_day) == (1, 7)
    assert SHOP.splitlines()[response.line - 1] == "  - name: one function failing"


@pytest.mark.parametrize("name", ["shop-test-fn-web", "shop-prod-x", "shop-prod-xyz", "SHOP-prod-fn-web", ""])
def test_other_alarms_match_nothing(name: str, runbooks: Runbooks) -> None:
    assert runbooks.match(name) is None


def test_a_runbook_knows_its_calendar_checks_and_sweeps(runbooks: Runbooks) -> None:
    runbook = runbooks.system("shop-dev")

    assert runbook is not None
    assert (runbook.file, runbook.owner, runbook.timezone) == ("shop.yaml", "shop-oncall", "Asia/Kolkata")
    assert runbook.maintenance == (Window(("sat",), "06:00", "08:00"),)
    assert runbook.holidays == {"2026-01-26"}
    assert runbook.checks == ({"flag": {"parameter": "/shop/dev/enabled"}},)
    (sweep,) = runbook.sweeps
    assert (sweep.name, sweep.at, sweep.timezone, sweep.checks) == (
        "morning",
        "45 8 ? * MON-FRI *",
        "Asia/Kolkata",
        runbook.checks,
    )


def test_a_response_is_found_by_its_name(runbooks: Runbooks) -> None:
    runbook = runbooks.system("shop-dev")

    assert runbook is not None
    assert runbook.response("one function failing") is runbook.responses[0]
    assert runbook.response("renamed since") is None


def test_there_is_no_runbook_for_an_unknown_system(runbooks: Runbooks) -> None:
    assert runbooks.system("shop") is None


@pytest.mark.parametrize(
    ("key", "exempt"),
    [
        ("function:shop-old-dev:live", True),
        ("function:shop-old-prod:live", False),  # of the other stage
        ("function:shop-old-dev:test", False),
        ("schedule:frozen/*", True),
        ("schedule:frozen/nightly", True),
        ("schedule:frozen-not/nightly", False),
        ("rule:shop/audit-trail", True),
        ("rule:shop/audit-*", True),
        ("rule:shop/aud*", True),  # has exempt ones in it
        ("rule:shop/ledger", True),
        ("rule:shop/ledger-two", False),
        ("rule:other/audit-trail", False),
        ("rule:shop/orders*", False),
        ("parameter:/shop/dev/enabled", False),
    ],
)
def test_exempt_targets(key: str, exempt: bool, runbooks: Runbooks) -> None:
    runbook = runbooks.system("shop-dev")

    assert runbook is not None
    assert runbook.is_exempt(key) is exempt


class TestTargetFor:
    STEP = Step(
        action="replay_dlq",
        target_name="",
        target={
            "queue": "{alarm.QueueName}",
            "replay_to": {"function": "{alarm.FunctionName}-{alarm.Stage}", "alias": "a"},
        },
        settle_s=0,
        approval=False,
        options={},
    )

    def test_dimensions_are_filled_in(self) -> None:
        target = self.STEP.target_for({"QueueName": "q", "FunctionName": "f", "Stage": "dev", "Other": "x"})

        assert target.key == "queue:q"
        assert target["replay_to"] == {"function": "f-dev", "alias": "a"}

    def test_a_missing_dimension_is_refused_by_its_name(self) -> None:
        with pytest.raises(Refused, match=r"no dimension FunctionName .* it has \['QueueName'\]") as raised:
            self.STEP.target_for({"QueueName": "q"})
        assert raised.value.refusal is Refusal.BAD_TARGET

    @pytest.mark.parametrize("value", ["*", "", "a\nb", "x" * 2049])
    def test_a_dimension_that_is_no_name_is_refused(self, value: str) -> None:
        with pytest.raises(Refused) as raised:
            self.STEP.target_for({"QueueName": value, "FunctionName": "f", "Stage": "s"})
        assert raised.value.refusal is Refusal.BAD_TARGET

    def test_a_dimension_is_not_filled_in_twice(self) -> None:
        target = self.STEP.target_for({"QueueName": "{alarm.Stage}", "FunctionName": "f", "Stage": "s"})

        assert target["queue"] == "{alarm.Stage}"

    def test_the_compiled_step_is_left_as_it_was(self) -> None:
        self.STEP.target_for({"QueueName": "q", "FunctionName": "f", "Stage": "s"})

        assert self.STEP.target["queue"] == "{alarm.QueueName}"


class TestLoad:
    def test_the_path_comes_from_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "elsewhere.json"
        path.write_text('{"version": 1, "systems": []}')
        monkeypatch.setenv("RUNBOOKS_PATH", str(path))

        assert load() == Runbooks(())

    def test_the_layer_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RUNBOOKS_PATH", raising=False)

        with pytest.raises(Misconfigured, match=re.escape("/opt/runbooks/runbooks.json: No such file")):
            load()

    def test_it_is_read_once(self, tmp_path: Path) -> None:
        path = tmp_path / "runbooks.json"
        path.write_text('{"version": 1, "systems": []}')

        first = load(str(path))
        path.unlink()

        assert load(str(path)) is first

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "are not JSON"),
            ('{"version": 2, "systems": []}', "have version 2, not 1"),
            ("[]", "are not what the build writes"),
            ('{"version": 1}', "are not what the build writes: KeyError('systems')"),
            ('{"version": 1, "systems": [{"system": "a"}]}', "are not what the build writes: KeyError"),
        ],
    )
    def test_a_wrong_file_is_named(self, text: str, message: str, tmp_path: Path) -> None:
        path = tmp_path / "runbooks.json"
        path.write_text(text)

        with pytest.raises(Misconfigured) as raised:
            load(str(path))
        assert str(path) in str(raised.value)
        assert message in str(raised.value)

    def test_an_unknown_field_of_a_step_is_named(self, tmp_path: Path, runbooks: Runbooks) -> None:
        document = json.loads((tmp_path / "runbooks.json").read_text())
        document["systems"][0]["responses"][0]["contain"][0]["when"] = "later"
        path = tmp_path / "newer.json"
        path.write_text(json.dumps(document))

        with pytest.raises(Misconfigured, match="when"):
            load(str(path))


class TestFits:
    @settings(max_examples=500, deadline=None)
    @example("a*b*", "aXbY")
    @example("*", "")
    @given(st.text(alphabet="ab.*?", max_size=8), st.text(alphabet="ab.", max_size=10))
    def test_it_agrees_with_the_shell_patterns_of_python(self, pattern: str, name: str) -> None:
        assert fits(pattern, name) == fnmatch.fnmatchcase(name, pattern)

    def test_brackets_stand_for_themselves(self) -> None:
        assert fits("a[b]", "a[b]")
        assert not fits("a[b]", "ab")

    def test_a_pattern_of_many_stars_takes_no_time(self) -> None:
        assert not fits("*a" * 127 + "b", "a" * 255)
