"""Procedures: what stays with a person, prepared. Text, exact commands, and actions of selfheal to ask for.

`{target.field}` in a text or a command is filled in from `targets` at the build: nobody looks a name up at night.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from selfheal.target import read_target

from .parts import Part, choice
from .problems import Finding, Path, nearest
from .steps import ProcedureStep, StepPart
from .targets import kind_of
from .values import Label, Line, shown, wrong

MAX_STEPS = 30
MAX_TEXT = 2_000
MAX_LENGTH = 20_000
"""Characters in the procedures of one response: they travel with its incident, whose events are of limited size."""
_PLACEHOLDER = re.compile(r"(?<![{$])\{([a-z0-9][a-z0-9_-]*(?:\.[A-Za-z_]+)+)\}(?!\})")
"""`{name.field}`; `${…}` is the shell's, `{{…}}` a template's, and any other brace is JSON's."""

Fields = Callable[[str], Mapping[str, Any] | None]


def _passage(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(f"this must be text, got {shown(value)}")
    text = value.strip("\n").rstrip()
    if not text or len(text) > MAX_TEXT or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text):
        raise wrong(f"write 1 to {MAX_TEXT} characters, without tabs and control characters")
    return text


Passage = Annotated[str, BeforeValidator(_passage), Field(min_length=1, max_length=MAX_TEXT)]


class Say(Part):
    """Something to look at, to decide or to tell."""

    say: Annotated[Passage, Field(description="what to do; `{target.field}` is filled in")]


class Run(Part):
    """A command, exactly as it is to be typed."""

    run: Annotated[Passage, Field(description="the command; may span lines; `{target.field}` is filled in")]


class Ask(Part):
    """An action of selfheal, with all of its guards."""

    ask: Annotated[ProcedureStep, Field(description="an action and its target, as in a step")]


_KINDS: Mapping[str, type[Part]] = {"say": Say, "run": Run, "ask": Ask}


def _pick(value: Any) -> str:
    found = [key for key in value if key in _KINDS] if isinstance(value, dict) else []
    if len(found) != 1:
        given = "" if not isinstance(value, dict) or found else str(next(iter(value), ""))
        raise wrong(f"a step of a procedure is one of `say`, `run` and `ask`; {nearest(given, _KINDS)}")
    return str(found[0])


StepOfProcedure: Any = choice(_KINDS, _pick)


class ProcedurePart(Part):
    """What a person does, step by step."""

    name: Annotated[Label, Field(description="what it is asked for by: `system/name`")]
    when: Annotated[Line, Field(description="when it is the right thing to do")]
    severity: Annotated[Literal["P0", "P1", "P2", "P3", "P4"], Field(default=None, description="P0 is the most urgent")]
    steps: Annotated[
        list[StepOfProcedure],
        Field(min_length=1, max_length=MAX_STEPS, description="one after the other"),
    ]


def asked(procedure: ProcedurePart) -> Iterator[tuple[int, StepPart]]:
    """The actions in it, each with its place among the steps."""
    for index, step in enumerate(procedure.steps):
        if isinstance(step, Ask):
            yield index, step.ask


def length(procedure: ProcedurePart) -> int:
    """Characters of its texts and commands."""
    return sum(
        len(step.say if isinstance(step, Say) else step.run) for step in procedure.steps if not isinstance(step, Ask)
    )


def findings(procedure: ProcedurePart, path: Path, fields_of: Fields, names: list[str]) -> Iterator[Finding]:
    """Placeholders that cannot be filled in. `fields_of` a target's name, `names` all of them."""
    for index, step in enumerate(procedure.steps):
        if isinstance(step, Ask):
            continue
        kind, text = ("say", step.say) if isinstance(step, Say) else ("run", step.run)
        for found in _PLACEHOLDER.findall(text):
            name, _, field = found.partition(".")
            at: Path = (*path, "steps", index, kind)
            fields = fields_of(name)
            if fields is None:
                yield Finding(at, f"`{{{found}}}`: unknown target `{name}`; {nearest(name, names)}")
                continue
            known = _flat(fields)
            if field not in known:
                yield Finding(at, f"`{{{found}}}`: `{name}` has no `{field}`; {nearest(field, known)}")
            elif "{alarm." in known[field]:
                yield Finding(at, f"`{{{found}}}` is known only when its alarm comes; name the resource itself")


def written(procedure: ProcedurePart, fields_of: Fields, system: str) -> dict[str, Any]:
    """The compiled form, everything filled in."""
    return {
        "name": procedure.name,
        "when": procedure.when,
        "severity": procedure.severity or "",
        "steps": [_step(step, fields_of, system) for step in procedure.steps],
    }


def _step(step: Any, fields_of: Fields, system: str) -> dict[str, Any]:
    if isinstance(step, Ask):
        return {"ask": _request(step.ask, fields_of, system)}
    kind, text = ("say", step.say) if isinstance(step, Say) else ("run", step.run)
    return {kind: _PLACEHOLDER.sub(lambda found: _value(found[1], fields_of), text)}


def _request(step: StepPart, fields_of: Fields, system: str) -> dict[str, Any]:
    target = fields_of(step.target) if isinstance(step.target, str) else step.target.written()
    event = {"action": step.entry.name, "target": target, "system": system, "options": step.options()}
    function = "".join(word.capitalize() for word in step.entry.function.split("_"))
    return {"function": function, "event": {name: value for name, value in event.items() if value}}


def _value(placeholder: str, fields_of: Fields) -> str:
    name, _, field = placeholder.partition(".")
    return _flat(fields_of(name) or {})[field]


def _flat(fields: Mapping[str, Any]) -> dict[str, str]:
    """Every field of a target under its name, those of nested mappings as `outer.inner`, defaults included."""
    whole = read_target(fields, (kind_of(fields) or "",)).fields
    flat: dict[str, str] = {}
    for name, value in whole.items():
        inner = {f"{name}.{key}": text for key, text in value.items()} if isinstance(value, Mapping) else {name: value}
        flat |= {key: text for key, text in inner.items() if text}
    return flat
