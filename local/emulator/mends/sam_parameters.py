"""The SAM transform sees the values of the template's parameters, not their defaults alone.

Stock ministack 1.5.33 gives the translator an empty map of parameter values, so that what SAM must know while it
transforms (``DeploymentPreference: {Enabled: !Ref …}``, ``AutoPublishAlias: !Ref …``, a condition on a generated
resource) follows the parameter's default and ignores the override.

AWS resolves parameters before it runs AWS::Serverless
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/transform-aws-serverless.html); the translator's own
first argument is that map.
"""

from __future__ import annotations

import contextvars
from types import ModuleType
from typing import Any

import samtranslator.translator.transform as translator
from ministack.services.cloudformation import changesets, engine, handlers

from local.emulator.mends import hook

_values: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("sam_parameters", default=None)


def _apply_transforms(template: dict[str, Any], provided: Any = None, previous: Any = None) -> Any:
    token = _values.set(engine._transform_parameters(template, provided, previous))
    try:
        return _stock_apply(template, provided, previous)
    finally:
        _values.reset(token)


def _transform(template: dict[str, Any], parameters: dict[str, Any], *rest: Any, **named: Any) -> Any:
    return _stock_transform(template, {**(_values.get() or {}), **parameters}, *rest, **named)


def apply() -> None:
    global _stock_apply, _stock_transform  # noqa: PLW0603
    _stock_apply = engine._apply_transforms
    modules: tuple[ModuleType, ...] = (engine, changesets, handlers)
    for module in modules:
        hook(module, "_apply_transforms", _apply_transforms)
    _stock_transform = hook(translator, "transform", _transform)


_stock_apply: Any = None
_stock_transform: Any = None
