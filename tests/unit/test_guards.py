"""The guards: each refuses and lets through; who is asked which; how each fails; that `take` and `plan` agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from selfheal import clients
from selfheal import ledger as table
from selfheal.action import Decline
from selfheal.errors import Unreadable
from selfheal.guards import alarm, chain, claim, mode, not_after, opt_out, pause
from selfheal.guards.context import GuardContext
from selfheal.ledger import Ledger
from selfheal.refusal import Refusal
from selfheal.request import AlarmReference, Request
from selfheal.runbook import Runbook, load
from selfheal.words import Direction, Origin, ResponseMode

from tests.unit.doubles import START, Clock, Faults, Flag, ask, throttled, world_of

ARN = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:red"
READ, SAFE, RISKY = Direction
ALARM, LADDER, HAND, UNDO, SWEEP, DRILL = Origin

ALL = {ALARM, LADDER, HAND, UNDO, SWEEP, DRILL}
ALONE = {ALARM, LADDER, SWEEP, DRILL}
HEALS = {ALARM, LADDER}
ASKED: dict[str, tuple[set[Origin], set[Direction]]] = {
    "pause": (ALL, {SAFE, RISKY}),
    "maintenance": (ALONE, {RISKY}),
    "mode": (ALONE, {SAFE, RISKY}),
    "opt_out": (ALL, {SAFE, RISKY}),
    "not_after": (ALL, {SAFE, RISKY}),
    "alarm": (HEALS, {SAFE, RISKY}),
    "deployment": (HEALS, {RISKY}),
    "owner": (ALL, {SAFE, RISKY}),
    "lease": (ALL, {SAFE, RISKY}),
    "cooldown": (ALONE, {SAFE, RISKY}),
    "rate": (HEALS, {RISKY}),
    "useless": (HEALS, {RISKY}),
    "radius": (HEALS, {RISKY}),
    "storm": (HEALS, {RISKY}),
}
"""guard by origin and direction, as design has it: a second source for the table in the chain."""
FOR_SAFE = [name for name, (_, directions) in ASKED.items() if SAFE in directions]


def context(direction: Direction = RISKY, ledger: Ledger | None = None, **request: Any) -> GuardContext:
    """A context in which every guard lets through."""
    return GuardContext(
        request=ask(Flag, **request),
        direction=direction,
        now=START,
        max_mode=ResponseMode.AUTO,
        ledger=ledger,
        runbook_of=lambda system: None,
    )


# -- the chain ------------------------------------------------------------------------------------------------------


def script(
    monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Callable[[GuardContext], Decline | None]]
) -> list[str]:
    """Replace every guard's question; answers which were asked."""
    asked: list[str] = []

    def check(name: str) -> Callable[[GuardContext], Decline | None]:
        def one(context: GuardContext) -> Decline | None:
            asked.append(name)
            return answers[name](context) if name in answers else None

        return one

    asking = (replace(guard, check=check(guard.name), place=None) for guard in chain.CHAIN)
    monkeypatch.setattr(chain, "CHAIN", tuple(asking))
    return asked


def unreadable(context: GuardContext) -> Decline | None:
    raise Unreadable("it", "down")


