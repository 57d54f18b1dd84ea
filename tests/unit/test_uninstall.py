"""`make uninstall`: not while something is switched off, and then nothing stays but the archive."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from selfheal import incident_store
from selfheal import ledger as table
from selfheal.errors import LedgerUnavailable
from selfheal.ledger import Ledger

from local import deployed, uninstall
from tests.unit.incidents import START, incident

OUTPUTS = {"LedgerTable": "ledger", "ArchiveBucketName": "selfheal-archivebucket-1"}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; nothing is."""
    commands: list[list[str]] = []
    monkeypatch.setattr(uninstall, "outputs_of", lambda cloudformation, name: OUTPUTS)
    monkeypatch.setattr("sys.argv", ["uninstall"])

    def remove(name: str, bucket: str, environment: Mapping[str, str]) -> int:
        commands.append([name, bucket])
        return 0

    monkeypatch.setattr(uninstall, "remove", remove)
    return commands


def halted(ledger: Ledger) -> None:
    change = {"incident": None, "action_id": "halt-1", "summary": "set /shop/flag from true to false", "action": "halt"}
    ledger.write(table.put("CHANGE", "parameter:/shop/flag#halt-1", change))


def test_a_flag_that_is_halted_keeps_the_stack(
    ledger: Ledger, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    halted(ledger)

    assert uninstall.main() == 1
    printed = capsys.readouterr().err
    assert "still in force: set /shop/flag from true to false" in printed
    event = json.loads(printed.split("--event '")[1].split("'")[0])
    assert event["target"] == {"incident": "-", "action_id": "halt-1"}
    assert ran == []


def test_a_repair_keeps_nothing_and_stays(
    ledger: Ledger, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """To undo it would bring the broken version back."""
    change = {"incident": "i-1", "action_id": "i-1.2", "summary": "move live from 5 to 3", "action": "roll_back_alias"}
    ledger.write(table.put("CHANGE", "alias:f/live#i-1.2", change))

    assert uninstall.main() == 0
    assert "stays: move live from 5 to 3" in capsys.readouterr().out
    assert ran == [["selfheal", "selfheal-archivebucket-1"]]


def test_an_open_incident_keeps_the_stack(
    ledger: Ledger, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    incident_store.commit(ledger, incident(), START)

    assert uninstall.main() == 1
    assert f"open incident {incident().id} (contain): demo, function failing" in capsys.readouterr().err
    assert ran == []


def test_once_all_is_put_back_it_goes(ledger: Ledger, ran: list[list[str]]) -> None:
    halted(ledger)
    assert uninstall.main() == 1
    ledger.write(table.delete("CHANGE", "parameter:/shop/flag#halt-1"))

    assert uninstall.main() == 0
    assert ran == [["selfheal", "selfheal-archivebucket-1"]]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClientError({"Error": {"Code": "ValidationError", "Message": "no stack"}}, "DescribeStacks"), "no stack"),
        (LedgerUnavailable("down"), "down"),
        (KeyError("LedgerTable"), "it is none of selfheal"),
    ],
)
def test_what_cannot_be_looked_at_is_left_alone(
    error: Exception, said: str, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(uninstall, "outputs_of", fail)
    assert uninstall.main() == 1
    assert said in capsys.readouterr().err
    assert ran == []


@pytest.mark.parametrize(("code", "stays"), [(0, True), (1, False)])
def test_it_says_what_stays(code: int, stays: bool, capsys: pytest.CaptureFixture[str]) -> None:
    commands = []

    def run(command: list[str], **more: Any) -> Any:
        commands.append(command)
        return subprocess.CompletedProcess(command, code)

    assert uninstall.remove("selfheal-dev", "bucket-1", {}, run) == code
    assert commands[0][1:] == ["delete", "--stack-name", "selfheal-dev", "--no-prompts"]
    assert ("stays: bucket bucket-1" in capsys.readouterr().out) is stays


def test_the_stack_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONFIG_ENV", raising=False)
    assert deployed.chosen_stack() == "selfheal"
    monkeypatch.setenv("CONFIG_ENV", "dev")
    assert deployed.chosen_stack() == "selfheal-dev"
    monkeypatch.setenv("CONFIG_ENV", "nowhere")
    with pytest.raises(SystemExit, match=r"nowhere.*; it has default, dev, prod"):
        deployed.chosen_stack()
