"""Incidents, pauses, clocks and faults in any order: nothing leads past a guard.

No target has two owners or two workers; no response gets more places than a window has; nothing risky takes effect in a
run in which its guards were not asked, nor while a pause, a maintenance window or a storm forbids it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from selfheal import incident_store
from selfheal import ledger as table
from selfheal.action import Decline
from selfheal.engine import run
from selfheal.guards import chain, opt_out
from selfheal.guards.context import BY_ITSELF, GuardContext
from selfheal.incident import Incident, Phase
from selfheal.ledger import Ledger
from selfheal.replay.memory import MemoryTable
from selfheal.request import Request
from selfheal.runbook import Limits, Runbook, Window, response_key
from selfheal.words import Direction, Origin, Stage

from tests.unit.doubles import (
    LEASE_S,
    Alias,
    Clock,
    Cloud,
    FakeAction,
    Faults,
    Flag,
    Killed,
    ask,
    throttled,
    timed_out,
    world_of,
)
from tests.unit.incidents import incident, step
from tests.unit.responding import response
from tests.unit.test_guard_table import NoTags

SYSTEMS = ("a", "b", "c")
RESPONSE = "it fails"
LIMITS = Limits(per_hour=2, per_day=4, targets=2)
MAINTENANCE = (Window(("fri",), "10:00", "12:00"),)
TARGETS = ("x", "y", "z")
SKEWS = (-120.0, -1.0, 0.0, 0.0, 0.0, 1.0, 120.0)
KINDS = st.sampled_from([Alias, Flag])
APART = 240.0
"""As far as two of these clocks are apart."""
BEFORE_AND_AFTER = [(error, after) for error in (Killed, throttled, timed_out) for after in (False, True)]


@dataclass(frozen=True)
class Effect:
    """One change that was made: when, by what, and which guards its run had asked by then."""

    at: float
    request: Request
    risky: bool
    asked: tuple[str, ...]


class Guarded(RuleBasedStateMachine):
    """Three systems with one response each; the ledger is the only thing that their actions share."""

    @initialize()
    def begins(self) -> None:
        """An empty ledger."""
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(opt_out, "client", lambda service: NoTags())
        self.asked: list[str] = []
        self.patches.setattr(chain, "CHAIN", tuple(self.watched(guard) for guard in chain.CHAIN))
        self.table = MemoryTable()
        self.ledger = Ledger("ledger", self.table)
        self.clock = Clock()
        self.incidents: dict[str, Incident] = {}
        self.closed: set[str] = set()
        self.clouds: dict[str, Cloud] = {}
        self.unfinished: dict[str, Request] = {}
        self.effects: list[Effect] = []
        self.owners: dict[str, str] = {}
        self.busy: dict[str, tuple[str, float]] = {}
        self.places: dict[tuple[str, str, str], list[float]] = {}
        self.paused_until = 0.0
        self.count = 0

    def teardown(self) -> None:
        """As it was."""
        if hasattr(self, "patches"):
            self.patches.undo()

    def watched(self, guard: chain.Guard) -> chain.Guard:
        """The same guard, which notes that it was asked."""

        def check(context: GuardContext) -> Decline | None:
            self.asked.append(guard.name)
            return guard.check(context)

        return replace(guard, check=check)

    def runbook(self, system: str) -> Runbook:
        """The runbook of any system."""
        return Runbook(
            system=system,
            file="x.yaml",
            owner="on-call",
            timezone="UTC",
            maintenance=MAINTENANCE,
            holidays=frozenset(),
            exempt=frozenset(),
            targets={},
            responses=(response(name=RESPONSE, limits=LIMITS),),
            checks=(),
            sweeps=(),
        )

    # -- what happens ---------------------------------------------------------------------------------------------

    @rule(system=st.sampled_from("aaaaaabc"))
    def opens(self, system: str) -> None:
        """A system goes red."""
        self.count += 1
        one = incident(contain="", remediate="")
        targets = [ask(kind, name).target.key for kind in (Alias, Flag) for name in TARGETS]
        steps = tuple(
            replace(step(number, Stage.REMEDIATE, "roll_back_alias"), target_key=key)
            for number, key in enumerate(targets)
        )
        name = f"{system}-{self.count:08x}-1"
        one = replace(one, id=name, system=system, response=RESPONSE, steps=steps)
        committed = incident_store.commit(self.ledger, one, self.clock.now())
        assert committed is not None
        self.incidents[name] = committed

    @rule()
    def what_all_share_breaks(self) -> None:
        """Every system goes red, and every incident acts."""
        for system in SYSTEMS:
            self.opens(system)
        self.all_act(list(TARGETS), 0.0, False)

    @precondition(lambda self: self.incidents)
    @rule(data=st.data())
    def closes(self, data: Any) -> None:
        """An incident comes to its end, and lets its targets go."""
        name = data.draw(st.sampled_from(sorted(self.incidents)))
        ends = replace(self.incidents.pop(name), phase=Phase.CLOSED)
        assert incident_store.commit(self.ledger, ends, self.clock.now()) is not None
        self.owners = {target: owner for target, owner in self.owners.items() if owner != name}
        self.closed.add(name)
        self.unfinished = {one: request for one, request in self.unfinished.items() if request.incident != name}

    @precondition(lambda self: self.incidents)
    @rule(
        data=st.data(),
        on=st.sampled_from(TARGETS),
        kind=st.sampled_from([Alias, Alias, Flag]),
        origin=st.sampled_from([Origin.LADDER, Origin.LADDER, Origin.ALARM, Origin.HAND]),
        fault=st.sampled_from([*[None] * 6, *BEFORE_AND_AFTER]),
        at=st.integers(0, 12),
        skew=st.sampled_from(SKEWS),
        meanwhile=st.booleans(),
    )
    def acts(
        self,
        *,
        data: Any,
        on: str,
        kind: type[FakeAction],
        origin: Origin,
        fault: Any,
        at: int,
        skew: float,
        meanwhile: bool,
    ) -> None:
        """A step of an incident, with at most one fault, by a clock that may be wrong.

        `meanwhile`: between its look and its transaction another one runs from its beginning to its end.
        """
        request = self.request(data, kind, on, origin)
        other = None
        if meanwhile:
            other = self.request(data, kind, data.draw(st.sampled_from(TARGETS)), Origin.LADDER)
        self.run(request, fault, at, skew, other)

    def request(self, data: Any, kind: type[FakeAction], on: str, origin: Origin) -> Request:
        """A request for a new step of some open incident."""
        return self.request_of(data.draw(st.sampled_from(sorted(self.incidents))), kind, on, origin)

    def request_of(self, name: str, kind: type[FakeAction], on: str, origin: Origin) -> Request:
        """A request for a new step of this incident."""
        self.count += 1
        return ask(
            kind,
            on,
            action_id=f"{name}.{self.count}",
            origin=origin,
            incident=name,
            system=self.incidents[name].system,
            response=RESPONSE,
            requested_by="ann",
            cooldown_s=0,
        )

    @precondition(lambda self: self.unfinished)
    @rule(
        data=st.data(),
        fault=st.sampled_from([*[None] * 6, *BEFORE_AND_AFTER]),
        at=st.integers(0, 12),
        skew=st.sampled_from(SKEWS),
    )
    def is_asked_again(self, data: Any, fault: Any, at: int, skew: float) -> None:
        """The clock resumes what got no end, or somebody repeats it."""
        name = data.draw(st.sampled_from(sorted(self.unfinished)))
        self.run(self.unfinished[name], fault, at, skew)

    @rule(targets_=st.permutations(TARGETS), skew=st.sampled_from(SKEWS), together=st.booleans(), kind=KINDS)
    def all_act(self, targets_: list[str], skew: float, together: bool, kind: type[FakeAction] = Alias) -> None:
        """Every open incident acts, each on a target of its own or all on one; the next in the middle of this one."""
        requests = []
        for number, name in enumerate(sorted(self.incidents)):
            on = targets_[0 if together else number % len(targets_)]
            requests.append(self.request_of(name, Flag if number % 3 == 2 else Alias, on, Origin.LADDER))
            if together:
                requests[-1] = self.request_of(name, kind, on, Origin.LADDER)
        for request, other in zip(requests[::2], [*requests[1::2], None], strict=False):
            self.run(request, None, 0, skew, other)

    @rule(minutes=st.sampled_from([1, 5]), what=st.sampled_from(["risky", "all"]))
    def is_paused(self, minutes: int, what: str) -> None:
        """A person pauses everything."""
        self.paused_until = self.clock.now() + 60 * minutes
        doc = {"who": "ann", "what": what, "since": "", "until": "", "reason": ""}
        self.ledger.write(table.put("PAUSE", "*", doc, paused_until=self.paused_until))

    @rule(seconds=st.sampled_from([1, 60, 121, 299, 1_000, 1_801, 3_300, 3_601, 15_000]))
    def time_passes(self, seconds: int) -> None:
        """It does."""
        self.clock.advance(seconds)

    # -- one run ----------------------------------------------------------------------------------------------------

    def run(self, request: Request, fault: Any, at: int, skew: float, other: Request | None = None) -> None:
        """One run of the engine; what it does is written down, and judged by the invariants."""
        faults = Faults()
        if other is not None:
            faults.before_call["dynamodb.transact_write_items"] = lambda: self.run_between(other)
        if fault is not None:
            faults.error, faults.after = fault
            faults.at = at
        kind: Callable[..., FakeAction] = Alias if request.action == Alias.name else Flag
        first = 1_000 if kind is Alias else "true"
        cloud = self.clouds.setdefault(request.target.key, Cloud(value=first))
        if kind is Flag:
            cloud.value = "true"
        cloud.faults = faults
        self.asked = []
        own = Clock(self.clock.at + skew)
        world = world_of(faults, own, ledger=Ledger("ledger", _Through(self.table, faults)), runbook_of=self.runbook)
        self.unfinished[request.action_id] = request
        calls: list[tuple[int, Effect]] = []

        def on_apply() -> None:
            cloud.faults = faults
            calls.append((len(cloud.effects), Effect(own.now(), request, kind is Alias, tuple(self.asked))))

        result = None
        with contextlib.suppress(Killed):
            result = run(kind(cloud, on_apply), request, world)
        if calls and len(cloud.effects) > calls[-1][0]:
            self.judge(calls[-1][1], faulty=fault is not None)
        self.note_places()
        if result is not None and "not_recorded" not in result.evidence and result.outcome != "in_progress":
            self.unfinished.pop(request.action_id)
            self.busy.pop(request.target.key, None)
        self.clock.at = max(self.clock.at, own.at - skew)

    def run_between(self, other: Request) -> None:
        """A whole run in the middle of another."""
        asked = self.asked
        self.run(other, None, 0, 0.0)
        self.asked = asked

    def judge(self, effect: Effect, *, faulty: bool) -> None:
        """One change was made: was it allowed? Without an answer of the ledger a safe one may have nobody's leave."""
        request, target = effect.request, effect.request.target.key
        if not effect.risky:
            assert faulty or self.owners.get(target) in {None, request.incident}, f"{self.owners[target]} owns {target}"
            if not faulty and request.origin in BY_ITSELF:
                self.owners[target] = str(request.incident)
            return
        self.effects.append(effect)
        wanted = [guard.name for guard in chain.CHAIN if guard.applies(request.origin, Direction.RISKY)]
        assert list(effect.asked)[-len(wanted) :] == wanted, "a guard was not asked"
        alone = request.origin in BY_ITSELF
        owner = self.owners.get(target)
        assert owner in {None, request.incident}, f"{owner} owns {target}"
        worker, until = self.busy.get(target, ("", 0.0))
        assert worker in {"", request.action_id} or until < effect.at, f"{worker} works on {target}"
        self.busy[target] = (request.action_id, effect.at + LEASE_S)
        assert self.paused_until <= effect.at, "it is paused"
        if not alone:
            return
        self.owners[target] = str(request.incident)
        local = datetime.fromtimestamp(effect.at, UTC)
        assert not (local.weekday() == 4 and 10 <= local.hour < 12), "maintenance"
        marks = [(float(item["at"]), str(item["system"])) for item in self.ledger.query("STORM")]
        last_half_hour = [at for at, _ in marks if effect.at - 1_800 < at <= effect.at]
        most = max((len({one for at, one in marks if last - 300 <= at <= last}) for last in last_half_hour), default=0)
        assert most < 3, "a storm"

    def note_places(self) -> None:
        """When each place was taken, kept for ever: the ledger forgets."""
        lists = [("RATE", response_key(system, RESPONSE)) for system in SYSTEMS]
        for pk, sk in [*lists, *(("RADIUS", system) for system in SYSTEMS)]:
            item = self.ledger.get(pk, sk) or {"doc": {"taken": {}}}
            for name, at in item["doc"]["taken"].items():
                times = self.places.setdefault((pk, sk, name), [])
                if not times or times[-1] != at:
                    times.append(at)

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def no_window_has_more_than_its_places(self) -> None:
        """By the times at which they were taken."""
        if not hasattr(self, "places"):
            return
        windows = [
            ("RATE", 3_600, LIMITS.per_hour),
            ("RATE", 86_400, LIMITS.per_day),
            ("RADIUS", 3_600, LIMITS.targets),
        ]
        for kind, seconds, most in windows:
            for end in {at for (pk, _, _), times in self.places.items() for at in times if pk == kind}:
                for sk in {sk for pk, sk, _ in self.places if pk == kind}:
                    names = {
                        name
                        for (pk, one, name), times in self.places.items()
                        if (pk, one) == (kind, sk) and any(end - seconds < at <= end for at in times)
                    }
                    assert len(names) <= most, (kind, sk, names)

    @invariant()
    def whatever_was_risky_and_by_itself_had_its_places(self) -> None:
        """Taken before, and not too long ago."""
        for effect in getattr(self, "effects", []):
            request = effect.request
            if request.origin not in BY_ITSELF:
                continue
            system = str(request.system)
            rate = self.places.get(("RATE", response_key(system, RESPONSE), str(request.incident)), [])
            assert any(effect.at - 86_400 < at <= effect.at + APART for at in rate), "no place in the rate"
            radius = self.places.get(("RADIUS", system, request.target.key), [])
            assert any(effect.at - 3_600 - LEASE_S < at <= effect.at + APART for at in radius), "no place in the radius"


class _Through:
    """The table in memory, with its calls through faults."""

    def __init__(self, client: MemoryTable, faults: Faults) -> None:
        self._client, self._faults = client, faults

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda **arguments: self._faults.around(f"dynamodb.{name}", lambda: method(**arguments))


TestGuarded = Guarded.TestCase
TestGuarded.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
