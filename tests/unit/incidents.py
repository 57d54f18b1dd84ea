"""Incidents for tests: one builder, short step definitions, and the ladder's moves in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from selfheal.climb import Advance
from selfheal.incident import AlarmState, Incident, Phase, StepRun
from selfheal.ladder import advance
from selfheal.step_outcome import Finished
from selfheal.words import Outcome, ResponseMode, Stage

START = 1_800_000_000.0
ARN = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:"
WINDOW_S = 60
SETTLE_S = 120
ESCALATE_S = 900


def alarm(state: str = "ALARM", at: float = START, name: str = "errors", **more: Any) -> AlarmState:
    """An alarm that changed its state at `at` (epoch seconds); `data` is the time of its newest datapoint."""
    data = more.pop("data", None)
    return AlarmState(
        name=name,
        arn=f"{ARN}{name}",
        state=state,
        state_at=int(at * 1000),
        last_datapoint_at=None if data is None else int(data * 1000),
        window_s=more.pop("window_s", WINDOW_S),
        **more,
    )


def step(number: int, stage: Stage, action: str, **more: Any) -> StepRun:
    """One step; its target is named after its action."""
    settle = SETTLE_S if stage is Stage.REMEDIATE else 0
    return StepRun(number, stage, action, action, {"name": action}, f"key:{action}", **{"settle_s": settle, **more})


def incident(
    *, contain: str = "halt_trading", remediate: str = "roll_back_alias", recover: str = "", probe: bool = False,
    **more: Any,
) -> Incident:  # fmt: skip
    """An incident that was just opened by one red alarm. Steps are action names; `!` in recover needs approval."""
    stages = [(Stage.CONTAIN, contain), (Stage.REMEDIATE, remediate), (Stage.RECOVER, recover)]
    named = [(stage, name) for stage, names in stages for name in names.split()]
    steps = tuple(
        step(number, stage, name.rstrip("!"), approval=name.endswith("!")) for number, (stage, name) in enumerate(named)
    )
    opened = Incident(
        id="demo-12345678-1a",
        system="demo",
        response="function failing",
        subject="-",
        severity="P1",
        mode=ResponseMode.AUTO,
        opened_at=START,
        red_at_ms=int(START * 1000),
        escalate_after_s=ESCALATE_S,
        cooldown_s=900,
        steps=steps,
        probe=step(-1, Stage.REMEDIATE, "smoke_test") if probe else None,
        **more,
    )
    return opened.with_alarm(alarm())


class Story:
    """An incident, a clock, and what became of it: each move returns the actions asked for by it."""

    def __init__(self, opened: Incident) -> None:
        self.incident = opened
        self.now = START
        self.asked: list[str] = []
        self.news: list[tuple[str, str]] = []

    def go(self, *finished: Finished, may_ask: bool = True) -> list[str]:
        """One advance."""
        done = advance(self.incident, self.now, finished=finished, may_ask=may_ask)
        return self._took(done)

    def answer(self, action: str, outcome: Outcome = Outcome.ACTED, reason: str = "", **more: Any) -> list[str]:
        """The asked step of this action (or its probe) answers."""
        runs = [*self.incident.steps, *self.incident.probes]
        run = next(run for run in runs if run.action == action and run.status == "asked")
        said = more.get("detail", f"{action} said {outcome}")
        return self.go(Finished(self.incident.action_id(run), outcome, reason, said))

    def sees(self, state: AlarmState) -> list[str]:
        """An alarm's state arrives."""
        self.incident = self.incident.with_alarm(state)
        return self.go()

    def later(self, seconds: float) -> list[str]:
        """Time passes, and the clock looks."""
        self.now += seconds
        return self.go()

    def step(self, action: str) -> StepRun:
        """The step of this action as it stands."""
        return next(one for one in self.incident.steps if one.action == action)

    def is_in(self, phase: Phase) -> bool:
        """It stands in this phase now."""
        return self.incident.phase is phase

    def told(self, what: str) -> list[str]:
        """The details of all news of this kind."""
        return [detail for kind, detail in self.news if kind == what]

    def _took(self, done: Advance) -> list[str]:
        self.incident = replace(done.incident, version=done.incident.version + 1)
        self.news += [(item["what"], item["detail"]) for item in done.news]
        names = [run.action for run in done.asks]
        self.asked += names
        return names
