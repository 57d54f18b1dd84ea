"""docs/coverage.md names only what exists, and has a row for every procedure that was counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse
from selfheal.catalogue import ACTIONS
from selfheal.checks import CHECKS
from selfheal_build.runbooks import compile_folder

from tests.project.conftest import ROOT

PAGE = ROOT / "docs" / "coverage.md"
COUNTED = {"000": 24, "001": 30, "002": 36, "003": 55, "004": 53}
"""Procedures of each runbook, counted in it before the page was written."""
MODES = {"auto, safe", "auto, risky", "approval", "read", "calendar", "by hand", "by hand, with a name"}
ALSO = {"gate of the rollout", "every incident", "every rollout", "every incident and every watch"}
NAME = re.compile(r"`(\w+) ([^`]+)`")


@dataclass(frozen=True)
class Row:
    """One procedure."""

    number: str
    section: str
    procedure: str
    by: str
    mode: str
    test: str


def rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| \d{3}\.\d+ \|", line):
            yield Row(*(cell.strip() for cell in line.strip("|").split(" | ")))


ROWS = tuple(rows())


@cache
def runbooks() -> Mapping[str, list[Mapping[str, Any]]]:
    """File, without its ending → the compiled systems in it."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for system in compile_folder(ROOT / "layers" / "runbooks")["systems"]:
        found.setdefault(system["file"].removesuffix(".yaml"), []).append(system)
    return found


@cache
def alarms() -> frozenset[str]:
    resources = yaml_parse((ROOT / "alarms.yaml").read_text(encoding="utf-8"))["Resources"]
    return frozenset(name for name, one in resources.items() if one["Type"].endswith("Alarm"))


def exists(kind: str, name: str) -> bool:
    """What the page calls `kind name`."""
    if kind in {"action", "check", "alarm"}:
        return name in {"action": ACTIONS, "check": CHECKS, "alarm": alarms()}[kind]
    file, _, part = name.partition("/")
    sections = {"response": "responses", "sweep": "sweeps", "rollout": "rollouts", "watch": "watches"}
    sections |= {"procedure": "procedures"}
    if kind == "maintenance":
        return any(system["maintenance"] for system in runbooks()[name])
    return any(one["name"] == part for system in runbooks()[file] for one in system[sections[kind]])


def test_each_runbook_has_as_many_rows_as_were_counted() -> None:
    assert Counter(row.number.partition(".")[0] for row in ROWS) == COUNTED
    for runbook, count in COUNTED.items():
        assert re.search(rf"^\| {runbook} \| .* \| {count} \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        assert [row.number for row in ROWS if row.number.startswith(runbook)] == [
            f"{runbook}.{place}" for place in range(1, count + 1)
        ]
    assert f"| all | | {sum(COUNTED.values())} |" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_a_row_names_only_what_exists(row: Row) -> None:
    named = NAME.findall(row.by)

    assert named
    assert [one for one in named if not exists(*one)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_a_row_says_how_far_it_goes_or_why_it_stays_with_a_person(row: Row) -> None:
    why = row.mode.removeprefix("person: ")

    assert row.mode in MODES | ALSO or (row.mode.startswith("person: ") and len(why) > 10)
    if row.mode.startswith("person: "):
        assert NAME.findall(row.by), "what a person does is prepared"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_the_test_of_a_row_is_there(row: Row) -> None:
    tests = re.findall(r"`([^`]+)`", row.test)

    assert tests
    for test in tests:
        file, _, function = test.partition("::")
        assert (ROOT / file).is_file(), file
        assert not function or f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_no_action_and_no_check_is_left_out() -> None:
    """Except what only people ask of selfheal itself, and what serves another action."""
    named = {one for row in ROWS for one in NAME.findall(row.by)}
    left_out = {name for name in ACTIONS if ("action", name) not in named}

    assert left_out <= {"deny", "hand_back", "pause", "resume", "archive_dlq", "replay_dlq", "redrive_dlq"} | {
        "stop_function",
        "pause_source",
    }
