"""The shape of a runbook. The JSON schema is made from these models; their descriptions are what an editor shows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .checkpoints import CheckSpec
from .parts import Part
from .procedures import ProcedurePart
from .steps import ContainStep, MaintenanceStep, Probe, RecoverStep, RemediateStep, RolloutStep
from .targets import TargetReference, TargetSpec
from .values import Cron, Day, Duration, Label, Line, Pattern, System, TimeOfDay, Timezone, Unique, wrong

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Severity = Literal["P0", "P1", "P2", "P3", "P4"]

DEFAULT_SETTLE_S = 300
MAX_STEPS = 20
DEFAULT_COOLDOWN_S = 900
MAX_LOOKS = 100


class Window(Part):
    """A time of the week."""

    days: Annotated[list[Weekday], *Unique, Field(min_length=1, description="days on which the window begins")]
    start: Annotated[TimeOfDay, Field(alias="from", description="HH:MM in the runbook's time zone")]
    end: Annotated[TimeOfDay, Field(alias="to", description="HH:MM; earlier than `from` means the next day")]

    @model_validator(mode="after")
    def _has_length(self) -> Window:
        if self.start == self.end:
            raise wrong("the window has no length; let `to` differ from `from`", key="to")
        return self


class MaintenancePart(Window):
    """A maintenance window, every week. Risky steps wait for its end."""

    notice: Annotated[
        Duration, Field(description="people are told this long before it begins; default: not at all")
    ] = 0
    before: Annotated[
        list[MaintenanceStep],
        Field(default_factory=list, max_length=MAX_STEPS, description="what is looked at and kept before it begins"),
    ]
    before_at: Annotated[Duration, Field(description="how long before it begins; default 30m")] = 1800


class SeverityPart(Part):
    """What a severity asks of people."""

    respond_within: Annotated[Duration, Field(description="a person reacts within this time")]


DEFAULT_SEVERITIES = {"P0": 300, "P1": 900, "P2": 1800, "P3": 7200, "P4": 86_400}
"""Seconds within which a person reacts, where the runbook says nothing."""


class Limits(Part):
    """How much one response may do by itself; what goes beyond is for a person. Safe steps are not limited."""

    per_hour: Annotated[int, Field(ge=1, le=1000, description="incidents in any 60 minutes")] = 3
    per_day: Annotated[int, Field(ge=1, le=1000, description="incidents in any 24 hours")] = 7
    useless: Annotated[
        int, Field(ge=1, le=100, description="incidents in a row, within 7 days, that it acted for and did not heal")
    ] = 3
    targets: Annotated[
        int, Field(ge=1, le=1000, description="different targets of the system changed in any 60 minutes")
    ] = 10
    targets_percent: Annotated[
        int | None,
        Field(ge=1, le=100, description="the same, of the targets that this runbook names; 3 may always be changed"),
    ] = None

    @model_validator(mode="after")
    def _fit(self) -> Limits:
        if self.per_day < self.per_hour:
            raise wrong(f"per_day ({self.per_day}) is less than per_hour ({self.per_hour}); it would never be reached")
        return self


class ResponsePart(Part):
    """What the runbook does for some alarms."""

    name: Annotated[Line, Field(description="what is the matter, in the words of the person on call")]
    alarms: Annotated[
        list[Pattern],
        *Unique,
        Field(min_length=1, description="names of alarms; `*` and `?` are wild; upper and lower case differ"),
    ]
    severity: Annotated[Severity, Field(description="P0 is the most urgent")]
    mode: Annotated[
        Literal["off", "suggest", "auto"],
        Field(description="how far it goes by itself; the stack's MaxMode bounds risky steps besides"),
    ] = "auto"
    contain: Annotated[
        list[ContainStep],
        Field(default_factory=list, max_length=MAX_STEPS, description="at once and together: stop the bleeding"),
    ]
    remediate: Annotated[
        list[RemediateStep],
        Field(
            default_factory=list,
            max_length=MAX_STEPS,
            description="the ladder: one rung after the other until the alarm is green",
        ),
    ]
    probe: Annotated[Probe, Field(description="a smoke test that proves green where the alarm cannot")] = None
    recover: Annotated[
        list[RecoverStep], Field(default_factory=list, max_length=MAX_STEPS, description="once it is green")
    ]
    procedures: Annotated[
        list[Label],
        *Unique,
        Field(default_factory=list, max_length=5, description="what people who are told about it may have to do"),
    ]
    escalate_after: Annotated[
        Duration, Field(description="still red after this: a person; default: the severity's `respond_within`")
    ] = 0
    cooldown: Annotated[Duration, Field(description="pause before another incident acts on a target; default 15m")] = (
        DEFAULT_COOLDOWN_S
    )
    limits: Annotated[Limits, Field(description="how much it may do by itself; each has a default")] = Limits()


class SweepPart(Part):
    """Health checks at set times."""

    name: Annotated[Line, Field(description="as it stands in the report")]
    at: Annotated[
        Cron,
        Field(
            description="minutes hours day-of-month month day-of-week year, in the runbook's time zone; without it the"
            " sweep runs when a step, a watch or a person asks for it"
        ),
    ] = ""
    checks: Annotated[
        list[CheckSpec], Field(default_factory=list, description="default: all checks of the runbook", min_length=1)
    ]


class WatchPart(Part):
    """A sweep again and again after a deployment, until it was clean for long enough."""

    name: Annotated[Line, Field(description="as it stands in messages")]
    sweep: Annotated[Line, Field(description="name of a sweep of this runbook")]
    every: Annotated[Duration, Field(description="from one look to the next; default 5m, at least 1m")] = 300
    for_: Annotated[Duration, Field(alias="for", description="how long; default 30m")] = 1800
    on: Annotated[
        list[Pattern],
        *Unique,
        Field(
            default_factory=list,
            min_length=1,
            description="only after deployments of these targets, by their names in `targets`; `*` and `?` are wild",
        ),
    ]

    @model_validator(mode="after")
    def _can_be_done(self) -> WatchPart:
        if self.every < 60:
            raise wrong("the clock looks once a minute; let `every` be at least 1m", key="every")
        if self.for_ < self.every or self.for_ > MAX_LOOKS * self.every:
            raise wrong(f"a watch looks 1 to {MAX_LOOKS} times; let `for` be that many times `every`", key="for")
        return self


class Gate(Part):
    """What must hold before the next step of a rollout. Any alarm of the system in ALARM is red as well."""

    failed_invocations: Annotated[int, Field(ge=0, le=10**9, description="more FailedInvocations are red")] = 0
    quiet_ok: Annotated[bool, Field(description="clean even if no event came through; else a person decides")] = False


class Requires(Part):
    """What must have gone well before."""

    rollout: Annotated[Line, Field(description="`system/name` of a rollout that was done to its end")]
    clean_for: Annotated[Duration, Field(description="and nothing of that system was red for this long since")]


class RolloutPart(Part):
    """Steps that a person starts together; each waits for the gate of the one before."""

    name: Annotated[Label, Field(description="what a person starts: `system/name`")]
    stages: Annotated[
        list[Label], *Unique, Field(default_factory=list, min_length=1, description="only in these of the stages")
    ]
    requires: Annotated[Requires, Field(default=None, description="another rollout that must come first")]
    only: Annotated[
        list[Window], Field(default_factory=list, min_length=1, description="it begins only in one of these windows")
    ]
    notify: Annotated[
        bool, Field(description="people hear when it begins and how it ended; a red one is told always")
    ] = True
    steps: Annotated[list[RolloutStep], Field(min_length=1, max_length=MAX_STEPS, description="one after the other")]
    gate: Annotated[Gate, Field(description="default: no failed invocation, and at least one event")] = Gate()
    on_red: Annotated[Literal["undo"], Field(description="take back what was enabled, the last first")] = "undo"


class RunbookPart(Part):
    """One file for one protected system."""

    system: Annotated[
        System, Field(description="name of the protected system; `{stage}` makes one system for each of `stages`")
    ]
    stages: Annotated[
        list[Label],
        *Unique,
        Field(default_factory=list, min_length=1, description="what `{stage}` is replaced by, anywhere in the file"),
    ]
    owner: Annotated[Line, Field(description="who is told: a team or a rota, no person's address")]
    timezone: Annotated[Timezone, Field(description="for maintenance, holidays and sweeps")] = "UTC"
    severities: Annotated[
        dict[Severity, SeverityPart],
        Field(default_factory=dict, description="when people react; default P0 5m, P1 15m, P2 30m, P3 2h, P4 24h"),
    ]
    maintenance: Annotated[list[MaintenancePart], Field(default_factory=list, description="when risky steps wait")]
    holidays: Annotated[list[Day], *Unique, Field(default_factory=list, description="days without sweeps")]
    exempt: Annotated[
        list[TargetReference],
        Field(default_factory=list, description="targets that are never touched: the way to opt out without a tag"),
    ]
    targets: Annotated[dict[Label, TargetSpec], Field(default_factory=dict, description="what steps and checks name")]
    responses: Annotated[list[ResponsePart], Field(default_factory=list, description="what to do for which alarms")]
    checks: Annotated[list[CheckSpec], Field(default_factory=list, description="health checks")]
    sweeps: Annotated[list[SweepPart], Field(default_factory=list, description="health checks at set times")]
    rollouts: Annotated[
        list[RolloutPart], Field(default_factory=list, description="what a person starts, step by step")
    ]
    watches: Annotated[list[WatchPart], Field(default_factory=list, description="what is watched after a deployment")]
    procedures: Annotated[
        list[ProcedurePart], Field(default_factory=list, description="what stays with a person, prepared")
    ]

    def respond_within_s(self, severity: str) -> int:
        """Seconds within which a person reacts."""
        written = self.severities.get(severity)  # type: ignore[call-overload]  # the key is one of Severity
        return written.respond_within if written else DEFAULT_SEVERITIES[severity]

    def escalate_after_s(self, response: ResponsePart) -> int:
        """Seconds after which a person is told that a response has not helped."""
        return response.escalate_after or self.respond_within_s(response.severity)
