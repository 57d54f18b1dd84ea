"""What the ladder of an incident and that of a rollout have in common: what comes next, and how it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from selfheal.incident import Incident, Phase, Status, StepRun


@dataclass
class Advance:
    """What comes next: the incident as it is to be recorded, the steps to ask for, and the news for people."""

    incident: Incident
    asks: list[StepRun] = field(default_factory=list)
    news: list[dict[str, Any]] = field(default_factory=list)


class Climb:
    """One advance of one incident at `now` (epoch seconds). Without `may_ask` nothing is asked for."""

    def __init__(self, incident: Incident, now: float, may_ask: bool) -> None:
        self.incident = incident
        self.now = now
        self.may_ask = may_ask
        self.postponed = False
        self.asks: list[StepRun] = []
        self.news: list[dict[str, Any]] = []

    def _ask(self, step: StepRun) -> None:
        if not self.may_ask:
            self.postponed = True
            return
        asked = replace(step, status=Status.ASKED, asked_at=self.now, asks=step.asks + 1)
        self.incident = self.incident.with_step(asked)
        self.asks.append(asked)

    def _is_postponed(self) -> bool:
        return self.postponed and self.incident.phase is not Phase.CLOSED

    def _escalate(self, why: str) -> None:
        self.incident = self.incident.escalate(why, self.now)

    def _skip(self, step: StepRun, why: str) -> None:
        self._put(replace(step, status=Status.SKIPPED, reason=why, retry_at=None))

    def _close(self, verdict: str) -> None:
        for step in self.incident.steps:
            if step.is_open:
                self._skip(step, f"the incident was closed as {verdict}")
        self._set(phase=Phase.CLOSED, closed_at=self.now, verdict=verdict)
        self._tell("closed", detail=verdict)

    def _put(self, step: StepRun) -> None:
        self.incident = self.incident.with_step(step)

    def _set(self, **fields: Any) -> None:
        self.incident = replace(self.incident, **fields)

    def _tell(self, what: str, **more: Any) -> None:
        self.news.append({"what": what, **more})
