"""An incident: one open item per (system, response, subject), as it stands in the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, field, fields, replace
from enum import StrEnum
from typing import Any

from selfheal.frozen import dataclass
from selfheal.sizes import size
from selfheal.words import Outcome, ResponseMode, Stage


class Phase(StrEnum):
    """Where an incident stands. `watch`: people have it, selfheal records and does not act."""

    HELD = "held"
    CONTAIN = "contain"
    REMEDIATE = "remediate"
    SETTLE = "settle"
    RECOVER = "recover"
    WATCH = "watch"
    CLOSED = "closed"


class Status(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"
    ASKED = "asked"
    HELD = "held"
    DONE = "done"
    NOTHING_TO_DO = "nothing_to_do"
    SUGGESTED = "suggested"
    REFUSED = "refused"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NEEDS_PERSON = "needs_person"
    SKIPPED = "skipped"


SAME_CHANGE_MS = 1_000
"""Transports round the time of a state change differently."""

DELETED = "DELETED"
"""The state of an alarm that CloudWatch does not have any more: not red, and no proof of anything."""

MAX_ALARMS_BYTES = 60_000
MAX_ESCALATIONS = 40
MAX_TEXT = 500
"""An item of DynamoDB holds 400 KB and an event 256 KB, however many alarms of one system go red at once; and each
alarm that joins writes the whole item. About a hundred alarms fit."""

OPEN_STATUSES = frozenset({Status.WAITING, Status.ASKED, Status.HELD})
GOOD_STATUSES = frozenset({Status.DONE, Status.NOTHING_TO_DO})
_OF_OUTCOME = {
    Outcome.ACTED: Status.DONE,
    Outcome.ALREADY_DONE: Status.NOTHING_TO_DO,
    Outcome.PLANNED: Status.SUGGESTED,
    Outcome.REFUSED: Status.REFUSED,
    Outcome.FAILED: Status.FAILED,
    Outcome.INCONCLUSIVE: Status.INCONCLUSIVE,
}


def status_of(outcome: Outcome) -> Status:
    """The status of a step whose action ended with `outcome`; `in_progress` has not ended."""
    return _OF_OUTCOME[outcome]


@dataclass(frozen=True)
class AlarmState:
    """What is known of one alarm of the incident. Times in epoch milliseconds, windows in seconds.

    `flaps`: how often it went red again while the incident was open.
    """

    name: str
    arn: str
    state: str
    state_at: int
    last_datapoint_at: int | None = None
    window_s: int = 0
    muted: str = ""
    reason: str = ""
    flaps: int = 0

    @property
    def is_red(self) -> bool:
        """In ALARM."""
        return self.state == "ALARM"

    def is_older_than(self, known: AlarmState, *, tolerance_ms: int = 0) -> bool:
        """It came late: `known` is what happened after it. The same change may come with a time rounded differently."""
        tolerance = SAME_CHANGE_MS if self.state == known.state else tolerance_ms
        return known.state_at > self.state_at + tolerance

    def completed_by(self, known: AlarmState) -> AlarmState:
        """The same with what only another transport told: the whole window, and of the same change the newest data."""
        same_change = self.state == known.state and abs(self.state_at - known.state_at) <= SAME_CHANGE_MS
        seen = [at for at in (self.last_datapoint_at, known.last_datapoint_at if same_change else None) if at]
        return replace(
            self,
            window_s=max(self.window_s, known.window_s),
            last_datapoint_at=max(seen) if seen else None,
            flaps=known.flaps + (self.is_red and not known.is_red),
        )


@dataclass(frozen=True)
class StepRun:
    """One step of the ladder and what became of it. Times in epoch seconds.

    `tries` makes the action_id: a step that a guard held back is asked again under a new one; a step whose answer got
    lost is asked again under the same one. `asks` counts how often the current one was sent. `undo_of`: it takes back
    the step of this number. `captured`: where the evidence lies that was captured before it.
    """

    number: int
    stage: Stage
    action: str
    target_name: str
    target: Mapping[str, Any]
    target_key: str
    settle_s: int = 0
    approval: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    status: Status = Status.WAITING
    tries: int = 1
    asks: int = 0
    asked_at: float | None = None
    retry_at: float | None = None
    done_at: float | None = None
    outcome: str = ""
    reason: str = ""
    detail: str = ""
    undo_of: int | None = None
    captured: str = ""

    @property
    def label(self) -> str:
        """For people: `roll_back_alias live`."""
        return f"{'undo ' if self.undo_of is not None else ''}{self.action} {self.target_name}"

    @property
    def is_open(self) -> bool:
        """Not finished yet."""
        return self.status in OPEN_STATUSES


@dataclass(frozen=True)
class Incident:
    """The whole incident. Times in epoch seconds unless their name says otherwise.

    `probe` is the template of the response's probe; `probes` are its runs. `escalations` are reasons, in order, each
    once. `began_at`: when it went on after being held; time to escalate counts from there. `too_many`: more alarms
    joined than it can hold, so that it can't be told by them when all is green. `version` counts the advances in the
    ledger. `useless_after`: after so many incidents in a row that it did not heal, the response stops. `rollout`: it is
    no incident of an alarm but the rollout of this name, started by `requested_by`; `quiet`: people hear of it only if
    it does not go well. Who is told reacts within `respond_within_s` (0: nothing is said), and finds in `procedures`
    what the runbook has prepared for them. `repeats`: so many of its key were opened and closed shortly before it,
    since `flapping_since`; `thread` is the first of them.
    """

    id: str
    system: str
    response: str
    subject: str
    severity: str
    mode: ResponseMode
    opened_at: float
    red_at_ms: int
    escalate_after_s: int
    cooldown_s: int
    useless_after: int = 3
    phase: Phase = Phase.CONTAIN
    alarms: Mapping[str, AlarmState] = field(default_factory=dict)
    steps: tuple[StepRun, ...] = ()
    probe: StepRun | None = None
    probes: tuple[StepRun, ...] = ()
    settle_until: float | None = None
    held: str = ""
    began_at: float | None = None
    too_many: bool = False
    escalations: tuple[str, ...] = ()
    contained_at: float | None = None
    remediated_at: float | None = None
    green_at: float | None = None
    escalated_at: float | None = None
    closed_at: float | None = None
    verdict: str = ""
    due: float | None = None
    version: int = 0
    rollout: str = ""
    requested_by: str = ""
    quiet: bool = False
    respond_within_s: int = 0
    procedures: tuple[Mapping[str, Any], ...] = ()
    repeats: int = 0
    flapping_since: float | None = None
    thread: str = ""

    @property
    def thread_id(self) -> str:
        """What all that people are told of a series of incidents is kept together by."""
        return self.thread or self.id

    @property
    def key(self) -> str:
        """The sort key of the open item; the id without its start time."""
        return self.id.rsplit("-", 1)[0]

    @property
    def is_red(self) -> bool:
        """At least one alarm is in ALARM."""
        return any(alarm.is_red for alarm in self.alarms.values())

    def of(self, stage: Stage) -> list[StepRun]:
        """The steps of one stage in their order."""
        return [step for step in self.steps if step.stage is stage]

    def action_id(self, step: StepRun) -> str:
        """Deterministic, so that the same step asked twice runs once."""
        kind = "probe" if step.number < 0 else str(step.number)
        return f"{self.id}.{kind}.{step.tries}"

    def step_of(self, action_id: str) -> StepRun | None:
        """The step (or probe run) that has this action_id now."""
        return next((step for step in (*self.steps, *self.probes) if self.action_id(step) == action_id), None)

    def with_step(self, step: StepRun) -> Incident:
        """The same incident with `step` in the place of its predecessor."""
        if step.number < 0:
            return replace(self, probes=(*(run for run in self.probes if run.tries != step.tries), step))
        return replace(self, steps=tuple(step if old.number == step.number else old for old in self.steps))

    def with_alarm(self, alarm: AlarmState, *, tolerance_ms: int = 0) -> Incident:
        """The same incident with a newer reading of one alarm; an older one changes nothing.

        What would be one alarm too many is not kept; that there was one, is.
        """
        known = self.alarms.get(alarm.arn)
        if known is None:
            if self.too_many:  # as of thousands more in a storm: nothing is weighed again
                return self
            if size([vars(one) for one in (*self.alarms.values(), alarm)]) > MAX_ALARMS_BYTES and self.alarms:
                return replace(self, too_many=True)
            return replace(self, alarms={**self.alarms, alarm.arn: alarm})
        if alarm.is_older_than(known, tolerance_ms=tolerance_ms):
            return self
        return replace(self, alarms={**self.alarms, alarm.arn: alarm.completed_by(known)})

    def escalate(self, why: str, now: float) -> Incident:
        """The same incident with one more reason for a person to look; each reason counts once."""
        why = why[:MAX_TEXT]
        if why in self.escalations or len(self.escalations) >= MAX_ESCALATIONS:
            return self
        return replace(self, escalations=(*self.escalations, why), escalated_at=self.escalated_at or now)

    def target_keys(self) -> list[str]:
        """The targets that this incident owns until it is closed."""
        steps = (*self.steps, self.probe) if self.probe else self.steps
        return [key for key in dict.fromkeys(step.target_key for step in steps) if key]

    def is_waiting_for_answers(self) -> bool:
        """An action was asked for and has not answered yet."""
        return any(step.status is Status.ASKED for step in (*self.steps, *self.probes))

    def as_doc(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def read_incident(doc: Mapping[str, Any]) -> Incident:
    """The incident in a ledger document; fields of another release of selfheal are left out."""
    return Incident(
        **{
            **_known(Incident, doc),
            "mode": ResponseMode(doc["mode"]),
            "phase": Phase(doc["phase"]),
            "alarms": {arn: AlarmState(**_known(AlarmState, alarm)) for arn, alarm in doc["alarms"].items()},
            "steps": tuple(map(_read_step, doc["steps"])),
            "probe": _read_step(doc["probe"]) if doc["probe"] else None,
            "probes": tuple(map(_read_step, doc["probes"])),
            "escalations": tuple(doc["escalations"]),
            "procedures": tuple(doc.get("procedures", ())),
        }
    )


def _read_step(doc: Mapping[str, Any]) -> StepRun:
    return StepRun(**{**_known(StepRun, doc), "stage": Stage(doc["stage"]), "status": Status(doc["status"])})


def _known(kind: type, doc: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in doc.items() if name in names}


def incident_key(system: str, response: str, subject: str) -> str:
    """The name of the one open item for (system, response, subject)."""
    digest = hashlib.sha256(f"{system}|{response}|{subject}".encode()).hexdigest()
    return f"{system}-{digest[:8]}"


def incident_id(key: str, state_at_ms: int) -> str:
    """Deterministic from the state change that opened it, so that a repeated delivery opens the same incident."""
    return f"{key}-{state_at_ms:x}"
