"""Mends for ministack: where version 1.5.33 does other than AWS in a way that self-healing depends on.

One mend, one module, one contract test (``tests/local/emulator``). A mend hooks private functions, so all of them
belong to exactly one version; :func:`hook` and :func:`apply_all` refuse loudly when that no longer holds.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from types import ModuleType
from typing import Any

VERSION = "1.5.33"

ORDER = (
    "lambda_workers",
    "lambda_invocation",
    "lambda_async",
    "alarm_evaluation",
    "alarm_actions",
    "eventbridge_targets",
    "event_replays",
    "event_archives",
    "api_destinations",
    "scheduler",
    "lambda_versions",
    "lambda_provisioned",
    "cloudformation_lambda",
    "cloudformation_stages",
    "sam_parameters",
    "iam_requests",
    "sqs_move_tasks",
    "ssm_parameters",
    "tagged_resources",
    "codedeploy",
    "ecs_deployments",
    "application_autoscaling",
    "embedded_metrics",
    "log_filters",
    "sqs_metrics",
)
"""Applied in this order: a later mend may rely on what an earlier one put in place."""


class MendError(Exception):
    """ministack is not the version that the mends were written for."""


def apply_all(without: tuple[str, ...] = ()) -> None:
    """Apply every mend but those named in ``without`` (``all``: none).

    Raises :class:`MendError` for another version of ministack and for a name that is no mend.
    """
    installed = version("ministack")
    if installed != VERSION:
        raise MendError(f"the mends are for ministack {VERSION}, installed is {installed}")
    unknown = set(without) - set(ORDER) - {"all"}
    if unknown:
        raise MendError(f"no such mend: {', '.join(sorted(unknown))}")
    applied = []
    for name in ORDER:
        if name not in without and "all" not in without:
            module = importlib.import_module(f"{__name__}.{name}")
            module.apply()
            applied.append(module)
    _forget_on_reset(applied)


def _forget_on_reset(applied: list[ModuleType]) -> None:
    """Have ``POST /_ministack/reset`` empty what the mends remember as well: their functions ``reset``."""
    from ministack import app  # noqa: PLC0415 - reads the environment when it is imported

    def reset_all() -> None:
        stock()
        for module in applied:
            forget = getattr(module, "reset", None)
            if forget is not None:
                forget()

    stock = hook(app, "_reset_all_state", reset_all)


def hook(module: Any, name: str, replacement: Any) -> Any:
    """Replace ``module.name`` and return what stood there; refuse when there is nothing to replace."""
    original = getattr(module, name, None)
    if original is None:
        raise MendError(f"{module.__name__} has no {name} to mend")
    setattr(module, name, replacement)
    return original
