"""What limits how much is done by itself: windows, rates, useless successes, radius, storms; and how each ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal import incident_store
from selfheal import ledger as table
from selfheal.engine import World, run
from selfheal.guards import radius, storm, useless
from selfheal.guards.context import GuardContext
from selfheal.incident import Incident, Phase, Status
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.replay.memory import MemoryTable
from selfheal.request import Request, Result, read_request
from selfheal.runbook import Limits, Runbook, Window, response_key
from selfheal.step_outcome import Finished
from selfheal.usefulness import WITHIN_S
from selfheal.windows import DAYS, ends_at
from selfheal.words import Direction, Outcome, ResponseMode, Stage

from functions.approve.app import Resume
from tests.unit.doubles import START, Alias, Clock, Cloud, Faults, Flag, ask, world_of
from tests.unit.incidents import ESCALATE_S, Story, incident
from tests.unit.responding import response
from tests.unit.test_guard_table import NoTags

HOUR = 3_600.0
SHOP = "shop"
WEB = "web failing"


class Shop:
    """One system with one response; every action works, on an alias of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        self.table = MemoryTable()
        self.ledger = Ledger("ledger", self.table)
        self.clock = Clock()
        self.targets: dict[str, dict[str, str]] = {}
        self.limits = Limits(**limits)
        self.maintenance: tuple[Window, ...] = ()
        self.clouds: dict[str, Cloud] = {}
        monkeypatch.setattr("selfheal.guards.opt_out.client", lambda service: NoTags())

    def runbook(self, system: str) -> Runbook:
        """The runbook of any system."""
        return Runbook(
            system=system,
            file="shop.yaml",
            owner="on-call",
            timezone="Asia/Kolkata",
            maintenance=self.maintenance,
            holidays=frozenset(),
            exempt=frozenset(),
            targets=self.targets,
            responses=(response(name=WEB, limits=self.limits),),
            checks=(),
            sweeps=(),
        )

    def request(self, incident: str, target: str = "", number: int = 1, **more: Any) -> Request:
        """A rung of an incident."""
        event = {"origin": "ladder", "system": SHOP, "response": WEB, "cooldown_s": 0, **more}
        return ask("roll_back_alias", target or incident, incident=incident, action_id=f"{incident}.{number}", **event)

    def acts(self, incident: str, target: str = "", number: int = 1, **more: Any) -> Result:
        """Carry it out."""
        return self.run(self.request(incident, target, number, **more))

    def run(self, request: Request, faults: Faults | None = None) -> Result:
        """Run a request; with `faults` its calls of the ledger go through them."""
        world = self.world()
        if faults is not None:
            world = replace(world, ledger=Ledger("ledger", _Behind(self.table, faults)))
        return run(Alias(self.clouds.setdefault(request.target.key, Cloud(value=50))), request, world)

    def effects(self) -> int:
        """How many changes took effect."""
        return sum(len(cloud.effects) for cloud in self.clouds.values())

    def world(self) -> World:
        """The engine's world."""
        return world_of(Faults(), self.clock, ledger=self.ledger, runbook_of=self.runbook)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(monkeypatch)


# -- maintenance ----------------------------------------------------------------------------------------------------


