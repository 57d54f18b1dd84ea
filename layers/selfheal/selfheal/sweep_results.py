"""What the last run of a sweep found, in the ledger: what is new is told, and resuming may be bound to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from selfheal import ledger as table
from selfheal.checks.turns import Turn
from selfheal.frozen import dataclass
from selfheal.ledger import Ledger, Lost


@dataclass(frozen=True)
class Known:
    """A failing or unknown finding: what people are told when it is over."""

    verdict: str
    check: str
    label: str


@dataclass(frozen=True)
class SweepResult:
    """The last run of one sweep. `at`: when it began, in epoch seconds; `report`: where its report is, empty if it was
    not stored; `worst`: its worst finding in one line; `known`: what people have been told of and is not over."""

    at: float
    action_id: str
    verdict: str
    passed: int
    failed: int
    unknown: int
    report: str
    digest: str
    worst: str
    known: Mapping[str, Known]
    checks: str = ""
    turn: int = 0
    """How often the same `checks` ran before: of many, each run looks closely at others."""

    def next_of(self, checks: str) -> Turn:
        """The turn that comes after this one."""
        suspects = frozenset(one.label for one in self.known.values())
        return Turn(self.turn + 1 if checks == self.checks else 0, suspects, checks)


def last(ledger: Ledger, system: str, sweep: str) -> SweepResult | None:
    """The newest result of a sweep; None before its first run. Raises LedgerUnavailable."""
    item = ledger.get("SWEEPRESULT", f"{system}|{sweep}")
    if item is None:
        return None
    doc = item["doc"]
    known = {name: Known(**each) for name, each in doc.pop("known").items()}
    return SweepResult(at=float(item["swept_at"]), known=known, **doc)


def record(ledger: Ledger, system: str, sweep: str, result: SweepResult) -> bool:
    """Keep a result; False if a newer one is there already. Raises LedgerUnavailable."""
    doc = asdict(result)
    at = float(doc.pop("at"))
    condition = "attribute_not_exists(pk) OR swept_at <= :at"
    try:
        ledger.write(table.put("SWEEPRESULT", f"{system}|{sweep}", doc, condition, {"at": at}, swept_at=at))
    except Lost:
        return False
    return True
