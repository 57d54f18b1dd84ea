"""The shipped runbooks, their schema and their page agree with the code that reads them."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from selfheal import procedures, rollouts
from selfheal.catalogue import ACTIONS
from selfheal.checks import CHECKS, read_checks
from selfheal.errors import Refused
from selfheal.request import read_request
from selfheal.runbook import Runbooks, load
from selfheal.target import KINDS
from selfheal.words import Mode, Stage
from selfheal_build.runbooks import RunbooksInvalid, compile_folder, schema, steps, targets, write
from selfheal_build.runbooks.document import read
from selfheal_build.runbooks.patterns import common_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "layers" / "runbooks"
PAGE = ROOT / "docs" / "writing-a-runbook.md"
FILES = sorted(FOLDER.glob("*.yaml"))

GOOD: dict[str, Any] = {
    "system": "shop",
    "owner": "shop-oncall",
    "targets": {"flag": {"parameter": "/shop/enabled"}, "live": {"function": "shop-web", "alias": "live"}},
    "responses": [
        {
            "name": "shop failing",
            "alarms": ["shop-*"],
            "severity": "P1",
            "contain": [{"halt_trading": "flag"}],
            "remediate": [{"roll_back_alias": "live", "settle": "2m"}],
            "recover": [{"resume_trading": "flag", "approval": "required"}],
        }
    ],
}


@pytest.fixture(scope="module")
def validator() -> Any:
    document = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(document)
    return jsonschema.Draft7Validator(document)


@pytest.fixture(scope="module")
def runbooks(tmp_path_factory: pytest.TempPathFactory) -> Runbooks:
    out = tmp_path_factory.mktemp("runbooks") / "runbooks.json"
    write(compile_folder(FOLDER), out)
    return load(str(out))


def test_the_published_schema_is_current() -> None:
    assert (FOLDER / "schema.json").read_text(encoding="utf-8") == schema.published()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_runbook_tells_the_editor_its_schema(file: Path) -> None:
    assert file.read_text(encoding="utf-8").splitlines()[0] == "# yaml-language-server: $schema=schema.json"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_schema_accepts_a_shipped_runbook(file: Path, validator: Any) -> None:
    document = read(file, file.name)

    assert document.problems == []
    assert [error.message for error in validator.iter_errors(document.data)] == []


def test_the_schema_accepts_a_good_runbook(validator: Any) -> None:
    assert validator.is_valid(GOOD)


CHANGES: dict[str, dict[str, Any]] = {
    "no alarms": {"alarms": []},
    "severity": {"severity": "high"},
    "unknown action": {"contain": [{"halt": "flag"}]},
    "risky action in contain": {"contain": [{"roll_back_alias": "live"}]},
    "settle in contain": {"contain": [{"halt_trading": "flag", "settle": "2m"}]},
    "duration": {"remediate": [{"roll_back_alias": "live", "settle": 120}]},
    "person without approval": {"recover": [{"resume_trading": "flag"}]},
    "option of another action": {"recover": [{"resume_trading": "flag", "approval": "required", "canary": 1}]},
    "two actions": {"contain": [{"halt_trading": "flag", "disable_schedule": "cron"}]},
    "probe of another kind": {"probe": {"halt_trading": "flag"}},
    "limit of zero": {"limits": {"per_hour": 0}},
}
WRONG: dict[str, dict[str, Any]] = {
    "no owner": {key: value for key, value in GOOD.items() if key != "owner"},
    "unknown key": {**GOOD, "sweep": []},
    "target of no kind": {**GOOD, "targets": {"flag": {"lambda": "x"}}},
    "half a target": {**GOOD, "targets": {"live": {"alias": "x"}}},
    "wildcard in a target": {**GOOD, "targets": {"flag": {"parameter": "/shop/*"}}},
}
WRONG |= {name: {**GOOD, "responses": [{**GOOD["responses"][0], **change}]} for name, change in CHANGES.items()}


@pytest.mark.parametrize("name", WRONG)
def test_the_schema_refuses_a_wrong_runbook(name: str, validator: Any) -> None:
    assert not validator.is_valid(WRONG[name])


def test_every_key_is_described() -> None:
    document = json.loads(schema.published())
    models = {"runbook": document, **document["$defs"]}

    bare = [
        f"{model}.{key}"
        for model, body in models.items()
        for key, value in body.get("properties", {}).items()
        if not value.get("description")
    ]

    assert bare == []


def test_the_schema_offers_each_action_where_it_may_stand() -> None:
    models = json.loads(schema.published())["$defs"]

    for name, entry in ACTIONS.items():
        usable = name in steps.USABLE
        for stage in ("Contain", "Remediate", "Recover"):
            expected = usable and (entry.contains or stage != "Contain")
            assert (f"{stage}{targets.title(name)}" in models) == expected, (stage, name)


def test_actions_for_people_are_no_steps() -> None:
    assert {"undo", "approve", "deny", "take_over", "hand_back", "pause", "resume"}.isdisjoint(steps.USABLE)


def test_what_needs_a_person_never_contains() -> None:
    assert [entry.name for entry in ACTIONS.values() if entry.contains and entry.person] == []


def test_the_builder_knows_every_nested_field() -> None:
    nested = {name for kind in KINDS.values() for name, default in kind.optional.items() if default == {}}

    assert nested == set(targets.NESTED)


def test_the_shipped_runbooks_share_no_alarm(runbooks: Runbooks) -> None:
    patterns = [
        (response.system, response.name, pattern)
        for runbook in runbooks.runbooks
        for response in runbook.responses
        for pattern in response.alarms
    ]

    assert [
        (one, other)
        for index, one in enumerate(patterns)
        for other in patterns[:index]
        if one[:2] != other[:2] and common_name(one[2], other[2]) is not None
    ] == []


@pytest.mark.parametrize(
    ("alarm", "system", "response"),
    [
        ("the-alchemiser-v2-dev-errors", "the-alchemiser-v2-dev", "trading lambda failing"),
        ("the-alchemiser-v2-prod-errors", "the-alchemiser-v2-prod", "trading lambda failing"),
        ("the-alchemiser-v2-prod-duration", "the-alchemiser-v2-prod", "trading lambda failing"),
        ("polymarket-staging-warning-service-cpu", "polymarket-staging", "warnings"),
        ("crypto-trading-test-api-latency", "crypto-trading-test", "performance degradation"),
        ("algo-trading-prod-dashboard-5xx", "algo-trading-prod", "dashboard not loading"),
        ("the-alchemiser-v2-prod-throttles", "the-alchemiser-v2-prod", "trading lambda throttled"),
        ("algo-trading-prod-trading-unhealthy", "algo-trading-prod", "trading engine failing"),
    ],
)
def test_an_alarm_leads_to_its_response(alarm: str, system: str, response: str, runbooks: Runbooks) -> None:
    match = runbooks.match(alarm)

    assert match is not None
    assert (match.system, match.response.name) == (system, response)


def test_every_shipped_step_has_a_target_that_its_action_takes(runbooks: Runbooks) -> None:
    for runbook in runbooks.runbooks:
        for response in runbook.responses:
            probe = () if response.probe is None else (response.probe,)
            for step in (*(step for stage in Stage for step in response.steps(stage)), *probe):
                assert step.target_for({}).kind in step.entry.kinds


def test_every_shipped_check_is_one_that_the_runner_knows(runbooks: Runbooks) -> None:
    for runbook in runbooks.runbooks:
        for checks in (runbook.checks, *(sweep.checks for sweep in runbook.sweeps)):
            try:
                assert len(read_checks(checks)) > 0
            except Refused as refused:
                pytest.fail(f"{runbook.file}: {refused}")


def test_every_command_of_a_shipped_procedure_asks_for_what_its_function_takes(runbooks: Runbooks) -> None:
    asked = 0
    for runbook in runbooks.runbooks:
        for procedure in runbook.procedures:
            for ask in (step["ask"] for step in procedure["steps"] if "ask" in step):
                words = shlex.split(procedures.command(ask, "selfheal"))
                request = read_request(json.loads(words[-1]), (ask["event"]["action"],), "test")
                folder = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in words[3])
                assert request.entry.function == folder.strip("_")
                asked += 1
    assert asked > 10


def test_every_rollout_that_a_shipped_procedure_names_begins_and_is_not_only_planned(runbooks: Runbooks) -> None:
    passages = [
        step["run"]
        for runbook in runbooks.runbooks
        for told in runbook.procedures
        for step in told["steps"]
        if "run" in step
    ]
    events = [json.loads(shlex.split(passage)[-1]) for passage in passages if '"rollout"' in passage]

    assert len(events) > 1
    for event in events:
        wanted = rollouts.read(event, runbooks)
        assert (wanted.name, wanted.mode) == (event["rollout"], Mode.ACT)


def test_the_event_files_of_people_name_what_is_there(runbooks: Runbooks) -> None:
    asked = json.loads((ROOT / "events" / "procedure.json").read_text(encoding="utf-8"))
    deployed = json.loads((ROOT / "events" / "deployment.json").read_text(encoding="utf-8"))

    assert procedures.answer(asked, runbooks, "selfheal")["decision"] == "told"
    assert runbooks.system(deployed["deployment"]["system"]) is not None


def test_what_a_runbook_switches_off_it_offers_to_switch_on_again(runbooks: Runbooks) -> None:
    for runbook in runbooks.runbooks:
        for response in runbook.responses:
            offered = {(step.action, step.target_name) for step in response.recover if step.approval}
            for step in response.contain:
                switched = step.entry.undo not in {None, step.action}  # what has no other way back is undone
                told = (response.system, response.name, step.action)
                assert not switched or (step.entry.undo, step.target_name) in offered, told


def test_the_pages_name_every_action_and_check() -> None:
    page = PAGE.read_text(encoding="utf-8")
    linked = [name for name in ("actions.md", "checks.md") if f"]({name})" in page]
    text = "".join((PAGE.parent / name).read_text(encoding="utf-8") for name in linked)

    assert linked == ["actions.md", "checks.md"]
    assert [name for name in (*steps.USABLE, *CHECKS) if f"`{name}`" not in text] == []


def test_the_examples_of_the_page_compile(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    whole = [example for example in examples if example.startswith("# yaml-language-server")]
    assert whole

    for number, example in enumerate(whole):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "example.yaml").write_text(example, encoding="utf-8")
        compile_folder(folder)


def test_the_messages_of_the_page_are_real(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (wrong,) = re.findall(r"<!-- wrong -->\n```yaml\n(.*?)```", page, re.DOTALL)
    (messages,) = re.findall(r"<!-- messages -->\n```text\n(.*?)```", page, re.DOTALL)
    (tmp_path / "shop.yaml").write_text(wrong, encoding="utf-8")

    with pytest.raises(RunbooksInvalid) as raised:
        compile_folder(tmp_path, "layers/runbooks")

    assert str(raised.value) == messages.rstrip("\n")
