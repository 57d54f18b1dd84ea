"""Holds a document against the models and says what does not fit, in words for the one who wrote the file."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from .document import Document
from .models import RunbookPart
from .parts import TAG, Part
from .problems import Finding, Path, nearest
from .steps import StepPart
from .values import shown

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list (`- …` or `[…]`)",
    "dict_type": "a mapping (`key: …`)",
    "model_type": "a mapping (`key: …`)",
}


def read_shape(document: Document) -> tuple[RunbookPart | None, list[Finding]]:
    """The runbook in `document`, or what is wrong with it."""
    models: dict[int, type[Part]] = {}
    try:
        return RunbookPart.model_validate(document.data, context=models), []
    except ValidationError as error:
        return None, [_finding(each, document.data, models) for each in error.errors(include_url=False)]


def _finding(error: Any, data: Any, models: dict[int, type[Part]]) -> Finding:
    path: Path = tuple(part for part in error["loc"] if not str(part).startswith(TAG) and part != "[key]")
    context = error.get("ctx", {})
    if error["type"] == "runbook":
        if "key" in context:
            return Finding((*path, context["key"]), context["message"], at_key=True)
        return Finding((*path, *context.get("at", ())), context["message"], at_key=error["loc"][-1:] == ("[key]",))
    if error["type"] in {"extra_forbidden", "missing"}:
        parent = _at(data, path[:-1])
        model = models.get(id(parent), Part)
        if error["type"] == "missing":
            return Finding(path[:-1], _missing(str(path[-1]), model))
        return Finding(path, _unknown(str(path[-1]), parent, model), at_key=True)
    if error["loc"][-1:] == ("[key]",):
        return Finding(path, _unfit(error, path[:-1]), at_key=True)
    return Finding(path, _unfit(error, path))


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _unknown(key: str, parent: Any, model: type[Part]) -> str:
    if key == "settle":
        return "`settle` belongs to remediate: only the ladder waits between its steps"
    known = [name for name in model.known_keys() if name not in parent]
    return f"unknown key `{key}`; {nearest(key, known)}"


def _missing(key: str, model: type[Part]) -> str:
    if key == "approval" and issubclass(model, StepPart):
        return f"`{model.entry.name}` never runs without a person; add `approval: required`"
    field = next((field for name, field in model.model_fields.items() if (field.alias or name) == key), None)
    return f"`{key}` is missing" + (f"; add it: {field.description}" if field and field.description else "")


def _unfit(error: Any, path: Path) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    name = next((f"`{part}`" for part in reversed(path) if isinstance(part, str)), "a runbook")
    if kind in {"int_type", "bool_type"} and isinstance(value, str):
        return f"{name} must be {_WANTED[kind]}, got the text {shown(value)}"
    if kind in _WANTED:
        quote = "; quote it" if kind == "string_type" and not isinstance(value, dict | list | None) else ""
        return f"{name} must be {_WANTED[kind]}, got {shown(value)}{quote}"
    if kind == "literal_error":
        allowed = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
        if allowed == ["True"]:
            return f"{name} is always true here; leave it away"
        return f"{shown(value)} is no value of {name}; {nearest(value, allowed)}"
    if kind == "too_long":
        return f"{name} has {context['actual_length']} entries; at most {context['max_length']} are right"
    if kind == "too_short":
        return f"{name} is empty; give at least one"
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return f"{name} must be {bound}, got {shown(value)}"
    return f"{name}: {error['msg']}"
