"""Undo through the engine: restores what was recorded, once, and never over somebody else's change."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from selfheal import changes, record
from selfheal import ledger as table
from selfheal.engine import run
from selfheal.refusal import Refusal
from selfheal.request import Request, Result
from selfheal.words import Outcome, ResponseMode

from tests.unit.doubles import (
    LEASE_S,
    Alias,
    Clock,
    Cloud,
    Drain,
    FakeAction,
    Faults,
    Flag,
    Invoke,
    Killed,
    ask,
    throttled,
    world_of,
)

pytestmark = pytest.mark.usefixtures("ledger")


@dataclass
class Scene:
    """One resource and what is done to it."""

    kind: type[FakeAction]
    cloud: Cloud
    clock: Clock
    faults: Faults

    def act(self, action_id: str = "one.1", **more: Any) -> Result:
        """The action itself."""
        return self.run(ask(self.kind, action_id=action_id, **more))

    def undo(self, action_id: str, undo_of: str, **more: Any) -> Result:
        """Its undo, as a person asks for it."""
        return self.run(undo_request(self.kind, action_id, undo_of, **more))

    def run(self, request: Request, on_apply: Callable[[], None] = lambda: None) -> Result:
        """Any request."""
        return run(self.kind(self.cloud, on_apply), request, world_of(self.faults, self.clock))

    def listed(self) -> list[str]:
        """The ids of open changes."""
        return [change["action_id"] for change in changes.still_open(world_of(Faults(), self.clock).ledger)]

    def record(self, action_id: str) -> dict[str, Any]:
        """An action's record."""
        found = record.find(world_of(Faults(), self.clock).ledger, action_id)
        assert found is not None
        return dict(found)


def undo_request(kind: type[FakeAction], action_id: str, undo_of: str, **more: Any) -> Request:
    return ask(kind, action_id=action_id, undo_of=undo_of, **{"origin": "undo", "requested_by": "on-call", **more})


def scene(kind: type[FakeAction], value: Any) -> Scene:
    faults = Faults()
    return Scene(kind, Cloud(faults, value=value), Clock(), faults)


@pytest.fixture
def flag() -> Scene:
    """A flag that is `true`."""
    return scene(Flag, "true")


@pytest.fixture
def alias() -> Scene:
    """An alias at version 5."""
    return scene(Alias, 5)


def test_an_undo_restores_what_was_before_and_closes_the_change(alias: Scene) -> None:
    alias.act()
    assert alias.listed() == ["one.1"]

    result = alias.undo("undo.1", "one.1")

    assert result.outcome is Outcome.ACTED
    assert alias.cloud.effects == [4, 5]
    assert (result.before, result.after) == ({"value": 4}, {"value": 5})
    assert alias.listed() == []
    assert alias.record("one.1")["expires"] > alias.clock.now()
    assert alias.record("undo.1")["expires"] > alias.clock.now()


def test_an_undo_of_a_change_by_somebody_else_is_refused_with_the_difference(alias: Scene) -> None:
    alias.act()
    alias.cloud.by_hand(17)

    result = alias.undo("undo.1", "one.1")

    assert result.reason == Refusal.CHANGED_SINCE
    assert "17" in result.detail
    assert "4" in result.detail
    assert alias.cloud.value == 17
    assert alias.listed() == ["one.1"]


def test_what_somebody_restored_already_counts_as_undone(flag: Scene) -> None:
    flag.act()
    flag.cloud.by_hand("true")

    result = flag.undo("undo.1", "one.1")

    assert result.outcome is Outcome.ALREADY_DONE
    assert flag.listed() == []
    assert flag.undo("undo.2", "one.1").reason == Refusal.ALREADY_UNDONE


def test_a_change_is_undone_once(flag: Scene) -> None:
    """The second undo would find the state that the action left, made by a second halt, and must not resume."""
    flag.act()
    flag.undo("undo.1", "one.1")
    flag.act("two.1")

    result = flag.undo("undo.2", "one.1")

    assert result.reason == Refusal.ALREADY_UNDONE
    assert flag.cloud.value == "false"