@pytest.mark.parametrize(("origin", "direction"), list(product(Origin, Direction)))
def test_each_cell_of_guard_origin_and_kind(
    origin: Origin, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = script(monkeypatch, {})

    told = chain.ask(context(direction, origin=origin))

    assert told.declined is None
    assert asked == [name for name, (origins, kinds) in ASKED.items() if origin in origins and direction in kinds]


@pytest.mark.parametrize(("first", "second"), [(a, b) for a, b in product(ASKED, ASKED) if a != b])
def test_the_first_that_refuses_names_the_reason(first: str, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = {name: lambda context, name=name: Decline(Refusal.EXEMPT, name) for name in (first, second)}
    script(monkeypatch, refuse)

    told = chain.ask(context(origin=ALARM))

    assert told.declined == Decline(Refusal.EXEMPT, min(first, second, key=list(ASKED).index))


@pytest.mark.parametrize("name", ASKED)
def test_an_unreadable_guard_stops_what_is_risky_and_lets_go_what_is_safe(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = script(monkeypatch, {name: unreadable})

    risky = chain.ask(context(RISKY, origin=ALARM))
    asked.clear()
    safe = chain.ask(context(SAFE, origin=ALARM))

    assert risky.declined is not None
    assert risky.declined.refusal is Refusal.GUARD_UNREADABLE
    assert name in risky.declined.detail
    assert safe.declined is None
    assert safe.unread == ((f"{name}: it cannot be read: down",) if name in FOR_SAFE else ())
    assert asked == FOR_SAFE, "the guards behind it are asked all the same"


def test_work_that_has_begun_is_stopped_by_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = script(monkeypatch, {})

    chain.ask(context(origin=ALARM), continuing=True)

    assert asked == ["pause", "opt_out"]


# -- pause ----------------------------------------------------------------------------------------------------------


def pause_item(name: str, what: str = "risky", until: float = START + 60) -> table.Write:
    doc = {"who": "on-call", "what": what, "since": "09:00", "until": "10:00", "reason": "migration"}
    return table.put("PAUSE", name, doc, paused_until=until)


@pytest.mark.parametrize(
    ("name", "what", "direction", "origin", "refusal"),
    [
        ("*", "risky", RISKY, ALARM, Refusal.PAUSED),
        ("*", "risky", SAFE, ALARM, None),
        ("*", "all", SAFE, ALARM, Refusal.PAUSED),
        ("*", "all", RISKY, HAND, Refusal.PAUSED),
        ("shop", "risky", RISKY, ALARM, Refusal.PAUSED),
        ("other", "all", RISKY, ALARM, None),
        ("inc-1", "risky", SAFE, LADDER, Refusal.TAKEN_OVER),
        ("inc-1", "risky", RISKY, HAND, None),
        ("inc-1", "all", RISKY, UNDO, None),
        ("inc-2", "all", RISKY, ALARM, None),
    ],
)
def test_pause(
    *, name: str, what: str, direction: Direction, origin: Origin, refusal: Refusal | None, ledger: Ledger
) -> None:
    ledger.write(pause_item(name, what))

    declined = pause.check(context(direction, ledger, origin=origin, system="shop"))

    assert (declined.refusal if declined else None) is refusal


def test_a_pause_ends_by_itself(ledger: Ledger) -> None:
    ledger.write(pause_item("*", until=START))

    assert pause.check(context(ledger=ledger)) is None


def test_a_taken_over_incident_is_named_before_a_pause(ledger: Ledger) -> None:
    for name in ("*", "shop", "inc-1"):
        ledger.write(pause_item(name, "all"))

    declined = pause.check(context(ledger=ledger, system="shop"))

    assert declined is not None
    assert declined.refusal is Refusal.TAKEN_OVER


def test_pauses_are_unreadable_without_a_ledger() -> None:
    with pytest.raises(Unreadable):
        pause.check(context())


# -- mode -----------------------------------------------------------------------------------------------------------


@given(
    asked=st.sampled_from(ResponseMode), most=st.sampled_from(ResponseMode), direction=st.sampled_from([SAFE, RISKY])
)
def test_mode(asked: ResponseMode, most: ResponseMode, direction: Direction) -> None:
    declined = mode.check(replace(context(direction, response_mode=asked), max_mode=most))

    allowed = {asked, most} if direction is RISKY else {asked}
    if ResponseMode.OFF in allowed:
        assert declined == Decline(Refusal.RESPONSE_OFF)
    elif ResponseMode.SUGGEST in allowed:
        assert declined is not None
        assert declined.refusal is Refusal.SUGGEST_ONLY
        assert ("MaxMode" in declined.detail) == (asked is ResponseMode.AUTO)
    else:
        assert declined is None


# -- not_after ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "refusal"), [(-1, Refusal.TOO_LATE), (0, None), (1, None)])
def test_not_after(offset: int, refusal: Refusal | None) -> None:
    limit = datetime.fromtimestamp(START + offset, UTC).isoformat()

    told = not_after.check(context(not_after=limit))

    assert (told.refusal if told else None) is refusal


# -- opt-out --------------------------------------------------------------------------------------------------------


def runbook_of(system: str) -> Runbook | None:
    """The runbook of `shop`, which exempts one target."""
    if system != "shop":
        return None
    return Runbook(
        system="shop",
        file="runbooks/shop.yaml",
        owner="on-call",
        timezone="UTC",
        maintenance=(),
        holidays=frozenset(),
        exempt=frozenset({"parameter:/one"}),
        targets={},
        responses=(),
        checks=(),
        sweeps=(),
    )


def test_a_runbook_exempts_a_target() -> None:
    exempt = replace(context(system="shop"), runbook_of=runbook_of)

    assert opt_out.check(exempt) == Decline(Refusal.EXEMPT, "parameter:/one is exempt in runbooks/shop.yaml")
    assert opt_out.check(replace(context(system="shop", name="two"), runbook_of=runbook_of)) is None
    assert opt_out.check(replace(context(system="other"), runbook_of=runbook_of)) is None
    assert opt_out.check(replace(context(), runbook_of=runbook_of)) is None


def test_a_broken_runbook_is_a_guard_that_cannot_be_read() -> None:
    broken = replace(context(system="shop"), runbook_of=lambda system: load("/missing.json").system(system))

    with pytest.raises(Unreadable, match="runbook"):
        opt_out.check(broken)


@pytest.mark.parametrize(
    ("tags", "refused"),
    [
        ({}, False),
        ({"team": "shop"}, False),
        ({"selfheal:exempt": "true"}, True),
        ({"selfheal:exempt": "until-friday"}, True),
        ({"selfheal:exempt": "False"}, False),
        ({"selfheal:exempt": ""}, False),
    ],
)
def test_a_tag_exempts_a_target(tags: dict[str, str], refused: bool, aws: None) -> None:
    queue = clients.client("sqs").create_queue(QueueName="dead", tags=tags)["QueueUrl"]
    attributes = clients.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]

    declined = opt_out.check(replace(context(), arns=(arn,)))

    assert (declined is not None) == refused
    assert declined is None or arn in declined.detail


def test_tags_that_cannot_be_read() -> None:
    with Stubber(clients.client("resourcegroupstaggingapi")) as stubber:
        stubber.add_client_error("get_resources", "ThrottledException")
        with pytest.raises(Unreadable, match="tags"):
            opt_out.check(replace(context(), arns=("arn:aws:sqs:eu-central-1:123456789012:dead",)))


def test_a_target_without_tags_needs_no_call() -> None:
    assert opt_out.check(context()) is None


# -- the alarm again ------------------------------------------------------------------------------------------------


def reference(state_at: datetime, name: str = "red") -> AlarmReference:
    return AlarmReference(name, ARN.replace(":red", f":{name}"), str(round(state_at.timestamp() * 1000)))


def described(**more: Any) -> dict[str, Any]:
    return {"AlarmName": "red", "AlarmArn": ARN, "StateValue": "ALARM", **more}


AT = datetime(2026, 1, 31, 9, 35, tzinfo=UTC)
LATER = AT.replace(minute=36)


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        ([described(StateUpdatedTimestamp=AT)], None),
        ([described(StateTransitionedTimestamp=AT, StateUpdatedTimestamp=LATER)], None),
        ([described(StateTransitionedTimestamp=LATER)], Refusal.ALARM_MOVED_ON),
        ([described(StateValue="OK")], Refusal.NOT_RED),
        ([described(StateValue="INSUFFICIENT_DATA")], Refusal.NOT_RED),
        ([described(ActionsSuppressedBy="WaitPeriod")], Refusal.ALARM_MUTED),
        ([], Refusal.NOT_RED),
        ([described(AlarmArn=ARN + "-of-somebody-else")], Refusal.NOT_RED),
    ],
)
def test_the_alarm_is_read_again(found: list[dict[str, Any]], refusal: Refusal | None) -> None:
    with Stubber(clients.client("cloudwatch")) as stubber:
        wanted = {"AlarmNames": ["red"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100}
        composite = "ActionsSuppressedBy" in str(found)
        stubber.add_response("describe_alarms", {"CompositeAlarms" if composite else "MetricAlarms": found}, wanted)

        declined = alarm.check(replace(context(), request=replace(ask(Flag), alarms=(reference(AT),))))

    assert (declined.refusal if declined else None) is refusal


def test_one_alarm_that_is_still_red_is_enough() -> None:
    with Stubber(clients.client("cloudwatch")) as stubber:
        green = described(AlarmName="green", AlarmArn=ARN.replace(":red", ":green"), StateValue="OK")
        stubber.add_response("describe_alarms", {"MetricAlarms": [green, described(StateUpdatedTimestamp=AT)]})
        request = replace(ask(Flag), alarms=(reference(AT, "green"), reference(AT)))

        assert alarm.check(replace(context(), request=request)) is None


def test_alarms_that_cannot_be_read() -> None:
    with Stubber(clients.client("cloudwatch")) as stubber:
        stubber.add_client_error("describe_alarms", "InternalFailure")
        with pytest.raises(Unreadable, match="cloudwatch"):
            alarm.check(replace(context(), request=replace(ask(Flag), alarms=(reference(AT),))))


def test_a_request_without_alarms_reads_none() -> None:
    assert alarm.check(context()) is None


# -- the target -----------------------------------------------------------------------------------------------------

OWNERS = (None, "inc-1", "inc-2")
LEASES = (None, ("mine", 60), ("other", 60), ("other", -1), ("mine", -1))
COOLDOWNS = (None, ("inc-1", 60), ("inc-2", 60), ("inc-2", -1))


def foresee(ledger: Ledger, request: Request) -> Decline | None:
    """What the guards in front of the transaction say."""
    asked = replace(context(ledger=ledger), request=request)
    told = [guard.check(asked) for guard in chain.CHAIN if guard.name in {"owner", "lease", "cooldown"}
            and guard.applies(request.origin, RISKY)]  # fmt: skip
    return next((one for one in told if one), None)


@pytest.mark.parametrize("origin", [ALARM, SWEEP, HAND, UNDO])
@pytest.mark.parametrize("incident", [None, "inc-1"])
def test_take_and_plan_agree_on_who_has_the_target(origin: Origin, incident: str | None, ledger: Ledger) -> None:
    for number, (owner, lease, cooldown) in enumerate(product(OWNERS, LEASES, COOLDOWNS)):
        request = ask(Flag, f"t{number}", action_id="mine", origin=origin, incident=incident)
        pk = f"TARGET#{request.target.key}"
        if owner:
            ledger.write(table.put(pk, "OWNER", {"incident": owner, "system": "shop"}, incident=owner))
        if lease:
            ledger.write(table.put(pk, "LEASE", {"action": "a"}, holder=lease[0], lease_until=START + lease[1]))
        if cooldown:
            ledger.write(table.put(pk, "COOLDOWN", {}, incident=cooldown[0], cool_until=START + cooldown[1]))
        before = list(ledger.query(pk))

        foretold = foresee(ledger, request)
        assert list(ledger.query(pk)) == before
        told = claim.take(ledger, request, now=START, lease_s=120)

        where = (origin, incident, owner, lease, cooldown)
        assert foretold == told, where
        expected = expect(origin, incident, owner, lease, cooldown)
        assert (told.refusal if told else None) is expected, where
        if told:
            assert list(ledger.query(pk)) == before, "a refusal takes nothing"
        else:
            assert ledger.get(pk, "LEASE")["holder"] == "mine"  # type: ignore[index]
        ledger.write(*(table.delete(pk, sk) for sk in ("OWNER", "LEASE", "COOLDOWN")))


def expect(
    origin: Origin,
    incident: str | None,
    owner: str | None,
    lease: tuple[str, int] | None,
    cooldown: tuple[str, int] | None,
) -> Refusal | None:
    """The rules in the order in which they are told, written a second time."""
    if owner is not None and owner != incident:
        return Refusal.TARGET_OWNED
    if lease == ("other", 60):
        return Refusal.LEASED
    cold = cooldown is not None and cooldown[1] > 0 and cooldown[0] != incident
    return Refusal.COOLDOWN if cold and origin not in {HAND, UNDO} else None


def test_what_a_person_asks_for_owns_nothing(ledger: Ledger) -> None:
    for origin in Origin:
        request = ask(Flag, f"o-{origin}", origin=origin)
        assert claim.take(ledger, request, now=START, lease_s=120) is None
        owned = ledger.get(f"TARGET#{request.target.key}", "OWNER") is not None
        assert owned == (origin not in {HAND, UNDO}), origin


def test_a_target_that_cannot_be_read_is_a_ledger_that_is_down(ledger: Ledger) -> None:
    down = world_of(Faults(names=("dynamodb",), error=throttled), Clock()).ledger

    with pytest.raises(Unreadable):
        foresee(down, ask(Flag))
    with pytest.raises(Unreadable):
        claim.take(down, ask(Flag), now=START, lease_s=120)
