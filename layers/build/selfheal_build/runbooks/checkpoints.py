"""The models of health checks, one for each kind in `selfheal.checks.CHECKS`.

In a runbook a check names a target, `{queue: dlq}`; or a target and more, `{queue: {target: dlq, at_most: 3}}`; or
resources of its own, `{queue: {queue: other-dlq}}`. Compiled, it has the form that `selfheal.checks` reads.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, create_model
from selfheal.checks import CHECKS, CheckKind

from .parts import Part, choice
from .problems import nearest
from .targets import title
from .values import Label, shown, wrong


class CheckFields(Part):
    """The fields of one kind of check."""


class CheckPart(Part):
    """`{kind: target name or fields}`."""

    kind: ClassVar[str]
    body: Any


def _fields(kind: CheckKind) -> type[CheckFields]:
    fields: dict[str, Any] = {
        "target": (Label, Field(default=None, description="take the names from this one of `targets`"))
    }
    for name, spec in kind.fields.items():
        type_: Any = list[str] if spec.type is list else spec.type
        if spec.one_of:
            type_ = Literal[spec.one_of]
        bounds: dict[str, Any] = {"ge": 0} if spec.type is int else {}
        field: Any = Field(default=spec.default, alias=name, description=spec.help or name, **bounds)
        fields[f"field_{name}"] = (type_, field)
    return create_model(f"{title(kind.name)}CheckFields", __base__=CheckFields, **fields)


def _pick_body(value: Any) -> str:
    if isinstance(value, str | dict):
        return "name" if isinstance(value, str) else "fields"
    raise wrong(f"{shown(value)} is no check; write the name of one of `targets`, or the fields of the check")


def _model(kind: CheckKind) -> type[CheckPart]:
    body = choice({"name": Label, "fields": _fields(kind)}, _pick_body)
    field: Any = Field(alias=kind.name, description=kind.summary)
    model = create_model(f"{title(kind.name)}Check", __base__=CheckPart, body=(body, field))
    model.kind = kind.name
    return model


def _pick(value: Any) -> str:
    if not isinstance(value, dict) or len(value) != 1:
        raise wrong(f"{shown(value)} is no check; write one of them per item, such as `{{queue: dlq}}`")
    (name,) = value
    if name not in CHECKS:
        raise wrong(f"unknown check `{name}`; {nearest(name, CHECKS)}", key=name)
    return str(name)


CheckSpec: Any = choice({name: _model(kind) for name, kind in CHECKS.items()}, _pick)
