"""What the models of a runbook are made of: mappings with known keys, and choices that are made by looking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, ValidationInfo, model_validator

TAG = "·"
"""Marks the parts of an error's location that name a choice and no key of the file."""


class Part(BaseModel):
    """A mapping of the file. Unknown keys and types that only look alike (`"3"` for 3) are wrong."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _remember(cls, value: Any, info: ValidationInfo) -> Any:
        # An error about an unknown key does not say which keys are known: note which model read which mapping.
        if info.context is not None:
            info.context[id(value)] = cls
        return value

    @classmethod
    def known_keys(cls) -> list[str]:
        """The keys that may stand in this mapping."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    def written(self) -> dict[str, Any]:
        """What stands in the file, under its keys there; no defaults."""
        # Not model_dump: it asks `choice` again, with values that were read already.
        fields = type(self).model_fields
        return {
            field.alias or name: value.written() if isinstance(value := getattr(self, name), Part) else value
            for name, field in fields.items()
            if name in self.model_fields_set
        }


def choice(variants: Mapping[str, Any], pick: Callable[[Any], str]) -> Any:
    """A type that is one of `variants`. `pick` sees the raw value and answers with the name of one, or raises
    `values.wrong(…)`: so an error speaks of one variant and never of all of them.
    """

    def look(value: Any) -> Any:
        pick(value)  # raises; inside a discriminator it could not
        return value

    tagged = [Annotated[variant, Tag(TAG + name)] for name, variant in variants.items()]
    if len(tagged) == 1:
        return Annotated[next(iter(variants.values())), BeforeValidator(look)]
    chosen: Any = Annotated[Union[tuple(tagged)], Discriminator(lambda value: TAG + pick(value))]  # noqa: UP007
    return Annotated[chosen, BeforeValidator(look)]
