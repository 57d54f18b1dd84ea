"""Run the health checks of a system: the morning checklist, the one after a deployment, the one after a remediation.

Alarm: none; the clock starts it, a response does after it has acted, or a person.
Action: `check_health` reads, compares and reports; what it finds fails the check and not the action.
Precondition: checks in the request, or in the system's runbook: all of them, or those of one `sweep`.

A sweep has a report in the archive bucket, a result in the ledger and metrics, and people hear of what changed since
its last run. None of that can make it fail. With `must_pass` anything but a pass makes the step fail.

Three verdicts: pass, fail, unknown. No data is unknown and never a pass, a resource that does not exist is a failure,
and so is a prefix that finds no alarm.

Its evidence also lists the open changes of the system and the pauses in force.

Never: repairs anything. A finding names what would.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from selfheal import changes, pauses, reminders, runbook, sweep_outcome, sweep_report
from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.checks import kinds, read_checks
from selfheal.checks.finding import Finding, Mark
from selfheal.checks.home import at_home
from selfheal.checks.runner import run
from selfheal.errors import LedgerUnavailable, Misconfigured, Refused, Unreadable
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict
from selfheal.world import ledger

RESERVE_S = 10
MAX_S = 60
MAX_EVIDENCE_BYTES = 32_768
MAX_LEFT_OVER = 20


class CheckHealth(Action):
    """AWS calls: about one to three for each check; one for all metrics, one for 100 alarms; for many checks of a kind
    one for each page of AWS's list, and a share of them looked at closely. A sweep: two to S3."""

    name = "check_health"
    permissions = ("s3:PutObject", *kinds.PERMISSIONS)
    reversible = False

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._summary = ""
        self._worst: str | None = None

    def observe(self, request: Request) -> State:
        """The checks to run; nothing of the system yet."""
        given, sweep = request.options["checks"], request.options["sweep"]
        if given is not None:
            return {"checks": list(given), "from": "request", "sweeps": None}
        try:
            found = runbook.load().system(request.target["system"])
        except Misconfigured as error:
            raise Unreadable("runbooks", str(error)) from error
        sweeps = {one.name: one.checks for one in found.sweeps} if found and sweep else {}
        checks = sweeps.get(sweep, ()) if sweep else found.checks if found else ()
        return {"checks": [at_home(check) for check in checks], "from": "runbook", "sweeps": sorted(sweeps)}

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse checks that are none: an empty list would pass."""
        system, sweep = request.target["system"], request.options["sweep"]
        if sweep and state["from"] == "request":
            return Decline(Refusal.BAD_OPTIONS, "give checks or the sweep that has them, not both")
        if sweep and sweep not in state["sweeps"]:
            near = get_close_matches(sweep, state["sweeps"], n=3, cutoff=0.3) or state["sweeps"]
            known = f"; there is {', '.join(map(repr, near[:5]))}" if near else "; it has none"
            return Decline(Refusal.NO_SUCH_SWEEP, f"the runbook of {system} has no sweep {sweep!r:.80}{known}")
        if not state["checks"]:
            return Decline(Refusal.BAD_OPTIONS, f"the {state['from']} has no checks for {system}")
        try:
            checks = read_checks(state["checks"])
        except Refused as error:
            return Decline(error.refusal, error.detail)
        return Change(
            direction=Direction.READ,
            summary=f"run {len(checks)} health checks of {system} from the {sweep or state['from']}",
            plan={"checks": state["checks"]},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Look at everything."""
        timeout_s = max(1.0, min(MAX_S, self.remaining_s - RESERVE_S))
        began, started = time.time(), time.monotonic()
        sweep, checks = request.options["sweep"], change.plan["checks"]
        turn = sweep_outcome.turn_of(ledger(), request.target["system"], sweep, checks) if sweep else None
        findings = run(read_checks(checks), timeout_s, turn)
        left = left_over(request.target["system"])
        evidence = report(findings, left["open_changes"] or ()) | left
        self._summary = f"{evidence['passed']} passed, {evidence['failed']} failed, {evidence['unknown']} unknown"
        self._worst = sweep_outcome.worst_of(findings)
        if not sweep:
            return evidence
        whole = sweep_report.document(
            system=request.target["system"],
            sweep=sweep,
            action_id=request.action_id,
            at=began,
            took_s=time.monotonic() - started,
            findings=findings,
            left_over=left,
        )
        return evidence | {"sweep": sweep} | sweep_outcome.keep(ledger(), whole, findings, began, turn)

    def verify(self, request: Request, change: Change) -> Verification:
        """Nothing was changed, so there is nothing to wait for. With `must_pass` all must be as expected."""
        told = f"{request.target['system']}: {self._summary or change.summary}"
        if request.options["must_pass"] and self._worst is None:
            return Verification(Verdict.UNKNOWN, detail=f"{told}: nothing was looked at")
        if request.options["must_pass"] and self._worst:
            return Verification(Verdict.DOES_NOT_HOLD, detail=f"{told}; the worst: {self._worst}")
        return Verification(Verdict.HOLDS, detail=told)


def report(findings: Sequence[Finding], open_changes: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The evidence: the worst first, at most MAX_EVIDENCE_BYTES, the counts always of all."""
    counted = Counter(finding.verdict for finding in findings)
    evidence: dict[str, Any] = {
        "findings": [],
        "passed": counted[Mark.PASS],
        "failed": counted[Mark.FAIL],
        "unknown": counted[Mark.UNKNOWN],
        "left_out": len(findings),
    }
    left = MAX_EVIDENCE_BYTES - len(json.dumps(evidence).encode())
    for one in sweep_report.worst_first(findings):
        told = sweep_report.told(one, open_changes)
        left -= len(json.dumps(told).encode()) + 2  # and what separates two
        if left < 0:
            break
        evidence["findings"].append(told)
        evidence["left_out"] -= 1
    return evidence


def left_over(system: str) -> dict[str, Any]:
    """What selfheal changed in the system (or by hand, for no system) and nobody has undone, and what is paused."""
    now = time.time()
    try:
        listed = [one for one in changes.still_open(ledger()) if one["system"] in {system, None}]
        paused = pauses.in_force(ledger(), now)
    except LedgerUnavailable as error:
        return {"open_changes": None, "pauses": None, "left_over_not_read": str(error)}
    oldest_first = sorted(listed, key=lambda one: float(one["at"]))[:MAX_LEFT_OVER]
    concerned = [one for one in paused if one.name in {"*", system} or one.name.startswith(f"{system}-")]
    return {
        "open_changes": [reminders.brief(one) | {"age_h": round((now - one["at"]) / 3600, 1)} for one in oldest_first],
        "pauses": [one.as_dict() for one in concerned[:MAX_LEFT_OVER]],
    }


lambda_handler = handler_for(CheckHealth)
