"""A thousand alarms of a thousand functions at once, in virtual time: who is rolled back, when, and who is lost."""

from __future__ import annotations

import time as real
from collections.abc import Callable
from dataclasses import dataclass

import botocore

from tests.bench.figure import Bar, Chart, Figure, Goal, Row, Table
from tests.bench.storm_aws import LAMBDA_A_SECOND, START, Account, function
from tests.bench.storm_naive import Naive
from tests.bench.storm_ours import FLAG, SCHEDULE, Ours, Way, stack
from tests.bench.storm_time import Time

ALARMS = 1_000
TWICE_EVERY = 20
"""SNS delivers at least once: every so many-th alarm comes a second time."""
OF_ONE_SYSTEM = 10_000
MID_STORM_S = 30.0
GIVEN_UP_AFTER_S = 900.0
WAYS = {
    "selfheal": Way(),
    "selfheal, versions not known": Way(known=False),
}


@dataclass(frozen=True)
class Ended:
    """How one storm ended. Times in seconds since the alarms."""

    rolled_back: int
    doubled: int
    throttled: int
    last_s: float
    control_plane: int
    describe_alarms: int
    contained_s: float | None = None
    failed: int = 0
    outcomes: int = 0

    @property
    def per_rollback(self) -> float:
        """Control-plane calls of Lambda for each that was rolled back."""
        return self.control_plane / max(self.rolled_back, 1)

    def row(self) -> dict[str, float | int | None]:
        """For the table."""
        return {
            "rolled back": self.rolled_back,
            "lost": ALARMS - self.rolled_back,
            "doubled": self.doubled,
            "429s of Lambda": self.throttled,
            "until the last, s": self.last_s,
            "Lambda calls per rollback": self.per_rollback,
            "DescribeAlarms": self.describe_alarms,
            "flag and schedule off after, s": self.contained_s,
        }


def measure(say: Callable[[str], None]) -> Figure:
    """Every plan in the same storm."""
    ended = {}
    for name, way in WAYS.items():
        say(f"{name}: {ALARMS} alarms")
        ended[name] = _ours(way)
    say(f"naive: {ALARMS} alarms")
    ended["naive: three calls, the SDK's defaults"] = naive = _naive()
    say(f"{OF_ONE_SYSTEM} alarms of one system")
    one = _one_system()
    best, listed = ended["selfheal"], ended["selfheal, versions not known"]
    floor, longer = (plan.per_rollback * ALARMS / LAMBDA_A_SECOND for plan in (best, listed))
    goals = [
        Goal("lost and doubled", "0 and 0", f"{ALARMS - best.rolled_back} and {best.doubled}",
             best.rolled_back == ALARMS and not best.doubled),
        Goal("until the last is rolled back", f"≤ {1.1 * floor:.0f} s", f"{best.last_s:.0f} s",
             best.last_s <= 1.1 * floor),
        Goal("the same, versions not known", f"≤ {1.1 * longer:.0f} s", f"{listed.last_s:.0f} s",
             listed.last_s <= 1.1 * longer),
        Goal("Lambda calls per rollback", "2", f"{best.per_rollback:.2f}", best.per_rollback <= 2),
        Goal("the naive form in the same storm", "loses half or more",
             f"loses {ALARMS - naive.rolled_back} of {ALARMS}", naive.rolled_back * 2 <= ALARMS),
        Goal("a flag and a schedule in the middle of it", "not behind rollbacks: ≤ 5 s",
             f"off after {best.contained_s:.2f} s", (best.contained_s or 99.0) <= 5),
        Goal(f"{OF_ONE_SYSTEM:,} alarms of one system", "one incident", f"{one['incidents']}",
             one["incidents"] == 1),
    ]  # fmt: skip
    return Figure(
        name="storm",
        title="A storm of alarms",
        question=f"{ALARMS:,} functions go red at once; Lambda takes {LAMBDA_A_SECOND} control-plane calls a second.",
        tables=[
            Table(list(best.row()), [Row(name, plan.row(), name in WAYS) for name, plan in ended.items()]),
            Table(list(one), [Row("selfheal", one, True)], f"{OF_ONE_SYSTEM:,} alarms of one system, one incident"),
        ],
        goals=goals,
        chart=Chart(
            f"Rolled back, of {ALARMS:,}", "functions",
            [Bar(name, plan.rolled_back, name in WAYS) for name, plan in ended.items()],
        ),
        how=_HOW,
        notes=_NOTES,
        versions={"botocore": botocore.__version__},
        facts={"storm_s": best.last_s, "storm_lambda_calls": float(best.control_plane)},
    )  # fmt: skip