def at(text: str, zone: str = "Asia/Kolkata") -> float:
    """A wall-clock time as epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


SATURDAY = (Window(("sat",), "06:00", "08:00"),)
NIGHT = (Window(("fri",), "22:00", "02:00"),)
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("windows", "zone", "now", "ends"),
    [
        (SATURDAY, "Asia/Kolkata", "2026-11-21T05:59:59", None),
        (SATURDAY, "Asia/Kolkata", "2026-11-21T06:00:00", "2026-11-21T08:00:00"),
        (SATURDAY, "Asia/Kolkata", "2026-11-21T07:59:59", "2026-11-21T08:00:00"),
        (SATURDAY, "Asia/Kolkata", "2026-11-21T08:00:00", None),
        (SATURDAY, "Asia/Kolkata", "2026-11-22T07:00:00", None),
        (NIGHT, BERLIN, "2026-11-20T21:59:00", None),
        (NIGHT, BERLIN, "2026-11-20T23:00:00", "2026-11-21T02:00:00"),
        (NIGHT, BERLIN, "2026-11-21T01:59:00", "2026-11-21T02:00:00"),
        (NIGHT, BERLIN, "2026-11-21T22:30:00", None),
        ((*SATURDAY, Window(("sat",), "08:00", "09:30")), BERLIN, "2026-11-21T07:00:00", "2026-11-21T09:30:00"),
        ((*SATURDAY, Window(("fri",), "23:00", "06:30")), BERLIN, "2026-11-20T23:30:00", "2026-11-21T08:00:00"),
        ((), BERLIN, "2026-11-21T07:00:00", None),
    ],
)
def test_windows_by_the_time_zone_and_over_midnight(
    windows: tuple[Window, ...], zone: str, now: str, ends: str | None
) -> None:
    assert ends_at(windows, zone, at(now, zone)) == (None if ends is None else at(ends, zone))


@pytest.mark.parametrize(
    ("window", "now_utc", "ends_utc"),
    [
        # 25 October 2026: 02:00 to 03:00 comes twice in Berlin, at 00:00 and at 01:00 UTC
        (("02:15", "02:45"), "2026-10-25T00:20", "2026-10-25T00:45"),
        (("02:15", "02:45"), "2026-10-25T00:50", None),
        (("02:15", "02:45"), "2026-10-25T01:20", "2026-10-25T01:45"),
        (("01:00", "02:30"), "2026-10-25T00:10", "2026-10-25T00:30"),
        (("01:00", "04:00"), "2026-10-25T00:30", "2026-10-25T03:00"),
        # 28 March 2027: 02:00 to 03:00 does not come; at 01:00 UTC it is 03:00
        (("02:15", "02:45"), "2027-03-28T00:50", None),
        (("01:00", "02:30"), "2027-03-28T00:30", "2027-03-28T01:00"),
        (("02:30", "04:00"), "2027-03-28T01:00", "2027-03-28T02:00"),
    ],
)
def test_windows_when_the_clocks_change(window: tuple[str, str], now_utc: str, ends_utc: str | None) -> None:
    found = ends_at((Window(("sun",), *window),), BERLIN, at(now_utc, "UTC"))

    assert found == (None if ends_utc is None else at(ends_utc, "UTC"))


@given(
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    times=st.lists(st.integers(0, 1_439), min_size=2, max_size=2, unique=True),
    zone=st.sampled_from([BERLIN, "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"]),
    now=st.integers(1_770_000_000, 1_810_000_000),
)
def test_the_end_of_a_window_is_the_first_moment_outside(days: set[str], times: list[int], zone: str, now: int) -> None:
    start, end = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in times)
    windows = (Window(tuple(days), start, end),)

    ends = ends_at(windows, zone, now)

    if ends is not None:
        assert now < ends <= now + 26 * HOUR
        assert ends_at(windows, zone, ends) is None or len(days) > 1
        assert ends_at(windows, zone, ends - 1) == ends


def test_a_window_without_an_end_is_looked_at_again_after_a_week() -> None:
    always = (Window(DAYS, "00:00", "12:00"), Window(DAYS, "12:00", "00:00"))

    assert ends_at(always, "UTC", START) == START + 8 * 24 * HOUR


def test_a_risky_step_in_a_window_names_its_end_and_a_person_passes(shop: Shop) -> None:
    shop.maintenance = SATURDAY
    shop.clock.at = at("2026-11-21T07:00:00")

    held = shop.acts("inc-1")
    halted = run(Flag(Cloud()), ask(Flag, incident="inc-1", system=SHOP, response=WEB), shop.world())
    by_hand = shop.acts("inc-1", number=2, origin="hand", requested_by="ann")

    assert (held.reason, held.until) == (Refusal.MAINTENANCE, at("2026-11-21T08:00:00"))
    assert held.detail == "maintenance of shop until Sat 08:00 (Asia/Kolkata)"
    assert (halted.outcome, by_hand.outcome) == (Outcome.ACTED, Outcome.ACTED)


def test_an_incident_waits_for_the_end_of_the_window_and_has_all_its_time_then() -> None:
    story = Story(incident())
    story.go()
    assert story.answer("halt_trading") == ["roll_back_alias"]
    (rung,) = story.incident.of(Stage.REMEDIATE)
    ends = story.now + 2 * HOUR
    story.go(refused(story, rung, Refusal.MAINTENANCE, ends))

    assert (story.step("roll_back_alias").status, story.step("roll_back_alias").retry_at) == (Status.HELD, ends)
    assert len(story.told("escalated")) == 1, "a person is told once that it waits"
    while story.now + 300 < ends:
        assert story.later(300) == []
    assert story.later(ends - story.now) == ["roll_back_alias"]
    story.answer("roll_back_alias")
    assert story.is_in(Phase.SETTLE)
    assert len(story.told("escalated")) == 1
    story.later(ESCALATE_S)
    assert len(story.told("escalated")) == 2


def test_a_probe_waits_for_the_end_of_the_window_as_well() -> None:
    story = Story(incident(contain="", probe=True))
    story.go()
    assert story.answer("roll_back_alias") == ["smoke_test"]
    (probe,) = story.incident.probes
    ends = story.now + 2 * HOUR

    story.go(refused(story, probe, Refusal.MAINTENANCE, ends))

    while story.now + 300 < ends:
        assert story.later(300) == []
    assert story.later(ends - story.now) == ["smoke_test"]
    assert story.is_in(Phase.SETTLE)


def refused(story: Story, step: Any, refusal: Refusal, until: float | None) -> Any:
    """The answer of an action that a guard held back until a time."""
    return Finished(story.incident.action_id(step), Outcome.REFUSED, refusal, "not now", until)


@pytest.mark.parametrize(("until", "waits"), [(-5.0, 1.0), (1e9, 86_400.0), (90.0, 90.0)])
def test_a_refusal_is_not_believed_for_longer_than_a_day(until: float, waits: float) -> None:
    story = Story(incident(contain=""))
    story.go()
    (rung,) = story.incident.of(Stage.REMEDIATE)

    story.go(refused(story, rung, Refusal.STORM, story.now + until))

    assert story.step("roll_back_alias").retry_at == story.now + waits


# -- rate -----------------------------------------------------------------------------------------------------------


def test_incidents_are_counted_and_not_steps(shop: Shop) -> None:
    for name in ("inc-1", "inc-2", "inc-3"):
        for number in range(1, 5):
            assert shop.acts(name, number=number).outcome is Outcome.ACTED

    fourth = shop.acts("inc-4")

    assert (fourth.reason, fourth.until) == (Refusal.RATE_LIMIT, START + HOUR)
    assert "3 incidents of shop|web failing were acted on in one hour; at most 3" in fourth.detail
    assert shop.acts("inc-1", number=5).outcome is Outcome.ACTED, "who has a place keeps it"
    shop.clock.advance(HOUR)
    assert shop.acts("inc-4", number=2).outcome is Outcome.ACTED


def test_several_windows_hold_at_once(shop: Shop) -> None:
    for number in range(7):
        assert shop.acts(f"inc-{number}").outcome is Outcome.ACTED
        shop.clock.advance(HOUR)

    eighth = shop.acts("inc-8")

    assert (eighth.reason, eighth.until) == (Refusal.RATE_LIMIT, START + 24 * HOUR)
    shop.clock.at = START + 24 * HOUR
    assert shop.acts("inc-8", number=2).outcome is Outcome.ACTED


def test_limits_are_those_of_the_response_and_on_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(monkeypatch, per_hour=1)
    assert shop.acts("inc-1").outcome is Outcome.ACTED
    assert shop.acts("inc-2").reason == Refusal.RATE_LIMIT

    reasons = [shop.acts(f"inc-{number}", response=None).reason for number in range(3, 7)]
    assert reasons == ["", "", "", Refusal.RATE_LIMIT], "a request that names no response has the usual limits"


@pytest.mark.parametrize("more", [{"origin": "hand", "requested_by": "ann"}, {"origin": "undo"}])
def test_people_are_not_counted(more: dict[str, Any], shop: Shop) -> None:
    for number in range(5):
        assert shop.acts(f"inc-{number}", **more).outcome is Outcome.ACTED

    assert shop.ledger.get("RATE", response_key(SHOP, WEB)) is None
    assert shop.ledger.get("RADIUS", SHOP) is None


def test_what_is_refused_or_only_planned_takes_no_place(shop: Shop) -> None:
    shop.acts("inc-1", mode="plan")
    shop.acts("inc-2", response_mode="suggest")

    assert shop.ledger.get("RATE", response_key(SHOP, WEB)) is None


@pytest.mark.parametrize(("taken", "outcome"), [(1, Outcome.ACTED), (2, Outcome.REFUSED)])
def test_two_who_see_the_last_place_free_do_not_both_get_it(
    taken: int, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one incident is between its look and its transaction, others take places."""
    shop, faults = Shop(monkeypatch, per_hour=2), Faults()

    def others() -> None:
        for number in range(taken):
            assert shop.acts(f"other-{number}").outcome is Outcome.ACTED

    faults.before_call["ledger.transact_write_items"] = others

    result = shop.run(shop.request("inc-1"), faults)

    assert result.outcome is outcome, result
    assert shop.effects() == 2
    item = shop.ledger.get("RATE", response_key(SHOP, WEB))
    assert item is not None
    assert len(item["doc"]["taken"]) == 2


