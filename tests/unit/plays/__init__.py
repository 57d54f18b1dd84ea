"""The plays of the stage, a module for each function: `PLAYS` names them, `ANSWERS` are calls that moto does not know.

A play is a function of the stage and a number that makes it a fresh one (`def restart_service(stage, number) -> Play`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

MODULES = tuple(importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))

PLAYS: Mapping[str, Callable[..., Any]] = {play.__name__: play for module in MODULES for play in module.PLAYS}
"""Action (or a name of its own, for a variant) → play."""

CANNOT_BE_DEDUPLICATED: tuple[str, ...] = tuple(
    name for module in MODULES for name in getattr(module, "CANNOT_BE_DEDUPLICATED", ())
)
"""Actions whose call may end as unknown: recorded, told, and never repeated."""


def variants() -> dict[str, str]:
    """Plays that are a further one of an action: name → action."""
    return {name: action for module in MODULES for name, action in getattr(module, "VARIANTS", {}).items()}


def answers(stage: Any) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """What stands in for AWS on this stage, by the name of the call (`ecs.stop_service_deployment`)."""
    found: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {}
    for module in MODULES:
        found |= module.answers(stage) if hasattr(module, "answers") else {}
    return found
