"""From the alarm to what is contained: on the local stack, warm and cold, beside the runbook's own commands.

Everything runs against one emulator on this machine: the functions as they were built, under AWS's runtime interface
client, with IAM enforced, and the AWS CLI and Cloud Custodian as processes beside them.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from local import stack
from tests.bench.alarm_to_contained_peers import Peers, home, together
from tests.bench.alarm_to_contained_stack import FUNCTIONS, Broken, Healed
from tests.bench.figure import Bar, Chart, Figure, Goal, Row, Table
from tests.bench.processes import Middle, Spent, in_turn, middle

ROUNDS = 3
CONTAINS = ("Respond", "halt_trading", "disable_schedule")
WHOLE = (*CONTAINS, "roll_back_alias")
AT_MOST_OF_C7N = 0.8


@dataclass(frozen=True)
class Measured:
    """All rounds of all that was measured."""

    warm: Sequence[Healed]
    cold: Sequence[Healed]
    spent: Mapping[str, Sequence[Spent]]

    def cpu(self, name: str) -> Middle:
        """CPU (ms) of a process beside it."""
        return middle([one.cpu_ms for one in self.spent[name]])

    def wall(self, name: str) -> Middle:
        """Wall (ms) of a process beside it."""
        return middle([one.wall_ms for one in self.spent[name]])


def measure(say: Callable[[str], None]) -> Figure:
    """One stack, all measures in turn."""
    with _running(say) as running, tempfile.TemporaryDirectory() as folder:
        return measured_on(Broken(running), Path(folder), say)


@contextlib.contextmanager
def _running(say: Callable[[str], None]) -> Iterator[stack.Stack]:
    @contextlib.contextmanager
    def step(what: str) -> Iterator[None]:
        say(f"setting up the stack: {what}")
        yield

    running = stack.start(None, home(), step, detached=False)
    try:
        yield running
    finally:
        running.stop()


def measured_on(broken: Broken, folder: Path, say: Callable[[str], None], rounds: int = ROUNDS) -> Figure:
    """The figure, of a stack that runs."""
    peers = Peers(broken, folder)
    healed = in_turn({"warm": lambda: broken.heal(cold=False), "cold": lambda: broken.heal(cold=True)}, rounds, say)
    beside: dict[str, Callable[[], Spent]] = {
        "rollback by the AWS CLI": peers.cli_rollback,
        "schedule by the AWS CLI": peers.cli_schedule,
        "halt by the AWS CLI": peers.cli_halt,
        "Cloud Custodian": peers.custodian,
        "limit_function": peers.limit_function,
        "roll_back_alias": peers.roll_back_alias,
    }
    return _figure(Measured(healed["warm"], healed["cold"], in_turn(beside, rounds, say)), peers)


def _figure(found: Measured, peers: Peers) -> Figure:
    return Figure(
        name="alarm_to_contained",
        title="Alarm to contained",
        question="How long does it take from the red alarm until the bleeding is stopped, and what does that cost, "
        "beside the runbook's own commands?",
        tables=[_hops(found), _spent(found), _beside(found)],
        goals=_goals(found),
        chart=Chart(
            "CPU: what stops the bleeding",
            "ms of CPU",
            [
                Bar("contained, warm", _cpu(found.warm, CONTAINS).median, ours=True),
                Bar("contained and rolled back, warm", _cpu(found.warm, WHOLE).median, ours=True),
                Bar("contained, every process new", _cpu(found.cold, CONTAINS).median, ours=True),
                Bar("contained and rolled back, every process new", _cpu(found.cold, WHOLE).median, ours=True),
                Bar("AWS CLI: the rollback alone", found.cpu("rollback by the AWS CLI").median),
                Bar("AWS CLI: halt, schedule, rollback", _by_cli(found, "cpu_ms").median),
                Bar("one guarded action: limit_function", found.cpu("limit_function").median, ours=True),
                Bar("one guarded action: roll_back_alias", found.cpu("roll_back_alias").median, ours=True),
                Bar("Cloud Custodian: set-concurrency", found.cpu("Cloud Custodian").median),
            ],
        ),
        how=[
            "The alarm of the demo system is set to ALARM; EventBridge takes it to Respond, and Respond's requests and "
            "the actions' outcomes go their deployed ways. Before each round the system is broken anew and the ledger "
            "emptied.",
            "`warm`: the functions' processes have served before. `cold`: all of them were killed, so that "
            "interpreter, INIT and first event are counted.",
            "CPU is that of the functions' processes, all of their threads, by the kernel's clock of each; what "
            "Respond does until the incident rests again is counted to containment as well; the emulator's own is not.",
            "The runbook's rollback is get-alias, list-versions-by-function, update-alias; of the schedule, a get "
            "and an update with all its fields; the halt one put-parameter.",
            "The guarded action is a new Python process that imports the built function and serves one request for "
            "the red alarm with every guard; Cloud Custodian is a new process with one policy (`set-concurrency`), its "
            "account given, and the function's name in the event.",
        ],
        notes=[
            "The path's own floor is detection, and nothing here is under it: a standard alarm needs 60 to 120 s from "
            "the first error to red (metrics of a minute, evaluated every minute), a high-resolution alarm 10 s, a "
            "pushed signal under 1 s. Everything above is counted from red.",
            "On AWS each hop takes its time besides: EventBridge to Lambda 148 ms (p50; 387 p99), SNS to Lambda 73 ms "
            "(225 p99), SQS to Lambda 16 ms (105 p99), as published. There are two hops until a step is done, "
            "and one more until Respond knows.",
            "Wall times hold the emulator's own work on the same cores, for both sides.",
        ],
        versions={"awscli": _version(peers.cli, "awscli"), "c7n": _version(peers.c7n, "c7n")},
        facts=_facts(found),
    )


# -- tables -----------------------------------------------------------------------------------------------------------


def _hops(found: Measured) -> Table:
    """Medians, from red on."""
    rows = [
        Row(what, {"warm, ms": _middle(found.warm, at), "cold, ms": _middle(found.cold, at)}, ours=True)
        for what, at in _MOMENTS.items()
    ]
    return Table(("warm, ms", "cold, ms"), rows, "When, counted from the alarm's red (medians)")


def _asked(action: str) -> Callable[[Healed], float]:
    return lambda one: one.since_red_ms(_step(one, action)["asked_at"])


def _verified(action: str) -> Callable[[Healed], float]:
    return lambda one: one.since_red_ms(one.records[action]["at"])


def _answered(action: str) -> Callable[[Healed], float]:
    return lambda one: one.since_red_ms(_step(one, action)["done_at"])


def _step(one: Healed, action: str) -> dict[str, float]:
    step: dict[str, float] = next(step for step in one.incident["steps"] if step["action"] == action)
    return step


_MOMENTS: dict[str, Callable[[Healed], float]] = {
    "Respond is told, and decides": lambda one: one.since_red_ms(one.incident["opened_at"]),
    "halt_trading asked for": _asked("halt_trading"),
    "trading halted, verified and recorded": _verified("halt_trading"),
    "schedule disabled, verified and recorded": _verified("disable_schedule"),
    "Respond has both answers: contained": lambda one: one.contained_ms,
    "roll_back_alias asked for": _asked("roll_back_alias"),
    "rolled back, verified and recorded": _verified("roll_back_alias"),
    "Respond has the answer": lambda one: one.whole_ms,
}


def _middle(healed: Sequence[Healed], at: Callable[[Healed], float]) -> float:
    return middle([at(one) for one in healed]).median


def _spent(found: Measured) -> Table:
    rows = [
        Row(f"{what} ({FUNCTIONS[what]})", {
            "warm, CPU ms": _cpu(found.warm, (what,)).median, "cold, CPU ms": _cpu(found.cold, (what,)).median,
        }, ours=True)
        for what in FUNCTIONS
    ]  # fmt: skip
    return Table(("warm, CPU ms", "cold, CPU ms"), rows, "CPU of the functions for one incident")


def _beside(found: Measured) -> Table:
    ours = {
        "contained: halted, schedule off; warm": (_cpu(found.warm, CONTAINS), _wall(found.warm, "contained_ms")),
        "and rolled back; warm": (_cpu(found.warm, WHOLE), _wall(found.warm, "whole_ms")),
        "contained; every process new": (_cpu(found.cold, CONTAINS), _wall(found.cold, "contained_ms")),
        "and rolled back; every process new": (_cpu(found.cold, WHOLE), _wall(found.cold, "whole_ms")),
    }
    rows = [Row(what, _cells(cpu, wall), ours=True) for what, (cpu, wall) in ours.items()]
    for name in found.spent:
        own = name in {"limit_function", "roll_back_alias"}
        title = f"one guarded action, {name}" if own else name
        rows.append(Row(title, _cells(found.cpu(name), found.wall(name)), ours=own))
    everything = _cells(_by_cli(found, "cpu_ms"), _by_cli(found, "wall_ms"))
    rows.append(Row("all three by the AWS CLI, one after the other", everything))
    return Table(("CPU ms", "wall ms", "CPU ms, least to most"), rows, "Beside others, in the same run (medians)")


def _cells(cpu: Middle, wall: Middle) -> dict[str, float | int | str | None]:
    return {
        "CPU ms": cpu.median, "wall ms": wall.median, "CPU ms, least to most": f"{cpu.least:,.0f} to {cpu.most:,.0f}",
    }  # fmt: skip


def _cpu(healed: Sequence[Healed], what: Sequence[str]) -> Middle:
    return middle([sum(one.cpu_ms[name] for name in what) for one in healed])


def _wall(healed: Sequence[Healed], name: str) -> Middle:
    return middle([float(getattr(one, name)) for one in healed])


def _by_cli(found: Measured, unit: str) -> Middle:
    named = [found.spent[f"{what} by the AWS CLI"] for what in ("halt", "schedule", "rollback")]
    return middle([float(getattr(together(one), unit)) for one in zip(*named, strict=True)])


# -- goals ------------------------------------------------------------------------------------------------------------


_STARTS = (
    "By cProfile, more than half of a new process is its start and its imports, a fifth the run with all guards, a "
    "fifth the end of the interpreter; a rollback asks for evidence first, which an action that contains does not."
)


def _goals(found: Measured) -> list[Goal]:
    cli_cpu, cli_wall = found.cpu("rollback by the AWS CLI"), found.wall("rollback by the AWS CLI")
    goals = []
    for name, healed in (("warm", found.warm), ("every process new", found.cold)):
        for what, functions, until in (
            ("containment of the whole incident", CONTAINS, "contained_ms"),
            ("the same and the rollback", WHOLE, "whole_ms"),
        ):
            cpu, wall = _cpu(healed, functions), _wall(healed, until)
            starts, cli = cpu.median - _cpu(found.warm, functions).median, "the AWS CLI's rollback alone"
            why = f"{starts:,.0f} of {cpu.median:,.0f} ms of CPU are the starts of processes."
            both = (
                _under(f"{what}, {name}: CPU", cpu, cli_cpu, 1.0, cli),
                _under(f"{what}, {name}: wall", wall, cli_wall, 1.0, cli),
            )
            goals += [goal if goal.met else replace(goal, why=why) for goal in both]
    c7n = found.cpu("Cloud Custodian")
    for name in ("limit_function", "roll_back_alias"):
        what = f"one guarded action ({name}), event to action in a new process: CPU"
        goal = _under(what, found.cpu(name), c7n, AT_MOST_OF_C7N, "Cloud Custodian's set-concurrency")
        goals.append(goal if goal.met else replace(goal, why=_STARTS))
    return goals


def _under(what: str, ours: Middle, theirs: Middle, share: float, who: str) -> Goal:
    least = f"below {share:g} x " if share != 1 else "below "
    ratio = ours.median / theirs.median
    measured = f"{ours.median:,.0f} ms; {who}: {theirs.median:,.0f} ms ({ratio:.2f} x)"
    return Goal(what, least + who, measured, ratio < share)


def _facts(found: Measured) -> dict[str, float]:
    facts: dict[str, float] = {}
    for name, healed in (("warm", found.warm), ("cold", found.cold)):
        facts[f"contained_{name}_ms"] = _wall(healed, "contained_ms").median
        facts[f"whole_{name}_ms"] = _wall(healed, "whole_ms").median
        facts[f"red_to_decided_{name}_ms"] = _middle(healed, _MOMENTS["Respond is told, and decides"])
        for what in FUNCTIONS:
            key, took = what.replace(" ", "_").lower(), [ms for one in healed for ms in one.took_ms[what]]
            facts[f"{key}_{name}_cpu_ms"] = _cpu(healed, (what,)).median
            facts[f"{key}_{name}_ms"] = middle(took).median if took else 0.0
    return facts


def _version(program: Path, package: str) -> str:
    libraries = next((program.parents[1] / "lib").glob("python3*")) / "site-packages"
    found = next(iter(metadata.distributions(name=package, path=[str(libraries)])), None)
    return found.version if found else "unknown"