class _Behind:
    """The table in memory, with its calls through faults."""

    def __init__(self, client: MemoryTable, faults: Faults) -> None:
        self._client, self._faults = client, faults

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda **arguments: self._faults.around(f"ledger.{name}", lambda: method(**arguments))


def test_a_place_that_others_take_again_and_again_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, faults = Shop(monkeypatch, per_hour=900, per_day=900, targets=900), Faults()
    count = iter(range(1_000))

    def another() -> None:
        assert shop.acts(f"other-{next(count)}").outcome is Outcome.ACTED
        faults.before_call["ledger.transact_write_items"] = another

    another()

    result = shop.run(shop.request("inc-1"), faults)

    assert result.reason == Refusal.GUARD_UNREADABLE
    assert "took places 10 times in a row" in result.detail


def test_a_clock_that_is_ahead_frees_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(monkeypatch, per_hour=1, per_day=1)
    assert shop.acts("inc-1").outcome is Outcome.ACTED
    shop.clock.at = START + 24 * HOUR + 60
    assert shop.acts("inc-2").outcome is Outcome.ACTED
    shop.clock.at = START + 24 * HOUR - 60

    assert shop.acts("inc-3").reason == Refusal.RATE_LIMIT
    assert shop.acts("inc-1", number=2).outcome is Outcome.ACTED, "its place is not over by this clock"


