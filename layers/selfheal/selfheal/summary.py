"""The first five lines of whatever tells of an incident: a mail, a card, a page, a ticket.

1  what went red          `P1 shop: contained - checkout failing (errors is red since 08:00 UTC)`
2  what was done, and why
3  what was not done, and why
4  what it looks like now
5  what a person does next, and whether there is a way back
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from selfheal.commands import can_be_undone
from selfheal.frozen import dataclass
from selfheal.incident import Incident, Phase, Status, StepRun

HEADLINES = {
    "opened": "opened",
    "contained": "contained",
    "remediated": "remediated",
    "green": "green again",
    "escalated": "NEEDS YOU",
    "needs_person": "waits for your decision",
    "closed": "closed",
}
FOR_A_PERSON = frozenset({"escalated", "needs_person"})
_ROLLOUT_NEXT = {
    "rolled_out": "nothing; every step was done, and every gate was clean",
    "undone": "find out what was red; what the rollout enabled is disabled again",
    "escalated": "decide: undo it, or look and start the rollout again with `from`",
}
_NOT_DONE = (Status.REFUSED, Status.FAILED, Status.INCONCLUSIVE, Status.HELD, Status.SUGGESTED)
_SAID = {Status.SUGGESTED: "only suggested", Status.HELD: "held back"}
MAX_NAMED = 3


@dataclass(frozen=True)
class Summary:
    """`headline` without severity and system; `lines` are five, of any length and with whatever is in the names."""

    headline: str
    lines: tuple[str, str, str, str, str]

    def subject(self, incident: Incident) -> str:
        """One line for a list of messages."""
        return f"[{incident.severity}] {incident.system} {self.headline}: {incident.response}"


def of(what: str, detail: str, incident: Incident, also: Iterable[str] = (), alarm_count: int = 0) -> Summary:
    """The summary of one piece of news. `also` are the other news of the same moment, `alarm_count` all its alarms."""
    headline = _headline(what, incident, frozenset(also))
    red = _cause(incident, alarm_count)
    return Summary(
        headline,
        (
            f"{incident.severity} {incident.system}: {headline} - {incident.response} ({red})",
            f"Done: {_done(incident)}{_because(incident)}",
            f"Not done: {_not_done(incident)}",
            f"Now: {_now(what, detail, incident)}",
            f"Next: {_next(what, incident)}",
        ),
    )


def _headline(what: str, incident: Incident, also: frozenset[str]) -> str:
    if what == "closed":
        return f"closed as {incident.verdict}"
    if what == "opened" and incident.repeats:
        return f"opened again ({_flapped(incident)})"
    if what == "needs_person" and also & {"green", "closed"} and incident.green_at is not None:
        return f"{HEADLINES['green']}, {HEADLINES[what]}"
    return HEADLINES[what]


def _flapped(incident: Incident) -> str:
    return f"{incident.repeats + 1} times since {_clock(incident.flapping_since or incident.red_at_ms / 1000)}"


def _cause(incident: Incident, count: int) -> str:
    if incident.rollout:
        return f"rollout {incident.rollout}, started by {incident.requested_by}"
    red_first = sorted(incident.alarms.values(), key=lambda alarm: not alarm.is_red)
    more = max(count, len(red_first)) - MAX_NAMED
    names = ", ".join(alarm.name[:60] for alarm in red_first[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
    state = "red since" if incident.is_red else "was red at"
    again = sum(alarm.flaps for alarm in incident.alarms.values())
    flaps = f", and again {again} times" if again > 1 else ", and once again" if again else ""
    return f"{names} {state} {_clock(incident.red_at_ms / 1000)}{flaps}"


def _done(incident: Incident) -> str:
    done = [step.detail or step.label for step in incident.steps if step.status is Status.DONE]
    asked = [step.label for step in incident.steps if step.status is Status.ASKED]
    told = "; ".join(done) or ("nothing yet" if incident.phase is not Phase.CLOSED else "nothing")
    return f"{told}; under way: {', '.join(asked)}" if asked else told


def _because(incident: Incident) -> str:
    reasons = [alarm.reason for alarm in incident.alarms.values() if alarm.reason]
    return f". Why: {reasons[0]}" if reasons else ""


def _not_done(incident: Incident) -> str:
    left = [step for status in _NOT_DONE for step in incident.steps if step.status is status]
    if not left:
        return "nothing was refused"
    told = "; ".join(map(_why_not, left[:MAX_NAMED]))
    return f"{told}; and {len(left) - MAX_NAMED} more" if len(left) > MAX_NAMED else told


def _why_not(step: StepRun) -> str:
    why = ": ".join(dict.fromkeys(part for part in (step.reason, step.detail) if part))
    return f"{step.label} {_SAID.get(step.status, step.status.value)}" + (f" ({why[:150]})" if why else "")


def _now(what: str, detail: str, incident: Incident) -> str:
    if incident.rollout:
        state = f"the rollout is over: {incident.verdict}" if incident.verdict else "the rollout is under way"
    elif incident.is_red:
        state = "still red" if what != "opened" else "red"
    else:
        state = "no alarm is red" if incident.green_at is None else "green"
    if incident.phase is Phase.CLOSED and not incident.rollout:
        state += f"; closed as {incident.verdict}"
    if what == "remediated":
        return f"{state}; it is waited for whether that helped"
    told = {"escalated", "needs_person", "green"}
    return f"{state}; {detail}" if detail and what in told else state


def _next(what: str, incident: Incident) -> str:
    back = "; undo by the command below" if can_be_undone(incident) else ""
    waiting = [step.label for step in incident.steps if step.status is Status.NEEDS_PERSON]
    if waiting:
        return f"decide on {', '.join(waiting[:MAX_NAMED])}: approve or deny by the commands below{back}"
    if incident.rollout:
        nothing = "nothing; you will hear when it is done, or when it needs you"
        return f"{_ROLLOUT_NEXT.get(incident.verdict, nothing)}{back}"
    if what == "escalated":
        return f"look at it now; selfheal does no more by itself than the steps below say{back}"
    if any(step.status is Status.SUGGESTED for step in incident.steps):
        return f"decide whether to do what is suggested; the commands are below{back}"
    if what == "closed":
        return f"find the root cause; what was halted stays halted until a person switches it on{back}"
    return f"nothing; you will hear when it is green, or when it needs you{back}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")
