"""Procedures: told with exact commands, by Respond, by the build and in the message of an incident."""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selfheal import message, outbox, procedures
from selfheal.catalogue import ACTIONS
from selfheal.incident import Incident, read_incident
from selfheal.ledger import Ledger
from selfheal.opening import open_incident
from selfheal.request import read_request
from selfheal.runbook import Match, Runbooks, read_runbooks
from selfheal_build.runbooks import compile_folder
from selfheal_build.runbooks.__main__ import main

from tests.unit.aws import event
from tests.unit.incidents import Story, incident
from tests.unit.responding import Scene, alarm
from tests.unit.test_message import update

RUNBOOK = """\
system: shop
owner: shop-oncall
targets:
  engine: {cluster: shop's, service: shop-web}
procedures:
  - name: restart-by-hand
    when: selfheal could not restart the engine
    severity: P1
    steps:
      - {say: "Look whether tasks of {engine.service} come and go."}
      - run: |
          aws ecs describe-services --cluster "{engine.cluster}" \\
            --services {engine.service}
      - {ask: {restart_service: engine}}
      - {say: Tell the team.}
responses:
  - {name: web failing, alarms: [shop-*], severity: P1, procedures: [restart-by-hand]}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Runbooks:
    (tmp_path / "shop.yaml").write_text(RUNBOOK)
    return read_runbooks(compile_folder(tmp_path))


def prepared(shop: Runbooks) -> Mapping[str, Any]:
    (procedure,) = shop.runbooks[0].procedures
    return procedure


def incident_with(shop: Runbooks, **more: Any) -> Incident:
    (runbook,) = shop.runbooks
    one = open_incident(Match(runbook, runbook.responses[0]), alarm(name="shop-web"), 1_800_000_000.0)
    return replace(one, **more)


def test_the_command_asks_for_a_request_that_the_function_takes(shop: Runbooks) -> None:
    command = procedures.command(prepared(shop)["steps"][2]["ask"], "my-stack")

    words = shlex.split(command)

    assert words[:6] == ["sam", "remote", "invoke", "ManageService", "--stack-name", "my-stack"]
    request = read_request(json.loads(words[7]), ("restart_service",), "id")
    assert (request.mode, request.requested_by, request.system) == ("act", "YOUR NAME", "shop")
    assert request.target["cluster"] == "shop's"


def test_every_function_in_a_command_is_one_of_the_catalogue(shop: Runbooks) -> None:
    folders = {"".join(word.capitalize() for word in entry.function.split("_")) for entry in ACTIONS.values()}

    assert prepared(shop)["steps"][2]["ask"]["function"] in folders


def test_respond_answers_the_whole_of_it(shop: Runbooks) -> None:
    answer = procedures.answer({"procedure": "shop/restart-by-hand"}, shop, "my-stack")

    assert answer["decision"] == "told"
    assert (answer["procedure"]["system"], len(answer["procedure"]["steps"])) == ("shop", 4)
    assert answer["procedure"]["steps"][2]["command"] in answer["text"]
    assert '   aws ecs describe-services --cluster "shop\'s" \\\n     --services shop-web' in answer["text"]
    assert "1. Look whether tasks of shop-web come and go." in answer["text"]
    assert json.dumps(answer)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"procedure": "shop/other"}, "bad_target"),
        ({"procedure": "nobody/restart-by-hand"}, "bad_target"),
        ({"procedure": ""}, "bad_target"),
        ({"procedure": None}, "not_a_request"),
        ({"procedure": ["shop"]}, "not_a_request"),
        ({"procedure": "shop/restart-by-hand", "mode": "act"}, "not_a_request"),
    ],
)
def test_what_is_no_procedure_is_refused_by_name(shop: Runbooks, asked: dict[str, Any], reason: str) -> None:
    answer = procedures.answer(asked, shop, "selfheal")

    assert (answer["decision"], answer["reason"]) == ("refused", reason)
    assert answer["detail"]


def test_the_handler_answers_and_records_nothing(
    ledger: Ledger, shop: Runbooks, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    app = importlib.import_module("functions.respond.app")
    monkeypatch.setattr(app.runbook, "load", lambda: shop)

    answer = app.lambda_handler({"procedure": "shop/restart-by-hand"}, lambda_context)

    assert answer["decisions"][0]["decision"] == "told"
    scanned = ledger._client.scan(TableName="ledger")["Items"]
    assert scanned == []


def test_the_event_file_names_a_procedure() -> None:
    assert set(event("procedure")) == {"procedure"}


class TestOnTheCommandLine:
    def test_it_is_printed(self, tmp_path: Path, shop: Runbooks, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["procedure", "shop/restart-by-hand", "--source", str(tmp_path)]) == 0

        assert capsys.readouterr().out == procedures.markdown("shop", prepared(shop), "selfheal")

    def test_what_there_is_is_told(self, tmp_path: Path, shop: Runbooks, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["procedure", "shop/other", "--source", str(tmp_path)]) == 1

        assert "shop has no procedure 'other'; known are restart-by-hand" in capsys.readouterr().err
        assert main(["procedure", "shoo/other", "--source", str(tmp_path)]) == 1
        assert "there is no system 'shoo'; known are shop" in capsys.readouterr().err


class TestInTheMessage:
    @pytest.mark.parametrize("what", ["escalated", "needs_person"])
    def test_its_first_steps_stand_there_with_their_commands(self, shop: Runbooks, what: str) -> None:
        found = message.of(update(what, incident_with(shop, escalated_at=1_800_000_900.0)))

        assert found is not None
        lines = found.body.split("\n")
        assert "Procedure restart-by-hand: selfheal could not restart the engine" in lines
        assert '  2. $ aws ecs describe-services --cluster "shop\'s" \\' in lines
        assert "       --services shop-web" in lines
        assert any(line.startswith("  3. $ sam remote invoke ManageService") and line.endswith("'") for line in lines)
        assert lines[-1] == "  the whole of it, 4 steps: make procedure SYSTEM=shop NAME=restart-by-hand"
        assert "React by: 2027-01-15 08:30 UTC; P1 means within 15 min" in lines

    @pytest.mark.parametrize("what", ["opened", "contained", "green", "closed"])
    def test_what_needs_nobody_is_short(self, shop: Runbooks, what: str) -> None:
        found = message.of(update(what, incident_with(shop)))

        assert found is not None
        assert "Procedure" not in found.body
        assert "React by" not in found.body

    def test_the_whole_of_it_is_in_the_incident_s_document(self, shop: Runbooks) -> None:
        one = incident_with(shop)

        assert len(read_incident(json.loads(json.dumps(one.as_doc()))).procedures[0]["steps"]) == 4

    def test_the_largest_that_the_build_takes_fit_an_event(self, shop: Runbooks) -> None:
        long = {**prepared(shop), "steps": [{"say": "é" * 2_000}] * 10}
        one = incident_with(shop, procedures=(long,))

        assert len(json.dumps(outbox._doc(one, [])).encode()) < 200_000

    def test_an_incident_of_an_earlier_release_is_read(self, shop: Runbooks) -> None:
        doc = incident_with(shop).as_doc()
        for name in ("procedures", "respond_within_s", "quiet"):
            del doc[name]

        assert read_incident(doc).procedures == ()


@pytest.mark.parametrize("severity", ["P3", "P4"])
def test_the_least_severe_escalates_at_its_time_as_well(severity: str) -> None:
    one = replace(incident(), severity=severity, escalate_after_s=7200)
    story = Story(replace(one, steps=tuple(replace(step, settle_s=9000) for step in one.steps)))
    story.go()
    story.answer("halt_trading")
    story.answer("roll_back_alias")

    story.later(7199)
    assert story.told("escalated") == []
    story.later(1)
    assert story.told("escalated") == ["not green within 7200 s"]


def test_a_response_without_procedures_says_none(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.takes(alarm())

    assert scene.incident.procedures == ()
