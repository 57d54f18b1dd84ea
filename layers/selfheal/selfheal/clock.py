"""The clock: once a minute it finishes what got lost and goes on with what is due. Waiting costs no compute.

Due incidents are read consistently from the ledger. For a step without an answer the action's record is read: a
finished one is taken in, a running one is waited for, any other is asked again under the same action_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfheal import incident_store, record, sweeps
from selfheal.alarm import from_description
from selfheal.errors import Unreadable
from selfheal.guards.alarm import read_alarms
from selfheal.incident import Incident, Status, StepRun
from selfheal.ladder import REPAIR_AFTER_S
from selfheal.observability import logger
from selfheal.opening import state_of
from selfheal.respond import Respond
from selfheal.step_outcome import Finished
from selfheal.words import Outcome

MAX_ASKS = 20
"""An unfinished step is asked this often (long work goes on for about 20 Lambda runs), then a person looks."""


def tick(respond: Respond) -> dict[str, Any]:
    """Advance every incident and start every sweep that is due; answers what was open, due and done."""
    now = respond.now()
    incidents = list(incident_store.all_open(respond.ledger))
    due = [incident for incident in incidents if incident.due is None or incident.due <= now]
    decisions = [_advance_one(respond, incident, now) for incident in _with_fresh_alarms(due)]
    swept = sweeps.start_due(respond.ledger, respond.runbooks, respond.start, now)
    return {"open": len(incidents), "due": len(due), "decisions": decisions, "sweeps": swept}


def _with_fresh_alarms(incidents: list[Incident]) -> list[Incident]:
    """The alarms of all due incidents as they are now, 100 per call. What can't be read is judged at the next tick."""
    names = sorted({alarm.name for incident in incidents for alarm in incident.alarms.values()})
    if not names:
        return incidents
    try:
        described = [state_of(from_description(alarm)) for alarm in read_alarms(names)]
    except Unreadable as error:
        logger.warning("alarms not read, nothing is judged on old facts", cause=str(error))
        return []
    for state in described:
        incidents = [
            incident.with_alarm(replace(state, muted=incident.alarms[state.arn].muted or state.muted))
            if state.arn in incident.alarms
            else incident
            for incident in incidents
        ]
    return incidents


def _advance_one(respond: Respond, incident: Incident, now: float) -> dict[str, Any]:
    finished: list[Finished] = []
    again: list[str] = []
    for step in (*incident.steps, *incident.probes):
        if step.status is not Status.ASKED or now < (step.retry_at or (step.asked_at or 0) + REPAIR_AFTER_S):
            continue
        found = record.find(respond.ledger, incident.action_id(step))
        busy_until = float(found["claimed_until"]) if found and found["run"] == "running" else 0.0
        if busy_until > now:
            incident = incident.with_step(replace(step, retry_at=busy_until))
        elif (answer := _answer(found, incident, step)) is not None:
            finished.append(answer)
        else:
            again.append(incident.action_id(step))
            incident = incident.with_step(replace(step, asked_at=now, retry_at=None, asks=step.asks + 1))
    decision = respond.advance_again(incident, tuple(finished))
    if decision["decision"] == "advanced":
        respond.ask_again(incident, again)
    return decision


def _answer(found: Mapping[str, Any] | None, incident: Incident, step: StepRun) -> Finished | None:
    """What the action's record says about an asked step; None: ask again."""
    action_id = incident.action_id(step)
    if found is not None and found["run"] == "done":
        result = found["doc"]["result"]
        return Finished(action_id, Outcome(result["outcome"]), result["reason"], result["detail"])
    if step.asks >= MAX_ASKS:
        return Finished(action_id, Outcome.INCONCLUSIVE, "no_answer", f"no answer after {step.asks} requests")
    return None
