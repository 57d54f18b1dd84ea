"""Messages: what, why, done and next in the first five lines; whatever the names are, SNS accepts them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import message, outbox, outcome
from selfheal.incident import Incident
from selfheal.message import MAX_BODY, MAX_LINE, MAX_SUBJECT, Message
from selfheal.words import Outcome

from tests.unit.incidents import Story, alarm, incident

HOSTILE = ["Störung 火 🔥", "a\nb\r\n\nNext: do nothing", "x" * 10_240, "\x00\x07\x1b[31m\x7f\u2028", "", " " * 300]


def update(what: str, one: Incident, detail: str = "because") -> dict[str, Any]:
    """The event as it arrives."""
    doc = outbox._doc(one, [])
    content = {"what": what, "detail": detail, "incident": one.id, "state": doc["state"]}
    return {"detail-type": outcome.INCIDENT_UPDATE, "source": "selfheal", "detail": json.loads(json.dumps(content))}


def by_hand(**more: Any) -> dict[str, Any]:
    """An outcome event of what a person asked for."""
    detail = {
        "action": "halt_trading",
        "action_id": "by-hand-1",
        "outcome": "acted",
        "reason": "",
        "detail": "trading halted",
        "target": {"parameter": "/demo/trading_enabled"},
        "direction": "safe",
        "undo": {"action": "undo", "target": {"incident": "-", "action_id": "by-hand-1"}},
        "incident": None,
        "requested_by": "ann",
        **more,
    }
    return {"detail-type": outcome.ACTION_OUTCOME, "source": "selfheal", "detail": detail}


def told(event: dict[str, Any]) -> Message:
    """The message, which must be one that SNS accepts."""
    found = message.of(event)
    assert found is not None
    assert 0 < len(found.subject) <= MAX_SUBJECT < 100
    assert found.subject.isascii()
    assert found.subject.isprintable()
    assert len(found.body) <= MAX_BODY
    lines = found.body.split("\n")
    assert all(line.isprintable() and len(line) <= MAX_LINE for line in lines)
    assert found.what
    assert found.severity
    return found


def contained() -> Incident:
    """An incident whose containment has acted and whose rung is asked."""
    story = Story(incident(recover="resume_trading!"))
    story.go()
    story.answer("halt_trading", detail="trading halted: /demo/trading_enabled true -> false")
    return story.incident


@pytest.mark.parametrize("what", ["opened", "contained", "green", "escalated", "needs_person", "closed"])
def test_the_first_five_lines_say_what_why_done_and_next(what: str) -> None:
    lines = told(update(what, contained())).body.splitlines()
    assert lines[0].startswith("P1 demo: ")
    assert lines[0].endswith(" - function failing")
    assert [line.split(":")[0] for line in lines[1:5]] == ["Alarm", "Why", "Done", "Next"]
    assert lines[1:4] == ["Alarm: errors", "Why: because", "Done: trading halted: /demo/trading_enabled true -> false"]
    assert lines[-1] == "Incident: demo-12345678-1a"


def test_a_whole_message() -> None:
    one = told(update("escalated", contained(), "roll_back_alias live failed: version 41 fails as well"))
    assert one.subject == "[P1] demo NEEDS YOU: function failing"
    assert one.body == "\n".join(
        [
            "P1 demo: NEEDS YOU - function failing",
            "Alarm: errors",
            "Why: roll_back_alias live failed: version 41 fails as well",
            "Done: trading halted: /demo/trading_enabled true -> false",
            "Next: look at it now; selfheal does no more by itself than the steps below say",
            "",
            "- contain   halt_trading halt_trading: done: trading halted: /demo/trading_enabled true -> false",
            "- remediate roll_back_alias roll_back_alias: asked",
            "- recover   resume_trading resume_trading: waiting",
            "",
            "Red at 2027-01-15 08:00:00 UTC; contained after 0 s",
            "Incident: demo-12345678-1a",
        ]
    )


def test_what_waits_for_a_decision_says_how_to_decide() -> None:
    story = Story(incident(remediate="", recover="resume_trading!"))
    story.go()
    story.answer("halt_trading")
    story.sees(alarm("OK", story.now + 60))
    lines = told(update("needs_person", story.incident)).body.splitlines()
    assert lines[4].startswith("Next: decide on resume_trading resume_trading: invoke Approve with the target")
    line = next(line for line in lines if line.startswith("- recover"))
    target = {"incident": "demo-12345678-1a", "action_id": "demo-12345678-1a.1"}
    assert json.loads(line.partition("needs person: ")[2]) == target


@pytest.mark.parametrize("verdict", ["healed", "escalated", "cleared"])
def test_how_it_was_closed_stands_in_the_subject(verdict: str) -> None:
    one = told(update("closed", replace(contained(), verdict=verdict)))
    assert one.subject == f"[P1] demo closed as {verdict}: function failing"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_names(hostile: str) -> None:
    one = replace(contained(), response=hostile, system=hostile).with_alarm(alarm(name=hostile or "-"))
    steps = tuple(replace(step, detail=hostile, target_name=hostile) for step in one.steps)
    lines = told(update("escalated", replace(one, steps=steps), hostile)).body.splitlines()
    assert [line.split(":")[0] for line in lines[1:5]] == ["Alarm", "Why", "Done", "Next"]
    told(by_hand(action=hostile, requested_by=hostile, detail=hostile))


@given(st.text(), st.text(), st.text())
def test_any_text_makes_a_message_that_sns_accepts(response: str, name: str, detail: str) -> None:
    one = replace(incident(), response=response).with_alarm(alarm(name=name))
    told(update("escalated", one, detail))


def test_of_very_many_alarms_a_few_are_named() -> None:
    one = incident()
    for number in range(60):
        one = one.with_alarm(alarm("OK" if number else "ALARM", name=f"a{number}"))
    event = update("opened", one)
    assert len(event["detail"]["state"]["alarms"]) == 20
    assert told(event).body.splitlines()[1] == "Alarm: errors, a0, a1, a2, a3 and 56 more"


def test_a_refusal_that_leaves_an_alarm_red_is_told() -> None:
    detail = {"what": "escalated", "reason": "no_runbook", "detail": "no response fits x", "record": "abc", "at": 1.0}
    one = told({"detail-type": outcome.INCIDENT_UPDATE, "detail": detail})
    assert one.subject == "selfheal did not act: no_runbook"
    assert one.body.splitlines()[1] == "Why: no response fits x"
    assert message.of({"detail-type": outcome.INCIDENT_UPDATE, "detail": {**detail, "what": "refused"}}) is None


def test_where_the_evidence_lies_is_told_once_for_each_place() -> None:
    one = incident()
    steps = tuple(replace(step, captured="s3://archive/evidence/one.json") for step in one.steps)
    body = told(update("escalated", replace(one, steps=steps))).body
    by_a_person = told(by_hand(evidence={"captured": "s3://archive/evidence/two.json"})).body

    assert len(steps) > 1
    assert body.count("\nEvidence: s3://archive/evidence/one.json\n") == 1
    assert "\nEvidence: s3://archive/evidence/two.json\n" in by_a_person
    assert "Evidence" not in told(update("escalated", one)).body
    assert "Evidence" not in told(by_hand(evidence={"too_large": "9 bytes"})).body


def test_what_was_done_by_hand_is_told() -> None:
    one = told(by_hand())
    assert one.subject == "halt_trading by ann: acted"
    assert one.body.splitlines() == [
        "halt_trading by ann: acted",
        "What: trading halted",
        "Target: parameter /demo/trading_enabled",
        'Undo: invoke Undo with target {"incident": "-", "action_id": "by-hand-1"}',
        "Action: by-hand-1",
    ]
    assert told(by_hand(requested_by=None)).subject == "halt_trading by somebody: acted"


@pytest.mark.parametrize("result", ["acted", "failed", "refused", "inconclusive"])
def test_an_approved_step_of_an_incident_and_an_undo_are_told(result: str) -> None:
    told(by_hand(incident="demo-12345678-1a", outcome=result))


@pytest.mark.parametrize("action", ["pause", "resume", "take_over", "hand_back", "deny"])
def test_what_a_person_told_selfheal_is_told_to_others(action: str) -> None:
    told(by_hand(action=action, direction="read", undo=None))


@pytest.mark.parametrize(
    "more",
    [
        {"requested_by": None, "incident": "demo-12345678-1a"},
        {"direction": "read", "action": "inspect_dlq"},
        {"direction": "read", "action": "approve"},
        *({"outcome": str(quiet)} for quiet in (Outcome.ALREADY_DONE, Outcome.IN_PROGRESS, Outcome.PLANNED)),
    ],
)
def test_what_nobody_need_hear_of(more: dict[str, Any]) -> None:
    assert message.of(by_hand(**more)) is None


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"detail-type": "Something Else", "detail": {}},
        {"detail-type": outcome.INCIDENT_UPDATE},
        {"detail-type": outcome.INCIDENT_UPDATE, "detail": {}},
        {"detail-type": outcome.INCIDENT_UPDATE, "detail": {"what": "held", "state": {}}},
        {"detail-type": outcome.INCIDENT_UPDATE, "detail": ["escalated"]},
    ],
)
def test_what_is_unknown_is_not_told_and_does_not_fail(event: dict[str, Any]) -> None:
    assert message.of(event) is None


@pytest.mark.parametrize(
    "state", [{}, {"phase": "new"}, {**incident().as_doc(), "phase": "new"}, {"alarms": []}, None, 1]
)
def test_an_update_that_cannot_be_read_is_told_all_the_same(state: object) -> None:
    content = {"what": "escalated", "detail": "it burns", "incident": "demo-1-1", "state": state}
    one = told({"detail-type": outcome.INCIDENT_UPDATE, "detail": content})
    assert "it burns" in one.body
    assert "demo-1-1" in one.body


def test_an_outcome_with_nothing_in_it_does_not_fail() -> None:
    told({"detail-type": outcome.ACTION_OUTCOME, "detail": {}})
