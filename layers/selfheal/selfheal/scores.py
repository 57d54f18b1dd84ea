"""Scores: what each response did or would have done, and whether it was needed. Counted once, when an incident closes.

From them follows whether a response has earned `auto`: it suggested often enough, and no alarm cleared by itself while
its suggestion would still have been settling.
"""

from __future__ import annotations

from typing import Any

from selfheal import judgement
from selfheal import ledger as table
from selfheal.frozen import dataclass
from selfheal.incident import Incident, Status
from selfheal.ledger import Ledger, Write
from selfheal.runbook import Response
from selfheal.words import ResponseMode, Stage

EARNED_AFTER = 10
COUNTERS = ("incidents", "suggested", "cleared_by_itself", "acted", "healed", "escalated")


def of(incident: Incident) -> dict[str, int]:
    """What a closed incident counts for, 0 or 1 each."""
    return {
        "incidents": 1,
        "suggested": int(bool(_suggested_at(incident))),
        "cleared_by_itself": int(cleared_by_itself(incident)),
        "acted": int(judgement.has_acted(incident)),
        "healed": int(incident.verdict == "healed"),
        "escalated": int(incident.verdict == "escalated"),
    }


def cleared_by_itself(incident: Incident) -> bool:
    """No alarm was red any more before the suggested step would have settled.

    What a person did in that time can't be seen here and counts as if it had cleared by itself; nor does it help that
    an alarm merely has no data. Both err on the side of `suggest`.
    """
    since = _suggested_at(incident)
    if not since or incident.is_red:
        return False
    settle_s = max(step.settle_s for step in incident.steps if step.status is Status.SUGGESTED)
    cleared_at = max((alarm.state_at / 1000 for alarm in incident.alarms.values()), default=0.0)
    return cleared_at <= since + max(float(settle_s), judgement.window_s(incident))


def _suggested_at(incident: Incident) -> float:
    """When it was first only suggested to contain or to remediate, in epoch seconds; 0 if it never was."""
    times = [
        step.done_at or incident.opened_at
        for step in incident.steps
        if step.status is Status.SUGGESTED and step.stage is not Stage.RECOVER
    ]
    return min(times, default=0.0)


def counted(incident: Incident) -> Write:
    """The write that adds a closing incident to its response's counters; it belongs into the closing transaction."""
    return table.add("SCORE", f"{incident.system}|{incident.response}", of(incident))


@dataclass(frozen=True)
class Score:
    """The counters of one response."""

    response: Response
    counters: dict[str, int]

    @property
    def needed(self) -> int:
        """How often what it would have done was needed."""
        return self.counters["suggested"] - self.counters["cleared_by_itself"]

    def has_earned_auto(self, at_least: int) -> bool:
        """Often enough suggested, and not once in vain."""
        return self.counters["suggested"] >= at_least and self.counters["cleared_by_itself"] == 0

    def as_dict(self, at_least: int) -> dict[str, Any]:
        """For the answer of the scorecard."""
        return {
            "system": self.response.system,
            "response": self.response.name,
            "mode": self.response.mode.value,
            **self.counters,
            "needed": self.needed,
            "earned_auto": self.has_earned_auto(at_least),
            "why": self.why(at_least),
        }

    def why(self, at_least: int) -> str:
        """The verdict in words."""
        suggested, in_vain = self.counters["suggested"], self.counters["cleared_by_itself"]
        if self.response.mode is ResponseMode.OFF:
            return "it is off"
        if in_vain:
            return f"{in_vain} of {suggested} alarms cleared by themselves"
        if suggested < at_least:
            return f"{suggested} of {at_least} suggestions seen"
        return f"needed each of {suggested} times"


def read(ledger: Ledger, responses: list[Response]) -> list[Score]:
    """The score of each response, those without incidents included. Raises LedgerUnavailable."""
    items = {item["sk"]: item for item in ledger.query("SCORE")}
    return [
        Score(one, {name: int(items.get(f"{one.system}|{one.name}", {}).get(name, 0)) for name in COUNTERS})
        for one in responses
    ]


_COLUMNS = ("system", "response", "mode", "suggested", "needed", "acted", "healed", "escalated", "auto")


def text_table(scores: list[Score], at_least: int) -> str:
    """The same for a terminal."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for one in scores:
        told = one.as_dict(at_least)
        verdict = f"{'earned' if told['earned_auto'] else 'not yet'}: {told['why']}"
        rows.append((*(str(told[name]) for name in _COLUMNS[:-1]), verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
