"""The project as it describes itself: the template, the functions and their actions."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse
from selfheal.action import Action

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def template() -> Mapping[str, Any]:
    """template.yaml with its intrinsic functions in their long form."""
    document: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="session")
def functions(template: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Folder of each function → its resource in the template, with its logical id."""
    found = {}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            folder = resource["Properties"]["CodeUri"].removeprefix("functions/")
            found[folder] = {"LogicalId": logical_id, **resource["Properties"]}
    return found


def app_of(folder: str) -> Any:
    """The module of a function."""
    return importlib.import_module(f"functions.{folder}.app")


def actions_of(folder: str) -> list[type[Action]]:
    """The actions that a function's module defines, without the bases of other actions."""
    found = [
        thing
        for thing in vars(app_of(folder)).values()
        if isinstance(thing, type) and issubclass(thing, Action) and hasattr(thing, "name")
    ]
    return [action for action in found if action is not Action]
