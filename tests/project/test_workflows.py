"""The workflows of GitHub Actions: what they may do, in which order, and that what they call exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from selfheal_build import drill

from tests.project.conftest import ROOT

FILES = sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob(".github/actions/*/action.yml")])


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return found


def _steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    if "runs" in document:
        found: list[dict[str, Any]] = document["runs"]["steps"]
        return found
    return [step for job in document["jobs"].values() for step in job["steps"]]


def _deliver() -> dict[str, Any]:
    return _read(ROOT / ".github/workflows/deliver.yml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "/" + path.name)
def test_no_key_is_kept_and_nothing_of_outside_is_pasted_into_a_script(path: Path) -> None:
    """`${{ … }}` in a script is replaced before the shell reads it: a branch name could be a command."""
    text = path.read_text()
    assert not re.search(r"aws-access-key-id|aws-secret-access-key|secrets\.", text)
    assert [step["run"] for step in _steps(_read(path)) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "/" + path.name)
def test_every_make_target_that_is_called_exists(path: Path) -> None:
    scripts = "\n".join(step.get("run", "") for step in _steps(_read(path)))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake (?:--no-print-directory )?([a-z-]+)", scripts)) <= targets


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.name)
def test_a_workflow_has_no_more_rights_than_it_needs(path: Path) -> None:
    document = _read(path)

    assert document["permissions"]["contents"] == "read"
    for name, job in document["jobs"].items():
        assert job["timeout-minutes"] <= 45, name
        assumes = any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
        assert (job.get("permissions", {}).get("id-token") == "write") == assumes, name
    for step in _steps(document):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_prod_comes_after_a_drill_in_dev_and_after_a_person() -> None:
    jobs = _deliver()["jobs"]

    assert jobs["dev"]["needs"] == "test"
    assert jobs["dev"]["if"] == "github.event_name == 'push'"
    assert jobs["prod"]["needs"] == "dev"
    assert jobs["prod"]["environment"] == "prod", "its required reviewers are the approval"
    for name in ("dev", "prod"):
        *_, deploy, last = [step["run"] for step in jobs[name]["steps"] if "run" in step]
        assert f"--config-env {name} " in deploy
        assert last == f"make drill CONFIG_ENV={name}"


def test_the_tests_of_the_pipeline_are_those_of_the_gate() -> None:
    assert "bash .ci/run" in [step.get("run") for step in _deliver()["jobs"]["test"]["steps"]]


def test_every_variable_that_the_pipeline_reads_is_on_the_page() -> None:
    named = set(re.findall(r"vars\.(\w+)", (ROOT / ".github/workflows/deliver.yml").read_text()))

    assert named == set(re.findall(r"^   \| `([A-Z_]+)` \|", (ROOT / "docs/ci.md").read_text(), re.MULTILINE))


def test_the_role_is_for_one_environment_of_one_repository() -> None:
    text = (ROOT / ".github/aws-role.yaml").read_text()

    assert "sub: !Sub repo:${Repository}:environment:${EnvironmentName}" in text
    assert "StringLike" not in text
    assert "AdministratorAccess" not in text


# -- the drill's answer -------------------------------------------------------------------------------------------


def test_a_drill_passes_only_if_every_check_held() -> None:
    good = '{"run": "r", "passed": true, "checks": [{"name": "pause", "held": true, "seen": "paused"}]}'

    assert drill.told(good) == (True, ["✓ pause: paused"])
    assert drill.told(good.replace('true, "checks', 'false, "checks'))[0] is False


@pytest.mark.parametrize("answer", ["", "null", "[]", '{"skipped": "paused"}', '{"passed": true, "checks": []}', "{"])
def test_what_is_no_report_did_not_pass(answer: str) -> None:
    passed, lines = drill.told(answer)

    assert not passed
    assert isinstance(lines, list)
