"""A ledger with something of everything that the control room shows; texts in it are `text`, hostile ones too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from selfheal import approvals, closed, incident_store, refusals, scores
from selfheal import ledger as table
from selfheal.control_room import decisions, in_force
from selfheal.control_room.room import Room, Sweep
from selfheal.errors import Refused
from selfheal.incident import Incident, Phase, Status
from selfheal.ledger import Ledger
from selfheal.pauses import Pause
from selfheal.refusal import Refusal
from selfheal.runbook import Response
from selfheal.scores import Score
from selfheal.words import Outcome

from tests.unit.incidents import START, Story, alarm, incident
from tests.unit.responding import response

APPROVE = "arn:aws:lambda:eu-central-1:123456789012:function:selfheal-Approve-1"
UNDO = "arn:aws:lambda:eu-central-1:123456789012:function:selfheal-Undo-1"


def responses(text: str = "function failing") -> list[Response]:
    """What the runbooks answer."""
    return [response(system="demo", name=text), response(system="demo", name="another")]


def green(**more: Any) -> Incident:
    """Contained, rolled back, green; a step of it waits for a person."""
    told = Story(incident(contain="halt_trading disable_schedule", recover="resume_trading!", **more))
    told.go()
    told.now += 1.2
    told.answer("halt_trading")
    told.answer("disable_schedule")
    told.now += 6
    told.answer("roll_back_alias")
    told.sees(alarm("OK", START + 230, data=START + 225))
    told.later(300)
    return told.incident


def named(one: Incident, text: str, key: str = "11111111") -> Incident:
    """The same with `text` in every place where an alarm, AWS or a person may have written it."""
    steps = tuple(replace(step, target_name=text, detail=text, reason="leased") for step in one.steps)
    alarms = {arn: replace(state, name=text, reason=text) for arn, state in one.alarms.items()}
    return replace(one, id=f"demo-{key}-1a", response=text, steps=steps, alarms=alarms, escalations=(text,))


def fill(ledger: Ledger, text: str, now: float, *, requested_by: str = "ann") -> Incident:
    """One open incident that waits for a person, another that is held, changes, a pause, refusals, sweeps."""
    waits = replace(named(green(), text), phase=Phase.RECOVER, closed_at=None, verdict="")
    step = next(one for one in waits.steps if one.status is Status.NEEDS_PERSON)
    incident_store.commit(ledger, replace(waits, version=0), now, offers=(step,))
    told = Story(incident())
    told.go()
    told.answer("halt_trading", Outcome.REFUSED, "paused", detail=text)
    held = named(told.incident, text, "22222222")
    ledger.write(table.put("OPEN", held.key, held.as_doc(), revision=1))
    over = replace(named(green(), text, "33333333"), verdict="healed", closed_at=now - 60)
    ledger.write(closed.listed(over, now - 60))
    change = {
        "action": "halt_trading", "action_id": f"{text}.0.1", "function": "switch_trading", "incident": waits.id,
        "target": {"parameter": text}, "system": text, "before": {}, "after": {}, "summary": text, "at": now - 7_300,
    }  # fmt: skip
    ledger.write(table.put("CHANGE", "parameter#1", change))
    for name, what in (("*", "risky"), (text or "-", "all"), (held.id, "all")):
        doc = {"what": what, "who": requested_by, "reason": text, "since": "2027-01-15 08:00:00 UTC", "until": ""}
        ledger.write(table.put("PAUSE", name, doc, paused_until=now + 3_600))
    refusals.keep("record", Refused(Refusal.NO_RUNBOOK, text), {"alarm": text})
    sweep = {"action_id": "1", "verdict": "fail", "passed": 9, "failed": 1, "unknown": 0, "report": "", "digest": "",
             "worst": text, "known": {}}  # fmt: skip
    ledger.write(table.put("SWEEPRESULT", f"demo|{text}", sweep, swept_at=now - 600))
    ledger.write(table.put("DRILL", "LAST", {"passed": True}, passed=1, at=now - 86_400))
    ledger.write(table.add("SCORE", f"demo|{text}", {"incidents": 12, "suggested": 10, "healed": 2}))
    return waits


def full_of(text: str, now: float) -> Room:
    """As many of each kind as are shown, with `text` wherever something that came in is shown."""
    one = replace(named(green(), text), phase=Phase.RECOVER, system=text)
    held = Story(incident())
    held.go()
    held.answer("halt_trading", Outcome.REFUSED, "paused", detail=text)
    incidents = [one, *(replace(named(held.incident, text), held=text, phase=phase) for phase in Phase)]
    request = {"incident": one.id, "system": text, "target": {"parameter": text}}
    change = {"action": "halt_trading", "action_id": text, "target": {text: text}, "system": text, "summary": text}
    record = {"reason": text, "detail": text, "at": now}
    return Room(
        now=now,
        incidents=incidents,
        more_incidents=1,
        waiting=[approvals.Waiting(text, text, request, now + 60, "waiting")],
        changes=[{**change, "at": now}] * (in_force.MAX_SHOWN + 1),
        pauses=[Pause(name, "all", text, text, text, text, now + 60) for name in (text, one.id)],
        refusals=[record] * (decisions.MAX_SHOWN + 1),
        closed=[closed.brief(replace(one, closed_at=now, verdict=text))],
        scores=[Score(response, dict.fromkeys(scores.COUNTERS, 1)) for response in responses(text)],
        sweeps=[Sweep(text, text, now, text, 1, 2, 3, text)],
        drill={"passed": 1, "at": now},
        unreadable=1,
    )
