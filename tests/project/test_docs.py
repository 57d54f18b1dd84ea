"""The documentation says what is so: generated parts are current, and every name in it exists."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from selfheal import deployments, rollouts
from selfheal.catalogue import ACTIONS
from selfheal.incident import Phase
from selfheal.refusal import Refusal
from selfheal.request import read_request
from selfheal.step_outcome import DOES_NOT_APPLY, HELD_BACK
from selfheal.target import KINDS, read_target
from selfheal.words import Direction, Mode
from selfheal_build import pages

from local.emulator import mends
from tests.project.conftest import ROOT, actions_of

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")])
WRITTEN_BY_HAND = [path for path in PAGES if path.stem not in pages.WHOLE]
AWS_NAMES = {"AlarmActions", "OKActions", "AutoPublishAlias", "AutoPublishAliasAllProperties", "Environment"}
"""Words in Pascal case that are AWS's and stand in backticks."""
MADE_ON_A_PAGE = re.findall(
    r"^```\w+ file=(\S+)$", (ROOT / "docs/adding-an-action.md").read_text("utf-8"), re.MULTILINE
)
"""Files of the example that test_adding_an_action.py makes in a copy."""
EXAMPLE_FILES = {"layers/runbooks/my-system.yaml", "my-system.yaml", *MADE_ON_A_PAGE}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _code(text: str) -> list[str]:
    """Code blocks, line by line, and code spans."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for block in blocks for line in block.splitlines()] + spans


def _targets() -> dict[str, str]:
    """Makefile target → its help."""
    return dict(re.findall(r"^([a-z-]+):.*?## (.+)$", _text("Makefile"), re.MULTILINE))


def _section(text: str, title: str) -> str:
    return re.split(r"^## ", text.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


# -- generated parts ----------------------------------------------------------------------------------------------


all_pages = cache(pages.pages)
"""All pages as they should be; once for all tests."""


@pytest.mark.parametrize("name", [*(f"docs/{name}.md" for name in pages.WHOLE), *pages.PAGES])
def test_what_is_generated_is_current(name: str) -> None:
    assert _text(name) == all_pages()[ROOT / name], "run make docs"


def test_a_stale_part_is_written_anew_and_the_rest_is_left_alone() -> None:
    stale = "before\n<!-- generated: refusals -->\n| old |\n<!-- /generated -->\nafter\n"

    made = pages.with_parts(stale)

    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "| old |" not in made
    assert pages.with_parts(made) == made


def test_check_finds_a_stale_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(pages, "pages", lambda: {ROOT / "docs/actions.md": "other\n"})

    assert pages.main(["check"]) == 1
    assert "docs/actions.md is not current; run make docs" in capsys.readouterr().err


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_example_of_a_target_is_one(kind: str) -> None:
    assert read_target(pages.example(kind), (kind,)).kind == kind


def test_every_action_and_option_is_on_its_page() -> None:
    page = _text("docs/actions.md")
    for entry in ACTIONS.values():
        assert f"`{entry.name}`" in page
        for option in entry.options:
            assert f"| `{option}` |" in page


def test_the_directions_on_the_page_are_those_of_the_catalogue() -> None:
    """What may stand in contain is safe or only reads; a page that says otherwise has read the code wrongly."""
    for entry in ACTIONS.values():
        told = pages._direction(entry)

        assert entry.contains == told.startswith("safe") or told == "read", (entry.name, told)
        assert any(direction.value in told for direction in Direction)


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    named = {name for code in _code(path.read_text(encoding="utf-8")) for name in re.findall(r"\bmake ([a-z-]+)", code)}

    assert named <= set(_targets())


def test_every_make_target_is_in_the_help_and_on_the_page_of_commands() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", _text("Makefile"), re.MULTILINE)
    assert phony
    told = {name for code in _code(_text("docs/commands.md")) for name in re.findall(r"\bmake ([a-z-]+)", code)}

    assert set(phony[1].split()) == set(_targets())
    assert set(_targets()) - {"help"} <= told


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_event_file_that_is_named_exists(path: Path) -> None:
    for name in re.findall(r"\bevents/[\w/*-]+\.json", path.read_text(encoding="utf-8")):
        assert name in EXAMPLE_FILES or list(ROOT.glob(name)), name


@pytest.mark.parametrize("path", WRITTEN_BY_HAND, ids=_name)
def test_every_name_in_pascal_case_is_in_the_template(template: Mapping[str, Any], path: Path) -> None:
    others = _text("alarms.yaml") + _text(".github/aws-role.yaml")
    theirs = set(re.findall(r"^  (\w+):$", others, re.MULTILINE))
    metrics = re.findall(r'"(Time\w+)"', _text("functions/report/app.py"))
    known = {*template["Resources"], *template["Parameters"], *template["Outputs"], *AWS_NAMES, *theirs, *metrics}
    outside_blocks = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`((?:[A-Z][a-z]+){2,}|[A-Z][a-z]+)`", outside_blocks)

    assert {name for name in spans if name not in known} == set()


@pytest.mark.parametrize("path", WRITTEN_BY_HAND, ids=_name)
def test_every_file_that_is_named_exists(path: Path) -> None:
    for code in _code(path.read_text(encoding="utf-8")):
        for name in re.findall(r"(?<![\w/.*-])((?:[\w.-]+/)*[\w-]+\.(?:py|yaml|toml|md))(?![\w/])", code):
            places = [ROOT / name, path.parent / name, ROOT / "layers/selfheal/selfheal" / name]

            assert name in EXAMPLE_FILES or any(place.is_file() for place in places) or "shop" in name, name


def test_every_folder_in_the_table_of_the_readme_exists() -> None:
    folders = re.findall(r"`([\w/]+/)`", _section(_text("README.md"), "Repository"))

    assert len(folders) >= 7
    assert [name for name in folders if not (ROOT / name).is_dir()] == []


DRAWINGS = re.findall(r"```mermaid\n(.*?)```", _text("docs/architecture.md"), re.DOTALL)


def _nodes(drawing: str) -> set[str]:
    """The names in Pascal case that are no text."""
    return set(re.findall(r"\b(?:[A-Z][a-z]+){1,}\b", re.sub(r'"[^"]*"|\[[^\]]*\]', "", drawing)))


@pytest.mark.parametrize("drawing", DRAWINGS, ids=("alarm", "out", "people"))
def test_a_drawing_names_logical_ids(template: Mapping[str, Any], drawing: str) -> None:
    assert _nodes(drawing) <= set(template["Resources"])
    assert len(drawing.splitlines()) <= 60, "too crowded to be read"


def test_the_drawings_name_every_function_and_every_way_out(template: Mapping[str, Any]) -> None:
    drawn = {node for drawing in DRAWINGS for node in _nodes(drawing)}
    types = ("AWS::Serverless::Function", "AWS::Events::ApiDestination", "AWS::Chatbot::", "AWS::CloudWatch::Dashboard")
    shown = {name for name, one in template["Resources"].items() if one["Type"].startswith(types)}

    assert shown <= drawn
    (own,) = re.findall(r'own\["(.+?)"\]', DRAWINGS[1])
    alarms = {name for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert set(own.split(", ")) == alarms


# -- commands -----------------------------------------------------------------------------------------------------


def _invocations(text: str) -> Iterator[list[str]]:
    for line in _code(text):
        if "sam remote invoke" in line and "--event" in line:
            words = shlex.split(line.replace("'$", "$"), comments=True)
            yield words[words.index("invoke") + 1 :]


def test_every_command_invokes_a_function_with_a_request_that_it_takes(functions: Mapping[str, Any]) -> None:
    folder_of = {resource["LogicalId"]: folder for folder, resource in functions.items()}
    seen = 0
    for path in PAGES:
        for function, *arguments in _invocations(path.read_text(encoding="utf-8")):
            folder = folder_of[function]
            seen += 1
            if "--event" in arguments:
                event = json.loads(arguments[arguments.index("--event") + 1])
                if {"procedure", "deployment"} & set(event):
                    assert (folder, len(event)) == ("respond", 1)
                    assert set(event.get("deployment", ())) <= set(deployments.KNOWN)
                    continue
                if folder == "report":
                    assert set(event) <= {"incident"}
                    continue
                if "rollout" in event:
                    assert (folder, set(event) <= set(rollouts.KNOWN)) == ("respond", True)
                    assert event["requested_by"]
                    continue
                request = read_request(event, tuple(action.name for action in actions_of(folder)), "test")

                assert request.mode is Mode.ACT
                assert request.requested_by or not request.entry.person
    assert seen >= 15


@pytest.mark.parametrize("path", sorted(ROOT.glob("events/people/*.json")), ids=_name)
def test_the_requests_of_people_are_valid_and_only_plan(path: Path) -> None:
    event = json.loads(path.read_text(encoding="utf-8"))
    names = tuple(action.name for folder in ("approve", "undo") for action in actions_of(folder))

    assert read_request(event, names, "test").mode is Mode.PLAN
    assert event["action"] == path.stem.removesuffix("_one")
    assert '"mode": "plan"' in path.read_text(encoding="utf-8"), "the command in the docs replaces exactly this"


def test_what_the_command_replaces_is_in_every_event_file() -> None:
    for path in ROOT.glob("events/*.json"):
        event = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(event, dict) and event.get("mode"):
            assert path.read_text(encoding="utf-8").count('"mode": "plan"') == 1, path.name


# -- completeness -------------------------------------------------------------------------------------------------


def test_the_readme_is_short_and_says_how_to_test() -> None:
    lines = _text("README.md").splitlines()

    assert len(lines) <= 250
    assert any(line.startswith("make test ") for line in lines)


def test_every_alarm_of_the_shipped_runbooks_is_in_the_readme() -> None:
    told = _section(_text("README.md"), "What it does")
    runbooks = [YAML(typ="safe").load(path) for path in ROOT.glob("layers/runbooks/*.yaml")]
    patterns = [name for runbook in runbooks for response in runbook["responses"] for name in response["alarms"]]

    assert len(patterns) >= 5
    assert [name for name in patterns if f"{name.partition('{stage}')[2] or name}`" not in told] == []


def test_the_readme_leads_to_every_page_and_names_every_action() -> None:
    readme = _text("README.md")
    people = {entry.name for entry in ACTIONS.values() if entry.function in {"approve", "undo"}}

    assert [path.name for path in ROOT.glob("docs/*.md") if f"](docs/{path.name})" not in readme] == []
    assert [name for name in ACTIONS if name not in people and f"`{name}`" not in readme] == []


def test_every_parameter_is_on_the_page_of_deploying(template: Mapping[str, Any]) -> None:
    page = _section(_text("docs/deploying.md"), "Parameters")

    assert [name for name in template["Parameters"] if f"`{name}`" not in page] == []


def test_defaults_on_the_page_are_those_of_the_template(template: Mapping[str, Any]) -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", _section(_text("docs/deploying.md"), "Parameters"), re.MULTILINE)
    )

    assert rows
    assert rows == {name: str(template["Parameters"][name]["Default"]) for name in rows}


def test_every_alarm_of_selfheal_is_explained(template: Mapping[str, Any]) -> None:
    told = _section(_text("docs/operations.md"), "selfheal itself raises an alarm")
    alarms = {name for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"}

    assert set(re.findall(r"^\| `(\w+Alarm)` \|", told, re.MULTILINE)) == alarms


def test_every_refusal_is_explained() -> None:
    page = _text("docs/operations.md")

    assert [refusal for refusal in Refusal if f"| `{refusal}` | {refusal.sentence}" not in page] == []


def test_the_page_knows_who_gives_a_refusal() -> None:
    """A file of the engine that the generator does not know would leave a refusal without its giver."""
    silent = re.findall(r"^\| `(\w+)` \| .+ \| nothing at present \|$", _text("docs/operations.md"), re.MULTILINE)

    assert set(silent) <= {"no_deployment"}, "nothing gives these"


def test_every_phase_is_explained() -> None:
    told = re.findall(r"^\| `(\w+)` \|", _section(_text("docs/operations.md"), "Reading an incident"), re.MULTILINE)

    assert {phase.value for phase in Phase} - {Phase.CLOSED.value} <= set(told)


def test_every_kind_of_item_in_the_ledger_is_explained() -> None:
    from_code = re.findall(r"^    ([A-Z]{4,})", _text("layers/selfheal/selfheal/ledger.py"), re.MULTILINE)
    page = _text("docs/operations.md")

    assert len(from_code) >= 10
    assert [kind for kind in from_code if f"`{kind}" not in page] == []


def test_the_refusals_that_hold_a_step_are_those_of_the_code() -> None:
    row = re.search(r"^\| (.+?) \| is held, and asked again", _text("docs/guards.md"), re.MULTILINE)
    assert row

    assert set(re.findall(r"`(\w+)`", row[1])) == {refusal.value for refusal in HELD_BACK}


def test_the_refusals_that_leave_it_to_the_next_rung_are_those_of_the_code() -> None:
    row = re.search(r"^\| (.+?) \| is not for this case", _text("docs/guards.md"), re.MULTILINE)
    assert row

    assert set(re.findall(r"`(\w+)`", row[1])) == {refusal.value for refusal in DOES_NOT_APPLY}


def test_every_mend_is_told_with_its_service() -> None:
    told = _section(_text("docs/decisions/0005-an-emulator-with-mends.md"), "What stands behind the emulator")

    assert [name for name in mends.ORDER if f"`{name}`" not in told] == []


def test_nobody_has_a_permission_that_the_docs_say_nobody_has() -> None:
    never = re.findall(r"`(\w+:[\w*]+)`", _section(_text("docs/security.md"), "What it can never do"))
    template = _text("template.yaml")

    assert len(never) >= 15
    patterns = {one: re.escape(one.removesuffix("*")) + ("" if one.endswith("*") else r"\b") for one in never}
    assert [one for one, pattern in patterns.items() if re.search(rf"\b{pattern}", template)] == []


# -- links --------------------------------------------------------------------------------------------------------


def _anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_resolve(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path

        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_decisions_are_numbered_without_a_gap() -> None:
    files = sorted(ROOT.glob("docs/decisions/*.md"))

    for number, path in enumerate(files, 1):
        assert path.name.startswith(f"{number:04d}-")
        assert path.read_text(encoding="utf-8").startswith(f"# {number}. ")
