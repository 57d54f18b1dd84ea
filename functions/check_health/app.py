"""Run the health checks of a system: the morning checklist, the one after a deployment, the one after a remediation.

Alarm: none; the clock starts it, a response does after it has acted, or a person.
Action: `check_health` reads, compares and reports; what it finds fails the check and not the action.
Precondition: checks in the request, or in the system's runbook.

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
from typing import Any

from selfheal import changes, pauses, reminders, runbook
from selfheal.action import Action, Change, Decision, Decline, State, Verification
from selfheal.checks import read_checks
from selfheal.checks.finding import Finding, Mark
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
WORST_FIRST = (Mark.FAIL, Mark.UNKNOWN, Mark.PASS)


class CheckHealth(Action):
    """AWS calls: about one to three for each check; one for all metrics, one for 100 alarms."""

    name = "check_health"
    permissions = (
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "events:DescribeEventBus",
        "events:DescribeRule",
        "events:ListTargetsByRule",
        "iam:SimulatePrincipalPolicy",
        "lambda:GetAlias",
        "lambda:GetFunctionConcurrency",
        "lambda:GetFunctionConfiguration",
        "scheduler:GetSchedule",
        "sns:GetTopicAttributes",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "ssm:GetParameter",
    )
    reversible = False

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._summary = ""

    def observe(self, request: Request) -> State:
        """The checks to run; nothing of the system yet."""
        given = request.options["checks"]
        if given is not None:
            return {"checks": list(given), "from": "request"}
        try:
            found = runbook.load().system(request.target["system"])
        except Misconfigured as error:
            raise Unreadable("runbooks", str(error)) from error
        return {"checks": [dict(check) for check in found.checks] if found else [], "from": "runbook"}

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse checks that are none: an empty list would pass."""
        system = request.target["system"]
        if not state["checks"]:
            return Decline(Refusal.BAD_OPTIONS, f"the {state['from']} has no checks for {system}")
        try:
            checks = read_checks(state["checks"])
        except Refused as error:
            return Decline(error.refusal, error.detail)
        return Change(
            direction=Direction.READ,
            summary=f"run {len(checks)} health checks of {system} from the {state['from']}",
            plan={"checks": state["checks"]},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Look at everything."""
        timeout_s = max(1.0, min(MAX_S, self.remaining_s - RESERVE_S))
        evidence = report(run(read_checks(change.plan["checks"]), timeout_s)) | left_over(request.target["system"])
        self._summary = f"{evidence['passed']} passed, {evidence['failed']} failed, {evidence['unknown']} unknown"
        return evidence

    def verify(self, request: Request, change: Change) -> Verification:
        """Nothing was changed, so there is nothing to wait for."""
        return Verification(Verdict.HOLDS, detail=f"{request.target['system']}: {self._summary or change.summary}")


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """The evidence: the worst first, at most MAX_EVIDENCE_BYTES, the counts always of all."""
    counted = Counter(finding.verdict for finding in findings)
    ordered = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.verdict))
    evidence: dict[str, Any] = {
        "findings": [finding.as_dict() for finding in ordered],
        "passed": counted[Mark.PASS],
        "failed": counted[Mark.FAIL],
        "unknown": counted[Mark.UNKNOWN],
        "left_out": 0,
    }
    while len(json.dumps(evidence).encode()) > MAX_EVIDENCE_BYTES:
        evidence["findings"].pop()
        evidence["left_out"] += 1
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