# -- useless successes ----------------------------------------------------------------------------------------------


def closed(number: int, *, helped: bool, acted: bool = True, useless_after: int = 3) -> Incident:
    """An incident at its end."""
    one = incident(remediate="roll_back_alias", useless_after=useless_after)
    (rung,) = one.of(Stage.REMEDIATE)
    one = one.with_step(replace(rung, status=Status.DONE if acted else Status.REFUSED))
    return replace(
        one,
        id=f"shop-12345678-{number:x}",
        system=SHOP,
        response=WEB,
        phase=Phase.CLOSED,
        green_at=START if helped else None,
        verdict="healed" if helped else "escalated",
        version=1,
    )


def close(shop: Shop, *helped: bool, apart: float = HOUR, **more: Any) -> None:
    """Incidents that ended like this, one after the other."""
    for number, one in enumerate(helped):
        ends = closed(number, helped=one, **more)
        shop.ledger.write(table.put("OPEN", ends.key, ends.as_doc(), revision=1))
        assert incident_store.commit(shop.ledger, ends, shop.clock.now()) is not None
        shop.clock.advance(apart)


@pytest.mark.parametrize(
    ("helped", "more", "stopped"),
    [
        ((False, False, False), {}, True),
        ((False, False), {}, False),
        ((False, False, True, False, False), {}, False),
        ((False, True, False, False, False), {}, True),
        ((False, False, False), {"acted": False}, False),
        ((False,), {"useless_after": 1}, True),
        ((False, False, False), {"apart": WITHIN_S / 2}, False),
        ((False, False, False), {"apart": WITHIN_S / 2 - 1}, True),
    ],
)
def test_what_acts_and_does_not_heal_is_stopped(
    helped: tuple[bool, ...], more: dict[str, Any], stopped: bool, shop: Shop
) -> None:
    close(shop, *helped, **more)

    result = shop.acts("inc-9")

    assert (result.reason == Refusal.DOES_NOT_HELP) == stopped
    if stopped:
        assert f"it acted for {more.get('useless_after', 3)} incidents in a row and healed none" in result.detail
        assert "resume 'shop|web failing'" in result.detail
    assert shop.acts("inc-9", number=2, origin="hand", requested_by="ann").outcome is Outcome.ACTED
    assert shop.acts("inc-8", response="another").outcome is Outcome.ACTED, "another response goes on"


