"""How many AWS calls an action takes, what each is for, and what a duplicate costs: counted by botocore's own events.

Each action's clean run is played as the fault matrix plays it: through its real handler and the engine, against moto.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from selfheal import record
from selfheal.catalogue import ACTIONS
from selfheal.request import read_request
from selfheal.words import Origin
from selfheal_build.runbooks import compiler

from tests.bench.calls_incident import RESPONSE, Counted, Story
from tests.bench.calls_watch import KINDS, PUT_BACK, STORM, Call, Watch, count, said, watching, writes
from tests.bench.figure import REPOSITORY, Bar, Chart, Figure, Goal, Row, Table
from tests.unit import conftest
from tests.unit.play import Play
from tests.unit.stage import PLAYS, VARIANTS, Stage, stage
from tests.unit.wire import Wire

WAITS = {("reload_function", "lambda:GetFunctionConfiguration")}
"""Who asks again within `apply` until AWS has finished what it began."""
HOT = ("halt_trading", "disable_schedule", "roll_back_alias", "stop_deployment")
LEDGER_MOST = 4
"""A claim, one read of all that guards know by name, a transaction before the call and one after it."""


Cells = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Counts:
    """What one action called: for an alarm (or in a person's name, where only people may), by hand, as a duplicate."""

    action: str
    outcome: str
    for_an_alarm: bool
    calls: list[Call]
    by_hand: list[Call]
    finished: list[Call]
    running: list[Call]
    write_units: int
    read_units: int


@dataclass(frozen=True)
class Found:
    """All that was counted: actions, an hour of idle ticks, duplicates of a delivery while the incident is open and
    after it was closed, an incident by what Respond was invoked for, and the actions that it asked for."""

    actions: dict[str, Counts]
    idle: list[Counted]
    duplicate: Counted
    late: Counted
    parts: dict[str, Counted]
    asked: list[str]

    @property
    def tick(self) -> Counted:
        """The usual idle one."""
        return sorted(self.idle, key=lambda one: len(one.calls))[len(self.idle) // 2]

    @property
    def respond(self) -> list[Call]:
        """Respond's calls for the incident."""
        return [call for part in self.parts.values() for call in part.calls]

    @property
    def acting(self) -> list[Call]:
        """Those of the incident's actions."""
        return [call for name in self.asked for call in self.actions[name].calls]


def measure(say: Callable[[str], None]) -> Figure:
    """Every action of the catalogue, Respond on a duplicate, an idle tick, and one incident from red to closed."""
    names = [name for name in PLAYS if name not in VARIANTS]
    counts = []
    with _on_stage(None) as (here, watch):
        for name in names:
            say(name)
            counts.append(_of(here, watch, name))
    say("an incident")
    with _on_stage(REPOSITORY / "layers" / "runbooks") as (here, watch):
        story = Story(here, watch)
        idle = story.an_idle_hour()
        red = story.alarm("ALARM")
        duplicate = story.deliver()
        parts = story.to_the_end()
        parts["red"] = red
        late = story.deliver_red_again()
    actions = {one.action: one for one in counts}
    return _figure(Found(actions, idle, duplicate, late, parts, story.actions))


@contextmanager
def _on_stage(runbooks: Path | None) -> Iterator[tuple[Stage, Watch]]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder, watching(Wire()) as watch:
        conftest.settle(patch)
        conftest.forget()
        try:
            with stage(patch, Path(folder)) as here:
                watch.listen_to(here.wire)
                if runbooks is not None:
                    compiled = Path(folder) / "all.json"
                    compiler.write(compiler.compile_folder(runbooks), compiled)
                    patch.setenv("RUNBOOKS_PATH", str(compiled))
                yield here, watch
        finally:
            conftest.forget()


def _of(here: Stage, watch: Watch, name: str) -> Counts:
    person = ACTIONS[name].person
    alarm = {**here.by_an_alarm, "origin": Origin.LADDER.value}
    play = here.play(name)
    more = {} if person else {**alarm, "system": f"shop-{here.number}", "incident": f"shop-{here.number:08x}-1a"}
    watch.again()
    answer = here.run(play, **more)
    calls, units = list(watch.calls), (watch.write_units, watch.read_units)
    finished = _duplicate(here, watch, play, more)
    return Counts(
        name, answer["outcome"] if answer else "killed", not person, calls,
        _by_hand(here, watch, name), finished, _running(here, watch, name), *units,
    )  # fmt: skip


def _duplicate(here: Stage, watch: Watch, play: Play, more: dict[str, Any]) -> list[Call]:
    """The same request once more, after it has come to its end."""
    if _in_progress(here, play):
        here.to_the_end(play)
    watch.again()
    here.run(play, **more)
    return list(watch.calls)


def _in_progress(here: Stage, play: Play) -> bool:
    found = here.record_of(play)
    return found is not None and found["run"] != "done"


def _by_hand(here: Stage, watch: Watch, name: str) -> list[Call]:
    play = here.play(name)
    nothing = dict.fromkeys(("incident", "alarms", "response"))
    watch.again()
    here.run(play, **nothing, origin=Origin.HAND.value, requested_by="ann")
    return list(watch.calls)


def _running(here: Stage, watch: Watch, name: str) -> list[Call]:
    """A request that another run works on right now."""
    play = here.play(name)
    record.claim(here.ledger, read_request(play.request, (name,), "-"), here.clock.now(), 120.0)
    watch.again()
    here.run(play)
    return list(watch.calls)


# -- the figure -------------------------------------------------------------------------------------------------------


def _figure(found: Found) -> Figure:
    hot = {name: found.actions[name].calls for name in HOT}
    return Figure(
        name="calls",
        title="AWS calls",
        question="How many calls does AWS get for one action, what is each for, and what does a duplicate cost?",
        tables=[
            _around(found.actions["halt_trading"]),
            _by_action(found),
            _of_respond(found),
        ],
        goals=[*_goals(list(found.actions.values())), *_goals_of_respond(found)],
        chart=Chart(
            "AWS calls of one action, for an alarm, all guards on",
            "calls",
            [
                Bar(f"{name}: {kind}", count(calls, kind), ours=kind != "target")
                for name, calls in hot.items()
                for kind in KINDS
            ],
        ),
        how=[
            "Counted at botocore's `before-call` event while each action's clean run is played through its real "
            "handler, as the fault matrix plays it; the purpose is the engine's step that the call came from.",
            f"The incident is `{RESPONSE}` of `the-alchemiser-v2-dev`, from red to closed, with its real runbook; its "
            "actions answer at once, and their own calls are those of the table.",
        ],
        notes=[
            "`ledger` are DynamoDB calls of the engine, `guards` what is asked before anything is changed, `target` "
            "the action's own, `telling` the event on the bus.",
            "A duplicate that comes more than 30 s after the record tells the bus once more: the run that recorded it "
            "may have died before it told. Lambda repeats the event of a dead run after a minute.",
            "An alarm that turns OK is of use to an open incident only, so that this is read first: a duplicate of it "
            "costs that read as well.",
            "An alarm that joins an open incident finds it by the transaction that would have opened one; the next one "
            "that this process is given reads first, which is cheaper in a storm.",
            "GitHub is not AWS; its calls stand in the table all the same.",
        ],
        facts=_facts(found),
    )


def _around(one: Counts) -> Table:
    """What the engine adds to any action, with what for, as `halt_trading` shows it."""
    rows = [
        Row(call.name, {"kind": call.kind, "what for": call.purpose}, ours=True)
        for call in one.calls
        if call.kind != "target"
    ]
    return Table(("kind", "what for"), rows, "Around an action, here halt_trading for an alarm")


def _by_action(found: Found) -> Table:
    columns = ("calls", *KINDS, "by hand", "duplicate", "target's calls")
    rows = []
    for one in found.actions.values():
        target = said([call for call in one.calls if call.kind == "target"])
        who = one.action if one.for_an_alarm else f"{one.action} (by people only)"
        counted: Cells = {kind: count(one.calls, kind) for kind in KINDS}
        last: Cells = {"by hand": len(one.by_hand), "duplicate": len(one.finished), "target's calls": target or "none"}
        rows.append(Row(who, {"calls": len(one.calls), **counted, **last}, ours=True))
    return Table(columns, rows, "Each action: for an alarm with all guards, by hand, and as a duplicate")


def _of_respond(found: Found) -> Table:
    columns = ("invocations", "calls", "ledger writes", "ledger reads", "what for")
    parts, asked = found.parts, found.asked
    named = {
        "a tick of the clock with nothing to do": found.tick,
        "the alarm turns red": parts["red"],
        "the same state change delivered again": found.duplicate,
        "the same, after the incident was closed": found.late,
        "answers of actions": parts["outcomes"],
        "the alarm turns OK": parts["green"],
        "ticks while the incident is open": parts["ticks"],
    }
    rows = [Row(f"Respond: {what}", _cells(one.invocations, one.calls), ours=True) for what, one in named.items()]
    rows.append(Row(f"its {len(asked)} actions", _cells(len(asked), found.acting, ", ".join(asked))))
    invocations = len(asked) + sum(part.invocations for part in parts.values())
    whole = _cells(invocations, found.respond + found.acting, "Respond and its actions")
    rows.append(Row("one incident from red to closed, in all", whole, ours=True))
    return Table(columns, rows, "Respond, and one incident end to end")


def _cells(invocations: int, calls: list[Call], what_for: str = "") -> Cells:
    reads = sum(call.name.startswith("dynamodb:") for call in calls) - writes(calls)
    return {
        "invocations": invocations, "calls": len(calls), "ledger writes": writes(calls), "ledger reads": reads,
        "what for": what_for or said(calls),
    }  # fmt: skip


def _goals(found: list[Counts]) -> list[Goal]:
    return [
        Goal("every action of the catalogue is counted", f"{len(ACTIONS)} actions", f"{len(found)} actions",
             {one.action for one in found} == set(ACTIONS)),
        _one_write("a duplicate of a finished action", {one.action: one.finished for one in found}),
        _one_write("a duplicate of an action that runs", {one.action: one.running for one in found}),
        _few_ledger_calls(found),
        _nothing_twice(found),
    ]  # fmt: skip


def _goals_of_respond(found: Found) -> list[Goal]:
    opens = [call for call in found.parts["red"].calls if call.kind == "ledger"]
    return [
        _one_write("a duplicate of an alarm's delivery", {"open": found.duplicate.calls, "closed": found.late.calls}),
        Goal("an alarm that opens an incident", "1 write of the ledger before a step is asked for, 0 reads",
             said(opens), [call.operation for call in opens] == ["TransactWriteItems"]),
    ]  # fmt: skip


def _one_write(what: str, calls: dict[str, list[Call]]) -> Goal:
    wrong = {name: made for name, made in calls.items() if (len(made), writes(made)) != (1, 1)}
    least = f"1 conditional write, 0 others ({len(calls)} of {len(calls)})"
    measured = "; ".join(f"{name}: {said(made)}" for name, made in wrong.items()) or least
    return Goal(what, "1 conditional write, 0 others", measured, not wrong)


def _few_ledger_calls(found: list[Counts]) -> Goal:
    """Of the engine; what an action itself keeps in the ledger (a drain its letters) stands under its name."""
    engine = {one.action: [call for call in _engine(one.calls) if call.name.startswith("dynamodb:")] for one in found}
    usual = {name: [call for call in calls if call.purpose not in {STORM, PUT_BACK}] for name, calls in engine.items()}
    most, more = max(map(len, usual.values())), max(len(engine[name]) - len(usual[name]) for name in engine)
    return Goal(
        "the engine's calls of the ledger around an action",
        f"at most {LEDGER_MOST}, and 1 before what is risky: who else went red, or what it puts back",
        f"at most {most}, and {more}",
        most <= LEDGER_MOST and more <= 1,
        why=", ".join(name for name, calls in usual.items() if len(calls) > LEDGER_MOST),
    )


def _engine(calls: list[Call]) -> list[Call]:
    own = (", in the ledger", "looks again")
    engine = [call for call in calls if call.kind in {"ledger", "guards"}]
    return [call for call in engine if not any(what in call.purpose for what in own)]


def _nothing_twice(found: list[Counts]) -> Goal:
    """The same call with the same arguments for the same purpose. To verify is to ask again until it holds."""
    twice: dict[str, list[str]] = {}
    for one in found:
        times = Counter((call.name, call.purpose, call.body) for call in one.calls if call.purpose != "verify")
        again = [f"{name} ({purpose})" for (name, purpose, _), number in times.items() if number > 1]
        if again := [what for what in again if (one.action, what.partition(" ")[0]) not in WAITS]:
            twice[one.action] = again
    measured = "; ".join(f"{name}: {', '.join(again)}" for name, again in twice.items()) or "0"
    why = (
        "each check of a sweep asks for itself: one that fails takes no other with it"
        if "check_health" in twice
        else ""
    )
    return Goal("the same question asked twice for one purpose", "0", measured, not twice, why)


def _facts(found: Found) -> dict[str, float]:
    parts, acts = found.parts.values(), [found.actions[name] for name in found.asked]
    writing = found.respond + found.acting
    write_units = sum(part.write_units for part in parts) + sum(one.write_units for one in acts)
    read_units = sum(part.read_units for part in parts) + sum(one.read_units for one in acts)
    return {
        "calls_per_incident": len(writing),
        "calls_per_incident_respond": len(found.respond),
        "calls_per_incident_dynamodb_writes": writes(writing),
        "dynamodb_write_units_per_incident": write_units,
        "dynamodb_read_units_per_incident": read_units,
        "put_events_entries_per_incident": sum(part.entries for part in parts) + len(acts),
        "respond_invocations_per_incident": sum(part.invocations for part in parts),
        "ticks_per_incident": found.parts["ticks"].invocations,
        "actions_per_incident": len(acts),
        "calls_per_idle_tick": len(found.tick.calls),
        "dynamodb_write_units_per_idle_tick": mean(one.write_units for one in found.idle),
        "dynamodb_read_units_per_idle_tick": mean(one.read_units for one in found.idle),
        "put_events_entries_per_idle_tick": mean(one.entries for one in found.idle),
        "dynamodb_write_units_per_duplicate_alarm": found.duplicate.write_units,
        "dynamodb_read_units_per_duplicate_alarm": found.duplicate.read_units,
        **{f"calls_{name}": len(one.calls) for name, one in found.actions.items()},
    }
