"""`dataclass(frozen=True)` whose methods are shared instead of compiled: a cold start makes some forty such classes.

The standard library writes and compiles six methods for each class, about 1 ms of CPU each time a function starts. Here
fields, `replace`, `asdict` and `match` are the standard library's, and the methods are the ones below. Nothing else
differs; what needs more than `frozen` (order, slots, fields by keyword only) takes the standard one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - what a type checker sees
else:

    def dataclass(*, frozen: bool) -> Callable[[type], type]:
        """As `dataclasses.dataclass(frozen=True)`."""
        if frozen is not True:
            raise TypeError("selfheal.frozen makes frozen classes only; take dataclasses.dataclass")
        return _made


def _made(cls: type) -> type:
    own = set(vars(cls))
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(cls)
    methods = {
        "__init__": _init(fields, hasattr(cls, "__post_init__")),
        "__repr__": _repr(tuple(field.name for field in fields if field.repr)),
        "__setattr__": _no_set,
        "__delattr__": _no_delete,
        **_equality(tuple(field.name for field in fields if field.compare)),
    }
    for name, method in methods.items():
        if name not in own:
            setattr(cls, name, method)
    return cls


def _init(fields: tuple[dataclasses.Field[Any], ...], finish: bool) -> Callable[..., None]:
    names = tuple(field.name for field in fields if field.init)
    defaults = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    factories = {
        field.name: field.default_factory for field in fields if field.default_factory is not dataclasses.MISSING
    }

    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807 - it becomes one
        values = self.__dict__
        values.update(zip(names, args, strict=False))
        for name in names[len(args) :]:
            if name in given:
                values[name] = given.pop(name)
            elif name in defaults:
                values[name] = defaults[name]
            elif name in factories:
                values[name] = factories[name]()
            else:
                raise TypeError(f"{type(self).__qualname__} misses {name}")
        if given or len(args) > len(names):
            raise TypeError(f"{type(self).__qualname__} has {names}; given were {args} and {sorted(given)} besides")
        for field in fields:
            if not field.init:
                values[field.name] = defaults[field.name] if field.name in defaults else factories[field.name]()
        if finish:
            self.__post_init__()

    return __init__


def _repr(names: tuple[str, ...]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:  # noqa: N807
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _equality(names: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    def values(one: Any) -> tuple[Any, ...]:
        return tuple(getattr(one, name) for name in names)

    def __eq__(self: Any, other: object) -> Any:  # noqa: N807
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _no_set(self: Any, name: str, value: object) -> None:  # noqa: ARG001 - as the language calls it
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _no_delete(self: Any, name: str) -> None:  # noqa: ARG001
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
