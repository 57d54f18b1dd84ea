"""Frozen classes without compiled methods, held against the standard library's."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from selfheal import frozen


class _Base:
    """Fields without and with defaults, one made anew for each instance, one that is not compared, one not given."""

    name: str
    count: int = 0
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)
    beside: str = dataclasses.field(default="", compare=False, repr=False)
    made: tuple[str, ...] = dataclasses.field(default=("x",), init=False)


def _like(decorate: Callable[[type], type]) -> Any:
    body = {"__annotations__": dict(_Base.__annotations__), "__doc__": "As _Base.", "__module__": __name__}
    body |= {name: value for name, value in vars(_Base).items() if name in body["__annotations__"]}
    return decorate(type("Thing", (), body))


Thing = _like(frozen._made)
Standard = _like(dataclasses.dataclass(frozen=True))
GIVEN: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    (("a",), {}),
    (("a", 2), {}),
    ((), {"name": "a", "count": 3}),
    (("a",), {"notes": {"b": 1}, "beside": "c"}),
    ((), {}),
    (("a",), {"name": "b"}),
    (("a",), {"unknown": 1}),
    (("a", 1, {}, "", "too many"), {}),
    ((), {"name": "a", "made": ()}),
)


def outcome(kind: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    try:
        made = kind(*args, **given)
    except TypeError:
        return TypeError
    return dataclasses.asdict(made), repr(made)


@pytest.mark.parametrize(("args", "given"), GIVEN)
def test_it_is_made_as_the_standard_one(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    assert outcome(Thing, args, given) == outcome(Standard, args, given)


def test_it_is_told_from_others_as_the_standard_one() -> None:
    for kind in (Thing, Standard):
        assert kind("a", beside="x") == kind("a", beside="y")
        assert kind("a") != kind("b")
        assert kind("a") != ("a", 0, {}, "")
    assert Thing("a") != Standard("a")
    assert hash(Thing("a", notes=())) == hash(Thing("a", notes=()))


def test_it_stays_as_it_is() -> None:
    one = Thing("a")
    for name in ("name", "new"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, name, "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.name
    assert one.name == "a"


def test_it_is_replaced_copied_and_matched() -> None:
    one = Thing("a", 1)
    assert dataclasses.replace(one, count=2) == Thing("a", 2)
    assert copy.deepcopy(one) == copy.copy(one) == pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - its own
    assert Thing("a").notes is not Thing("b").notes
    match one:
        case Thing(name, count):
            assert (name, count) == ("a", 1)


def test_what_a_class_defines_itself_is_kept_and_its_last_step_runs() -> None:
    @frozen.dataclass(frozen=True)
    class Own:
        """With methods of its own."""

        value: int

        def __post_init__(self) -> None:
            object.__setattr__(self, "value", self.value + 1)

        def __repr__(self) -> str:
            return "own"

    assert (Own(1).value, repr(Own(1))) == (2, "own")


def test_a_subclass_has_its_own_fields_too() -> None:
    @frozen.dataclass(frozen=True)
    class Base:
        """One field."""

        a: int

    @frozen.dataclass(frozen=True)
    class More(Base):
        """Two."""

        b: int = 2

    assert More(1) == More(1, 2)
    assert repr(More(1)).endswith("More(a=1, b=2)")


def test_other_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="frozen"):
        frozen.dataclass(frozen=False)
