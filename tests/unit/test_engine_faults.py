"""A kill and an error before and after every call of a run, found by recording a clean run; then the same id again.

What must hold whatever broke: one effect at most (a drain: each message once), the before-image is that of the world
before, one image per attempt that took effect, and the end is either reached or named inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from selfheal import changes, observability, record
from selfheal.action import AlreadyDone
from selfheal.engine import World, run
from selfheal.guards import opt_out
from selfheal.ledger import Ledger
from selfheal.request import Request, Result
from selfheal.words import Outcome, Verdict

from tests.unit.doubles import (
    LEASE_S,
    Alias,
    Clock,
    Cloud,
    Drain,
    FakeAction,
    Faults,
    FaultyClient,
    Flag,
    Invoke,
    Killed,
    Look,
    ask,
    throttled,
    timed_out,
    world_of,
)

pytestmark = pytest.mark.usefixtures("ledger")

KINDS: dict[type[FakeAction], Any] = {Flag: "true", Alias: 5, Drain: None, Invoke: None, Look: "true"}
MOST_RUNS = 8


@dataclass
class Case:
    """One action on one fresh resource, with its own faults, in the ledger that all cases share."""

    kind: type[FakeAction]
    name: str
    patch: Callable[[Faults], None]
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.faults, value=KINDS[self.kind])
        self.results: list[Result] = []

    @property
    def request(self) -> Request:
        return ask(self.kind, self.name, incident=self.name, system=self.name, **self.more)

    @property
    def world(self) -> World:
        return world_of(self.faults, self.clock)

    def once(self) -> Result | None:
        """One run; None if it was killed."""
        self.patch(self.faults)
        try:
            result = run(self.kind(self.cloud), self.request, self.world)
        except Killed:
            return None
        self.results.append(result)
        return result

    def to_the_end(self) -> Result:
        """Runs of the same id without faults, each after the lease of the one before, until one has an end."""
        self.faults.at, self.faults.names = None, ()
        for _ in range(MOST_RUNS):
            self.clock.advance(LEASE_S + 1)
            result = self.once()
            assert result is not None
            if result.outcome is not Outcome.IN_PROGRESS:
                return result
        raise AssertionError(f"{self.name} never ends: {self.results[-1]}")

    def check(self, result: Result) -> None:
        """What must hold at the end, whatever happened on the way."""
        where = f"{self.name}: {result}"
        effects = self.cloud.effects
        if self.kind is Drain:
            assert effects == sorted(set(effects)), where
        else:
            assert len(effects) <= 1, where
        if result.outcome is Outcome.ACTED and self.kind is Drain:
            assert effects == [1, 2, 3], where
        elif result.outcome is Outcome.ACTED and self.kind is not Look:
            assert len(effects) == 1, where
        if self.kind.reversible and result.before is not None:
            assert result.before == {"value": KINDS[self.kind]}, where


@pytest.fixture
def patch(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Callable[[Faults], None]:
    """Sends the calls for tags through the faults of a case."""
    tags: dict[int, FaultyClient] = {}

    def use(faults: Faults) -> None:
        mine = tags.setdefault(id(faults), FaultyClient("resourcegroupstaggingapi", faults))
        monkeypatch.setattr(opt_out, "client", lambda service: mine)

    return use


def calls_of(kind: type[FakeAction], patch: Callable[[Faults], None], **more: Any) -> list[str]:
    """Every call of a clean run, in order, to its end."""
    case = Case(kind, "clean", patch, more=more)
    case.once()
    if case.results[-1].outcome is Outcome.IN_PROGRESS:
        case.to_the_end()
    case.check(case.results[-1])
    return list(case.faults.calls)


def cases(
    kind: type[FakeAction], patch: Callable[[Faults], None], error: Callable[[], BaseException]
) -> Iterator[Case]:
    """One case per call and side of it. A drain's later runs are broken as well."""
    for at, name in enumerate(calls_of(kind, patch)):
        for after in (False, True):
            side = "after" if after else "before"
            yield Case(kind, f"{side}-{at}-{name}", patch, faults=Faults(at=at, after=after, error=error))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_call_is_repaired_by_the_same_id(kind: type[FakeAction], patch: Callable[[Faults], None]) -> None:
    for case in cases(kind, patch, Killed):
        killed = 0
        for _ in range(MOST_RUNS):
            result = case.once()
            killed += result is None
            if result is None or result.outcome is not Outcome.IN_PROGRESS:
                break
            case.clock.advance(60)
        had_effect = bool(case.cloud.effects)
        taken = len(record.attempts(world_of(Faults(), case.clock).ledger, case.request.action_id))

        end = case.to_the_end()

        assert killed == 1, case.name
        case.check(end)
        if kind is Invoke and end.outcome is Outcome.INCONCLUSIVE:
            assert taken == 1, case.name
        else:
            assert end.outcome is Outcome.ACTED, f"{case.name}: {end}"
        attempts = record.attempts(case.world.ledger, case.request.action_id)
        if had_effect:
            assert len(attempts) == taken, f"{case.name}: a second image for what took effect"
        check_what_is_left(case, end)


