"""What a kind of check is: its name, its fields, and how a check of it is read.

Each kind is one module beside this one. It has `KIND`, the `SERVICES` it asks, the `PERMISSIONS` for that, and one of

    look(check) -> list[Finding]                      asked one by one, side by side
    look_all(checks) -> list[list[Finding]]           asked together, in as few calls as AWS takes
    wanted(check), judge(check, sums)                 metrics: those of all kinds are read together
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.refusal import Refusal

MAX_NAMES = 100
"""Of one list; DescribeAlarms takes no more names in a call."""


@dataclass(frozen=True)
class Field:
    """One field of a check. A list holds texts, a dict texts under names; a float is any number. Allowed values are in
    `one_of` if it is not empty."""

    type: type
    default: Any = None
    required: bool = False
    one_of: tuple[str, ...] = ()
    help: str = ""


def named(text: str) -> Field:
    """A name that must be given."""
    return Field(str, required=True, help=text)


@dataclass(frozen=True)
class CheckKind:
    """The fields of one kind.

    A kind with a `main` field also takes that field's value alone. Of the fields in `either`, exactly one must be
    given. Those in `named_by` tell a person what is looked at. `wrong` says what is wrong with fields that fit one by
    one, or nothing.
    """

    name: str
    summary: str
    fields: Mapping[str, Field]
    main: str | None = None
    either: tuple[str, ...] = ()
    named_by: tuple[str, ...] = ()
    wrong: Callable[[Mapping[str, Any]], str] | None = None

    def read(self, given: object) -> Check:
        """One check of this kind. Raises `Refused(BAD_OPTIONS)` that says what is wrong and what would be right."""
        if self.main and isinstance(given, str):
            given = {self.main: given}
        if not isinstance(given, Mapping):
            raise Refused(Refusal.BAD_OPTIONS, f"check {self.name} must be a mapping with {sorted(self.fields)}")
        if wrong := self._names(given) or self._values(given):
            raise Refused(Refusal.BAD_OPTIONS, f"check {self.name}: {wrong}")
        fields = {name: given.get(name, spec.default) for name, spec in self.fields.items()}
        if self.wrong and (wrong := self.wrong(fields)):
            raise Refused(Refusal.BAD_OPTIONS, f"check {self.name}: {wrong}")
        return Check(self.name, fields, self._resource(fields))

    def _names(self, given: Mapping[str, Any]) -> str:
        if unknown := sorted(str(name) for name in given if name not in self.fields):
            return f"unknown {unknown[:5]}; known are {sorted(self.fields)}"
        if missing := [name for name, spec in self.fields.items() if spec.required and name not in given]:
            return f"missing {missing}"
        if self.either and len([name for name in self.either if name in given]) != 1:
            return f"give exactly one of {list(self.either)}"
        return ""

    def _values(self, given: Mapping[str, Any]) -> str:
        for name, value in given.items():
            if not _fits(self.fields[name], value):
                wanted = list(self.fields[name].one_of) or self.fields[name].type.__name__
                return f"{name} must be {wanted}, got {value!r:.40}"
        return ""

    def _resource(self, fields: Mapping[str, Any]) -> str:
        given = (fields[name] for name in self.named_by if fields[name])
        return "/".join(map(_shown, given))[:256]


@dataclass(frozen=True)
class Check:
    """One check, validated, with every default filled in. `resource` is what it looks at, in one short text."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    resource: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(map(str, value.values()))
    return value if isinstance(value, str) else ",".join(value)


def _fits(spec: Field, value: object) -> bool:
    if spec.type is list:
        texts = isinstance(value, list | tuple) and all(isinstance(item, str) and item for item in value)
        return texts and 0 < len(value) <= MAX_NAMES  # type: ignore[arg-type]  # narrowed by `texts`
    if spec.type is dict:
        texts = isinstance(value, Mapping) and all(
            isinstance(one, str) and one for pair in value.items() for one in pair
        )
        return texts and 0 < len(value) <= MAX_NAMES  # type: ignore[arg-type]  # narrowed by `texts`
    if spec.type is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if spec.type is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if spec.type is str:
        return isinstance(value, str) and bool(value) and (not spec.one_of or value in spec.one_of)
    return isinstance(value, spec.type)
