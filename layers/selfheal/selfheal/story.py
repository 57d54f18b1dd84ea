"""The story of one incident: what happened when, in order, as its item in the ledger tells it.

What draws a timeline (the control room, the report, a terminal) draws these moments and adds none of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.frozen import dataclass
from selfheal.incident import GOOD_STATUSES, Incident, Status, StepRun
from selfheal.words import Stage

_NOT_STARTED = frozenset({Status.WAITING, Status.SKIPPED})
_BAD = frozenset({Status.FAILED, Status.INCONCLUSIVE})


@dataclass(frozen=True)
class Moment:
    """Something that happened. Times in epoch seconds.

    `kind`: alarm, opened, held, contain, remediate, recover, probe, person, contained, green, escalated, closed.
    `title` fits on a line (`roll_back_alias live`), `detail` says more. `good`: None where it is neither good nor bad.
    `until`: when what took a while was over; None: it took no time, or still goes on. `step`: its number, if it is one.
    """

    at: float
    kind: str
    title: str
    detail: str = ""
    good: bool | None = None
    until: float | None = None
    step: int | None = None


@dataclass(frozen=True)
class Times:
    """Seconds from the alarm's red; None: not yet, or never."""

    contained_s: float | None
    remediated_s: float | None
    green_s: float | None
    escalated_s: float | None
    closed_s: float | None


def of(incident: Incident) -> list[Moment]:
    """Every moment, in the order of time; of the same time, in the order of the incident's life."""
    moments = [*_alarms(incident), *_opening(incident), *_steps(incident), *_milestones(incident)]
    return sorted(moments, key=lambda moment: moment.at)


def times(incident: Incident) -> Times:
    """How long it took, counted from the alarm's red."""

    def since_red(at: float | None) -> float | None:
        return None if at is None else max(0.0, at - incident.red_at_ms / 1000)

    return Times(
        contained_s=since_red(incident.contained_at),
        remediated_s=since_red(incident.remediated_at),
        green_s=since_red(incident.green_at),
        escalated_s=since_red(incident.escalated_at),
        closed_s=since_red(incident.closed_at),
    )


def began(incident: Incident, step: StepRun) -> float:
    """When a step was asked for; one of recovery that waits for a person was offered once it was green."""
    offered = incident.green_at if step.stage is Stage.RECOVER else None
    return step.asked_at or step.done_at or offered or incident.opened_at


def _alarms(incident: Incident) -> Iterator[Moment]:
    if incident.rollout:
        return
    yield Moment(incident.red_at_ms / 1000, "alarm", "red", ", ".join(_red_names(incident)), good=False)
    for alarm in incident.alarms.values():
        if not alarm.is_red:
            yield Moment(alarm.state_at / 1000, "alarm", f"{alarm.name} {alarm.state}", alarm.reason)


def _red_names(incident: Incident) -> list[str]:
    return [alarm.name for alarm in incident.alarms.values()]


def _opening(incident: Incident) -> Iterator[Moment]:
    what = f"rollout {incident.rollout} begun by {incident.requested_by}" if incident.rollout else "incident opened"
    yield Moment(incident.opened_at, "opened", what, f"{incident.severity} {incident.system}: {incident.response}")
    if incident.held:
        yield Moment(incident.opened_at, "held", "held", incident.held)


def _steps(incident: Incident) -> Iterator[Moment]:
    for step in incident.steps:
        if step.status in _NOT_STARTED:
            continue
        yield _moment(incident, step, "person" if step.status is Status.NEEDS_PERSON else step.stage.value)
    for run in incident.probes:
        yield _moment(incident, run, "probe")


def _moment(incident: Incident, step: StepRun, kind: str) -> Moment:
    status = step.status.value.replace("_", " ")
    return Moment(
        at=began(incident, step),
        kind=kind,
        title=f"{step.label.strip()}: {status}",
        detail=step.detail or step.reason,
        good=True if step.status in GOOD_STATUSES else False if step.status in _BAD else None,
        until=step.done_at,
        step=step.number,
    )


def _milestones(incident: Incident) -> Iterator[Moment]:
    if incident.contained_at is not None:
        yield Moment(incident.contained_at, "contained", "contained", good=True)
    if incident.green_at is not None:
        yield Moment(incident.green_at, "green", "green again", good=True)
    if incident.escalated_at is not None:
        yield Moment(incident.escalated_at, "escalated", "needs a person", "; ".join(incident.escalations), good=False)
    if incident.closed_at is not None:
        yield Moment(incident.closed_at, "closed", f"closed as {incident.verdict}", good=incident.verdict == "healed")
