"""The ladder: what an incident does next. Pure: no I/O and no clock of its own, so that it can be property-tested.

    held ─► contain ─► remediate ⇄ settle ─► recover ─► closed (healed)
                            └─────────┴────────► watch ─► closed (escalated)

Contain steps start at once and in parallel. Remediate goes one rung at a time; after each that acted it settles: green
ends the ladder, red goes one rung up, what can't be told goes to a person and is never repeated. Recover runs in
order once it is green.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from selfheal.incident import GOOD_STATUSES, Incident, Phase, Status, StepRun
from selfheal.step_outcome import Finished, take
from selfheal.words import Stage

REPAIR_AFTER_S = 150.0
"""An asked step without an answer is looked up after this: longer than an action function can run with its lease."""
LOOK_AGAIN_AFTER_S = 60.0
WATCH_EVERY_S = 300.0
MAX_PROBES_PER_RUNG = 2


@dataclass
class Advance:
    """What comes next: the incident as it is to be recorded, the steps to ask for, and the news for people."""

    incident: Incident
    asks: list[StepRun] = field(default_factory=list)
    news: list[dict[str, Any]] = field(default_factory=list)


def advance(incident: Incident, now: float, *, finished: tuple[Finished, ...] = (), may_ask: bool = True) -> Advance:
    """Take in what has finished and go as far as it goes without new facts. `now` in epoch seconds.

    Without `may_ask` nothing is asked; the incident is due at once instead, so that the clock goes on.
    """
    known = len(incident.escalations)
    for one in finished:
        incident = take(incident, one, now)
    done = _Ladder(incident, now, may_ask).climb()
    done.news += [{"what": "escalated", "detail": why} for why in done.incident.escalations[known:]]
    return done


class _Ladder:
    """One advance; a method per phase."""

    def __init__(self, incident: Incident, now: float, may_ask: bool) -> None:
        self.incident = incident
        self.now = now
        self.may_ask = may_ask
        self.postponed = False
        self.asks: list[StepRun] = []
        self.news: list[dict[str, Any]] = []

    def climb(self) -> Advance:
        phases = {
            Phase.HELD: self._held,
            Phase.CONTAIN: self._contain,
            Phase.REMEDIATE: self._remediate,
            Phase.SETTLE: self._settle,
            Phase.RECOVER: self._recover,
            Phase.WATCH: self._watch,
        }
        self._retry_what_was_held()
        while self.incident.phase is not Phase.CLOSED:
            before = self.incident
            phases[before.phase]()
            if self.incident == before:
                break
        self._look_at_the_time()
        self._set(due=self._next_due())
        return Advance(self.incident, self.asks, self.news)

    # -- phases -------------------------------------------------------------------------------------------------

    def _held(self) -> None:
        """Nothing happens while the only red alarms are muted."""
        red = [alarm for alarm in self.incident.alarms.values() if alarm.is_red]
        if any(not alarm.muted for alarm in red):
            self._set(phase=Phase.CONTAIN, held="")
        elif not red:
            self._close("cleared")

    def _contain(self) -> None:
        steps = self.incident.of(Stage.CONTAIN)
        for step in steps:
            if step.status is Status.WAITING:
                self._ask(step)
        steps = self.incident.of(Stage.CONTAIN)
        if any(step.status in {Status.WAITING, Status.ASKED} for step in steps):
            return
        self._note_contained()
        self._set(phase=Phase.REMEDIATE)

    def _note_contained(self) -> None:
        steps = self.incident.of(Stage.CONTAIN)
        if steps and self.incident.contained_at is None and all(step.status in GOOD_STATUSES for step in steps):
            self._set(contained_at=max(step.done_at or self.now for step in steps))
            self._tell("contained", detail="; ".join(step.detail or step.label for step in steps))

    def _remediate(self) -> None:
        if self._is_fresh_green():
            self._turn_green("every alarm is OK, with data newer than the last action")
            return
        rung = next((step for step in self.incident.of(Stage.REMEDIATE) if step.is_open), None)
        if rung is None:
            tried = any(step.status is Status.DONE for step in self.incident.of(Stage.REMEDIATE))
            self._give_up("every rung was tried and it is not green" if tried else "no remediation applies")
        elif rung.status is Status.WAITING:
            if self._is_overdue():
                self._give_up(f"not green within {self.incident.escalate_after_s} s")
            else:
                self._ask(rung)

    def _settle(self) -> None:
        if self._is_fresh_green():
            self._turn_green("every alarm is OK, with data newer than the last action")
            return
        probe = self._latest_probe()
        if self.incident.probe is not None and probe is None:
            self._ask_probe()
            return
        if probe is not None and probe.is_open:
            return
        passed = probe is not None and probe.status is Status.DONE
        if passed and not self.incident.is_red:
            self._turn_green("the probe passed and no alarm is red")
        elif self.now >= (self.incident.settle_until or 0):
            self._judge_after_settle(probe, passed=passed)

    def _judge_after_settle(self, probe: StepRun | None, *, passed: bool) -> None:
        red_since_action = any(
            alarm.is_red and alarm.state_at / 1000 > self._last_action_at() for alarm in self.incident.alarms.values()
        )
        failed = probe is not None and probe.status is Status.FAILED
        if passed and not red_since_action:
            self._turn_green("the probe passed; the alarm has had no newer data")
        elif failed and len(self._probes_of_this_rung()) < MAX_PROBES_PER_RUNG:
            self._ask_probe()
        elif self.incident.is_red or failed:
            self._set(phase=Phase.REMEDIATE, settle_until=None)
        else:
            self._give_up("it can't be told whether it helped: no alarm is red, and there is no newer data")

    def _recover(self) -> None:
        if any(
            alarm.is_red and alarm.state_at / 1000 > (self.incident.green_at or 0)
            for alarm in self.incident.alarms.values()
        ):
            self._give_up("an alarm went red again during recovery")
            return
        for step in self.incident.of(Stage.RECOVER):
            if step.status is Status.WAITING and step.approval:
                self._need_person(step)
            elif step.status is Status.WAITING:
                self._ask(step)
                return
            elif step.is_open:
                return
            elif step.status not in {*GOOD_STATUSES, Status.NEEDS_PERSON, Status.SKIPPED}:
                self._skip_the_rest(f"{step.label}: {step.detail or step.reason}")
                break
        failed = self.incident.escalations and any(
            step.status in {Status.REFUSED, Status.FAILED, Status.INCONCLUSIVE, Status.SUGGESTED}
            for step in self.incident.of(Stage.RECOVER)
        )
        self._close("escalated" if failed else "healed")

    def _skip_the_rest(self, why: str) -> None:
        self._escalate(f"recovery stopped: {why}")
        for step in self.incident.of(Stage.RECOVER):
            if step.status is Status.WAITING and step.approval:
                self._need_person(step)
            elif step.status is Status.WAITING:
                self._put(replace(step, status=Status.SKIPPED, reason="an earlier step of recovery did not succeed"))

    def _watch(self) -> None:
        """A person has it. Once no alarm is red, what waits for a decision is offered, and it is closed."""
        asked = any(step.status is Status.ASKED for step in self.incident.steps)
        if asked or any(alarm.state != "OK" for alarm in self.incident.alarms.values()):
            return
        for step in self.incident.of(Stage.RECOVER):
            if step.status is Status.WAITING and step.approval:
                self._need_person(step)
            elif step.status is Status.WAITING:
                self._put(replace(step, status=Status.SKIPPED, reason="a person has the incident"))
        self._close("escalated")

    def _retry_what_was_held(self) -> None:
        """Containment is tried again in whatever phase; the other stages come to it when it is their turn."""
        if self.incident.phase is Phase.WATCH:
            return
        for step in self.incident.steps:
            if step.status is Status.HELD and (step.retry_at or 0) <= self.now:
                again = replace(step, status=Status.WAITING, tries=step.tries + 1, asks=0, retry_at=None)
                self._put(again)
                if step.stage is Stage.CONTAIN:
                    self._ask(again)

    # -- helpers ------------------------------------------------------------------------------------------------

    def _ask(self, step: StepRun) -> None:
        if not self.may_ask:
            self.postponed = True
            return
        asked = replace(step, status=Status.ASKED, asked_at=self.now, asks=step.asks + 1)
        self.incident = self.incident.with_step(asked)
        self.asks.append(asked)

    def _ask_probe(self) -> None:
        template = self.incident.probe
        if template is not None:
            self._ask(replace(template, number=-1, tries=len(self.incident.probes) + 1))

    def _probes_of_this_rung(self) -> list[StepRun]:
        return [run for run in self.incident.probes if (run.asked_at or 0) >= self._last_action_at()]

    def _latest_probe(self) -> StepRun | None:
        runs = self._probes_of_this_rung()
        return max(runs, key=lambda run: run.tries) if runs else None

    def _last_action_at(self) -> float:
        """When selfheal last changed something for this incident; before that, when it was opened."""
        done = [step.done_at or 0 for step in self.incident.steps if step.status is Status.DONE]
        return max(done, default=self.incident.opened_at)

    def _is_fresh_green(self) -> bool:
        after = self._last_action_at() * 1000
        return all(
            alarm.state == "OK" and alarm.last_datapoint_at is not None and alarm.last_datapoint_at > after
            for alarm in self.incident.alarms.values()
        )

    def _is_overdue(self) -> bool:
        return self.now >= self.incident.opened_at + self.incident.escalate_after_s

    def _look_at_the_time(self) -> None:
        if self._is_overdue() and self.incident.phase in {Phase.CONTAIN, Phase.REMEDIATE, Phase.SETTLE, Phase.HELD}:
            self._escalate(f"not green within {self.incident.escalate_after_s} s")

    def _turn_green(self, why: str) -> None:
        self._set(phase=Phase.RECOVER, green_at=self.now, settle_until=None, held="")
        self._tell("green", detail=why)

    def _give_up(self, why: str) -> None:
        self._escalate(why)
        self._set(phase=Phase.WATCH, settle_until=None)

    def _escalate(self, why: str) -> None:
        self.incident = self.incident.escalate(why, self.now)

    def _need_person(self, step: StepRun) -> None:
        self._put(replace(step, status=Status.NEEDS_PERSON))
        self._tell("needs_person", detail=f"{step.label} waits for a person", step=step.number)

    def _close(self, verdict: str) -> None:
        self._set(phase=Phase.CLOSED, closed_at=self.now, verdict=verdict)
        self._tell("closed", detail=verdict)

    def _next_due(self) -> float | None:
        if self.incident.phase is Phase.CLOSED:
            return None
        if self.postponed:
            return self.now
        times = [
            step.retry_at or step.asked_at + REPAIR_AFTER_S
            for step in (*self.incident.steps, *self.incident.probes)
            if step.status is Status.ASKED and step.asked_at is not None
        ]
        times += [step.retry_at for step in self.incident.steps if step.status is Status.HELD and step.retry_at]
        if self.incident.phase is Phase.SETTLE and self.incident.settle_until is not None:
            times.append(max(self.incident.settle_until, self.now + 1))
        if self.incident.phase in {Phase.WATCH, Phase.HELD}:
            times.append(self.now + (WATCH_EVERY_S if self.incident.phase is Phase.WATCH else LOOK_AGAIN_AFTER_S))
        if self.incident.escalated_at is None:
            times.append(max(self.incident.opened_at + self.incident.escalate_after_s, self.now + 1))
        return min(times, default=self.now + WATCH_EVERY_S)

    def _put(self, step: StepRun) -> None:
        self.incident = self.incident.with_step(step)

    def _set(self, **fields: Any) -> None:
        self.incident = replace(self.incident, **fields)

    def _tell(self, what: str, **more: Any) -> None:
        self.news.append({"what": what, **more})
