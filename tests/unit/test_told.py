"""What rules of the bus read: strings that are valid JSON wherever they are put, and what is for a page or a ticket."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import told
from selfheal.incident import Incident

from tests.unit.incidents import alarm, incident


def of(what: str, one: Incident, detail: str = "because") -> dict[str, str]:
    """The strings of one piece of news."""
    return told.of({"what": what, "detail": detail}, one, ())


def test_the_strings_of_an_escalation() -> None:
    assert of("escalated", incident(), "it burns") == {
        "severity": "P1",
        "urgency": "error",
        "system": "demo",
        "key": "demo-12345678-1a",
        "thread": "demo-12345678-1a",
        "title": "[P1] demo NEEDS YOU: function failing",
        "line1": "P1 demo: NEEDS YOU - function failing (errors red since 08:00 UTC)",
        "line2": "Done: nothing yet",
        "line3": "Not done: nothing was refused",
        "line4": "Now: still red; it burns",
        "line5": "Next: look at it now; selfheal does no more by itself than the steps below say",
        "link": "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#alarmsV2:alarm/errors",
        "page": "yes",
        "ticket": "no",
    }


@pytest.mark.parametrize(
    ("what", "more", "page", "ticket"),
    [
        ("opened", {}, "yes", "no"),
        ("opened", {"rollout": "r"}, "no", "no"),
        ("opened", {"repeats": 2}, "no", "no"),
        ("opened", {"repeats": 3}, "yes", "no"),
        ("contained", {}, "no", "no"),
        ("needs_person", {}, "no", "no"),
        ("escalated", {"rollout": "r"}, "yes", "no"),
        ("escalated", {"repeats": 2, "severity": "P4"}, "yes", "no"),
        ("closed", {"verdict": "healed"}, "no", "yes"),
        ("closed", {"verdict": "escalated"}, "no", "yes"),
        ("closed", {"verdict": "cleared"}, "no", "no"),
        ("closed", {"verdict": "healed", "repeats": 1}, "no", "no"),
        ("closed", {"verdict": "undone", "rollout": "r"}, "no", "no"),
        ("held", {}, "no", "no"),
    ],
)
def test_what_is_for_a_page_and_what_for_a_ticket(what: str, more: dict[str, Any], page: str, ticket: str) -> None:
    found = of(what, replace(incident(), **more))
    assert (found["page"], found["ticket"]) == (page, ticket)


@given(st.text(), st.text(), st.text())
def test_every_string_is_valid_inside_of_json_without_being_escaped(response: str, name: str, detail: str) -> None:
    one = replace(incident(), response=response, system=name).with_alarm(alarm(name=name, reason=detail))
    for value in (*of("escalated", one, detail).values(), *told.of_refusal(name, response, detail).values()):
        assert json.loads(f'"{value}"') == value
        assert len(value) <= 2_000


def test_a_refusal_has_all_that_an_escalation_has() -> None:
    refusal = told.of_refusal("abc", "no_runbook", "no response fits x")
    assert set(refusal) == set(of("escalated", incident()))
    assert refusal["page"] == "yes"
