"""The models of steps: one for each stage and action, so that an editor offers exactly what is allowed there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, create_model
from selfheal.catalogue import ACTIONS, Entry, Option

from .parts import Part, choice
from .problems import nearest
from .targets import NOT_A_RESOURCE, StepReference, TargetReference, title
from .values import Duration, shown, wrong

_LOOKS = ("check_health",)
"""What looks at the whole system and touches none of its resources."""

USABLE: Mapping[str, Entry] = {
    name: entry for name, entry in ACTIONS.items() if name in _LOOKS or not NOT_A_RESOURCE.issuperset(entry.kinds)
}
"""The actions that a runbook may use: those that touch a resource. undo, approve, pause … are for a person."""

PROVES = ("smoke_test", "check_health")
PREPARES = ("check_health", "snapshot_database", "capture_evidence")
"""What may come before a change: it reads, or it keeps something; done well it is its own gate."""
ROLLS_OUT = ("enable_rules",)
"""What a gate can judge by the metrics of what it touched."""

STAGES: Mapping[str, Callable[[Entry], bool]] = {
    "contain": lambda entry: entry.contains,
    "remediate": lambda _: True,
    "recover": lambda _: True,
    "probe": lambda entry: entry.name in PROVES,
    "rollout": lambda entry: entry.name in (*ROLLS_OUT, *PREPARES),
    "maintenance": lambda entry: entry.name in PREPARES,
    "procedure": lambda _: True,
}
_ASKS_NOBODY = ("probe", "rollout", "maintenance", "procedure")

_COMMON = ("settle", "approval")
NOT_IN_STEPS = {"check_health": ("checks",)}
"""Options that only a request has: a step names a sweep, which has a name and a place."""
MUST_PASS = ("probe", "rollout", "maintenance")
"""Where a look that finds something is a failure, without a word."""


class StepPart(Part):
    """One step. `target` stands under the action's name, each option under its own."""

    entry: ClassVar[Entry]
    stage: ClassVar[str]
    target: Any

    @property
    def settle_s(self) -> int | None:
        """Seconds; None where it was not written or makes no sense."""
        return getattr(self, "settle", None)

    @property
    def needs_approval(self) -> bool:
        """A person must approve it."""
        return getattr(self, "approval", None) == "required"

    def options(self) -> dict[str, Any]:
        """The options that were written."""
        written = self.written()
        given = {name: written[name] for name in self.entry.options if name in written}
        return given | ({"must_pass": True} if self.entry.name in _LOOKS and self.stage in MUST_PASS else {})


def _option(name: str, option: Option) -> Any:
    more: dict[str, Any] = {"alias": name, "description": option.help}
    if option.type is int:
        return (int, Field(default=option.default, ge=0, le=10**9, **more))
    types: dict[type, Any] = {dict: dict[str, Any], list: list[Any]}
    return (types.get(option.type, option.type), Field(default=option.default, **more))


def _model(stage: str, entry: Entry) -> type[StepPart]:
    reference = StepReference if "system" in entry.kinds else TargetReference
    fields: dict[str, Any] = {"target": (reference, Field(alias=entry.name, description=entry.summary))}
    if stage == "remediate":
        waiting = "how long the alarm may take to turn green before the next rung; default 5m"
        fields["settle"] = (Duration, Field(default=None, description=waiting))
    if stage == "rollout" and entry.name in ROLLS_OUT:
        waiting = "how long the gate looks before the next step; default 5m"
        fields["settle"] = (Duration, Field(default=None, description=waiting))
    if stage not in _ASKS_NOBODY:
        asking = "a person approves this step before it runs"
        default: dict[str, Any] = {} if entry.person else {"default": None}
        fields["approval"] = (Literal["required"], Field(description=asking, **default))
    for name, option in entry.options.items():
        if name == "must_pass" and stage in MUST_PASS:
            fields[f"option_{name}"] = (Literal[True], Field(default=True, alias=name, description=option.help))
        elif name not in NOT_IN_STEPS.get(entry.name, ()):
            fields[f"option_{name}"] = _option(name, option)
    model = create_model(f"{title(stage)}{title(entry.name)}", __base__=StepPart, **fields)
    model.entry = entry
    model.stage = stage
    return model


def _picker(stage: str, allowed: Mapping[str, Entry]) -> Callable[[Any], str]:
    other_keys = {*_COMMON, *(name for entry in USABLE.values() for name in entry.options)}

    def pick(value: Any) -> str:
        if not isinstance(value, dict):
            raise wrong(f"{shown(value)} is no step; write `{{action: target}}` such as `{{{min(allowed)}: …}}`")
        found = [key for key in value if key in ACTIONS]
        if len(found) > 1:
            raise wrong(f"a step is one action, here are `{'` and `'.join(found)}`; write two steps", key=found[1])
        if found:
            return _allowed(stage, found[0], allowed)
        strange = next((key for key in value if key not in other_keys), None)
        if strange is None:
            raise wrong(f"a step names its action; {nearest('', allowed)}")
        raise wrong(f"unknown action `{strange}`; {nearest(strange, allowed)}", key=strange)

    return pick


def _allowed(stage: str, name: str, allowed: Mapping[str, Entry]) -> str:
    if name in allowed:
        return name
    if name not in USABLE:
        raise wrong(f"`{name}` is for a person, not for a runbook; {nearest('', allowed)}", key=name)
    why = {
        "contain": "contain steps only stop something or look",
        "probe": "a probe proves that it works",
        "rollout": "a rollout enables rules, and looks and keeps before that",
        "maintenance": "before a window something is looked at or kept, and nothing is changed",
    }[stage]
    raise wrong(f"`{name}` cannot stand in {stage}: {why}; {nearest('', allowed)}", key=name)


def _of(stage: str) -> Any:
    allowed = {name: entry for name, entry in USABLE.items() if STAGES[stage](entry)}
    return choice({name: _model(stage, entry) for name, entry in allowed.items()}, _picker(stage, allowed))


ContainStep: Any = _of("contain")
RemediateStep: Any = _of("remediate")
RecoverStep: Any = _of("recover")
Probe: Any = _of("probe")
RolloutStep: Any = _of("rollout")
MaintenanceStep: Any = _of("maintenance")
ProcedureStep: Any = _of("procedure")
