"""What the outcome of one step means for its incident. Pure."""

from __future__ import annotations

from dataclasses import replace

from selfheal.frozen import dataclass
from selfheal.incident import GOOD_STATUSES, MAX_TEXT, Incident, Phase, Status, StepRun, status_of
from selfheal.judgement import MARGIN_S
from selfheal.refusal import Refusal
from selfheal.words import Outcome, Stage

RETRY_AFTER_S = 60.0
RETRY_AT_LEAST_EVERY_S = 300.0
RESUME_AFTER_S = 20.0
HELD_AT_MOST_S = 86_400.0
"""A day: a refusal that says when it is over is not believed for longer."""

HELD_BACK = frozenset(
    {
        Refusal.PAUSED,
        Refusal.TAKEN_OVER,
        Refusal.MAINTENANCE,
        Refusal.STORM,
        Refusal.LEASED,
        Refusal.TARGET_OWNED,
        Refusal.COOLDOWN,
        Refusal.ALARM_MUTED,
        Refusal.ALARM_MOVED_ON,
        Refusal.GUARD_UNREADABLE,
        Refusal.TARGET_UNREADABLE,
        Refusal.EVIDENCE_MISSING,
        Refusal.TOO_LATE,
    }
)
"""Refusals that pass by themselves: the step is held and asked again later."""

DOES_NOT_APPLY = frozenset({Refusal.OLDER_THAN_DEPLOYMENT, Refusal.NO_EARLIER_VERSION, Refusal.NO_EARLIER_REVISION})
"""Refusals that say that a rung is not for this case: there is no deployment to blame, or nothing to go back to. The
next rung is tried ("roll back only if it was deployed lately, else limit"); without one, a person is told."""


@dataclass(frozen=True)
class Finished:
    """What an action answered for a step. `until`: when a refusal is over (epoch seconds), where that is known.
    `captured`: where the evidence lies."""

    action_id: str
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    until: float | None = None
    captured: str = ""


def take(incident: Incident, finished: Finished, now: float) -> Incident:
    """The incident after this answer. An answer to nothing that was asked (a duplicate, an old try) changes nothing."""
    step = incident.step_of(finished.action_id)
    if step is None or step.status is not Status.ASKED:
        return incident
    detail = finished.detail[:MAX_TEXT]
    if finished.outcome is Outcome.IN_PROGRESS:
        return incident.with_step(replace(step, retry_at=now + RESUME_AFTER_S, detail=detail))
    answered = replace(
        step,
        status=status_of(finished.outcome),
        done_at=now,
        retry_at=None,
        outcome=finished.outcome.value,
        reason=finished.reason,
        detail=detail,
        captured=finished.captured[:MAX_TEXT] or step.captured,
    )
    refused = finished.reason if finished.outcome is Outcome.REFUSED else ""
    if step.number < 0:
        return _probed(incident.with_step(answered), refused, finished.until, now)
    if refused in HELD_BACK:
        return _hold(incident, answered, finished.until, now)
    if refused == Refusal.NOT_RED and step.stage is not Stage.RECOVER:
        return _no_longer_red(incident, answered, now)
    incident = incident.with_step(answered)
    if step.stage is Stage.REMEDIATE:
        return _remediated(incident, answered, now)
    if step.stage is Stage.CONTAIN and answered.status not in GOOD_STATUSES:
        return incident.escalate(f"containment: {_in_words(answered)}", now)
    return incident


def _probed(incident: Incident, refused: str, until: float | None, now: float) -> Incident:
    """A probe that was refused for a time is asked again when that is over; until then nothing is judged."""
    if refused not in HELD_BACK or until is None or incident.phase is not Phase.SETTLE:
        return incident
    again_at = _not_before(until, now)
    return replace(_waits_for(incident, refused, again_at), settle_until=max(incident.settle_until or 0.0, again_at))


def _not_before(until: float, now: float) -> float:
    return min(max(until, now + 1.0), now + HELD_AT_MOST_S)


def _waits_for(incident: Incident, refused: str, until: float) -> Incident:
    """Time to escalate does not run in a maintenance window: at its end the incident has all its time."""
    if refused != Refusal.MAINTENANCE:
        return incident
    return replace(incident, began_at=max(incident.began_at or 0.0, until))


def _hold(incident: Incident, step: StepRun, until: float | None, now: float) -> Incident:
    retry_at = now + min(RETRY_AFTER_S * step.tries, RETRY_AT_LEAST_EVERY_S)
    if until is not None:
        retry_at = _not_before(until, now)
    incident = _waits_for(incident, step.reason, retry_at)
    held = replace(step, status=Status.HELD, done_at=None, retry_at=retry_at)
    incident = replace(incident.with_step(held), held=_in_words(step)[:MAX_TEXT])
    if not incident.is_red or step.stage is Stage.RECOVER or step.reason == Refusal.TAKEN_OVER:
        return incident
    return incident.escalate(f"held back while the alarm is red: {step.label}: {step.reason}", now)


def _no_longer_red(incident: Incident, step: StepRun, now: float) -> Incident:
    """The alarm cleared before the step ran. It waits for the judgement of settle, and comes again if that says red."""
    again = replace(step, status=Status.WAITING, tries=step.tries + 1, asks=0, done_at=None)
    incident = incident.with_step(again)
    if incident.phase is Phase.WATCH:
        return incident
    return replace(incident, phase=Phase.SETTLE, settle_until=max(incident.settle_until or 0.0, now + MARGIN_S))


def _remediated(incident: Incident, step: StepRun, now: float) -> Incident:
    not_for_this_case = step.status is Status.REFUSED and step.reason in DOES_NOT_APPLY
    if step.status is Status.NOTHING_TO_DO or (not_for_this_case and _has_a_next_rung(incident)):
        return incident
    if step.status is not Status.DONE:
        return replace(incident.escalate(_in_words(step), now), phase=Phase.WATCH, settle_until=None)
    incident = replace(incident, remediated_at=now, held="")
    if incident.phase is Phase.WATCH:
        return incident
    return replace(incident, phase=Phase.SETTLE, settle_until=now + max(float(step.settle_s), MARGIN_S))


def _has_a_next_rung(incident: Incident) -> bool:
    if incident.phase is Phase.WATCH:
        return False
    return any(step.is_open for step in incident.of(Stage.REMEDIATE))


def _in_words(step: StepRun) -> str:
    return f"{step.label} {step.status.value.replace('_', ' ')}: {step.detail or step.reason}"
