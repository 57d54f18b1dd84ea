"""What the facts say about an incident: green, red since, overdue, and when to look again. Pure."""

from __future__ import annotations

from selfheal.catalogue import ACTIONS
from selfheal.incident import DELETED, Incident, Phase, Status, StepRun
from selfheal.words import Stage

MARGIN_S = 5.0
LOOK_UP_AFTER_S = 45.0
LOOK_UP_PACED_AFTER_S = 150.0
"""An asked step without an answer is looked up after this; a paced one may stand in line for a while."""
LOOK_AGAIN_AFTER_S = 60.0
WATCH_EVERY_S = 300.0
NO_DATA_S = 3_600
"""A watched alarm that had no data for this long does not keep its incident open: what it watches may be stopped."""


def last_action_at(incident: Incident) -> float:
    """When selfheal last changed something to heal it, in epoch seconds; before that, when it went red."""
    done = [step.done_at or 0.0 for step in incident.steps if _healed(step)]
    return max(done, default=incident.red_at_ms / 1000)


def has_acted(incident: Incident) -> bool:
    """Something was done to heal it."""
    return any(map(_healed, incident.steps))


def _healed(step: StepRun) -> bool:
    return step.status is Status.DONE and step.stage is not Stage.RECOVER


def is_fresh_green(incident: Incident) -> bool:
    """Every alarm is OK, with a datapoint newer than the last action."""
    after = last_action_at(incident) * 1000
    return not incident.too_many and all(
        alarm.state == "OK" and alarm.last_datapoint_at is not None and alarm.last_datapoint_at > after
        for alarm in incident.alarms.values()
    )


def is_red_since_action(incident: Incident) -> bool:
    """An alarm went red after the last action, or is red with data that is newer."""
    after = last_action_at(incident) * 1000
    return any(
        alarm.is_red and max(alarm.state_at, alarm.last_datapoint_at or 0) > after for alarm in incident.alarms.values()
    )


def window_s(incident: Incident) -> float:
    """No alarm can clear before its whole window has passed since the action."""
    return max((alarm.window_s for alarm in incident.alarms.values()), default=0) + MARGIN_S


def settled_at(incident: Incident) -> float:
    """When red means that the last rung did not help. The windows may be known better now than when it acted."""
    rung_done = incident.remediated_at + window_s(incident) if incident.remediated_at is not None else 0.0
    return max(incident.settle_until or 0.0, rung_done)


def told_by_data_at(incident: Incident) -> float:
    """Until when an alarm that is not red may still get data that prove it green."""
    return max(settled_at(incident), last_action_at(incident) + window_s(incident))


def keeps_open(incident: Incident, now: float) -> bool:
    """A watched incident is not over yet."""
    return incident.is_waiting_for_answers() or any(
        alarm.is_red or (alarm.state not in {"OK", DELETED} and now < alarm.state_at / 1000 + NO_DATA_S)
        for alarm in incident.alarms.values()
    )


def is_overdue(incident: Incident, now: float) -> bool:
    """It should have been green by now."""
    return now >= overdue_at(incident)


def overdue_at(incident: Incident) -> float:
    """When a person is to be told that it is not green, in epoch seconds."""
    return (incident.began_at or incident.opened_at) + incident.escalate_after_s


def look_up_at(step: StepRun) -> float:
    """When the answer of an asked step is overdue."""
    after = LOOK_UP_PACED_AFTER_S if ACTIONS[step.action].paced else LOOK_UP_AFTER_S
    return step.retry_at or (step.asked_at or 0.0) + after


def next_due(incident: Incident, now: float) -> float | None:
    """When the clock must look at it again: never more than WATCH_EVERY_S away while it is open."""
    if incident.phase is Phase.CLOSED:
        return None
    times = [now + (LOOK_AGAIN_AFTER_S if incident.phase is Phase.HELD else WATCH_EVERY_S)]
    runs = (*incident.steps, *incident.probes)
    times += [look_up_at(step) for step in runs if step.status is Status.ASKED]
    times += [step.retry_at for step in incident.steps if step.status is Status.HELD and step.retry_at]
    if incident.phase is Phase.SETTLE:
        times.append(max(settled_at(incident), now + 1))
    if incident.escalated_at is None and incident.phase is not Phase.HELD:
        times.append(max(overdue_at(incident), now + 1))
    return min(times)
