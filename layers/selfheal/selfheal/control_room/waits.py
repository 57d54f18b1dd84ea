"""What an open incident waits for, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.control_room.parts import View, cut
from selfheal.incident import Incident, Phase, Status, StepRun
from selfheal.refusal import Refusal


def of(incident: Incident, view: View) -> list[str]:
    """At least one sentence."""
    return list(_told(incident, view)) or ["the clock, which looks at it every minute"]


def _told(incident: Incident, view: View) -> Iterator[str]:
    if incident.phase is Phase.HELD:
        yield cut(f"it is held: {incident.held}")
    for step in (*incident.steps, *incident.probes):
        if step.status is Status.NEEDS_PERSON:
            yield f"a person, who decides on {step.label}"
        elif step.status is Status.ASKED:
            yield f"the answer of {step.label}, asked {view.ago(step.asked_at or view.now)} ago"
        elif step.status is Status.HELD:
            again = f"; asked again at {view.at(step.retry_at)}" if step.retry_at else ""
            yield cut(f"{step.label} is held back: {why(step)}{again}")
    if incident.phase is Phase.SETTLE and incident.settle_until:
        settles = incident.settle_until > view.now
        more = f"the alarm: it settles for {view.left(incident.settle_until)} more"
        yield more if settles else "the alarm, with data newer than the last step"
    if incident.phase is Phase.WATCH:
        yield "people: selfheal has done what it may, and watches until it is green"


def why(step: StepRun) -> str:
    """The reason in a sentence."""
    return step.detail or sentence(step.reason)


def sentence(reason: str) -> str:
    """That of a refusal; anything else as it is."""
    try:
        return Refusal(reason).sentence
    except ValueError:
        return reason
