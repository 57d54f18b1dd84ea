"""The request that is sent for a step of an incident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from selfheal.incident import Incident, StepRun
from selfheal.words import Mode, Origin, Stage

NOT_AFTER = timedelta(minutes=15)
"""An alarm's request that is older than this is not carried out: the world has moved on."""

MAX_ALARMS = 100
"""As many as one call reads again."""


def request_event(incident: Incident, step: StepRun, *, now: float, hops: int) -> dict[str, Any]:
    """The event of a step. Its alarms are read again by the guard, but only while an alarm is what makes it red."""
    red = [alarm for alarm in incident.alarms.values() if alarm.is_red]
    heals = step.stage is not Stage.RECOVER and step.number >= 0
    again = red[:MAX_ALARMS] if heals else []
    origin = Origin.ALARM if step.stage is Stage.CONTAIN else Origin.LADDER
    event = {
        "action": step.action,
        "action_id": incident.action_id(step),
        "target": dict(step.target),
        "reason": f"{incident.response}: {red[0].reason[:300] if red else _why(incident, step)}",
        "mode": (Mode.RESUME if step.asks > 1 else Mode.ACT).value,
        "origin": origin.value,
        "not_after": (datetime.fromtimestamp(now, UTC) + NOT_AFTER).isoformat(),
        "incident": incident.id,
        "system": incident.system,
        "response": incident.response,
        "alarms": [{"name": alarm.name, "arn": alarm.arn, "state_at": str(alarm.state_at)} for alarm in again],
        "response_mode": incident.mode.value,
        "cooldown_s": incident.cooldown_s,
        "options": {name: value for name, value in step.options.items() if value is not None},
        "hops": hops,
    }
    return event | _undo(incident, step) if step.undo_of is not None else event


def _why(incident: Incident, step: StepRun) -> str:
    return f"started by {incident.requested_by}" if incident.rollout else step.stage.value


def _undo(incident: Incident, step: StepRun) -> dict[str, Any]:
    """An undo is in the name of the person who started what is undone."""
    undone = next(one for one in incident.steps if one.number == step.undo_of)
    return {
        "origin": Origin.UNDO.value,
        "undo_of": incident.action_id(undone),
        "requested_by": f"{incident.requested_by} ({incident.response})",
        "options": {},
    }