def check_what_is_left(case: Case, end: Result) -> None:
    """The target is free, the result is on record, and a change that is in force is listed and doesn't expire."""
    ledger = case.world.ledger
    found = record.find(ledger, case.request.action_id)
    assert found is not None
    assert found["run"] == "done", case.name
    lease = ledger.get(f"TARGET#{case.request.target.key}", "LEASE")
    assert (lease is None) == (case.kind is Look), case.name
    assert lease is None or lease["lease_until"] == 0, case.name
    in_force = case.kind.reversible and end.outcome is Outcome.ACTED
    assert len(changes.still_open(ledger, case.request.target.key)) == int(in_force), case.name
    assert ("expires" in found) != in_force, case.name


@pytest.mark.parametrize("error", [throttled, timed_out])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_at_any_call_ends_in_a_result(
    kind: type[FakeAction], error: Callable[[], BaseException], patch: Callable[[Faults], None]
) -> None:
    for case in cases(kind, patch, error):
        first = case.once()
        assert first is not None
        acting = first if case.cloud.effects else None

        end = case.to_the_end()

        case.check(end)
        if case.cloud.effects and case.kind.reversible:
            assert end.outcome is not Outcome.REFUSED, f"{case.name}: {end}"
            acting = acting or end
            assert acting.before == {"value": KINDS[kind]}, f"{case.name}: the image is not in the answer: {acting}"


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_ledger_only_what_is_safe_or_reads_goes_ahead(
    kind: type[FakeAction], patch: Callable[[Faults], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It stops to answer at any of its calls, and stays away."""
    clean = calls_of(kind, patch)
    one_run = clean[: clean.index("dynamodb.put_item", 1)] if kind is Drain else clean
    ledger_calls = [at for at, name in enumerate(one_run) if name.startswith("dynamodb")]
    for at in ledger_calls:
        case = Case(kind, f"down-{at}", patch, faults=Faults(error=timed_out))
        goes_down_at(case.faults, at)

        result = case.once()

        assert result is not None
        case.check(result)
        assert "not_recorded" in result.evidence, result
        if kind in {Flag, Look}:
            assert result.outcome is Outcome.ACTED, f"{case.name}: {result}"
            assert kind is Look or result.before == {"value": "true"}
        elif not case.cloud.effects:
            assert result.reason == "guard_unreadable", f"{case.name}: {result}"
        else:
            assert at == ledger_calls[-1], f"{case.name}: {result}"


def goes_down_at(faults: Faults, at: int) -> None:
    around = faults.around

    def breaking(name: str, call: Callable[[], Any]) -> Any:
        if len(faults.calls) >= at:
            faults.names = ("dynamodb",)
        return around(name, call)

    faults.around = breaking  # type: ignore[method-assign]


def test_a_safe_action_without_the_ledger_logs_its_image_before_the_call(
    patch: Callable[[Faults], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(observability.logger, "warning", lambda message, **data: logged.append(data))
    case = Case(Flag, "down", patch, faults=Faults(names=("dynamodb",), error=throttled))
    seen: list[int] = []
    patch(case.faults)

    result = run(Flag(case.cloud, lambda: seen.append(len(logged))), case.request, case.world)

    assert result.outcome is Outcome.ACTED
    assert seen == [1]
    assert logged[0]["before"] == {"value": "true"}
    assert [line.split(":")[0] for line in result.evidence["guards_not_read"]] == [
        "pause",
        "owner",
        "lease",
        "cooldown",
        "target",
    ]
    assert case.faults.calls.count("dynamodb.put_item") == 1
    assert [call for call in case.faults.calls if call.startswith("dynamodb")] == ["dynamodb.put_item"]


def test_the_killed_run_may_be_the_second_one(patch: Callable[[Faults], None]) -> None:
    """A kill in the run that repairs a kill: every pair of calls of an action with compare-and-set."""
    first_calls = len(calls_of(Alias, patch))
    for first in range(2, first_calls):
        for second in range(first_calls + 2):
            case = Case(Alias, f"pair-{first}-{second}", patch, faults=Faults(at=first))
            assert case.once() is None
            case.clock.advance(LEASE_S + 1)
            case.faults.at = len(case.faults.calls) + second
            case.once()
            end = case.to_the_end()

            case.check(end)
            assert end.outcome is Outcome.ACTED, f"{case.name}: {end}"
            assert case.cloud.value == 4


def test_the_fakes_are_what_they_claim() -> None:
    """The engine is proven against these; a fake that can't fail would prove nothing."""
    cloud = Cloud(value=5)
    stale = Alias(cloud).decide(cloud.read(), ask(Alias))
    assert not isinstance(stale, AlreadyDone)
    cloud.by_hand(7)
    with pytest.raises(Exception, match="stale"):
        Alias(cloud).apply(ask(Alias), stale)  # type: ignore[arg-type]
    assert Invoke(cloud).verify(ask(Invoke), stale).verdict is Verdict.UNKNOWN  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Flag, Alias, Drain])
def test_a_run_that_died_before_its_call_asks_the_guards_again(
    kind: type[FakeAction], patch: Callable[[Faults], None]
) -> None:
    """It was in time when it began; by now the world has moved on."""
    late = {"not_after": "2027-01-15T08:01:00+00:00"}  # 60 s after the start of the clock
    call = "cloud.move" if kind is Drain else "cloud.write"
    case = Case(kind, "died", patch, faults=Faults(names=(call,)), more=late)
    assert case.once() is None

    end = case.to_the_end()

    if kind is Drain:  # long work had begun: its first message may have been moved
        assert end.outcome is Outcome.ACTED
    else:
        assert end.reason == "too_late"
        assert case.cloud.effects == []
