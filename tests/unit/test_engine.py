"""One run of the engine without faults: what it writes, when, and what it answers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from selfheal import changes, record
from selfheal import ledger as table
from selfheal.engine import run
from selfheal.guards import claim, opt_out
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.words import Direction, Mode, Outcome, ResponseMode

from tests.unit.doubles import (
    Alias,
    Clock,
    Cloud,
    Drain,
    FakeAction,
    Faults,
    FaultyClient,
    Flag,
    Invoke,
    Look,
    ask,
    keys,
    scan,
    world_of,
)

pytestmark = pytest.mark.usefixtures("ledger")

KINDS = {Flag: "true", Alias: 5, Drain: None, Invoke: None}


@pytest.fixture
def faults(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """No fault; counts the calls."""
    faults = Faults()
    tags = FaultyClient("resourcegroupstaggingapi", faults)
    monkeypatch.setattr(opt_out, "client", lambda service: tags)
    return faults


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_writes_nothing_and_says_what_would_change(kind: type[FakeAction], faults: Faults) -> None:
    cloud = Cloud(faults, value=KINDS[kind])
    before = scan()

    result = run(kind(cloud), ask(kind, mode="plan"), world_of(faults, Clock()))

    assert result.outcome is Outcome.PLANNED
    assert result.detail
    assert "would_refuse" not in result.evidence
    assert scan() == before == []
    assert cloud.effects == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_act_writes_the_image_first_and_leaves_the_target_free(kind: type[FakeAction], faults: Faults) -> None:
    cloud, clock, request = Cloud(faults, value=KINDS[kind]), Clock(), ask(kind)
    seen: list[Any] = []

    def look() -> None:
        ledger = world_of(Faults(), clock).ledger
        seen.append(record.attempts(ledger, request.action_id))
        assert ledger.get(f"TARGET#{request.target.key}", "LEASE")["lease_until"] == clock.now() + 120  # type: ignore[index]

    world = world_of(faults, clock)
    result = run(kind(cloud, look), request, world)

    assert result.outcome is (Outcome.IN_PROGRESS if kind is Drain else Outcome.ACTED)
    (attempt,) = seen[0]
    assert attempt.change.before == ({"value": KINDS[kind]} if kind.reversible else {})
    assert world.ledger.get(f"TARGET#{request.target.key}", "LEASE")["lease_until"] == 0  # type: ignore[index]
    assert world.ledger.get(f"TARGET#{request.target.key}", "OWNER")["incident"] == "inc-1"  # type: ignore[index]


@pytest.mark.parametrize("kind", [Flag, Alias])
def test_an_act_records_result_undo_cooldown_and_open_change(kind: type[FakeAction], faults: Faults) -> None:
    cloud, clock, request = Cloud(faults, value=KINDS[kind]), Clock(), ask(kind, cooldown_s=300)
    world = world_of(faults, clock)

    result = run(kind(cloud), request, world)

    assert result.before == {"value": KINDS[kind]}
    assert result.after == {"value": cloud.value}
    assert result.undo == {"action": "undo", "target": {"incident": "inc-1", "action_id": "one.1"}}
    found = record.find(world.ledger, "one.1")
    assert found is not None
    assert found["run"] == "done"
    assert "expires" not in found
    assert record.read_result(found["doc"]["result"]) == result.timed(0)
    cooldown = world.ledger.get(f"TARGET#{request.target.key}", "COOLDOWN")
    assert cooldown is not None
    assert cooldown["cool_until"] == clock.now() + 300
    (change,) = changes.still_open(world.ledger, request.target.key)
    assert (change["before"], change["after"]) == (result.before, result.after)


def test_an_action_takes_four_calls_of_the_ledger(faults: Faults) -> None:
    run(Flag(Cloud()), ask(Flag), world_of(faults, Clock()))

    assert [call for call in faults.calls if call.startswith("dynamodb")] == [
        "dynamodb.put_item",
        "dynamodb.batch_get_item",
        "dynamodb.transact_write_items",
        "dynamodb.transact_write_items",
    ]


def test_a_duplicate_answers_the_recorded_result_with_one_write(faults: Faults) -> None:
    cloud, clock, world = Cloud(faults), Clock(), world_of(faults, Clock())
    first = run(Flag(cloud), ask(Flag), world)
    faults.calls.clear()
    clock.advance(1e6)

    second = run(Flag(cloud), ask(Flag, mode="resume"), world)

    assert second.timed(0) == first.timed(0)
    assert faults.calls == ["dynamodb.put_item"]
    assert cloud.effects == ["false"]


def test_fifty_duplicates_at_once_have_one_effect(faults: Faults) -> None:
    cloud, world = Cloud(faults, value=5), world_of(faults, Clock())

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: run(Alias(cloud), ask(Alias), world), range(50)))

    assert cloud.effects == [4]
    outcomes = [result.outcome for result in results]
    assert set(outcomes) <= {Outcome.ACTED, Outcome.IN_PROGRESS}
    assert Outcome.ACTED in outcomes


def test_an_action_id_belongs_to_one_action_and_target(faults: Faults) -> None:
    world = world_of(faults, Clock())
    run(Flag(Cloud(faults)), ask(Flag), world)
    other = Cloud(faults)

    result = run(Flag(other), ask(Flag, target={"parameter": "/other"}), world)

    assert result.reason == Refusal.NOT_A_REQUEST
    assert other.effects == []


def test_what_is_as_wanted_is_left_alone_and_recorded(faults: Faults) -> None:
    cloud, world = Cloud(faults, value="false"), world_of(faults, Clock())

    result = run(Flag(cloud), ask(Flag), world)

    assert result.outcome is Outcome.ALREADY_DONE
    assert result.undo is None
    assert keys(scan()) == {("ACTION#one.1", "ACTION")}
    assert record.find(world.ledger, "one.1")["expires"] > 0  # type: ignore[index]


def test_a_read_needs_no_guard_and_takes_nothing(faults: Faults) -> None:
    world = world_of(faults, Clock(), max_mode=ResponseMode.OFF)

    result = run(Look(Cloud(faults)), ask(Look), world)

    assert result.outcome is Outcome.ACTED
    assert result.evidence == {"seen": "true"}
    assert (result.before, result.after, result.direction) == (None, None, Direction.READ)
    assert keys(scan()) == {("ACTION#one.1", "ACTION")}


def test_a_person_must_say_who_asks_and_the_refusal_is_recorded(faults: Faults) -> None:
    cloud, world = Cloud(faults, value="false"), world_of(faults, Clock())

    result = run(Flag(cloud), ask(Flag, undo_of="any"), world)

    assert result.reason == Refusal.PERSON_REQUIRED
    assert record.find(world.ledger, "one.1")["run"] == "done"  # type: ignore[index]


# -- compare and set -----------------------------------------------------------------------------------------------


def test_a_lost_write_is_planned_again_from_a_fresh_look(faults: Faults) -> None:
    cloud, world = Cloud(faults, value=5), world_of(faults, Clock())
    faults.before_call["cloud.write"] = lambda: cloud.by_hand(9)

    result = run(Alias(cloud), ask(Alias), world)

    assert result.outcome is Outcome.ACTED
    assert (result.before, result.after) == ({"value": 9}, {"value": 8})
    assert [attempt.change.before for attempt in record.attempts(world.ledger, "one.1")] == [{"value": 5}, {"value": 9}]


def test_somebody_who_keeps_writing_wins_after_three_attempts(faults: Faults) -> None:
    cloud, world = Cloud(faults, value=5), world_of(faults, Clock())
    action = Alias(cloud, on_apply=lambda: cloud.by_hand(cloud.value + 10))

    result = run(action, ask(Alias), world)

    assert result.reason == Refusal.CHANGED_MEANWHILE
    assert cloud.effects == []
    assert len(record.attempts(world.ledger, "one.1")) == 3
    assert world.ledger.get("TARGET#function:one:live", "LEASE")["lease_until"] == 0  # type: ignore[index]
    assert world.ledger.get("TARGET#function:one:live", "COOLDOWN") is None


def test_a_write_that_the_sdk_repeated_is_not_made_twice(faults: Faults) -> None:
    """The first one took effect and its answer got lost; the repetition gets a 412 from our own change."""
    cloud, world = Cloud(faults, value=5), world_of(faults, Clock())
    faults.repeat = "cloud.write"

    result = run(Alias(cloud), ask(Alias), world)

    assert result.outcome is Outcome.ACTED
    assert cloud.effects == [4]
    assert result.before == {"value": 5}
    assert len(changes.still_open(world.ledger, "function:one:live")) == 1


def test_a_change_between_the_look_and_the_lease_is_noticed(faults: Faults) -> None:
    cloud, world = Cloud(faults, value="true"), world_of(faults, Clock())
    faults.before_call["dynamodb.transact_write_items"] = lambda: cloud.by_hand("false")

    result = run(Flag(cloud), ask(Flag), world)

    assert result.outcome is Outcome.ALREADY_DONE
    assert cloud.effects == []


# -- two at once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("incidents", "reasons"),
    [
        (("inc-1", "inc-1"), {Refusal.LEASED}),
        (("inc-1", "inc-2"), {Refusal.TARGET_OWNED}),
        ((None, None), {Refusal.LEASED}),
    ],
)
def test_two_actions_race_for_one_target(
    incidents: tuple[str | None, ...], reasons: set[Refusal], faults: Faults
) -> None:
    cloud, world = Cloud(faults, value=5), world_of(faults, Clock())
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run, Alias(cloud, hold), ask(Alias, incident=incidents[0]), world)
        assert inside.wait(10)
        loser = run(Alias(cloud), ask(Alias, action_id="two.1", incident=incidents[1]), world)
        go_on.set()

    assert first.result().outcome is Outcome.ACTED
    assert loser.outcome is Outcome.REFUSED
    assert loser.reason in reasons
    assert cloud.effects == [4]


def test_a_race_from_the_start_has_one_winner(faults: Faults) -> None:
    cloud, world = Cloud(faults, value="true"), world_of(faults, Clock())
    together = threading.Barrier(2)

    def act(name: str) -> Any:
        together.wait(10)
        return run(Flag(cloud), ask(Flag, action_id=name, incident=name), world)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(act, ["first", "second"]))

    assert cloud.effects == ["false"]
    assert sorted(result.outcome for result in results)[0] is Outcome.ACTED


def test_a_late_writer_does_not_overwrite_the_run_that_took_over(faults: Faults) -> None:
    cloud, clock = Cloud(faults, value="true"), Clock()
    world = world_of(faults, clock)
    taken_over: list[Any] = []

    def stall() -> None:
        clock.advance(200)
        taken_over.append(run(Flag(cloud), ask(Flag), world))

    late = run(Flag(cloud, stall), ask(Flag), world)

    assert taken_over[0].outcome is Outcome.ACTED
    assert (late.outcome, late.reason) == (Outcome.IN_PROGRESS, "taken_over_by_another_run")
    assert record.read_result(record.find(world.ledger, "one.1")["doc"]["result"]) == taken_over[0].timed(0)  # type: ignore[index]


def test_a_lease_that_ran_out_goes_to_another_and_is_not_freed_by_the_late_one(faults: Faults) -> None:
    cloud, clock = Cloud(faults, value=5), Clock()
    world = world_of(faults, clock)

    def stall() -> None:
        clock.advance(200)
        assert claim.take(world.ledger, ask(Alias, action_id="other"), now=clock.now(), lease_s=120) is None

    result = run(Alias(cloud, stall), ask(Alias), world)

    lease = world.ledger.get("TARGET#function:one:live", "LEASE")
    assert lease is not None
    assert (lease["holder"], lease["lease_until"]) == ("other", clock.now() + 120)
    assert result.outcome is Outcome.ACTED
    assert record.find(world.ledger, "one.1")["run"] == "done"  # type: ignore[index]
    assert len(changes.still_open(world.ledger)) == 1


def test_a_running_action_is_not_started_again(faults: Faults) -> None:
    cloud, clock = Cloud(faults), Clock()
    world = world_of(faults, clock)
    second: list[Any] = []

    def while_running() -> None:
        clock.advance(30)
        second.append(run(Flag(cloud), ask(Flag, mode="resume"), world))

    run(Flag(cloud, while_running), ask(Flag), world)

    assert (second[0].outcome, second[0].reason) == (Outcome.IN_PROGRESS, "running")
    assert "30 s" in second[0].detail
    assert cloud.effects == ["false"]


# -- long work ------------------------------------------------------------------------------------------------------


def test_long_work_is_continued_until_it_is_done(faults: Faults) -> None:
    cloud, clock = Cloud(faults), Clock()
    world = world_of(faults, clock)
    outcomes = []

    for mode in (Mode.ACT, Mode.RESUME, Mode.RESUME):
        outcomes.append(run(Drain(cloud), ask(Drain, mode=mode), world).outcome)
        clock.advance(60)

    assert outcomes == [Outcome.IN_PROGRESS, Outcome.ACTED, Outcome.ACTED]
    assert cloud.effects == [1, 2, 3]
    assert len(record.attempts(world.ledger, "one.1")) == 1


def test_long_work_outlives_its_not_after_but_not_a_pause(faults: Faults) -> None:
    cloud, clock = Cloud(faults, waiting=[1, 2, 3, 4, 5]), Clock()
    world = world_of(faults, clock)
    late = {"not_after": "2027-01-15T08:01:00+00:00"}  # 60 s after the start of the clock
    run(Drain(cloud), ask(Drain, **late), world)
    clock.advance(600)

    continued = run(Drain(cloud), ask(Drain, mode="resume", **late), world)
    pause_all(world.ledger, clock)
    paused = run(Drain(cloud), ask(Drain, mode="resume", **late), world)

    assert continued.outcome is Outcome.IN_PROGRESS
    assert paused.reason == Refusal.PAUSED
    assert cloud.effects == [1, 2, 3, 4]


def pause_all(ledger: Ledger, clock: Clock) -> None:
    doc = {"who": "on-call", "what": "all", "since": "now", "until": "later", "reason": "test"}
    ledger.write(table.put("PAUSE", "*", doc, paused_until=clock.now() + 3600))