def test_two_undos_at_once_have_one_effect(alias: Scene) -> None:
    alias.act()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: alias.undo(f"undo.{n}", "one.1"), range(8)))

    assert alias.cloud.effects == [4, 5]
    assert [result.outcome for result in results].count(Outcome.ACTED) == 1


def test_an_undo_that_had_no_effect_may_be_tried_again(alias: Scene) -> None:
    alias.act()
    action_at = len(alias.faults.calls) + 5
    alias.faults.at, alias.faults.error = action_at, throttled
    failed = alias.undo("undo.1", "one.1")
    assert alias.faults.calls[action_at] == "cloud.write"
    assert failed.outcome is Outcome.FAILED
    alias.faults.at = None

    assert alias.undo("undo.2", "one.1").outcome is Outcome.ACTED
    assert alias.cloud.value == 5


def test_an_undo_of_an_undo_does_it_again_and_lists_it(flag: Scene) -> None:
    flag.act()
    flag.undo("undo.1", "one.1")

    again = flag.undo("undo.undo.1", "undo.1")

    assert again.outcome is Outcome.ACTED
    assert flag.cloud.value == "false"
    assert flag.listed() == ["undo.undo.1"]
    assert "expires" not in flag.record("undo.undo.1")
    assert flag.undo("undo.3", "undo.undo.1").outcome is Outcome.ACTED
    assert flag.listed() == []


@pytest.mark.parametrize("kind", [Drain, Invoke])
def test_what_is_not_reversible_is_not_undone(kind: type[FakeAction]) -> None:
    one = scene(kind, None)
    one.act()

    assert one.undo("undo.1", "one.1").reason == Refusal.IRREVERSIBLE


def test_there_is_nothing_to_undo_about_a_refusal_a_suggestion_or_a_stranger(flag: Scene) -> None:
    flag.act("refused.1", not_after="2020-01-01T00:00:00+00:00")
    flag.act("suggested.1", response_mode="suggest")
    flag.run(ask(Flag, action_id="other.1", target={"parameter": "/other"}))
    flag.cloud.value = "true"

    for undone in ("refused.1", "suggested.1", "other.1", "never.1"):
        result = flag.undo(f"undo.{undone}", undone)
        assert result.reason == Refusal.NOTHING_TO_UNDO, (undone, result)
    assert flag.cloud.value == "true"


def test_what_failed_half_way_can_be_undone(alias: Scene) -> None:
    """The call had no clear answer, but took effect; verify could not be read either."""
    alias.faults.names, alias.faults.after, alias.faults.error = ("cloud.write",), True, throttled

    def break_reads() -> None:
        alias.faults.names = ("cloud.",)

    first = alias.run(ask(Alias), break_reads)
    alias.faults.names = ()

    assert first.outcome is Outcome.INCONCLUSIVE
    assert alias.listed() == ["one.1"]
    assert alias.undo("undo.1", "one.1").outcome is Outcome.ACTED
    assert alias.cloud.value == 5


def test_an_undo_needs_a_person(flag: Scene) -> None:
    flag.act()

    assert flag.undo("undo.1", "one.1", requested_by=None).reason == Refusal.PERSON_REQUIRED
    assert flag.cloud.value == "false"


def test_an_undo_after_its_incident_was_closed_owns_nothing(flag: Scene) -> None:
    flag.act()
    ledger = world_of(Faults(), flag.clock).ledger
    ledger.write(table.delete("TARGET#parameter:/one", "OWNER"))

    assert flag.undo("undo.1", "one.1").outcome is Outcome.ACTED
    assert ledger.get("TARGET#parameter:/one", "OWNER") is None


def test_an_undo_is_risky_where_the_way_back_is(flag: Scene) -> None:
    flag.act()
    flag.faults.names, flag.faults.error = ("dynamodb.batch_get_item",), throttled

    result = flag.undo("undo.1", "one.1")

    assert result.reason == Refusal.GUARD_UNREADABLE
    assert flag.cloud.value == "false"


