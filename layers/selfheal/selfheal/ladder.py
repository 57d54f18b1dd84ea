"""The ladder: what an incident does next. Pure: no I/O and no clock of its own, so that it can be property-tested.

    held ─► contain ─► remediate ⇄ settle ─► recover ─► closed (healed)
                            └─────────┴────────► watch ─► closed (escalated)

Contain steps start at once and in parallel. Remediate goes one rung at a time; after each that acted it settles: green
ends the ladder, red goes one rung up, what can't be told goes to a person and is never repeated. Recover runs in
order once it is green.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from selfheal import judgement
from selfheal.climb import Advance, Climb
from selfheal.incident import GOOD_STATUSES, Incident, Phase, Status, StepRun
from selfheal.rollout import Rollout
from selfheal.step_outcome import Finished, take
from selfheal.words import Stage

MAX_PROBES_PER_RUNG = 2
RECOVER_WITHIN_S = 86_400
"""A step of recovery that guards hold back for longer is given up."""


def advance(incident: Incident, now: float, *, finished: tuple[Finished, ...] = (), may_ask: bool = True) -> Advance:
    """Take in what has finished and go as far as it goes without new facts. `now` in epoch seconds.

    Without `may_ask` nothing is asked; the incident is due at once instead, so that the clock goes on.
    """
    known, acted = len(incident.escalations), _rungs_done(incident)
    for one in finished:
        incident = take(incident, one, now)
    climb = Rollout if incident.rollout else _Ladder
    done = climb(incident, now, may_ask).climb()
    done.news += _remediated(done.incident, acted)
    done.news += [{"what": "escalated", "detail": why} for why in done.incident.escalations[known:]]
    return done


def _rungs_done(incident: Incident) -> list[StepRun]:
    return [step for step in incident.of(Stage.REMEDIATE) if step.status is Status.DONE]


def _remediated(incident: Incident, before: list[StepRun]) -> list[dict[str, Any]]:
    """News of the rung that has just acted, while it is waited for whether that helped; else other news say more."""
    if incident.rollout or incident.phase is not Phase.SETTLE:
        return []
    known = {step.number for step in before}
    new = [step for step in _rungs_done(incident) if step.number not in known]
    return [{"what": "remediated", "detail": step.detail or step.label, "step": step.number} for step in new]


class _Ladder(Climb):
    """One advance; a method per phase."""

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
        self._note_contained()
        self._look_at_the_time()
        self._set(due=self.now if self._is_postponed() else judgement.next_due(self.incident, self.now))
        return Advance(self.incident, self.asks, self.news)

    # -- phases -------------------------------------------------------------------------------------------------

    def _held(self) -> None:
        """Nothing happens while the only red alarms are muted."""
        red = [alarm for alarm in self.incident.alarms.values() if alarm.is_red]
        if any(not alarm.muted for alarm in red):
            self._set(phase=Phase.CONTAIN, held="", began_at=self.now)
            self._tell("opened", detail=f"no longer muted: {red[0].reason}")
        elif not red:
            self._close("cleared")

    def _contain(self) -> None:
        waiting = [step for step in self.incident.of(Stage.CONTAIN) if step.status is Status.WAITING]
        if waiting and not (self.incident.is_red or self._probe_failed()):
            self._set(phase=Phase.SETTLE, settle_until=self.now)
            return
        for step in waiting:
            self._ask(step)
        if not any(step.status in {Status.WAITING, Status.ASKED} for step in self.incident.of(Stage.CONTAIN)):
            self._set(phase=Phase.REMEDIATE)

    def _remediate(self) -> None:
        if self.incident.is_waiting_for_answers():
            return
        if judgement.is_fresh_green(self.incident):
            self._turn_green("every alarm is OK, with data newer than the last action")
            return
        rung = next((step for step in self.incident.of(Stage.REMEDIATE) if step.is_open), None)
        overdue = judgement.is_overdue(self.incident, self.now)
        if rung is None and (overdue or not self._may_yet_be_contained()):
            tried = any(step.status is Status.DONE for step in self.incident.of(Stage.REMEDIATE))
            self._give_up("every rung was tried and it is not green" if tried else "no remediation applies")
        elif rung is None or rung.status is not Status.WAITING:
            return
        elif overdue:
            self._give_up(f"not green within {self.incident.escalate_after_s} s")
        elif self.incident.is_red or self._probe_failed():
            self._ask(rung)
        else:  # it went out of ALARM by itself or by containment, which proves nothing: look before acting
            self._set(phase=Phase.SETTLE, settle_until=self.now)

    def _may_yet_be_contained(self) -> bool:
        held = any(step.status is Status.HELD for step in self.incident.of(Stage.CONTAIN))
        return held and self.incident.is_red

    def _settle(self) -> None:
        if self.incident.is_waiting_for_answers():
            return
        if judgement.is_fresh_green(self.incident):
            self._turn_green("every alarm is OK, with data newer than the last action")
            return
        probe = self._latest_probe()
        if self.incident.probe is not None and probe is None:
            self._ask_probe()
            return
        passed = probe is not None and probe.status is Status.DONE
        if passed and not self.incident.is_red:
            self._turn_green("the probe passed and no alarm is red")
        elif self.now >= judgement.settled_at(self.incident):
            self._judge_after_settle(probe, passed=passed)

    def _judge_after_settle(self, probe: StepRun | None, *, passed: bool) -> None:
        again = probe is not None and probe.status in {Status.FAILED, Status.REFUSED}
        if passed and not judgement.is_red_since_action(self.incident):
            self._turn_green("the probe passed; the alarm has had no newer data")
        elif again and len(self._probes_of_this_rung()) < MAX_PROBES_PER_RUNG:
            self._ask_probe()
        elif self.incident.is_red or self._probe_failed():
            self._set(phase=Phase.CONTAIN, settle_until=None)
        elif self.now >= judgement.told_by_data_at(self.incident):
            self._give_up("it can't be told whether it helped: no alarm is red, and there is no newer data")

    def _recover(self) -> None:
        if judgement.is_red_since_action(self.incident):
            self._give_up("an alarm went red again during recovery")
            return
        for step in self.incident.of(Stage.RECOVER):
            if step.status is Status.WAITING and step.approval:
                self._need_person(step)
            elif step.status is Status.WAITING:
                self._ask(step)
                return
            elif step.is_open and not self._is_held_for_too_long(step):
                return
            elif step.status not in {*GOOD_STATUSES, Status.NEEDS_PERSON, Status.SKIPPED}:
                self._skip_the_rest(step)
                break
        stopped = any(
            step.status in {Status.REFUSED, Status.FAILED, Status.INCONCLUSIVE, Status.SUGGESTED, Status.HELD}
            for step in self.incident.of(Stage.RECOVER)
        )
        acted = any(step.status is Status.DONE for step in self.incident.steps)
        self._close("escalated" if stopped else "healed" if acted else "cleared")

    def _is_held_for_too_long(self, step: StepRun) -> bool:
        return step.status is Status.HELD and self.now >= (self.incident.green_at or 0) + RECOVER_WITHIN_S

    def _skip_the_rest(self, stopped: StepRun) -> None:
        self._escalate(f"recovery stopped: {stopped.label}: {stopped.detail or stopped.reason}")
        self._offer_what_needs_a_person()
        for step in self.incident.of(Stage.RECOVER):
            if step.status is Status.WAITING:
                self._skip(step, "an earlier step of recovery did not succeed")

    def _watch(self) -> None:
        """A person has it. Once it is over, what waits for a decision is offered, and it is closed."""
        if not judgement.keeps_open(self.incident, self.now):
            self._offer_what_needs_a_person()
            self._close("escalated")

    def _retry_what_was_held(self) -> None:
        """Containment is tried again in whatever phase, while it is red; the rest comes to it when it is its turn."""
        if self.incident.phase in {Phase.WATCH, Phase.CLOSED}:
            return
        for step in self.incident.steps:
            if step.status is not Status.HELD or (step.retry_at or 0) > self.now:
                continue
            again = replace(step, status=Status.WAITING, tries=step.tries + 1, asks=0, retry_at=None)
            if step.stage is not Stage.CONTAIN:
                self._put(again)
            elif self.incident.is_red:
                self._ask(again)

    # -- helpers ------------------------------------------------------------------------------------------------

    def _ask_probe(self) -> None:
        if self.incident.probe is not None:
            self._ask(replace(self.incident.probe, number=-1, tries=len(self.incident.probes) + 1))

    def _probes_of_this_rung(self) -> list[StepRun]:
        since = judgement.last_action_at(self.incident)
        return [run for run in self.incident.probes if (run.asked_at or 0) >= since]

    def _latest_probe(self) -> StepRun | None:
        return max(self._probes_of_this_rung(), key=lambda run: run.tries, default=None)

    def _probe_failed(self) -> bool:
        latest = self._latest_probe()
        return latest is not None and latest.status is Status.FAILED

    def _note_contained(self) -> None:
        steps = self.incident.of(Stage.CONTAIN)
        if steps and self.incident.contained_at is None and all(step.status in GOOD_STATUSES for step in steps):
            self._set(contained_at=max(step.done_at or self.now for step in steps))
            self._tell("contained", detail="; ".join(step.detail or step.label for step in steps))

    def _look_at_the_time(self) -> None:
        acting = self.incident.phase in {Phase.CONTAIN, Phase.REMEDIATE, Phase.SETTLE}
        if acting and judgement.is_overdue(self.incident, self.now):
            self._escalate(f"not green within {self.incident.escalate_after_s} s")

    def _turn_green(self, why: str) -> None:
        for step in self.incident.steps:
            if step.is_open and step.stage is not Stage.RECOVER:
                self._skip(step, "green before it was needed")
        self._set(phase=Phase.RECOVER, green_at=self.now, settle_until=None, held="")
        self._tell("green", detail=why)

    def _give_up(self, why: str) -> None:
        self._escalate(why)
        self._set(phase=Phase.WATCH, settle_until=None)

    def _offer_what_needs_a_person(self) -> None:
        for step in self.incident.of(Stage.RECOVER):
            if step.status is Status.WAITING and step.approval:
                self._need_person(step)

    def _need_person(self, step: StepRun) -> None:
        self._put(replace(step, status=Status.NEEDS_PERSON))
        self._tell("needs_person", detail=f"{step.label} waits for a person", step=step.number)
