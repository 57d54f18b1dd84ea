"""A matched alarm becomes an incident: the response's steps with their targets filled in from the alarm."""

from __future__ import annotations

from typing import Any

from selfheal.alarm import Alarm
from selfheal.errors import Refused
from selfheal.incident import AlarmState, Incident, Phase, Status, StepRun, incident_id, incident_key
from selfheal.runbook import Match, Step
from selfheal.words import Outcome, Stage


def subject_of(match: Match, alarm: Alarm) -> str:
    """The target that tells incidents of one response apart: the one taken from the alarm, else none."""
    for _, step in _steps(match):
        if "{alarm." in str(step.target):
            try:
                return step.target_for(alarm.dimensions).key
            except Refused:
                return f"alarm:{alarm.name}"
    return "-"


def _steps(match: Match) -> list[tuple[Stage, Step]]:
    return [(stage, step) for stage in Stage for step in match.response.steps(stage)]


def key_of(match: Match, alarm: Alarm) -> str:
    """The key under which at most one incident is open for this alarm."""
    return incident_key(match.system, match.response.name, subject_of(match, alarm))


def open_incident(match: Match, alarm: Alarm, now: float, *, again: bool = False) -> Incident:
    """A new incident, not advanced yet. A step whose target the alarm doesn't give is refused from the start.

    `again`: an incident of this state change was closed before; this one is told from it, and from its actions, by the
    time of the data that show it red anew.
    """
    response = match.response
    key = key_of(match, alarm)
    red_at = max(alarm.state_at, alarm.last_datapoint_at or 0) if again else alarm.state_at
    began = int(now * 1000) if again else alarm.state_at
    steps = tuple(_step(step, stage, number, alarm) for number, (stage, step) in enumerate(_steps(match)))
    incident = Incident(
        id=incident_id(key, began),
        system=match.system,
        response=response.name,
        subject=subject_of(match, alarm),
        severity=response.severity,
        mode=response.mode,
        opened_at=now,
        red_at_ms=red_at,
        escalate_after_s=response.escalate_after_s,
        useless_after=response.limits.useless,
        cooldown_s=max(response.cooldown_s, alarm.window_s),
        phase=Phase.HELD if alarm.muted else Phase.CONTAIN,
        held=alarm.muted[:200],
        steps=steps,
        respond_within_s=response.respond_within_s,
        procedures=tuple(filter(None, map(match.runbook.procedure, response.procedures))),
        probe=_step(response.probe, Stage.REMEDIATE, -1, alarm) if response.probe else None,
    )
    for step in steps:
        if step.status is Status.REFUSED:
            incident = incident.escalate(f"{step.label}: {step.detail}", now)
    return incident.with_alarm(state_of(alarm))


def state_of(alarm: Alarm) -> AlarmState:
    """What an incident keeps of an alarm."""
    return AlarmState(
        name=alarm.name,
        arn=alarm.arn,
        state=alarm.state,
        state_at=alarm.state_at,
        last_datapoint_at=alarm.last_datapoint_at,
        window_s=alarm.window_s,
        muted=alarm.muted[:200],
        reason=alarm.reason[:200],
    )


def _step(step: Step, stage: Stage, number: int, alarm: Alarm) -> StepRun:
    common: dict[str, Any] = {
        "number": number,
        "stage": stage,
        "action": step.action,
        "target_name": step.target_name,
        "settle_s": step.settle_s,
        "approval": step.approval,
        "options": dict(step.options),
    }
    try:
        target = step.target_for(alarm.dimensions)
    except Refused as error:
        return StepRun(
            **common,
            target={},
            target_key="",
            status=Status.REFUSED,
            outcome=Outcome.REFUSED.value,
            reason=error.refusal.value,
            detail=error.detail,
        )
    return StepRun(**common, target=target.as_dict(), target_key=target.key)
