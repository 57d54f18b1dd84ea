"""Before a maintenance window: people are told in good time, and what must be looked at and kept before it, is.

Both happen once for each window. What was missed is caught up with until the window begins; then it is told what was
done and what was not. Told first and recorded afterwards: a crash in between tells twice rather than not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from selfheal import by_clock, outcome, windows
from selfheal import ledger as table
from selfheal.by_clock import Answer, Start
from selfheal.frozen import dataclass
from selfheal.ledger import DAY_S, Ledger, Lost
from selfheal.observability import logger
from selfheal.rounds import Done
from selfheal.runbook import Runbook, Runbooks, Window
from selfheal.words import Outcome

KEEP_S = 14 * DAY_S
LATE_S = DAY_S
"""How long after the beginning of a window it is still told what came before it."""
MAINTENANCE = "MAINTENANCE"
GOOD = frozenset({Outcome.ACTED, Outcome.ALREADY_DONE})


@dataclass(frozen=True)
class Coming:
    """One window that begins at `begins` (epoch seconds); `number` is its place in the runbook."""

    runbook: Runbook
    number: int
    window: Window
    begins: float

    def key(self, what: str) -> str:
        """Where it is recorded that `what` was done for it."""
        return f"{self.runbook.system}|{self.number}.{self.begins:.0f}|{what}"

    def requests(self) -> list[dict[str, Any]]:
        """The steps before it, as requests."""
        system = self.runbook.system
        name = f"maintenance.{system}.{self.number}.{self.begins:.0f}"
        return [
            by_clock.request(step, f"{name}.{place}", system, "before maintenance")
            for place, step in enumerate(self.window.before)
        ]


def look(ledger: Ledger, runbooks: Runbooks, start: Start, now: float) -> Done:
    """Tell and start what is due; answers what is done with. Raises LedgerUnavailable."""
    coming = list(_coming(runbooks, now))
    done = {item["sk"] for item in ledger.query(MAINTENANCE)} if coming else set()
    told = []
    for one in coming:
        notice = _notice_is_due(one, now) and one.key("notice") not in done
        if notice and outcome.send(outcome.NOTICE, _detail(one, "maintenance_ahead", now)):
            told.append(_recorded(ledger, one, "notice", now))
        prepare = one.window.before and now >= one.begins - one.window.before_s and one.key("before") not in done
        if prepare and _prepare(ledger, one, start, now):
            told.append(_recorded(ledger, one, "before", now))
    return Done(told or None)


def _coming(runbooks: Runbooks, now: float) -> Iterator[Coming]:
    for runbook in runbooks.runbooks:
        for number, window in enumerate(runbook.maintenance):
            ahead = max(window.notice_s, window.before_s if window.before else 0)
            if ahead:
                for begins in windows.starts(window, runbook.timezone, now - LATE_S, now + ahead):
                    yield Coming(runbook, number, window, begins)


def _notice_is_due(one: Coming, now: float) -> bool:
    return bool(one.window.notice_s) and one.begins - one.window.notice_s <= now < one.begins


def _prepare(ledger: Ledger, one: Coming, start: Start, now: float) -> bool:
    """Start what is not done yet; True once there is no more to do and to tell."""
    over = now >= one.begins
    sends = _too_late if over else start
    answers = [by_clock.go_on(ledger, event, sends, now) for event in one.requests()]
    if over and not any(answers) and now > one.begins + one.window.before_s:
        return True  # a window of before this runbook was deployed
    if not over and None in answers:
        return False
    steps = [{"step": step.label, **_told(answer)} for step, answer in zip(one.window.before, answers, strict=True)]
    return outcome.send(outcome.NOTICE, _detail(one, "maintenance_prepared", now) | {"steps": steps})


def _too_late(event: dict[str, Any]) -> None:
    logger.warning("not started before its window began", action_id=event["action_id"])


def _told(answer: Answer | None) -> dict[str, Any]:
    if answer is None:
        return {"ok": False, "outcome": "no answer", "detail": "it had not answered when the window began"}
    detail = answer.detail or answer.reason
    return {"ok": answer.outcome in GOOD, "outcome": answer.outcome.value, "detail": detail[:500]}


def _detail(one: Coming, what: str, now: float) -> dict[str, Any]:
    window = one.window
    return {
        "what": what,
        "at": now,
        "system": one.runbook.system,
        "owner": one.runbook.owner,
        "timezone": one.runbook.timezone,
        "begins": one.begins,
        "until": window.end,
        "before": [step.label for step in window.before],
        "before_s": window.before_s,
    }


def _recorded(ledger: Ledger, one: Coming, what: str, now: float) -> str:
    with suppress(Lost):  # another tick was as quick
        ledger.write(table.put_new(MAINTENANCE, one.key(what), {"at": now}, expires=int(now + KEEP_S)))
    return one.key(what)
