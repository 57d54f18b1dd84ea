"""Plays of functions/invoke_target: hooks (the smoke test is the stage's own)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.clients import client

from tests.unit.dead_letters import FUNCTION

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

CANNOT_BE_DEDUPLICATED = ("run_hook",)
VARIANTS = {"run_hook_again": "run_hook"}


def run_hook(stage: Stage, number: int) -> Play:
    """Of a hook that can't tell one run from another."""
    return _hook(stage, number, repeatable=False)


def run_hook_again(stage: Stage, number: int) -> Play:
    """Of a hook that keeps the same action_id from working twice."""
    return _hook(stage, number, repeatable=True)


def _hook(stage: Stage, number: int, *, repeatable: bool) -> Play:
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    alias = f"hook{number}"
    client("lambda").create_alias(FunctionName=FUNCTION, Name=alias, FunctionVersion="3")
    options = {"expect": {}, "repeatable": repeatable}
    return Play(
        number, "run_hook", {"function": FUNCTION, "alias": alias}, lambda: None, None, ("lambda.invoke",),
        None if repeatable else 1, {"options": options},
    )  # fmt: skip


PLAYS = (run_hook, run_hook_again)
