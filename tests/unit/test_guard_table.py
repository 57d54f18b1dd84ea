"""The table guard x origin x direction: every cell is run through the engine, with one guard that refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from selfheal import ledger as table
from selfheal.action import DEPLOYED_AT, Change, Decision, State
from selfheal.engine import run
from selfheal.guards import alarm
from selfheal.ledger import Ledger, Write
from selfheal.refusal import Refusal
from selfheal.replay.memory import MemoryTable
from selfheal.request import AlarmReference, Request
from selfheal.runbook import Runbook, Window
from selfheal.words import Direction, Origin, Outcome

from tests.unit.doubles import START, Alias, Clock, Cloud, Faults, ask, world_of
from tests.unit.test_guards import ASKED

TARGET = "TARGET#function:one:live"
KEY = "shop|web failing"
RED = AlarmReference("red", "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:red", str(int(START - 60) * 1000))


class Turn(Alias):
    """An action that is as safe or risky as the test says."""

    def __init__(self, cloud: Cloud, direction: Direction, facts: Mapping[str, Any]) -> None:
        super().__init__(cloud)
        self.wanted, self.facts = direction, facts

    def decide(self, state: State, request: Request) -> Decision:
        decision = super().decide(state, request)
        assert isinstance(decision, Change)
        return replace(decision, direction=self.wanted, facts=self.facts)


@dataclass(frozen=True)
class Cell:
    """What makes one guard refuse, and no other."""

    refusal: Refusal
    writes: tuple[Write, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    alarms: tuple[AlarmReference, ...] = ()
    state: str = "ALARM"
    maintenance: tuple[Window, ...] = ()
    exempt: frozenset[str] = frozenset()


def full(pk: str, sk: str, count: int) -> Write:
    """A list in which every place is taken."""
    taken = {f"other-{number}": START - 60 for number in range(count)}
    return table.put(pk, sk, {"taken": taken}, revision=1)


def pause(name: str) -> Write:
    """A pause in force."""
    doc = {"who": "on-call", "what": "all", "since": "09:00", "until": "10:00", "reason": "it does not help"}
    return table.put("PAUSE", name, doc, paused_until=START + 60)


CELLS = {
    "pause": Cell(Refusal.PAUSED, (pause("*"),)),
    "maintenance": Cell(Refusal.MAINTENANCE, maintenance=(Window(("fri",), "07:00", "09:00"),)),
    "mode": Cell(Refusal.RESPONSE_OFF, request={"response_mode": "off"}),
    "opt_out": Cell(Refusal.EXEMPT, exempt=frozenset({"function:one:live"})),
    "not_after": Cell(Refusal.TOO_LATE, request={"not_after": datetime.fromtimestamp(START - 1, UTC).isoformat()}),
    "alarm": Cell(Refusal.NOT_RED, alarms=(RED,), state="OK"),
    "deployment": Cell(Refusal.OLDER_THAN_DEPLOYMENT, alarms=(RED,), facts={DEPLOYED_AT: START}),
    "owner": Cell(Refusal.TARGET_OWNED, (table.put(TARGET, "OWNER", {"system": "shop"}, incident="inc-2"),)),
    "lease": Cell(Refusal.LEASED, (table.put(TARGET, "LEASE", {}, holder="other", lease_until=START + 60),)),
    "cooldown": Cell(Refusal.COOLDOWN, (table.put(TARGET, "COOLDOWN", {}, incident="inc-2", cool_until=START + 60),)),
    "rate": Cell(Refusal.RATE_LIMIT, (full("RATE", KEY, 3),)),
    "useless": Cell(Refusal.DOES_NOT_HELP, (pause(KEY),)),
    "radius": Cell(Refusal.BLAST_RADIUS, (full("RADIUS", "shop", 10),)),
    "storm": Cell(
        Refusal.STORM, tuple(table.put("STORM", name, {}, at=START - 60, system=name) for name in ("a", "b", "c"))
    ),
}


def runbook_of(cell: Cell) -> Callable[[str], Runbook | None]:
    """The runbook of the system, as the cell has it."""
    found = Runbook(
        system="shop",
        file="shop.yaml",
        owner="on-call",
        timezone="UTC",
        maintenance=cell.maintenance,
        holidays=frozenset(),
        exempt=cell.exempt,
        targets={},
        responses=(),
        checks=(),
        sweeps=(),
    )
    return lambda system: found


@pytest.fixture(autouse=True)
def tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """No resource has tags."""
    monkeypatch.setattr("selfheal.guards.opt_out.client", lambda service: NoTags())


class NoTags:
    """The tagging API, for which nothing has tags."""

    def get_resources(self, **request: Any) -> dict[str, Any]:
        """GetResources."""
        return {"ResourceTagMappingList": []}


def test_every_guard_has_its_cells() -> None:
    assert list(CELLS) == list(ASKED)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("guard", CELLS)
def test_a_cell(guard: str, origin: Origin, direction: Direction, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = CELLS[guard]
    seen = {"AlarmName": RED.name, "AlarmArn": RED.arn, "StateValue": cell.state}
    monkeypatch.setattr(alarm, "read_alarms", lambda names: [seen])
    ledger, cloud = Ledger("ledger", MemoryTable()), Cloud(value=5)
    for write in cell.writes:
        ledger.write(write)
    request = replace(
        ask("roll_back_alias", origin=origin, system="shop", response="web failing", **cell.request),
        alarms=cell.alarms,
    )
    world = world_of(Faults(), Clock(), ledger=ledger, runbook_of=runbook_of(cell))

    result = run(Turn(cloud, direction, cell.facts), request, world)

    origins, directions = ASKED[guard]
    if origin in origins and direction in directions:
        assert (result.outcome, result.reason) == (Outcome.REFUSED, cell.refusal), result
        assert result.detail
        assert cloud.effects == []
    else:
        assert result.outcome is Outcome.ACTED, result
        assert cloud.effects == [4]


@pytest.mark.parametrize(("first", "second"), [(a, b) for a, b in product(CELLS, CELLS) if a != b])
def test_of_two_that_refuse_the_first_in_the_chain_is_named(
    first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the engine, so that the transaction behind the chain does not come before it."""
    cells = [CELLS[first], CELLS[second]]
    red = next((cell for cell in cells if cell.alarms), cells[0])
    state = "OK" if "OK" in {cell.state for cell in cells} else "ALARM"
    seen = {"AlarmName": RED.name, "AlarmArn": RED.arn, "StateValue": state}
    monkeypatch.setattr(alarm, "read_alarms", lambda names: [seen])
    ledger = Ledger("ledger", MemoryTable())
    both = Cell(
        refusal=CELLS[min(first, second, key=list(CELLS).index)].refusal,
        writes=tuple(write for cell in cells for write in cell.writes),
        request={name: value for cell in cells for name, value in cell.request.items()},
        facts={name: value for cell in cells for name, value in cell.facts.items()},
        alarms=red.alarms,
        maintenance=tuple(window for cell in cells for window in cell.maintenance),
        exempt=frozenset(key for cell in cells for key in cell.exempt),
    )
    for write in both.writes:
        ledger.write(write)
    request = replace(
        ask("roll_back_alias", origin="ladder", system="shop", response="web failing", **both.request),
        alarms=both.alarms,
    )
    world = world_of(Faults(), Clock(), ledger=ledger, runbook_of=runbook_of(both))

    result = run(Turn(Cloud(value=5), Direction.RISKY, both.facts), request, world)

    assert result.reason == both.refusal
