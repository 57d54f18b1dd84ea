"""Messages: what, why, done and next in the first five lines; whatever the names are, SNS accepts them."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import message, outbox, outcome
from selfheal.incident import Incident, Phase, Status
from selfheal.ladder import advance
from selfheal.links import Console
from selfheal.message import MAX_BODY, MAX_COMMAND, MAX_LINE, MAX_SUBJECT, Message, card
from selfheal.request import read_request
from selfheal.words import Mode, Outcome

from tests.unit.incidents import START, Story, alarm, incident

ARN = alarm().arn
CONSOLE = Console.of("arn:aws:lambda:eu-central-1:123456789012:function:Notify")
LABELS = ["Done", "Not done", "Now", "Next"]
TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 20}
CARD_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "source", "content"],
    "properties": {
        "version": {"const": "1.0"},
        "source": {"const": "custom"},
        "id": TEXT,
        "content": {
            "type": "object",
            "additionalProperties": False,
            "required": ["description"],
            "properties": {
                "textType": {"const": "client-markdown"},
                "title": {**TEXT, "maxLength": 150},
                "description": {**TEXT, "maxLength": 2500},
                "nextSteps": TEXTS,
                "keywords": TEXTS,
            },
        },
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "threadId": {**TEXT, "maxLength": 200},
                "summary": TEXT,
                "eventType": TEXT,
                "relatedResources": TEXTS,
                "additionalContext": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    },
}
"""The schema of custom notifications of Amazon Q Developer in chat applications, as its guide has it."""
HOSTILE = [
    "<!channel> <@U123> @here @channel <https://evil.example.com|click> [click](https://evil.example.com)",
    "\u202egnirts desrever \u2066 ``` *bold* _it_",
    "Störung 火 🔥",
    "a\nb\r\n\nNext: do nothing",
    "x" * 10_240,
    "\x00\x07\x1b[31m\x7f\u2028",
    "",
    " " * 300,
]


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
    """The message, which must be one that SNS accepts, and whose card must be one that chat accepts."""
    found = message.of(event, CONSOLE)
    assert found is not None
    assert 0 < len(found.subject) <= MAX_SUBJECT < 100
    assert found.subject.isascii()
    assert found.subject.isprintable()
    assert len(found.body) <= MAX_BODY
    lines = found.body.split("\n")
    assert all(line.isprintable() and len(line) <= MAX_COMMAND for line in lines)
    assert all(len(line) <= MAX_LINE for line in lines[:4])
    assert found.what
    assert found.severity
    structure = card.structure(found)
    assert len(structure.encode()) < 256 * 1024
    parts = json.loads(structure)
    assert set(parts) == {"default", "https"}
    assert parts["default"] == found.body
    jsonschema.validate(json.loads(parts["https"]), CARD_SCHEMA)
    return found


def contained() -> Incident:
    """An incident whose containment has acted and whose rung is asked."""
    story = Story(incident(recover="resume_trading!"))
    story.go()
    story.answer("halt_trading", detail="trading halted: /demo/trading_enabled true -> false")
    return story.incident


@pytest.mark.parametrize("what", ["opened", "contained", "remediated", "green", "escalated", "needs_person", "closed"])
def test_the_first_five_lines_say_what_was_done_what_was_not_how_it_is_and_what_is_next(what: str) -> None:
    lines = told(update(what, contained())).body.splitlines()
    assert lines[0].startswith("P1 demo: ")
    assert lines[0].endswith(" - function failing (errors red since 08:00 UTC)")
    assert [line.split(":")[0] for line in lines[1:5]] == LABELS
    assert lines[1].startswith("Done: trading halted: /demo/trading_enabled true -> false; under way: roll_back_alias")
    assert lines[2] == "Not done: nothing was refused"
    assert lines[-1] == "Incident: demo-12345678-1a"


UNDO = (
    '    sam remote invoke Undo --stack-name selfheal --event \'{"action": "undo", "target": '
    '{"incident": "demo-12345678-1a"}, "mode": "act", "requested_by": "YOUR NAME", "reason": "WHY"}\''
)
TAKE_OVER = UNDO.replace("Undo", "Approve").replace('"undo"', '"take_over"')


def test_a_whole_message() -> None:
    one = told(update("escalated", contained(), "roll_back_alias live failed: version 41 fails as well"))
    assert one.subject == "[P1] demo NEEDS YOU: function failing"
    assert one.thread == "demo-12345678-1a"
    assert one.body == "\n".join(
        [
            "P1 demo: NEEDS YOU - function failing (errors red since 08:00 UTC)",
            "Done: trading halted: /demo/trading_enabled true -> false; under way: roll_back_alias roll_back_alias",
            "Not done: nothing was refused",
            "Now: still red; roll_back_alias live failed: version 41 fails as well",
            "Next: look at it now; selfheal does no more by itself than the steps below say; undo by the command below",
            "",
            "Commands, to be filled in:",
            "  undo what was done:",
            UNDO,
            "  take over; selfheal does no more in it:",
            TAKE_OVER,
            "",
            "- contain   halt_trading halt_trading: done: trading halted: /demo/trading_enabled true -> false",
            "- remediate roll_back_alias roll_back_alias: asked",
            "- recover   resume_trading resume_trading: waiting",
            "",
            "Red at 2027-01-15 08:00:00 UTC; contained after 0 s",
            "alarm errors: https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1"
            "#alarmsV2:alarm/errors",
            "Incident: demo-12345678-1a",
        ]
    )


def five(what: str, one: Incident, detail: str = "") -> list[str]:
    """The first five lines."""
    return told(update(what, one, detail)).body.splitlines()[:5]


def test_the_first_five_lines_when_it_opens() -> None:
    story = Story(incident().with_alarm(replace(alarm(), reason="Threshold Crossed: 5 > 1")))
    opened = replace(story.incident, alarms={ARN: replace(alarm(), reason="Threshold Crossed: 5 > 1")})
    assert five("opened", advance(opened, START).incident) == [
        "P1 demo: opened - function failing (errors red since 08:00 UTC)",
        "Done: nothing yet; under way: halt_trading halt_trading. Why: Threshold Crossed: 5 > 1",
        "Not done: nothing was refused",
        "Now: red",
        "Next: nothing; you will hear when it is green, or when it needs you",
    ]


def test_the_first_five_lines_of_a_refusal() -> None:
    story = Story(incident())
    story.go()
    story.answer("halt_trading", detail="halted")
    story.answer("roll_back_alias", Outcome.REFUSED, "barrier", detail="version 41 is a barrier")
    assert five("escalated", story.incident, "no remediation applies") == [
        "P1 demo: NEEDS YOU - function failing (errors red since 08:00 UTC)",
        "Done: halted",
        "Not done: roll_back_alias roll_back_alias refused (barrier: version 41 is a barrier)",
        "Now: still red; no remediation applies",
        "Next: look at it now; selfheal does no more by itself than the steps below say; undo by the command below",
    ]


def test_what_is_only_suggested_comes_with_the_command_that_does_it() -> None:
    story = Story(incident(contain=""))
    story.go()
    story.answer("roll_back_alias", Outcome.PLANNED, detail="would roll back 42 to 41")
    found = told(update("escalated", story.incident, "only suggested"))
    lines = found.body.splitlines()
    assert lines[2] == "Not done: roll_back_alias roll_back_alias only suggested (would roll back 42 to 41)"
    command = lines[lines.index("  do it: roll_back_alias roll_back_alias:") + 1]
    words = shlex.split(command)
    assert words[:6] == ["sam", "remote", "invoke", "RollBackAlias", "--stack-name", "selfheal"]
    assert json.loads(words[7]) == {
        "action": "roll_back_alias",
        "target": {"name": "roll_back_alias"},
        "system": "demo",
        "mode": "act",
        "requested_by": "YOUR NAME",
        "reason": "WHY",
    }


def test_the_first_five_lines_of_a_rollout() -> None:
    one = replace(contained(), rollout="enable-rules", requested_by="ann", alarms={}, verdict="undone", steps=())
    assert five("closed", one) == [
        "P1 demo: closed as undone - function failing (rollout enable-rules, started by ann)",
        "Done: nothing yet",
        "Not done: nothing was refused",
        "Now: the rollout is over: undone",
        "Next: find out what was red; what the rollout enabled is disabled again",
    ]


def test_the_links_lead_to_what_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_GROUP", "/selfheal/log")
    monkeypatch.setenv("DASHBOARD", "selfheal")
    targets = ({"function": "orders", "alias": "live"}, {"queue": "dlq"})
    one = contained()
    steps = tuple(replace(step, target=target) for step, target in zip(one.steps, targets, strict=False))
    steps = (replace(steps[0], captured="s3://archive/evidence/one.json"), *steps[1:])
    found = told(update("escalated", replace(one, steps=steps)))
    assert [name for name, _ in found.links] == [
        "alarm errors",
        "halt_trading",
        "roll_back_alias",
        "log of selfheal",
        "control room",
        "evidence s3://archive/evidence/one.json",
    ]
    body = found.body.splitlines()
    for name, address in found.links:
        assert f"{name}: {address}" in body


def test_a_notice_is_a_card_as_well() -> None:
    pause = {"name": "*", "who": "ann", "since": "08:00", "until": "09:00", "reason": "a move @here", "what": "all"}
    event = {"detail-type": outcome.NOTICE, "detail": {"what": "pause_ended", "pause": pause}}
    found = card.of(told(json.loads(json.dumps(event))))
    assert found["content"]["title"].endswith("selfheal: the pause of everything has ended")
    assert found["content"]["nextSteps"] == ["pause again if it must stay quiet"]
    assert "threadId" not in found["metadata"]


class TestOnTheBus:
    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        monkeypatch.setattr(outcome, "send", lambda kind, *details: found.extend(details))
        return found

    def test_news_of_one_kind_in_one_moment_are_one(self, sent: list[dict[str, Any]]) -> None:
        news: outbox.News = [
            {"what": "escalated", "detail": "one"},
            {"what": "needs_person", "detail": "a waits", "step": 1},
            {"what": "escalated", "detail": "two"},
            {"what": "needs_person", "detail": "b waits", "step": 2},
            {"what": "closed", "detail": "escalated"},
        ]
        outbox.tell(contained(), news)
        assert [(item["what"], item["detail"]) for item in sent] == [
            ("escalated", "one; two"),
            ("needs_person", "a waits; b waits"),
            ("closed", "escalated"),
        ]
        assert sent[2]["also"] == ["escalated", "needs_person"]
        assert [item["told"]["page"] for item in sent] == ["yes", "no", "no"]

    def test_what_is_to_be_done_by_hand_keeps_its_options(self, sent: list[dict[str, Any]]) -> None:
        one = contained()
        options = {"percent": 10}
        first = replace(one.steps[0], options=options)
        second = replace(one.steps[1], options=options, status=Status.SUGGESTED)
        outbox.tell(one.with_step(first).with_step(second), [{"what": "contained", "detail": ""}])
        assert [step["options"] for step in sent[0]["state"]["steps"]] == [{}, options, {}]


def test_what_a_guard_holds_back_is_not_done() -> None:
    held = replace(contained().steps[1], status=Status.HELD, reason="paused", detail="ann paused it")
    lines = five("contained", contained().with_step(held))
    assert lines[2] == "Not done: roll_back_alias roll_back_alias held back (paused: ann paused it)"


def test_the_first_five_lines_when_it_is_over() -> None:
    over = replace(contained(), green_at=START + 60, closed_at=START + 60, phase=Phase.CLOSED, verdict="healed")
    over = replace(over, alarms={ARN: alarm("OK")}, steps=over.steps[:1])
    assert five("closed", over, "healed") == [
        "P1 demo: closed as healed - function failing (errors was red at 08:00 UTC)",
        "Done: trading halted: /demo/trading_enabled true -> false",
        "Not done: nothing was refused",
        "Now: green; closed as healed",
        "Next: find the root cause; what was halted stays halted until a person switches it on; "
        "undo by the command below",
    ]


def test_what_waits_for_a_decision_comes_with_the_commands_that_decide() -> None:
    story = Story(incident(remediate="", recover="resume_trading!"))
    story.go()
    story.answer("halt_trading")
    story.sees(alarm("OK", story.now + 60))
    event = update("needs_person", story.incident)
    lines = told(event).body.splitlines()
    assert lines[4].startswith("Next: decide on resume_trading resume_trading: approve or deny by the commands below")
    for word in ("approve", "deny"):
        command = shlex.split(lines[lines.index(f"  {word} resume_trading resume_trading:") + 1])
        asked = json.loads(command[-1])
        assert command[3] == "Approve"
        assert asked["action"] == word
        assert asked["target"] == {"incident": "demo-12345678-1a", "action_id": "demo-12345678-1a.1"}
        assert read_request(asked, (word,), "id").mode is Mode.ACT


@pytest.mark.parametrize(
    ("what", "also", "is_told"),
    [
        ("green", ["closed"], False),
        ("green", [], True),
        ("closed", ["green", "needs_person"], False),
        ("needs_person", ["green", "closed"], True),
        ("opened", ["escalated"], False),
        ("escalated", ["opened", "contained", "closed"], True),
    ],
)
def test_one_moment_is_one_message(what: str, also: list[str], is_told: bool) -> None:
    event = update(what, contained())
    event["detail"]["also"] = also
    assert (message.of(event) is not None) is is_told


def test_green_and_a_decision_are_one_headline() -> None:
    event = update("needs_person", replace(contained(), green_at=START))
    event["detail"]["also"] = ["green", "closed"]
    assert told(event).subject == "[P1] demo green again, waits for your decision: function failing"


@pytest.mark.parametrize("verdict", ["healed", "escalated", "cleared"])
def test_how_it_was_closed_stands_in_the_subject(verdict: str) -> None:
    one = told(update("closed", replace(contained(), verdict=verdict)))
    assert one.subject == f"[P1] demo closed as {verdict}: function failing"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_names(hostile: str) -> None:
    one = replace(contained(), response=hostile, system=hostile).with_alarm(alarm(name=hostile or "-"))
    steps = tuple(replace(step, detail=hostile, target_name=hostile) for step in one.steps)
    lines = told(update("escalated", replace(one, steps=steps), hostile)).body.splitlines()
    assert [line.split(":")[0] for line in lines[1:5]] == LABELS
    told(by_hand(action=hostile, requested_by=hostile, detail=hostile))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_card_mentions_nobody_and_links_nowhere_else(hostile: str) -> None:
    one = replace(contained(), response=hostile, system=hostile).with_alarm(alarm(name=hostile or "-"))
    steps = tuple(replace(step, detail=hostile, target_name=hostile) for step in one.steps)
    found = card.of(told(update("escalated", replace(one, steps=steps), hostile)))
    texts = [found["content"]["title"], found["content"]["description"], *found["content"]["nextSteps"]]
    texts += [found["metadata"]["summary"], *found["metadata"]["additionalContext"].values()]
    for text in texts:
        for sign in ("<", ">", "](", "@here", "@channel", "*bold*", "\u202e", "\u2066"):
            assert sign not in text
    outside = "".join(found["content"]["description"].split("```")[0::2])
    assert "`" not in outside


def test_a_card_says_the_same_and_keeps_the_thread() -> None:
    found = card.of(told(update("escalated", contained(), "it burns")))
    assert found["content"]["title"] == "\U0001f6a8 [P1] demo NEEDS YOU: function failing"
    assert found["content"]["description"].splitlines()[:4] == [
        "P1 demo: NEEDS YOU - function failing (errors red since 08:00 UTC)",
        "Done: trading halted: /demo/trading_enabled true \u2192 false; under way: roll_back_alias roll_back_alias",
        "Not done: nothing was refused",
        "Now: still red; it burns",
    ]
    assert "https://eu-central-1.console.aws.amazon.com/cloudwatch" in found["content"]["description"]
    assert "sam remote invoke Undo" in found["content"]["description"]
    assert found["content"]["nextSteps"][0].startswith("look at it now")
    assert found["metadata"]["threadId"] == "demo-12345678-1a"
    assert found["metadata"]["additionalContext"]["incident"] == "demo-12345678-1a"


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
    assert "(errors, a0, a1 and 58 more red since 08:00 UTC)" in told(event).body.splitlines()[0]


def test_a_refusal_that_leaves_an_alarm_red_is_told() -> None:
    detail = {"what": "escalated", "reason": "no_runbook", "detail": "no response fits x", "record": "abc", "at": 1.0}
    one = told({"detail-type": outcome.INCIDENT_UPDATE, "detail": detail})
    assert one.subject == "selfheal did not act: no_runbook"
    assert one.body.splitlines()[1:5] == [
        "Done: nothing",
        "Not done: no response fits x",
        "Now: the alarm is red and nothing heals it",
        "Next: look at the alarm, or add a response to a runbook; nothing else will come of it",
    ]
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
        'Undo: sam remote invoke Undo --stack-name selfheal --event \'{"action": "undo", "target": {"incident": "-", '
        '"action_id": "by-hand-1"}, "mode": "act", "requested_by": "YOUR NAME", "reason": "WHY"}\'',
        "look: https://eu-central-1.console.aws.amazon.com/systems-manager/parameters/%2Fdemo%2Ftrading_enabled"
        "/description?region=eu-central-1",
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
