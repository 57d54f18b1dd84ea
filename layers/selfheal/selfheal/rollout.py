"""The same ladder forwards: what a rollout does next. Pure, like the ladder of an incident.

    remediate (enable the next rule) ⇄ settle (the gate) ─► closed (rolled_out)
         └──────────────┬──────────────────┘
                        ├─ red ─► recover (undo what was enabled, the last first) ─► closed (undone)
                        └─ can't be told, refused ─► closed (escalated): a person decides

A rollout is an incident without alarms. Each step is followed by a gate, an action that only reads: asked every few
minutes while the step settles, and a last time at its end. Only a clean last look lets the next step begin. What only
looks or keeps something needs no gate: that it succeeded is one, and that it failed is red. The undo is
the one that selfheal does by itself: at most once for each rollout, and only what this rollout has enabled.
"""

from __future__ import annotations

from dataclasses import replace

from selfheal.climb import Advance, Climb
from selfheal.incident import GOOD_STATUSES, Incident, Phase, Status, StepRun
from selfheal.judgement import look_up_at
from selfheal.refusal import Refusal

GATE = "check_gate"
LATE_S = 60
"""Metrics arrive so much later than what they count; the last look waits for them."""
LOOK_EVERY_S = 120.0
CLOCK_S = 300.0
HELD_WITHIN_S = 86_400
GATE_WITHIN_S = 1_800
"""A step that guards hold back for a day, or a gate that can't be read for half an hour, goes to a person."""
NOTHING_CHANGED = "It had changed nothing yet"
MAY_HAVE_CHANGED = frozenset({Status.DONE, Status.FAILED})


class Rollout(Climb):
    """One advance; a method per phase."""

    def climb(self) -> Advance:
        phases = {Phase.REMEDIATE: self._go_on, Phase.SETTLE: self._settle, Phase.RECOVER: self._undo}
        self._retry_what_was_held()
        while self.incident.phase is not Phase.CLOSED:
            before = self.incident
            phases[before.phase]()
            if self.incident == before:
                break
        self._set(due=self.now if self._is_postponed() else _next_due(self.incident, self.now))
        return Advance(self.incident, self.asks, self.news)

    # -- phases -------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        current = _current(self.incident)
        if current is None:
            self._close("rolled_out")
            return
        step, gate = current
        if step.status is Status.WAITING:
            self._ask(step)
        elif step.status in GOOD_STATUSES and gate is not None:
            done_at = step.done_at or self.now
            settled = done_at + step.settle_s + LATE_S
            self._put(replace(gate, retry_at=min(done_at + LOOK_EVERY_S, settled)))
            self._set(phase=Phase.SETTLE, settle_until=settled)
        elif step.status is Status.HELD:
            self._tell_if_held(step)
            if self._is_held_for_too_long():
                self._give_up(f"{step.label} was held back for a day: {step.detail or step.reason}")
        elif step.status is Status.FAILED:
            self._turn_red(_in_words(step))
        elif step.status is not Status.ASKED:
            self._give_up(_in_words(step))

    def _settle(self) -> None:
        current = _current(self.incident)
        step, gate = current or (None, None)
        if step is None or gate is None or step.status not in GOOD_STATUSES:  # the gate before it was clean
            self._set(phase=Phase.REMEDIATE, settle_until=None)
            return
        settled = self.incident.settle_until or self.now
        if gate.status is Status.WAITING and self.now >= (gate.retry_at or settled):
            self._look(step, gate, last=self.now >= settled)
        elif gate.status is Status.DONE:
            again = min(self.now + LOOK_EVERY_S, max(settled, self.now))
            self._put(replace(gate, status=Status.WAITING, tries=gate.tries + 1, asks=0, retry_at=again))
        elif gate.status is Status.FAILED:
            why = (gate.detail or gate.reason).removeprefix("red: ")
            self._turn_red(f"the gate after {step.label} is red: {why}")
        elif gate.status is Status.HELD and self.now >= settled + GATE_WITHIN_S:
            self._give_up(f"the gate after {step.label} can't be read: {gate.detail or gate.reason}")
        elif not gate.is_open:
            self._give_up(f"it can't be told whether {step.label} works: {gate.detail or gate.reason}")

    def _undo(self) -> None:
        held = False
        for undo in _undos(self.incident):
            if undo.status is Status.WAITING:
                self._ask(undo)
                return
            if undo.status is Status.ASKED:
                return
            if undo.status is Status.HELD and not self._is_held_for_too_long():
                self._tell_if_held(undo)
                held = True
            elif undo.status not in {*GOOD_STATUSES, Status.SKIPPED}:
                self._escalate(f"not undone: {_in_words(undo)}")
        if not held:
            left = any(undo.status not in {*GOOD_STATUSES, Status.SKIPPED} for undo in _undos(self.incident))
            self._close("escalated" if left else "undone")

    # -- helpers ------------------------------------------------------------------------------------------------

    def _retry_what_was_held(self) -> None:
        for step in self.incident.steps:
            if step.status is Status.HELD and (step.retry_at or 0) <= self.now:
                self._put(replace(step, status=Status.WAITING, tries=step.tries + 1, asks=0, retry_at=None))

    def _look(self, step: StepRun, gate: StepRun, *, last: bool) -> None:
        options = {**gate.options, "since": int(step.done_at or self.now), "last": last}
        self._ask(replace(gate, options=options, retry_at=None))

    def _turn_red(self, why: str) -> None:
        changed = _changed(self.incident)
        self._escalate(f"{why}. {'What this rollout enabled is being disabled again' if changed else NOTHING_CHANGED}.")
        for step in self.incident.steps:
            if step.undo_of is None and step.is_open:
                self._skip(step, "the rollout turned red")
            elif step.undo_of is not None and _step(self.incident, step.undo_of).status not in MAY_HAVE_CHANGED:
                self._skip(step, "nothing was changed")
        self._set(phase=Phase.RECOVER, settle_until=None)

    def _give_up(self, why: str) -> None:
        enabled = [step.label for step in _changed(self.incident) if step.status is Status.DONE]
        left = f" Left as they are: {', '.join(enabled)}; undo {self.incident.id} to take them back." if enabled else ""
        self._escalate(f"{why}.{left}")
        self._close("escalated")

    def _tell_if_held(self, step: StepRun) -> None:
        if step.reason != Refusal.TAKEN_OVER:
            self._escalate(f"held back: {step.label}: {step.reason}")

    def _is_held_for_too_long(self) -> bool:
        answered = [step.done_at for step in self.incident.steps if step.done_at is not None]
        return self.now >= max([*answered, self.incident.opened_at]) + HELD_WITHIN_S


