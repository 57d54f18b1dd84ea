"""The parts of an ARN that a runbook leaves open: `arn:{partition}:sns:{region}:{account}:alarms`.

A runbook does not know where it is deployed to; the function that looks does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import settings


def at_home(value: Any) -> Any:
    """The same document with `{partition}`, `{region}` and `{account}` filled in, in every text at any depth.

    Raises Misconfigured when one is needed and the stack does not say it.
    """
    if isinstance(value, str):
        for name, variable in _PARTS.items():
            part = f"{{{name}}}"
            value = value.replace(part, settings.text(variable)) if part in value else value
        return value
    if isinstance(value, Mapping):
        return {name: at_home(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [at_home(item) for item in value]
    return value


_PARTS = {"partition": "HOME_PARTITION", "region": "AWS_REGION", "account": "HOME_ACCOUNT"}