def _ours(way: Way) -> Ended:
    time = Time(START)
    aws = Account(time, ALARMS)
    with stack(aws):
        ours = Ours(aws, way)

        def storm() -> None:
            for number in range(ALARMS):
                for _ in range(2 if number % TWICE_EVERY == 0 else 1):
                    ours.alarm(function(number))
            time.sleep(MID_STORM_S)
            ours.alarm("desk-errors")
            while len(aws.rolled_back_at) < ALARMS and time.passed < GIVEN_UP_AFTER_S:
                time.sleep(1.0)
            time.sleep(10.0)  # what is still being told
            ours.over = True

        time.spawn(storm)
        time.run()
    return _ended(aws, ours.failed, sum(ours.outcomes.values()))


def _naive() -> Ended:
    time = Time(START)
    aws = Account(time, ALARMS)
    naive = Naive(aws)

    def storm() -> None:
        for number in range(ALARMS):
            for _ in range(2 if number % TWICE_EVERY == 0 else 1):
                naive.alarm(function(number))

    time.spawn(storm)
    time.run()
    return _ended(aws)


def _ended(aws: Account, failed: int = 0, outcomes: int = 0) -> Ended:
    switched = [aws.switched_at[name] - MID_STORM_S for name in (FLAG, SCHEDULE) if name in aws.switched_at]
    return Ended(
        rolled_back=len(aws.rolled_back_at),
        doubled=sum(writes > 1 for writes in aws.writes.values()),
        throttled=aws.control_plane.throttled,
        last_s=max(aws.rolled_back_at.values(), default=0.0),
        control_plane=aws.control_plane.taken,
        describe_alarms=aws.calls["cloudwatch.describe_alarms"],
        contained_s=max(switched) if len(switched) == 2 else None,
        failed=failed,
        outcomes=outcomes,
    )


def _one_system() -> dict[str, float | int | str | None]:
    """All of them in five minutes, evenly; what the ledger is asked for, and how large its items get."""
    time = Time(START)
    aws = Account(time, 1)
    with stack(aws):
        ours = Ours(aws, Way())

        def storm() -> None:
            for number in range(OF_ONE_SYSTEM):
                ours.alarm(f"fleet-{number:05d}")
                time.sleep(300.0 / OF_ONE_SYSTEM)
            time.sleep(30.0)
            ours.over = True

        time.spawn(storm)
        began = real.process_time()
        time.run()
        cpu = real.process_time() - began
    ledger = sum(count for name, count in aws.calls.items() if name.startswith("dynamodb."))
    sizes = ours.sizes()
    return {
        "incidents": aws.table.query(
            TableName="ledger", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "OPEN"}}
        )["Items"].__len__(),
        "rollbacks": sum(aws.writes.values()),
        "ledger calls per alarm": ledger / OF_ONE_SYSTEM,
        "of them writes": sum(
            aws.calls[f"dynamodb.{name}"] for name in ("put_item", "update_item", "delete_item", "transact_write_items")
        ) / OF_ONE_SYSTEM,
        "largest incident, bytes": sizes.get("OPEN", 0),
        "invocations to be repeated": ours.failed,
        "CPU per alarm, ms (with the simulation)": 1000 * cpu / OF_ONE_SYSTEM,
    }  # fmt: skip


_HOW = (
    "selfheal's own handlers (Respond, RollBackAlias, SwitchTrading, SwitchSchedule), engine, guards and ledger run in "
    "virtual time: a call of AWS takes 20 ms, a hop from a bus or a queue 100 ms, and nothing else takes any.",
    "A token bucket of 15 calls a second is Lambda's control plane, reads included, one of 9 DescribeAlarms; what is "
    "more gets a 429, which the SDK's own schedule repeats: `standard`, three attempts, for selfheal, `legacy`, five, "
    "for the naive form, whose event Lambda repeats after one and after two minutes.",
    f"Every {TWICE_EVERY}th alarm is delivered twice. All guards are on; the runbook's limits are set to more than the "
    "storm, or the rate and the radius would, rightly, stop it after a few.",
    "Known versions are those that watches after deployments have left in the ledger.",
    f"{MID_STORM_S:.0f} s into the storm an alarm of another system comes whose response switches a flag and a "
    "schedule off: the time is from that alarm on.",
)
_NOTES = (
    "Batches of 100 would read 100 alarms per call, would let every single rollback wait for a window of a second, and "
    "would leave one of two functions without work at the end: batches of 10 need no window.",
    "The clock, cold starts and other users of the account's quota are not in it.",
)
