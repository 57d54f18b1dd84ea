"""Evidence before destruction: who captures, what becomes of it, and whom its failure stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from selfheal import capture, starter
from selfheal.action import Change
from selfheal.engine import run
from selfheal.errors import TargetForbidden, Unreadable
from selfheal.guards import opt_out
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import MAX_ID_LENGTH, Request, Result, read_request
from selfheal.words import Direction, Outcome

from tests.unit.doubles import Alias, Clock, Cloud, FakeAction, Faults, FaultyClient, Flag, Look, ask, world_of

pytestmark = pytest.mark.usefixtures("ledger")
WHERE = "s3://archive/evidence/inc-1/one.json"
KEPT = {"outcome": "acted", "evidence": {"captured": WHERE}}
NOTHING = {"outcome": "refused", "reason": "target_unreadable", "detail": "nothing could be read", "evidence": {}}


class Captures(Alias):
    """Like a rollback."""

    captures = True


class Destroys(Alias):
    """Like a restart."""

    captures = destroys = True


class SafeAndDestroys(Flag):
    """Like to stop a service."""

    destroys = True


class SafeAndCaptures(Flag):
    """Its undo is risky."""

    captures = True


class Reads(Look):
    """Destroys nothing, whatever it says of itself."""

    captures = destroys = True


Answer = Mapping[str, Any] | Exception


class Asked:
    """PreserveEvidence, as the engine sees it."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.events: list[Mapping[str, Any]] = []
        self.within: list[int] = []
        self.on_ask: Callable[[], None] = lambda: None

    def __call__(self, function: str, event: dict[str, Any], within_s: int) -> Mapping[str, Any]:
        assert function == "the-function"
        self.events.append(event)
        self.within.append(within_s)
        self.on_ask()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asked]:
    def answer(*answers: Answer) -> Asked:
        made = Asked(*answers)
        monkeypatch.setattr(starter, "ask", made)
        return made

    monkeypatch.setenv("EVIDENCE_FUNCTION", "the-function")
    return answer


@pytest.fixture
def go(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Result, Cloud]]:
    faults = Faults()
    tags = FaultyClient("resourcegroupstaggingapi", faults)
    monkeypatch.setattr(opt_out, "client", lambda service: tags)

    def act(kind: type[FakeAction], name: str = "one", **more: Any) -> tuple[Result, Cloud]:
        cloud = Cloud(faults, value="true" if issubclass(kind, Flag) else 5)
        return run(kind(cloud), ask(kind, name, **more), world_of(faults, Clock())), cloud

    return act


@pytest.mark.parametrize("kind", [Captures, Destroys, SafeAndDestroys])
def test_where_the_evidence_lies_is_in_the_result(kind: Any, asked: Any, go: Any) -> None:
    preserve = asked(KEPT)

    result, cloud = go(kind)

    assert result.outcome is Outcome.ACTED
    assert result.evidence["captured"] == result.captured == WHERE
    assert len(cloud.effects) == len(preserve.events) == 1


def test_it_is_captured_before_the_change_and_once_the_target_is_ours(asked: Any, go: Any, ledger: Ledger) -> None:
    preserve = asked(KEPT)
    seen: list[Any] = []
    preserve.on_ask = lambda: seen.append(ledger.get("TARGET#function:one:live", "LEASE"))

    class Watched(Destroys):
        def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
            seen.append("applied")
            return super().apply(request, change)

    go(Watched)

    assert seen[0]["lease_until"] > 0
    assert seen[1:] == ["applied"]


def test_the_question_is_a_request_for_the_same_target_and_incident(asked: Any, go: Any) -> None:
    preserve = asked(KEPT)

    go(Captures, system="shop", hops=2, requested_by="ann")

    (event,) = preserve.events
    request = read_request(event, ("capture_evidence",), "default-id")
    assert request.target.key == "function:one:live"
    assert (request.incident, request.system, request.origin, request.hops) == ("inc-1", "shop", "alarm", 3)
    assert request.requested_by == "ann"
    assert request.action_id.startswith("evidence.inc-1.")


def test_two_steps_of_an_incident_ask_under_the_same_name(asked: Any, go: Any) -> None:
    preserve = asked(KEPT)

    go(Captures, action_id="inc-1.0.1")
    go(Captures, action_id="inc-1.1.1", cooldown_s=0)
    go(Captures, "two", action_id="by-hand", incident=None, origin="hand", requested_by="ann")

    first, second, by_hand = (event["action_id"] for event in preserve.events)
    assert first == second != by_hand
    assert by_hand.startswith("evidence.by-hand.")


