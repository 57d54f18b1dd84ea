"""The control room: it shows what stands in the ledger, to whoever looks, and whatever is in names it stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from selfheal import ledger as table
from selfheal import runbook
from selfheal.control_room import durations, page, room
from selfheal.control_room.parts import View
from selfheal.errors import LedgerUnavailable
from selfheal.incident import Phase
from selfheal.ledger import Ledger

from functions.show_control_room import app
from tests.unit import rooms
from tests.unit.aws import event
from tests.unit.html_reader import Element, every, read, shape
from tests.unit.incidents import START, incident
from tests.unit.responding import runbooks
from tests.unit.test_markup import HOSTILE, TEXTS

NOW = START + 900
MAX_BYTES = 3_000_000
"""Lambda answers with 6 MB, in which JSON escapes characters."""
VIEW = View(NOW, durations.zone_of("+00:00"), 1_200, rooms.APPROVE, rooms.UNDO)


@pytest.fixture(autouse=True)
def _at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    monkeypatch.setenv("APPROVE_FUNCTION", rooms.APPROVE)
    monkeypatch.setenv("UNDO_FUNCTION", rooms.UNDO)
    monkeypatch.setattr(runbook, "load", lambda: runbooks(*rooms.responses()))


def shown(asked: Any, context: Any) -> Element:
    return read(app.lambda_handler(asked, context))


def cards(whole: Element) -> dict[str, Element]:
    return {every(one, "h2")[0].text: one for one in every(whole, class_="sh-card")}


def calls(whole: Element) -> list[tuple[str | None, dict[str, Any]]]:
    """What the buttons call: endpoint and request."""
    return [(one.attributes["endpoint"], json.loads(one.text)) for one in every(whole, "cwdb-action")]


# -- what is there ----------------------------------------------------------------------------------------------------


def test_everything_of_the_ledger_is_shown(ledger: Ledger, lambda_context: Any) -> None:
    waits = rooms.fill(ledger, "function failing", NOW)
    whole = shown(event("show_control_room"), lambda_context)
    by_title = cards(whole)

    assert list(by_title) == ["Waits for your decision1", "Open incidents2", "Decisions of the last 24 hours10",
                              "In force1", "Pauses2", "Sweeps", "Scorecard"]  # fmt: skip
    assert waits.id in by_title["Open incidents2"].text
    assert "contained after 1.2 s" in by_title["Open incidents2"].text
    assert len(every(by_title["Open incidents2"], "svg")) == 2
    assert "no runbook" in by_title["Decisions of the last 24 hours10"].text
    assert "for 2 h 1 min" in by_title["In force1"].text
    assert "by ann" in by_title["Pauses2"].text
    assert "9 passed, 1 failed" in by_title["Sweeps"].text
    assert "earned" in by_title["Scorecard"].text


def test_buttons_call_approve_and_undo_and_ask_before(ledger: Ledger, lambda_context: Any) -> None:
    waits = rooms.fill(ledger, "function failing", NOW)
    whole = shown(event("show_control_room"), lambda_context)
    made = calls(whole)
    actions = {(endpoint, request["action"]) for endpoint, request in made}

    assert actions == {
        *((rooms.APPROVE, one) for one in ("approve", "deny", "take_over", "hand_back", "pause", "resume")),
        (rooms.UNDO, "undo"),
    }
    target = {"incident": waits.id, "action_id": f"{waits.id}.3"}
    assert (rooms.APPROVE, {"action": "approve", "mode": "act", "target": target}) in made
    assert (rooms.UNDO, {"action": "undo", "mode": "act",
                         "target": {"incident": "-", "action_id": "function failing.0.1"}}) in made  # fmt: skip
    assert all(one.attributes["confirmation"] for one in every(whole, "cwdb-action"))
    assert {one.attributes["name"] for one in every(whole, "input")} == {"requested_by", "reason"}


def test_an_action_stands_right_after_its_button(ledger: Ledger, lambda_context: Any) -> None:
    """CloudWatch ties it to the element before it."""
    rooms.fill(ledger, "function failing", NOW)
    whole = shown(event("show_control_room"), lambda_context)
    before = [
        parent.children[number - 1].attributes.get("role")
        for parent in every(whole)
        for number, one in enumerate(parent.children)
        if one.tag == "cwdb-action"
    ]

    assert len(before) > 10
    assert set(before) == {"button"}


def test_whoever_only_looks_gets_no_buttons(ledger: Ledger, lambda_context: Any) -> None:
    rooms.fill(ledger, "function failing", NOW)
    whole = shown({**event("show_control_room"), "buttons": False}, lambda_context)

    assert calls(whole) == []
    assert every(whole, "input") == []


def test_an_empty_ledger_says_that_nothing_is_open(ledger: Ledger, lambda_context: Any) -> None:
    by_title = cards(shown(event("show_control_room"), lambda_context))

    assert "Nothing is open." in by_title["Open incidents0"].text
    assert "No incident was closed in the last three days." in by_title["Open incidents0"].text
    assert "Nothing is paused." in by_title["Pauses"].text
    assert "Waits for your decision" not in " ".join(by_title)


def test_when_nothing_is_open_the_last_incident_is_told(ledger: Ledger) -> None:
    rooms.fill(ledger, "function failing", NOW)
    found = room.read(ledger, rooms.responses(), NOW)
    calm = room.Room(now=NOW, closed=found.closed)

    assert "The last incident: demo: function failing, healed 1 min ago" in read(
        page.page(calm, VIEW, dark=False, filled_in={})
    ).text.replace("\xa0", " ")


def test_without_the_ledger_it_says_so_and_shows_nothing_false(
    ledger: Ledger, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise LedgerUnavailable("ProvisionedThroughputExceededException: slow down")

    for call in range(6):
        asked = 0

        def falls_silent(self: Ledger, pk: str, prefix: str = "", call: int = call) -> Iterator[dict[str, Any]]:
            nonlocal asked
            asked += 1
            if asked > call:
                down()
            return iter(())

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "query", falls_silent)
            whole = shown(event("show_control_room"), lambda_context)
        assert list(cards(whole)) == ["The ledger does not answer"]
        assert "not known" in whole.text
        assert "Nothing is open" not in whole.text


def test_one_item_that_can_not_be_read_hides_no_other(ledger: Ledger, lambda_context: Any) -> None:
    rooms.fill(ledger, "function failing", NOW)
    ledger.write(table.put("OPEN", "of-another-release", {"id": "x"}, revision=1))
    whole = shown(event("show_control_room"), lambda_context)

    assert "1 items could not be read by this release." in whole.text
    assert "Open incidents2" in cards(whole)


def test_of_many_incidents_the_most_urgent_are_shown() -> None:
    many = [rooms.named(incident(), "x", f"{number:08x}") for number in range(room.MAX_INCIDENTS)]
    whole = read(page.page(room.Room(NOW, many, more_incidents=7), VIEW, dark=False, filled_in={}))

    assert "and 7 more, which are less urgent" in whole.text
    assert "Open incidents27" in cards(whole)


def test_those_that_need_a_person_come_first(ledger: Ledger) -> None:
    newest = replace(rooms.named(incident(), "x", "00000001"), opened_at=NOW)
    watched = replace(rooms.named(incident(), "x", "00000002"), phase=Phase.WATCH)
    for one in (newest, watched):
        ledger.write(table.put("OPEN", one.key, one.as_doc(), revision=1))

    assert [one.id for one in room.read(ledger, [], NOW).incidents] == [watched.id, newest.id]


# -- for whom ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("theme", "dark"), [("dark", True), ("light", False), (None, False), ("x", False)])
def test_the_theme_is_that_of_the_dashboard(theme: Any, dark: bool, ledger: Ledger, lambda_context: Any) -> None:
    whole = shown({"widgetContext": {"theme": theme}}, lambda_context)

    assert bool(every(whole, class_="sh-dark")) is dark


def test_a_narrow_widget_has_one_column_and_narrow_drawings(ledger: Ledger, lambda_context: Any) -> None:
    rooms.fill(ledger, "function failing", NOW)
    whole = shown({"widgetContext": {"width": 400}}, lambda_context)

    assert every(whole, class_="sh-narrow")
    assert {one.attributes["width"] for one in every(whole, "svg")} == {"330"}


def test_times_are_those_of_the_dashboards_zone(ledger: Ledger, lambda_context: Any) -> None:
    for offset, told in (("+00:00", "08:15:00"), ("+05:30", "13:45:00"), ("-03:00", "05:15:00"), ("nonsense", "08:15")):
        whole = shown({"widgetContext": {"timezone": {"offsetISO": offset}}}, lambda_context)
        assert f"as of {told}" in whole.text


def test_what_was_filled_in_stays(ledger: Ledger, lambda_context: Any) -> None:
    forms = {"all": {"requested_by": ' ann "x', "reason": ["no text"]}}
    whole = shown({"widgetContext": {"forms": forms}}, lambda_context)

    assert [one.attributes["value"] for one in every(whole, "input")] == ['ann "x', ""]


@pytest.mark.parametrize(
    "asked",
    [None, [], "x", {}, {"widgetContext": None}, {"widgetContext": {"width": True, "timezone": 1, "forms": 2}},
     {"widgetContext": {"width": 10**9, "forms": {"all": []}}}],
)  # fmt: skip
def test_whatever_is_asked_it_answers_a_page(asked: Any, ledger: Ledger, lambda_context: Any) -> None:
    assert "Open incidents0" in cards(shown(asked, lambda_context))


def test_it_describes_itself_without_the_ledger(lambda_context: Any) -> None:
    assert app.lambda_handler({"describe": True}, lambda_context).startswith("## selfheal")


# -- safe -------------------------------------------------------------------------------------------------------------


def page_of(text: str, now: float = NOW) -> Element:
    """Everything that is shown, where each text is this one."""
    filled_in = {"requested_by": text, "reason": text}
    return read(page.page(rooms.full_of(text, now), VIEW, dark=False, filled_in=filled_in))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_whatever_is_in_names_no_element_and_no_attribute_is_added(text: str) -> None:
    assert shape(page_of(text)) == shape(page_of("a" * len(text)))


@pytest.mark.parametrize("text", [*HOSTILE, *(one * 40 for one in HOSTILE)])
def test_hostile_names_are_read_as_they_are(text: str) -> None:
    whole = page_of(text)
    requests = [request for _, request in calls(whole)]

    assert {"mode"} <= set.intersection(*(set(one) for one in requests))
    assert all(one["mode"] == "act" for one in requests)
    assert {endpoint for endpoint, _ in calls(whole)} == {rooms.APPROVE, rooms.UNDO}
    assert {one.tag for one in every(whole)} & {"script", "img", "iframe", "a"} == set()


def test_a_page_full_of_long_texts_stays_within_lambdas_answer() -> None:
    whole = page.page(rooms.full_of('<&"' * 700, NOW), VIEW, dark=True, filled_in={})

    assert len(json.dumps(whole)) < MAX_BYTES
