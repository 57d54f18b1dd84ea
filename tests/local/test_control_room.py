"""The control room on the local stack: what it shows, that its buttons work, and that nobody else can press them."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from selfheal import approvals, incident_store
from selfheal.incident import Phase, Status
from selfheal.ledger import Ledger
from selfheal.words import Stage

from local import stack, system
from local.ui.server import Server, served
from tests.local.conftest import Healed
from tests.unit.html_reader import Element, every, read
from tests.unit.incidents import incident, step


@pytest.fixture(scope="module")
def ui(healed: Healed) -> Iterator[Server]:
    """The page of the healed stack."""
    with served(healed.stack.emulator.endpoint) as server:
        yield server


@pytest.fixture
def alone() -> Iterator[Server]:
    """The page of no stack at all: it must refuse before it asks for one."""
    with served("http://127.0.0.1:9") as server:
        yield server


def asked(server: Server, method: str, path: str, body: Any = None, **headers: str | None) -> tuple[int, str]:
    """Status and text; a header that is None is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    own = {"X-Selfheal-Token": server.token, "Content-Type": "application/json", **headers}
    sent = {name: value for name, value in own.items() if value is not None}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def html(server: Server, path: str, body: Mapping[str, Any]) -> Element:
    status, text = asked(server, "POST", path, body)
    assert status == 200, text
    return read(json.loads(text)["html"])


def ledger_of(healed: Healed) -> Ledger:
    return Ledger(healed.stack.account.outputs(stack.NAME)["LedgerTable"], healed.client("dynamodb"))


def finished(ledger: Ledger, action_id: str) -> dict[str, Any]:
    """The record of an action, once it is over."""
    item = ledger.get(f"ACTION#{action_id}", "ACTION") or {}
    return item if item.get("run") == "done" else {}


# -- what it shows and does -------------------------------------------------------------------------------------------


def test_the_widget_shows_what_the_story_left_behind(healed: Healed, ui: Server) -> None:
    whole = html(ui, "/widget", {"widgetContext": {"theme": "dark", "width": 1200}})

    assert every(whole, class_="sh-dark")
    assert "Nothing is open." in whole.text
    assert healed.incident["system"] in whole.text
    assert "halt_trading" in every(whole, class_="sh-item")[0].text + every(whole, class_="sh-item")[1].text
    assert "resume_trading" in every(whole, class_="sh-asks")[0].text


def test_the_dashboard_is_there_and_names_the_widget(healed: Healed) -> None:
    body = healed.client("cloudwatch").get_dashboard(DashboardName=stack.NAME)["DashboardBody"]

    assert json.loads(body)["widgets"][0]["properties"]["endpoint"].endswith(healed.function("ShowControlRoom"))


def test_pressing_approve_starts_the_step_in_the_persons_name(healed: Healed, ui: Server) -> None:
    """A step that only reads, so that the stack stays as the other tests need it."""
    ledger, now = ledger_of(healed), time.time()
    look = replace(
        step(0, Stage.RECOVER, "inspect_dlq", approval=True),
        target={"queue": system.QUEUE},
        target_name="letters",
        status=Status.NEEDS_PERSON,
    )
    waits = replace(incident(), id="looking-12345678-1a", system=system.NAME, steps=(look,), phase=Phase.WATCH)
    waits = replace(waits, opened_at=now, red_at_ms=int(now * 1000), due=now + 3_600)
    assert incident_store.commit(ledger, waits, now, offers=(look,)) is not None
    try:
        whole = html(ui, "/widget", {"widgetContext": {}})
        name = approvals.approval_id(waits.id, 0)
        (call,) = [
            (one.attributes["endpoint"], request)
            for one in every(whole, "cwdb-action")
            if (request := json.loads(one.text))["action"] == "approve" and request["target"]["action_id"] == name
        ]
        press = {"endpoint": call[0], "request": call[1],
                 "widgetContext": {"forms": {"all": {"requested_by": "ann"}}}}  # fmt: skip
        answered = html(ui, "/call", press)
        again = html(ui, "/call", press)

        assert "Done." in answered.text, answered.text
        assert "approve by ann" in answered.text
        assert "Done." in again.text or "before" in again.text
        action_id = str(approvals.all_of(ledger, waits.id)[0].request["action_id"])
        done = healed.wait(lambda: finished(ledger, action_id), "the approved step")
        assert done["doc"]["request"]["requested_by"] == "ann"
    finally:
        for partition, key in (("OPEN", waits.key), ("APPROVAL", approvals.approval_id(waits.id, 0)),
                               ("STORM", waits.id)):  # fmt: skip
            healed.client("dynamodb").delete_item(
                TableName=healed.stack.account.outputs(stack.NAME)["LedgerTable"],
                Key={"pk": {"S": partition}, "sk": {"S": key}},
            )


# -- nobody else ------------------------------------------------------------------------------------------------------

PRESS = {"endpoint": "arn:aws:lambda:us-east-1:111111111111:function:x", "request": {"action": "approve"}}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Selfheal-Token": None},
        {"X-Selfheal-Token": ""},
        {"X-Selfheal-Token": "guessed"},
        {"X-Selfheal-Token": "gu\xe4ssed"},
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Host": "example.com"},
        {"Host": "selfheal.example.com:4580"},
    ],
)
@pytest.mark.parametrize("path", ["/call", "/widget"])
def test_a_page_elsewhere_can_not_press_a_button(alone: Server, path: str, headers: dict[str, str | None]) -> None:
    assert asked(alone, "POST", path, PRESS, **headers)[0] == 403


def test_the_token_is_given_only_under_its_own_name(alone: Server) -> None:
    assert alone.token in asked(alone, "GET", "/")[1]
    status, text = asked(alone, "GET", "/", Host="example.com")
    assert status == 403
    assert alone.token not in text


def test_it_listens_on_loopback_only(alone: Server) -> None:
    assert alone.server_address[0] == "127.0.0.1"


def test_a_button_calls_approve_and_undo_and_nothing_else(ui: Server, healed: Healed) -> None:
    endpoints: tuple[Any, ...] = (healed.function("SwitchTrading"), "x", None, {})
    for endpoint in endpoints:
        status, text = asked(ui, "POST", "/call", {**PRESS, "endpoint": endpoint})
        assert status == 403, text


@pytest.mark.parametrize("body", [[], 1, None])
def test_what_is_no_press_is_refused(alone: Server, body: Any) -> None:
    assert asked(alone, "POST", "/call", body)[0] == 400


def test_without_a_stack_it_says_so(alone: Server) -> None:
    assert asked(alone, "POST", "/widget", {"widgetContext": {}})[0] == 502