def test_only_a_person_lets_it_act_again_and_the_count_begins_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.approve.app.ledger", lambda: shop.ledger)
    monkeypatch.setattr("time.time", shop.clock.now)
    close(shop, False, False, False)
    shop.clock.advance(30 * 24 * HOUR)
    assert shop.acts("inc-1").reason == Refusal.DOES_NOT_HELP

    target = {"pause": response_key(SHOP, WEB)}
    request = ask_for("resume", target)
    assert run(Resume(), request, shop.world()).outcome is Outcome.ACTED

    assert shop.acts("inc-1", number=2).outcome is Outcome.ACTED
    close(shop, False, False)
    assert shop.acts("inc-2").outcome is Outcome.ACTED
    close(shop, False)
    assert shop.acts("inc-3").reason == Refusal.DOES_NOT_HELP


def ask_for(action: str, target: dict[str, str]) -> Request:
    """A request of a person."""
    event = {"action": action, "action_id": "by-hand", "target": target, "mode": "act", "requested_by": "ann"}
    return read_request(event, (action,), "id")


def test_two_that_are_closed_at_once_both_count(shop: Shop) -> None:
    """The one that loses is committed again from what it reads then."""
    close(shop, False)
    first, second = (closed(number, helped=False) for number in (7, 8))
    for one in (first, second):
        shop.ledger.write(table.put("OPEN", one.key + one.id, one.as_doc(), revision=1))
    faults = Faults()
    shop.ledger.write(table.put("OPEN", first.key, first.as_doc(), revision=1))

    def other() -> None:
        item = shop.ledger.get("USELESS", response_key(SHOP, WEB)) or {}
        doc = {"times": [*item["doc"]["times"], shop.clock.now()]}
        shop.ledger.write(table.put("USELESS", response_key(SHOP, WEB), doc, revision=item["revision"] + 1))

    faults.before_call["ledger.transact_write_items"] = other
    ledger = Ledger("ledger", _Behind(shop.table, faults))

    assert incident_store.commit(ledger, first, shop.clock.now()) is None, "lost, to be read again"
    assert incident_store.commit(ledger, first, shop.clock.now()) is not None
    assert shop.acts("inc-9").reason == Refusal.DOES_NOT_HELP


@given(text=st.text(max_size=60))
def test_the_name_of_a_stopped_response_can_be_resumed_whatever_it_holds(text: str) -> None:
    assert not set(response_key(SHOP, text)) & set("*?")


# -- blast radius ---------------------------------------------------------------------------------------------------


