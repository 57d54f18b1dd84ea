"""Template, functions, catalogue and event files name the same things."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal.catalogue import ACTIONS
from selfheal.catalogue import functions as catalogued_functions
from selfheal.request import read_request
from selfheal.words import Mode

from tests.project.conftest import ROOT, actions_of

FOLDERS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))
NO_REQUEST = {"respond", "notify", "replay", "scorecard", "drill", "report", "show_control_room"}
"""Functions that take events, not requests."""


def test_every_function_folder_is_deployed_and_every_deployed_function_has_a_folder(
    functions: Mapping[str, Any],
) -> None:
    assert sorted(functions) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_logical_id_is_the_folder_in_pascal_case(functions: Mapping[str, Any], folder: str) -> None:
    assert functions[folder]["LogicalId"] == "".join(word.title() for word in folder.split("_"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_is_one_file(root: Path, folder: str) -> None:
    files = [path.name for path in (root / "functions" / folder).iterdir() if path.name != "__pycache__"]

    assert files == ["app.py"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_function_has_a_test_and_an_event_file(root: Path, folder: str) -> None:
    assert (root / "tests" / "unit" / f"test_{folder}.py").is_file()
    assert (root / "events" / f"{folder}.json").is_file()


def test_every_action_of_the_catalogue_is_a_class_of_its_function_and_the_reverse() -> None:
    written = {(folder, action.name) for folder in FOLDERS for action in actions_of(folder)}

    assert written == {(entry.function, entry.name) for entry in ACTIONS.values()}


def test_an_action_with_an_undo_in_the_catalogue_is_reversible_and_no_other() -> None:
    reversible = {action.name for folder in FOLDERS for action in actions_of(folder) if action.reversible}

    assert reversible == {entry.name for entry in ACTIONS.values() if entry.undo}


@pytest.mark.parametrize("folder", sorted(set(FOLDERS) - NO_REQUEST))
def test_an_event_file_is_a_valid_request_that_only_plans(root: Path, folder: str) -> None:
    event = json.loads((root / "events" / f"{folder}.json").read_text(encoding="utf-8"))

    request = read_request(event, tuple(action.name for action in actions_of(folder)), "test")

    assert event["mode"] == "plan"
    assert request.mode is Mode.PLAN


def test_functions_that_start_actions_know_each_action_function(template: Mapping[str, Any]) -> None:
    resources = template["Resources"]
    for starter in ("Respond", "Approve", "Undo"):
        names = json.loads(resources[starter]["Properties"]["Environment"]["Variables"]["ACTION_FUNCTIONS"]["Fn::Sub"])

        assert set(names) == set(catalogued_functions()) - {"approve", "undo"}


def test_paced_actions_and_only_they_go_through_the_queue(template: Mapping[str, Any]) -> None:
    variables = template["Resources"]["Respond"]["Properties"]["Environment"]["Variables"]
    names = json.loads(variables["ACTION_FUNCTIONS"]["Fn::Sub"])
    queued = {folder for folder, name in names.items() if name == "${LambdaPaceQueue}"}

    assert queued == {entry.function for entry in ACTIONS.values() if entry.paced}


def test_whoever_waits_for_plans_knows_the_paced_functions_themselves(template: Mapping[str, Any]) -> None:
    respond = template["Resources"]["Respond"]["Properties"]
    names = json.loads(respond["Environment"]["Variables"]["PACED_FUNCTIONS"]["Fn::Sub"])
    paced = {entry.function for entry in ACTIONS.values() if entry.paced}
    logical_ids = ["".join(word.title() for word in folder.split("_")) for folder in sorted(paced)]

    assert names == {folder: f"${{{name}}}" for folder, name in zip(sorted(paced), logical_ids, strict=True)}
    assert all(f"{{'Fn::GetAtt': ['{name}', 'Arn']}}" in str(respond["Policies"]) for name in logical_ids)


def test_a_lease_outlives_its_function_by_a_minute(template: Mapping[str, Any], functions: Mapping[str, Any]) -> None:
    common = template["Globals"]["Function"]
    for properties in functions.values():
        own = properties.get("Environment", {}).get("Variables", {})
        lease = own.get("LEASE_SECONDS", common["Environment"]["Variables"]["LEASE_SECONDS"])

        assert int(lease) == properties.get("Timeout", common["Timeout"]) + 60
