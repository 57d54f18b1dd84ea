"""Is something still halted, disabled or stopped by selfheal? A deployment would not run, or switch it on unasked."""

from __future__ import annotations

from selfheal import changes as listed
from selfheal import world
from selfheal.checks import ours
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field

KIND = CheckKind(
    "changes",
    "nothing of a system is still halted, disabled, limited or stopped by selfheal",
    {"system": Field(str, help="default: of any system")},
    main="system",
    named_by=("system",),
)
SERVICES = ("dynamodb",)
PERMISSIONS = ()
STOPS = frozenset(
    {
        "halt_trading",
        "disable_schedule",
        "disable_rules",
        "stop_function",
        "limit_function",
        "pause_source",
        "limit_api",
        "stop_service",
    }
)
"""Actions that leave something off. What was rolled back is not among them: a deployment is what ends that."""
MAX_NAMED = 20


def look(check: Check) -> list[Finding]:
    """The open changes of the ledger. One by hand that names no system is unknown: it may be of this one."""
    system = check["system"]
    stops = [one for one in listed.still_open(world.ledger()) if one["action"] in STOPS]
    found = [one for one in stops if system is None or one["system"] in {system, None}]
    if not found:
        return findings(check, [], "nothing is held back", system or "every system")
    told = []
    for one in found[:MAX_NAMED]:
        verdict = Mark.FAIL if one["system"] or system is None else Mark.UNKNOWN
        advice = f"undo it once the cause is mended: invoke Undo with action_id {one['action_id']}"
        name = ", ".join(str(value) for value in one["target"].values())[:200]
        problem = Problem(f"{one['summary']}: {ours.told(one)}", "switched on again", advice, verdict)
        told += findings(check, [problem], "", name)
    if len(found) > MAX_NAMED:
        more = Problem(f"{len(found) - MAX_NAMED} more", "none", "see CHANGE in the ledger")
        told += findings(check, [more], "", system or "every system")
    return told
