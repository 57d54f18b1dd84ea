"""The clock: once a minute it finishes what got lost and goes on with what is due. Waiting costs no compute.

Due incidents are read consistently from the ledger. For a step without an answer the action's record is read: a
finished one is taken in, a running one is waited for, any other is asked again under the same action_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfheal import (
    drills,
    in_force,
    incident_store,
    maintenance_ahead,
    mutes,
    outbox,
    pauses,
    record,
    red_alarms,
    reminders,
    starter,
    sweeps,
    unrecorded,
    watches,
)
from selfheal.alarm import from_description
from selfheal.errors import SelfhealError, Unreadable
from selfheal.guards.alarm import read_alarms
from selfheal.incident import DELETED, SAME_CHANGE_MS, AlarmState, Incident, Phase, Status, StepRun
from selfheal.judgement import look_up_at
from selfheal.mutes import Mutes
from selfheal.observability import logger
from selfheal.opening import state_of
from selfheal.respond import Respond
from selfheal.rounds import Round, run_due
from selfheal.step_outcome import Finished
from selfheal.words import Outcome

MAX_ASKS = 20
"""An unfinished step is asked this often (long work goes on for about 20 Lambda runs), then a person looks."""


def tick(respond: Respond) -> dict[str, Any]:
    """Take in what the ledger missed; advance every incident that is due, the longest due first; then start sweeps.

    One that fails is told as `failed` and does not stand in the way of the others. Raises LedgerUnavailable if the
    open ones can't be read.
    """
    now = respond.now()
    incidents = list(incident_store.all_open(respond.ledger))  # first: without the ledger nothing below makes sense
    if ingested := unrecorded.ingest(respond):
        incidents = list(incident_store.all_open(respond.ledger))
    due = sorted((one for one in incidents if (one.due or 0.0) <= now), key=lambda one: one.due or 0.0)
    decisions = [_advance_one(respond, incident, now) for incident in _with_fresh_alarms(due, now)]
    resent = outbox.deliver_left(respond.ledger, now)
    swept = sweeps.start_due(respond.ledger, respond.runbooks, respond.start, now)
    told = {"open": len(incidents), "due": len(due), "ingested": ingested, "resent": resent}
    rounds = run_due(respond.ledger, _rounds(respond, incidents, now), now)
    return {**told, "decisions": decisions, "sweeps": swept, "rounds": rounds}


def _rounds(respond: Respond, incidents: list[Incident], now: float) -> tuple[Round, ...]:
    ledger = respond.ledger
    return (
        Round("red_alarms", red_alarms.EVERY_S, lambda: red_alarms.take_in(respond, incidents)),
        Round("pauses", 0.0, lambda: pauses.tell_ended(ledger, now)),
        Round("in_force", in_force.EVERY_S, lambda: in_force.look(ledger, starter.ask_for_plan, now)),
        Round("maintenance", 0.0, lambda: maintenance_ahead.look(ledger, respond.runbooks, respond.start, now)),
        Round("watches", 0.0, lambda: watches.go_on(_watching(respond), now)),
        Round("drill", drills.WATCH_EVERY_S, lambda: drills.watch(ledger, now)),
        Round("reminders", reminders.EVERY_S, lambda: reminders.remind(ledger, now)),
    )


def _watching(respond: Respond) -> watches.Tools:
    return watches.Tools(respond.ledger, respond.runbooks, respond.start, starter.ask_for_plan)


def _with_fresh_alarms(incidents: list[Incident], now: float) -> list[Incident]:
    """The alarms of all due incidents as they are now, 100 per call.

    What can't be read is judged at the next tick; only containment, which judges nothing, and rollouts, which have no
    alarms of their own, go on without.
    """
    names = sorted({alarm.name for incident in incidents for alarm in incident.alarms.values()})
    try:
        found = {state.arn: state for state in (state_of(from_description(alarm)) for alarm in read_alarms(names))}
    except Unreadable as error:
        logger.warning("alarms not read, nothing is judged on old facts", cause=str(error))
        return [incident for incident in incidents if incident.phase is Phase.CONTAIN or incident.rollout]
    muted = _mutes(incidents)
    for index, incident in enumerate(incidents):
        fresh = incident
        for known in incident.alarms.values():
            as_it_is = _as_it_is(known, found.get(known.arn), now, muted)
            fresh = fresh.with_alarm(as_it_is, tolerance_ms=SAME_CHANGE_MS)
        incidents[index] = fresh
    return incidents


def _mutes(incidents: list[Incident]) -> Mutes:
    """Asked for only where a mute holds something up."""
    if not any(alarm.muted for incident in incidents for alarm in incident.alarms.values()):
        return Mutes()
    try:
        return mutes.active()
    except Unreadable as error:
        logger.warning("mute rules not read, what is muted stays so for now", cause=str(error))
        return Mutes(not_read=str(error))


def _as_it_is(known: AlarmState, found: AlarmState | None, now: float, muted: Mutes) -> AlarmState:
    """Where mute rules can't be read, a mute ends with the delivery that CloudWatch sends at its end."""
    if found is None:
        return known if known.state == DELETED else replace(known, state=DELETED, state_at=int(now * 1000))
    return replace(found, muted=found.muted or muted.of(known.name, known.muted))


def _advance_one(respond: Respond, incident: Incident, now: float) -> dict[str, Any]:
    try:
        return _look_up_and_advance(respond, incident, now)
    except SelfhealError as error:
        logger.error("incident not advanced", incident=incident.id, cause=str(error))
        return {"decision": "failed", "incident": incident.id, "detail": str(error), "retry": True}


def _look_up_and_advance(respond: Respond, incident: Incident, now: float) -> dict[str, Any]:
    finished: list[Finished] = []
    again: list[str] = []
    for step in (*incident.steps, *incident.probes):
        if step.status is not Status.ASKED or now < look_up_at(step):
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
        result = record.read_result(found["doc"]["result"])
        return Finished(action_id, result.outcome, result.reason, result.detail, result.until, result.captured)
    if step.asks >= MAX_ASKS:
        return Finished(action_id, Outcome.INCONCLUSIVE, "no_answer", f"no answer after {step.asks} requests")
    return None