def test_different_targets_are_counted_for_the_whole_system(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(monkeypatch, per_hour=99, per_day=99, targets=2)
    assert shop.acts("inc-1", "a").outcome is Outcome.ACTED
    shop.clock.advance(HOUR / 2)
    assert shop.acts("inc-2", "b").outcome is Outcome.ACTED

    third = shop.acts("inc-3", "c")

    assert (third.reason, third.until) == (Refusal.BLAST_RADIUS, START + HOUR)
    assert "2 targets of shop were changed in one hour; at most 2" in third.detail
    assert shop.acts("inc-1", "a", number=2).outcome is Outcome.ACTED, "a target that was changed may be changed again"
    shop.clock.advance(HOUR / 2 + 1)
    assert shop.acts("inc-3", "c", number=2).reason == Refusal.BLAST_RADIUS, "and counts from then on"
    assert shop.acts("inc-4", "c", system="another").outcome is Outcome.ACTED


@pytest.mark.parametrize(
    ("targets", "percent", "named", "most"),
    [(10, None, 0, 10), (10, None, 100, 10), (10, 10, 100, 10), (10, 5, 100, 5), (10, 50, 4, 3), (2, 1, 0, 2)],
)
def test_a_share_bounds_only_above_the_floor(
    targets: int, percent: int | None, named: int, most: int, shop: Shop
) -> None:
    shop.limits = Limits(targets=targets, targets_percent=percent)
    shop.targets = {str(number): {} for number in range(named)}

    assert radius.most(context(shop)) == most


def context(shop: Shop) -> GuardContext:
    """What the guards see of a rung."""
    return GuardContext(
        request=shop.request("inc-1"),
        direction=Direction.RISKY,
        now=shop.clock.now(),
        max_mode=ResponseMode.AUTO,
        ledger=shop.ledger,
        runbook_of=shop.runbook,
    )


# -- storm ----------------------------------------------------------------------------------------------------------


def opens(shop: Shop, system: str, **more: Any) -> None:
    """An incident of this system is opened now."""
    one = replace(incident(**more), id=f"{system}-12345678-{shop.clock.now():.0f}", system=system)
    assert incident_store.commit(shop.ledger, one, shop.clock.now()) is not None


def test_a_storm_holds_what_is_risky_until_half_an_hour_after_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(monkeypatch, per_hour=99, per_day=99)
    for system in ("a", "b", "c"):
        assert shop.acts(f"inc-{system}").outcome is Outcome.ACTED
        opens(shop, system)
        shop.clock.advance(150)

    result = shop.acts("inc-1")
    halted = run(Flag(Cloud()), ask(Flag, incident="inc-1", system=SHOP, response=WEB), shop.world())

    assert (result.reason, result.until) == (Refusal.STORM, START + 300 + 1_800)
    assert result.detail == "a, b, c went red within 5 min"
    assert halted.outcome is Outcome.ACTED
    shop.clock.at = START + 300 + 1_800
    assert useless.check(context(shop)) is None
    assert storm.check(context(shop)) is None


@pytest.mark.parametrize(
    ("marks", "now", "systems"),
    [
        ([(0, "a"), (10, "b")], 20, None),
        ([(0, "a"), (10, "a"), (20, "b")], 20, None),
        ([(0, "a"), (150, "b"), (300, "c")], 300, {"a", "b", "c"}),
        ([(0, "a"), (150, "b"), (301, "c")], 301, None),
        ([(0, "a"), (1, "b"), (2, "c"), (900, "a"), (1_500, "b")], 1_600, {"a", "b", "c"}),
        ([(0, "a"), (1, "b"), (2, "c")], 1_801, {"a", "b", "c"}),
        ([(0, "a"), (1, "b"), (2, "c")], 1_802, None),
        ([(0, "a"), (1, "b"), (2, "c"), (200, "d")], 1_803, {"a", "b", "c", "d"}),
    ],
)
def test_a_burst_is_three_systems_within_five_minutes(
    marks: list[tuple[float, str]], now: float, systems: set[str] | None
) -> None:
    found = storm.burst([(START + at, system) for at, system in marks], START + now)

    assert (None if found is None else found[0]) == systems


def test_muted_alarms_and_more_incidents_of_one_system_make_no_storm(shop: Shop) -> None:
    opens(shop, "a")
    opens(shop, "b", phase=Phase.HELD)
    opens(shop, "c")

    assert storm.check(context(shop)) is None
    assert {item["system"] for item in shop.ledger.query("STORM")} == {"a", "c"}


def test_an_action_asks_for_storms_only_if_it_is_risky_and_by_itself(shop: Shop) -> None:
    reads = ["ledger.put_item", "ledger.batch_get_item"]
    for origin, asks in (("ladder", [*reads, "ledger.query"]), ("hand", reads)):
        faults = Faults()
        shop.run(shop.request(f"inc-{origin}", origin=origin, requested_by="ann"), faults)

        assert faults.calls[: faults.calls.index("ledger.transact_write_items")] == asks