def _steps(incident: Incident) -> list[StepRun]:
    return [step for step in incident.steps if step.action != GATE and step.undo_of is None]


def _changed(incident: Incident) -> list[StepRun]:
    """The steps that have, or may have, changed something that can be taken back."""
    undone = {undo.undo_of for undo in _undos(incident)}
    return [step for step in _steps(incident) if step.number in undone and step.status in MAY_HAVE_CHANGED]


def _undos(incident: Incident) -> list[StepRun]:
    """The last step's first, as they were laid down."""
    return [step for step in incident.steps if step.undo_of is not None]


def _step(incident: Incident, number: int) -> StepRun:
    return next(step for step in incident.steps if step.number == number)


def _current(incident: Incident) -> tuple[StepRun, StepRun | None] | None:
    """The first step whose gate has not had a clean last look, or that has none and is not done; None: all are."""
    gates = {step.number - 1: step for step in incident.steps if step.action == GATE}
    for step in _steps(incident):
        gate = gates.get(step.number)
        if gate is None and step.status not in GOOD_STATUSES:
            return step, None
        if gate is not None and not (gate.status is Status.DONE and gate.options.get("last")):
            return step, gate
    return None


def _next_due(incident: Incident, now: float) -> float | None:
    if incident.phase is Phase.CLOSED:
        return None
    times = [now + CLOCK_S]
    times += [look_up_at(step) for step in incident.steps if step.status is Status.ASKED]
    waiting = {Status.HELD, Status.WAITING} if incident.phase is Phase.SETTLE else {Status.HELD}
    times += [step.retry_at for step in incident.steps if step.status in waiting and step.retry_at]
    return min(times)


def _in_words(step: StepRun) -> str:
    return f"{step.label} {step.status.value.replace('_', ' ')}: {step.detail or step.reason}"