def test_an_undo_is_not_held_back_by_mode_cooldown_or_the_incident_that_owns_it(alias: Scene) -> None:
    alias.act(cooldown_s=3600)

    world = world_of(alias.faults, alias.clock, max_mode=ResponseMode.SUGGEST)
    result = run(Alias(alias.cloud), undo_request(Alias, "undo.1", "one.1"), world)

    assert result.outcome is Outcome.ACTED


def test_an_undo_without_the_ledger_is_refused(flag: Scene) -> None:
    flag.act()
    flag.faults.names, flag.faults.error = ("dynamodb",), throttled

    assert flag.undo("undo.1", "one.1").reason == Refusal.GUARD_UNREADABLE
    assert flag.cloud.value == "false"


@pytest.mark.parametrize("kind", [Flag, Alias])
def test_an_interrupted_undo_resumes_under_its_claim(kind: type[FakeAction]) -> None:
    """A kill before and after every call of an undo."""
    clean = scene(kind, "true" if kind is Flag else 5)
    clean.act("clean.1", target=ask(kind, "clean").target.as_dict())
    start = len(clean.faults.calls)
    clean.run(undo_request(kind, "clean.2", "clean.1", target=ask(kind, "clean").target.as_dict()))
    count = len(clean.faults.calls) - start

    for at in range(count):
        for after in (False, True):
            name = f"undo-{at}-{after}"
            target = ask(kind, name).target.as_dict()
            one = scene(kind, "true" if kind is Flag else 5)
            one.act(name, target=target, incident=name, system=name)
            one.faults.at, one.faults.after = len(one.faults.calls) + at, after
            request = undo_request(kind, f"{name}.undo", name, target=target, incident=name)
            with pytest.raises(Killed):
                one.run(request)
            other = one.undo(f"{name}.other", name, target=target, incident=name)
            one.clock.advance(LEASE_S + 1)

            result = one.run(request)

            assert {result.outcome, other.outcome} & {Outcome.ACTED}, (name, result, other)
            assert len(one.cloud.effects) == 2, (name, result, other)
            assert one.cloud.value == ("true" if kind is Flag else 5)
            assert name not in one.listed()


def test_errors_while_an_undo_is_repaired_lock_nobody_out() -> None:
    """Killed at any call, then an error at any call of the run that resumes it: somebody can always finish it."""
    for kill in range(2, 8):
        for error in range(1, 8):
            name = f"repair-{kill}-{error}"
            target = ask(Alias, name).target.as_dict()
            one = scene(Alias, 5)
            one.act(name, target=target, incident=name, system=name)
            request = undo_request(Alias, f"{name}.undo", name, target=target, incident=name)
            one.faults.at = len(one.faults.calls) + kill
            with pytest.raises(Killed):
                one.run(request)
            one.clock.advance(LEASE_S + 1)
            one.faults.at, one.faults.error = len(one.faults.calls) + error, throttled
            one.run(request)
            one.faults.at = None

            results = []
            for action_id in (f"{name}.undo", f"{name}.other"):
                one.clock.advance(LEASE_S + 1)
                results.append(one.undo(action_id, name, target=target, incident=name))

            assert one.cloud.value == 5, (name, results)
            assert len(one.cloud.effects) == 2, (name, results)
            assert name not in one.listed(), (name, results)


def test_an_undo_that_was_overtaken_since_it_looked_does_nothing(flag: Scene) -> None:
    flag.act()
    ledger = world_of(Faults(), flag.clock).ledger
    overtake = table.update("ACTION#one.1", "ACTION", {"undone_by": "faster"}, "attribute_exists(pk)")
    flag.faults.before_call["dynamodb.transact_write_items"] = lambda: ledger.write(overtake)

    result = flag.undo("undo.1", "one.1")

    assert result.reason == Refusal.ALREADY_UNDONE
    assert flag.cloud.value == "false"
    assert flag.record("one.1")["undone_by"] == "faster"
    assert ledger.get("TARGET#parameter:/one", "LEASE")["lease_until"] == 0  # type: ignore[index]
