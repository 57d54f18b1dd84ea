"""Is an incident of a system open? One asks that before a deployment: what is being healed is not deployed over."""

from __future__ import annotations

from selfheal import incident_store, world
from selfheal.checks.finding import Finding, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field
from selfheal.incident import Incident

KIND = CheckKind(
    "incidents",
    "no incident and no rollout of a system is open",
    {"system": Field(str, help="default: of any system")},
    main="system",
    named_by=("system",),
)
SERVICES = ("dynamodb",)
PERMISSIONS = ()
MAX_NAMED = 20


def look(check: Check) -> list[Finding]:
    """The open ones of the ledger; a finding for each."""
    system = check["system"]
    found = [one for one in incident_store.all_open(world.ledger()) if system in {None, one.system}]
    if not found:
        return findings(check, [], "no incident is open", system or "every system")
    told = [found_one for one in found[:MAX_NAMED] for found_one in findings(check, [_problem(one)], "", one.id)]
    if len(found) > MAX_NAMED:
        more = Problem(f"{len(found) - MAX_NAMED} more are open", "none", "see OPEN in the ledger")
        told += findings(check, [more], "", system or "every system")
    return told


def _problem(incident: Incident) -> Problem:
    if incident.rollout:
        return Problem(f"the rollout {incident.rollout} is under way", "no rollout", "let it end, or undo it")
    seen = f"{incident.severity} {incident.response} is open, in {incident.phase.value}"
    return Problem(seen, "no open incident", "let it end, or take it over; what is red would be deployed over")
