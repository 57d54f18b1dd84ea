"""A parameter's pattern and type are enforced, and its history names who wrote.

Stock ministack 1.5.33 stores ``AllowedPattern`` without looking at it, forgets it when a value is overwritten, lets an
overwrite change the type, and names the account's root as ``LastModifiedUser`` whoever wrote.

AWS (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html): a value that does not match
is ``ParameterPatternMismatchException``, another type ``HierarchyTypeMismatchException``. That an overwrite without a
pattern keeps the old one is not written there; it is how SSM's other emulators behave, and the careful assumption.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json
from ministack.services import ssm

from local.emulator.mends import hook


def _put_parameter(data: dict[str, Any]) -> Any:
    existing = ssm._parameters.get(data.get("Name")) or {}
    if existing and data.get("Overwrite") and data.get("Type") not in {None, existing["Type"]}:
        return error_response_json(
            "HierarchyTypeMismatchException",
            "The parameter type can't be changed: delete the parameter and create it anew.",
            400,
        )
    pattern = data.get("AllowedPattern") or existing.get("AllowedPattern")
    if pattern and not re.search(pattern, data.get("Value", "")):
        return error_response_json(
            "ParameterPatternMismatchException",
            f"Parameter value can't be validated based on the pattern {pattern}",
            400,
        )
    answer = _stock_put_parameter({**data, "AllowedPattern": pattern} if pattern else data)
    if answer[0] == 200:
        ssm._parameter_history[data["Name"]][-1]["LastModifiedUser"] = iam_evaluator.caller_arn()
    return answer


def apply() -> None:
    global _stock_put_parameter  # noqa: PLW0603
    _stock_put_parameter = hook(ssm, "_put_parameter", _put_parameter)


_stock_put_parameter: Any = None