def test_a_name_is_never_too_long(asked: Any, go: Any) -> None:
    preserve = asked(KEPT)

    go(Captures, incident="i" * MAX_ID_LENGTH)

    assert len(preserve.events[0]["action_id"]) <= MAX_ID_LENGTH


FAILURES: list[Answer] = [
    Unreadable("the answer of the-function", "Read timeout"),
    TargetForbidden("the answer of the-function: AccessDenied"),
    NOTHING,
    {"outcome": "acted", "evidence": {"too_large": "x"}},
    {"errorMessage": "Task timed out"},
]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_rollback_goes_on_without_and_says_why(failure: Answer, asked: Any, go: Any) -> None:
    asked(failure)

    result, cloud = go(Captures)

    assert (result.outcome, cloud.effects) == (Outcome.ACTED, [4])
    assert result.evidence["not_captured"]
    assert "captured" not in result.evidence


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", [Destroys, SafeAndDestroys])
def test_what_would_destroy_it_is_refused_by_name(kind: Any, failure: Answer, asked: Any, go: Any, ledger: Any) -> None:
    asked(failure)

    result, cloud = go(kind)

    assert (result.outcome, result.reason) == (Outcome.REFUSED, Refusal.EVIDENCE_MISSING)
    assert result.evidence["not_captured"] in result.detail
    assert cloud.effects == []
    leased = ledger.get(f"TARGET#{'parameter:/one' if kind is SafeAndDestroys else 'function:one:live'}", "LEASE")
    assert leased["lease_until"] == 0


def test_a_later_step_tries_again_under_its_own_name(asked: Any, go: Any) -> None:
    preserve = asked(NOTHING, KEPT)

    result, _ = go(Destroys)

    assert result.outcome is Outcome.ACTED
    assert result.captured == WHERE
    assert "not_captured" not in result.evidence
    assert [event["action_id"].split(".")[1] for event in preserve.events] == ["inc-1", "one"]


def test_both_tries_share_the_ten_seconds() -> None:
    clock = iter([0.0, 0.0, 7.2, 99.0])
    seen: list[int] = []

    def slow(function: str, event: Any, within_s: int) -> Any:
        seen.append(within_s)
        raise Unreadable(function, "no answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVIDENCE_FUNCTION", "the-function")
        patch.setattr(starter, "ask", slow)
        where, why = capture._capture(ask(Captures), lambda: next(clock))

    assert seen == [8]
    assert (where, why) == ("", "the-function cannot be read: no answer")


def test_without_a_function_a_rollback_says_so_and_a_restart_is_refused(
    go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVIDENCE_FUNCTION", raising=False)

    rolled_back, _ = go(Captures)
    restarted, cloud = go(Destroys, "two")

    assert rolled_back.outcome is Outcome.ACTED
    assert "EVIDENCE_FUNCTION" in rolled_back.evidence["not_captured"]
    assert (restarted.outcome, cloud.effects) == (Outcome.REFUSED, [])


@pytest.mark.parametrize(
    ("kind", "mode"), [(Reads, "act"), (SafeAndCaptures, "act"), (Captures, "plan"), (Destroys, "plan"), (Alias, "act")]
)
def test_nobody_waits_for_evidence_that_is_not_needed(kind: Any, mode: str, asked: Any, go: Any) -> None:
    """Reads, plans, containment that destroys nothing, and what captures nothing."""
    preserve = asked(KEPT)

    result, _ = go(kind, mode=mode)

    assert result.outcome in {Outcome.ACTED, Outcome.PLANNED}
    assert preserve.events == []


@pytest.mark.parametrize("direction", Direction)
def test_who_needs_it(direction: Direction) -> None:
    assert capture.needed(Destroys, direction) is (direction is not Direction.READ)
    assert capture.needed(Captures, direction) is (direction is Direction.RISKY)
    assert not capture.needed(Alias, direction)


def test_a_refused_step_captures_nothing(asked: Any, go: Any) -> None:
    """Guards first."""
    preserve = asked(KEPT)

    go(Destroys, not_after="2020-01-01T00:00:00+00:00")

    assert preserve.events == []
