"""The ladder forwards: no step before a clean gate, one undo of exactly what was enabled, and always an end."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.asking import request_event
from selfheal.incident import Incident, Phase, Status, StepRun, read_incident
from selfheal.ladder import advance
from selfheal.refusal import Refusal
from selfheal.request import read_request
from selfheal.rollout import GATE, LATE_S, LOOK_EVERY_S
from selfheal.rollouts import opened, read
from selfheal.runbook import Rollout, Runbook, Runbooks, Step
from selfheal.step_outcome import Finished
from selfheal.words import Outcome

START = 1_800_000_000.0
SETTLE_S = 120


def runbook_with(*rules: str, quiet_ok: bool = False) -> Runbook:
    steps = tuple(
        Step("enable_rules", rule, {"bus": "shop", "rule": f"shop-{rule}"}, SETTLE_S, approval=False, options={})
        for rule in rules
    )
    rollout = Rollout("enable-rules", steps, 0, quiet_ok)
    return Runbook(
        "shop", "shop.yaml", "shop", "UTC", (), frozenset(), frozenset(), {}, (), (), (), rollouts=(rollout,)
    )


def open_with(*rules: str, **more: Any) -> Incident:
    event = {"rollout": "shop/enable-rules", "requested_by": "ann", "mode": "act"}
    return opened(read(event, Runbooks((runbook_with(*rules, **more),))), START)


class Story:
    """A rollout, a clock, and what was asked: names like `enable a`, `gate a`, `undo a`."""

    def __init__(self, *rules: str) -> None:
        self.incident = open_with(*(rules or ("a", "b", "c")))
        self.now = START
        self.asked: list[str] = []
        self.news: list[tuple[str, str]] = []
        self.go()

    def go(self, *finished: Finished) -> list[str]:
        done = advance(self.incident, self.now, finished=finished)
        # as it comes back from the ledger
        self.incident = read_incident(replace(done.incident, version=done.incident.version + 1).as_doc())
        self.news += [(item["what"], item["detail"]) for item in done.news]
        names = [name_of(step) for step in done.asks]
        self.asked += names
        return names

    def answer(self, name: str, outcome: Outcome = Outcome.ACTED, reason: str = "") -> list[str]:
        step = next(step for step in self.incident.steps if name_of(step) == name)
        assert step.status is Status.ASKED, (name, step.status)
        return self.go(Finished(self.incident.action_id(step), outcome, reason, f"{name} {outcome}"))

    def later(self, seconds: float) -> list[str]:
        self.now += seconds
        return self.go()

    def passes(self, rule: str) -> list[str]:
        """This rule is enabled and its gate is clean: early looks and the last one."""
        self.answer(f"enable {rule}")
        self.later(LOOK_EVERY_S)
        self.answer(f"gate {rule}")
        self.later(SETTLE_S + LATE_S - LOOK_EVERY_S)
        return self.answer(f"gate {rule}")

    def told(self, what: str) -> list[str]:
        return [detail for kind, detail in self.news if kind == what]


def name_of(step: StepRun) -> str:
    kind = "gate" if step.action == GATE else "undo" if step.undo_of is not None else "enable"
    return f"{kind} {step.target_name}"


# -- the way ---------------------------------------------------------------------------------------------------------


def test_one_rule_after_the_other_each_behind_a_clean_gate() -> None:
    story = Story()

    assert story.asked == ["enable a"]
    assert story.passes("a") == ["enable b"]
    assert story.passes("b") == ["enable c"]
    assert story.passes("c") == []

    assert story.incident.phase is Phase.CLOSED
    assert story.incident.verdict == "rolled_out"
    assert story.told("closed") == ["rolled_out"]
    assert story.told("escalated") == []


def test_the_next_rule_waits_for_the_last_look_and_not_for_an_early_one() -> None:
    story = Story()
    story.answer("enable a")

    assert story.later(LOOK_EVERY_S - 1) == []
    assert story.later(1) == ["gate a"]
    assert story.answer("gate a") == []
    assert story.later(SETTLE_S + LATE_S - LOOK_EVERY_S - 1) == []
    assert story.later(1) == ["gate a"]
    assert story.answer("gate a") == ["enable b"]


def test_the_gate_is_told_what_to_look_at() -> None:
    story = Story()
    story.passes("a")
    story.now += 7
    story.answer("enable b")
    enabled_at = story.now
    story.later(SETTLE_S + LATE_S)

    gate = next(step for step in story.incident.steps if name_of(step) == "gate b")
    request = read_request(request_event(story.incident, gate, now=story.now, hops=0), (GATE,), "id")

    assert request.target.as_dict() == {"system": "shop"}
    assert request.options["rules"] == ["shop/shop-b"]
    assert request.options["earlier"] == ["shop/shop-a"]
    assert (request.options["since"], request.options["last"]) == (int(enabled_at), True)


@pytest.mark.parametrize("last", [False, True])
def test_a_red_gate_undoes_everything_the_last_first_and_once(last: bool) -> None:
    story = Story()
    story.passes("a")
    story.answer("enable b")
    story.later(SETTLE_S + LATE_S if last else LOOK_EVERY_S)

    assert story.answer("gate b", Outcome.FAILED) == ["undo b"]
    assert story.answer("undo b") == ["undo a"]
    assert story.answer("undo a") == []

    assert (story.incident.phase, story.incident.verdict) == (Phase.CLOSED, "undone")
    assert "gate b failed" in story.told("escalated")[0]
    assert story.later(10_000) == []


def test_an_undo_is_of_the_step_and_in_the_name_of_who_started() -> None:
    story = Story()
    story.answer("enable a")
    enable, undo = (next(s for s in story.incident.steps if name_of(s) == f"{kind} a") for kind in ("enable", "undo"))

    event = request_event(story.incident, undo, now=START, hops=0)
    request = read_request(event, ("enable_rules",), "id")

    assert (request.origin, request.undo_of) == ("undo", story.incident.action_id(enable))
    assert request.requested_by == "ann (rollout enable-rules)"
    forward = request_event(story.incident, enable, now=START, hops=0)
    assert (forward["origin"], "undo_of" in forward) == ("ladder", False)


def test_silence_goes_to_a_person_and_nothing_is_repeated_or_undone() -> None:
    story = Story()
    story.answer("enable a")
    story.later(SETTLE_S + LATE_S)

    assert story.answer("gate a", Outcome.INCONCLUSIVE) == []

    assert (story.incident.phase, story.incident.verdict) == (Phase.CLOSED, "escalated")
    assert "can't be told" in story.told("escalated")[0]
    assert f"undo {story.incident.id}" in story.told("escalated")[0]
    assert story.asked.count("enable a") == 1
    assert not any(name.startswith("undo") for name in story.asked)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Outcome.REFUSED, "exempt"), (Outcome.PLANNED, "suggest_only"), (Outcome.INCONCLUSIVE, "run_died")],
)
def test_a_step_that_changed_nothing_or_cannot_be_told_is_for_a_person(outcome: Outcome, reason: str) -> None:
    story = Story()
    story.passes("a")

    assert story.answer("enable b", outcome, reason) == []
    assert story.incident.verdict == "escalated"
    assert "enable_rules a" in story.told("escalated")[0]


def test_a_step_that_failed_is_undone_with_the_others() -> None:
    story = Story()
    story.passes("a")

    assert story.answer("enable b", Outcome.FAILED, "partly_applied") == ["undo b"]
    assert story.answer("undo b", Outcome.REFUSED, "nothing_to_undo") == ["undo a"]
    assert story.answer("undo a") == []
    assert story.incident.verdict == "escalated"
    assert any("not undone" in why for why in story.told("escalated"))


def test_what_was_on_before_is_looked_at_and_not_undone() -> None:
    story = Story()
    story.answer("enable a", Outcome.ALREADY_DONE)
    story.later(SETTLE_S + LATE_S)
    story.answer("gate a")
    story.answer("enable b")
    story.later(LOOK_EVERY_S)

    assert story.answer("gate b", Outcome.FAILED) == ["undo b"]
    assert story.answer("undo b") == []
    assert story.incident.verdict == "undone"


def test_a_step_that_a_guard_holds_back_waits_and_goes_on() -> None:
    story = Story()
    assert story.answer("enable a", Outcome.REFUSED, Refusal.PAUSED) == []
    assert story.later(60) == ["enable a"]
    assert story.answer("enable a", Outcome.REFUSED, Refusal.TAKEN_OVER) == []
    assert story.told("escalated") == ["held back: enable_rules a: paused"]
    assert story.later(200) == ["enable a"]
    assert story.answer("enable a") == []
    assert story.incident.phase is Phase.SETTLE


def test_a_step_that_is_held_back_for_a_day_is_given_up() -> None:
    story = Story()
    for _ in range(2_000):
        if story.incident.phase is Phase.CLOSED:
            break
        story.answer("enable a", Outcome.REFUSED, Refusal.PAUSED)
        story.later(300)

    assert story.incident.verdict == "escalated"
    assert story.now - START < 90_000


def test_a_gate_that_cannot_be_read_is_asked_again_and_then_given_up() -> None:
    story = Story()
    story.answer("enable a")
    story.later(SETTLE_S + LATE_S)
    assert story.answer("gate a", Outcome.REFUSED, Refusal.TARGET_UNREADABLE) == []
    assert story.later(60) == ["gate a"]
    while story.incident.phase is not Phase.CLOSED:
        story.answer("gate a", Outcome.REFUSED, Refusal.TARGET_UNREADABLE)
        story.later(300)

    assert story.incident.verdict == "escalated"
    assert "can't be read" in story.told("escalated")[0]


def test_a_held_undo_does_not_keep_the_others() -> None:
    story = Story()
    story.passes("a")
    story.answer("enable b")
    story.later(LOOK_EVERY_S)
    story.answer("gate b", Outcome.FAILED)

    assert story.answer("undo b", Outcome.REFUSED, Refusal.LEASED) == ["undo a"]
    assert story.answer("undo a") == []
    assert story.incident.phase is Phase.RECOVER
    assert story.later(60) == ["undo b"]
    story.answer("undo b")
    assert story.incident.verdict == "undone"


def test_nothing_is_asked_where_the_chain_is_too_long() -> None:
    done = advance(open_with("a"), START, may_ask=False)

    assert done.asks == []
    assert done.incident.due == START


# -- anything may happen ---------------------------------------------------------------------------------------------

OUTCOMES = [
    (Outcome.ACTED, ""),
    (Outcome.ALREADY_DONE, ""),
    (Outcome.FAILED, "does_not_hold"),
    (Outcome.INCONCLUSIVE, "run_died"),
    (Outcome.REFUSED, "exempt"),
    (Outcome.REFUSED, Refusal.PAUSED.value),
    (Outcome.REFUSED, Refusal.TARGET_UNREADABLE.value),
    (Outcome.IN_PROGRESS, "not_yet"),
    (Outcome.PLANNED, "suggest_only"),
]
WEIGHTS = [12, 2, 1, 1, 1, 3, 3, 2, 1]


@given(rules=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_whatever_is_answered_it_keeps_its_word_and_ends(rules: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a story, no secret
    story = Story(*"abcde"[:rules])
    enabled: list[str] = []
    clean: set[str] = set()
    undone: list[str] = []
    red = False
    old: list[Finished] = []
    for _ in range(6_000):
        if story.incident.phase is Phase.CLOSED:
            break
        asked = [step for step in story.incident.steps if step.status is Status.ASKED]
        assert len(asked) <= 1
        before = len(story.asked)
        if asked and chance.random() < 0.8:
            step, name = asked[0], name_of(asked[0])
            outcome, reason = chance.choices(OUTCOMES, WEIGHTS)[0]
            finished = Finished(story.incident.action_id(step), outcome, reason, "said")
            kind, _, rule = name.partition(" ")
            if kind == "enable" and outcome in {Outcome.ACTED, Outcome.FAILED}:
                enabled.append(rule)
            red = red or (outcome is Outcome.FAILED and kind != "undo")
            if kind == "gate" and outcome is Outcome.ACTED and step.options["last"]:
                clean.add(rule)
            if kind == "undo" and outcome in {Outcome.ACTED, Outcome.ALREADY_DONE}:
                undone.append(rule)
            old.append(finished)
            story.go(finished)
        elif old and chance.random() < 0.2:
            story.go(chance.choice(old))  # once more: it must change nothing
        else:
            story.later(max(1.0, (story.incident.due or story.now) - story.now))
        for name in story.asked[before:]:
            kind, _, rule = name.partition(" ")
            if kind == "enable":
                assert not red
                assert clean == set("abcde"[: "abcde".index(rule)])
            if kind == "undo":
                assert red
                assert rule in enabled

    assert story.incident.phase is Phase.CLOSED
    assert len(undone) == len(set(undone))
    first_undos = list(dict.fromkeys(name[-1] for name in story.asked if name.startswith("undo")))
    assert first_undos == (sorted(set(enabled), reverse=True) if red else [])
    assert (story.incident.verdict == "rolled_out") == (clean == set("abcde"[:rules]))
    if story.incident.verdict != "rolled_out":
        assert story.told("escalated")
