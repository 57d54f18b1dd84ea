"""What selfheal costs: an incident, a month at rest, 1,000 alarms, computed from what others measured."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench import cost_page
from tests.bench.cost_measured import watch
from tests.bench.cost_model import (
    Calls,
    at_rest,
    incident,
    of_one_action,
    others,
    storm_of_many,
    storm_of_one_system,
)
from tests.bench.cost_stack import MINUTES, POLLS_PER_MIN, stack
from tests.bench.figure import Bar, Chart, Figure, Goal, Row, Table, kept
from tests.bench.prices import PRICES, total, usd

WANTED_USD = 2.0
MOST_POLLS_PER_MIN = 60
WITH_METRICS = "selfheal"
DOING = "selfheal, without metrics and mails"


def measure(say: Callable[[str], None]) -> Figure:
    """Count, compute, write docs/cost.md."""
    seen, has = watch(say), stack()
    calls = Calls.read(seen.actions)
    rest, once = at_rest(has, seen), incident(has, seen, calls)
    doing = [line for line in once if line.price not in {"metric", "sns_mail"}]
    action = of_one_action(has, seen, calls)
    storm, many = storm_of_one_system(has, seen, calls), storm_of_many(has, seen, calls)
    month = total(rest)
    polls = has.mappings * (MOST_POLLS_PER_MIN - POLLS_PER_MIN) * MINUTES * usd("sqs")
    other = others(calls.actions)
    beside: list[tuple[str, tuple[float | None, ...]]] = [
        (WITH_METRICS, (total(once), month, many)),
        (DOING, (total(doing), None, 1000 * action)),
        *other.items(),
    ]
    missing = [name for name in ("cold_start", "alarm_to_contained") if kept(name) is None]
    cost_page.write(
        cost_page.section(
            "A month at rest",
            "No alarm and no sweep: the clock ticks every minute, alarms watch selfheal itself, Lambda polls the paced "
            "queue.",
            rest,
            [
                (f"more, if Lambda polls {MOST_POLLS_PER_MIN} times a minute", polls),
                ("more, if the account has its three free dashboards already", has.dashboards * usd("dashboard")),
            ],
        ),
        cost_page.section(
            "One incident",
            f"Of the example system, from red to closed: {calls.actions:.0f} actions ({', '.join(seen.actions)}). "
            "Respond is warm, since its clock ticks; the actions and Notify start cold.",
            once,
            [(f"one of its {calls.actions:.0f} actions, without metrics and mails", action)],
        ),
        cost_page.table(
            "1,000 alarms",
            "Of one system they are one incident and 999 that join it or are delivered again. Of 1,000 functions they "
            "are 1,000 actions; metrics have the same names, so that they are paid once.",
            ("USD",),
            [("1,000 alarms of one system", (storm,)), ("1,000 alarms over 1,000 functions", (many,))],
        ),
        cost_page.table(
            "Beside others",
            f"The same {calls.actions:.0f} actions as documents of SSM Automation or as a state machine, without their "
            "functions, and workers that are always on, which cost the same whatever they do. None of them has the "
            "guards, the ledger or the undo in its price.",
            ("an incident", "a month at rest", "1,000 alarms, an action each"),
            beside,
        ),
    )
    columns = ("an incident, USD", "a month at rest, USD", "1,000 alarms, USD")
    return Figure(
        name="cost",
        title="Cost",
        question="What does selfheal cost while nothing happens, and when something does?",
        tables=[
            Table(columns, [
                Row(who, dict(zip(columns, values, strict=True)), ours=who.startswith("selfheal"))
                for who, values in beside
            ]),
            Table(("USD a month",), [
                Row(line.what, {"USD a month": round(line.usd, 4)}, ours=True)
                for line in sorted(rest, key=lambda line: -line.usd)
            ], "A month at rest"),
        ],
        goals=[Goal(
            "a month at rest, selfheal's own alarms included", f"< {WANTED_USD:.0f} USD", f"{month:.2f} USD",
            month < WANTED_USD,
            "" if month < WANTED_USD else f"the dearest: {max(rest, key=lambda line: line.usd).what}",
        )],
        chart=Chart(
            "A month at rest", "USD",
            [Bar("selfheal", month, ours=True), *(Bar(who, values[1]) for who, values in other.items() if values[1])],
        ),
        how=(
            "Counts times prices, see [cost.md](cost.md): counts from template.yaml, from the stage of the tests and "
            "from the other figures; prices of us-east-1, without any free allowance.",
            *([f"Not measured yet, so taken from CPU on the stage: {', '.join(missing)}."] if missing else []),
        ),
        notes=(
            f"{sum(not price.confirmed for price in PRICES.values())} of {len(PRICES)} prices are not confirmed; "
            "cost.md names them.",
            "Money is an argument against workers that are always on and against SSM Automation, not between "
            "functions.",
        ),
        facts={"month_at_rest_usd": round(month, 4), "incident_usd": total(once), "action_usd": action},
    )  # fmt: skip
