"""What becomes of a sweep's findings: its report is stored, its result recorded, its changes told, its numbers kept.

None of it can make the sweep fail: it answers with what it found, and notes what could not be done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from selfheal import outcome, sweep_news, sweep_report, sweep_results
from selfheal.checks.finding import Finding, Mark
from selfheal.checks.turns import Turn
from selfheal.errors import LedgerUnavailable, SelfhealError
from selfheal.ledger import Ledger
from selfheal.observability import logger, measure
from selfheal.sweep_news import News
from selfheal.sweep_notice import MAX_TOLD
from selfheal.sweep_results import SweepResult


def turn_of(ledger: Ledger, system: str, sweep: str, checks: Sequence[Mapping[str, Any]]) -> Turn:
    """Which run of these checks this is, and what was not as expected the last time."""
    try:
        before = sweep_results.last(ledger, system, sweep)
    except LedgerUnavailable as error:  # some share is as good as another
        logger.warning("last run of the sweep not read", sweep=sweep, cause=str(error))
        before = None
    digest = sweep_news.digest_of_checks(checks)
    return before.next_of(digest) if before else Turn(checks=digest)


def keep(
    ledger: Ledger, report: Mapping[str, Any], findings: Sequence[Finding], at: float, turn: Turn | None = None
) -> dict[str, Any]:
    """Store, tell, record, measure; answers what belongs into the evidence. Raises nothing that may be expected.

    People are told before the result is recorded: a crash in between tells twice rather than not at all.
    """
    noted: dict[str, Any] = {"report": "", "report_note": ""}
    try:
        noted["report"] = sweep_report.store(report)
    except SelfhealError as error:
        logger.error("report not stored", sweep=report["sweep"], cause=str(error))
        noted["report_note"] = str(error)
    noted |= _tell_and_record(ledger, report, findings, at=at, noted=noted, turn=turn or Turn())
    _measure(report)
    return noted


def _tell_and_record(
    ledger: Ledger,
    report: Mapping[str, Any],
    findings: Sequence[Finding],
    *,
    at: float,
    noted: Mapping[str, Any],
    turn: Turn,
) -> dict[str, Any]:
    system, sweep = report["system"], report["sweep"]
    try:
        before = sweep_results.last(ledger, system, sweep)
    except LedgerUnavailable as error:  # what is new can't be told, so all that is wrong is
        news = sweep_news.compare(findings, None)
        told = bool(news.new) and _tell(report, findings, news, noted)
        return {"told": told, "result_not_recorded": str(error)}
    if before is not None and before.at > at:
        return {"told": False, "result_not_recorded": "a newer run of this sweep is recorded already"}
    news = sweep_news.compare(findings, before)
    told = news.is_some and _tell(report, findings, news, noted)
    known = news.known if told or before is None or not news.is_some else before.known
    if news.is_some and not told and before is None:
        known = {}  # nobody was told: next time all of it is new
    result = SweepResult(
        at=at,
        action_id=report["action_id"],
        verdict=report["verdict"],
        passed=report["passed"],
        failed=report["failed"],
        unknown=report["unknown"],
        report=noted["report"],
        digest=sweep_news.digest_of(findings),
        worst=worst_of(findings),
        known=known,
        checks=turn.checks,
        turn=turn.number if told or not news.is_some else turn.number - 1,  # what nobody was told is looked at again
    )
    try:
        recorded = sweep_results.record(ledger, system, sweep, result)
    except LedgerUnavailable as error:
        return {"told": told, "result_not_recorded": str(error)}
    if not recorded:
        return {"told": told, "result_not_recorded": "a newer run of this sweep is recorded already"}
    return {"told": told}


def worst_of(findings: Sequence[Finding]) -> str:
    """The worst finding in one line; empty if all is as expected."""
    worst = next((one for one in sweep_report.worst_first(findings) if one.verdict is not Mark.PASS), None)
    return sweep_news.line_of(worst)[:512] if worst else ""


def _tell(report: Mapping[str, Any], findings: Sequence[Finding], news: News, noted: Mapping[str, Any]) -> bool:
    wrong = sum(one.verdict is not Mark.PASS for one in findings)
    changed = report.get("open_changes") or ()
    new = sweep_report.worst_first(news.new)
    detail = {
        "what": "sweep",
        **{name: report[name] for name in ("system", "sweep", "verdict", "passed", "failed", "unknown", "at")},
        "new": [sweep_report.told(one, changed) for one in new[:MAX_TOLD]],
        "new_count": len(new),
        "over": list(news.over[:MAX_TOLD]),
        "over_count": len(news.over),
        "still": max(0, wrong - len(new)),
        "first": news.first,
        "red": report["red_alarms"]["count"],
        "report": noted["report"],
        "note": noted["report_note"],
    }
    return outcome.send(outcome.NOTICE, detail)


def _measure(report: Mapping[str, Any]) -> None:
    numbers = {f"Checks{name.title()}": (MetricUnit.Count, report[name]) for name in ("passed", "failed", "unknown")}
    numbers["SweepDuration"] = (MetricUnit.Seconds, report["took_s"])
    measure({"System": report["system"], "Sweep": report["sweep"]}, numbers)
