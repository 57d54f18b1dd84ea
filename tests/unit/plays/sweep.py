"""Plays of functions/check_health: a sweep of a runbook, with its report (single checks are the stage's own)."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from selfheal import runbook
from selfheal_build.runbooks import compile_folder

if TYPE_CHECKING:
    from tests.unit.stage import Play, Stage

VARIANTS = {"a_sweep": "check_health"}
SWEEP = "before the open"


def a_sweep(stage: Stage, number: int) -> Play:
    """Of a system that has one check, which passes, and one that fails."""
    from tests.unit.stage import Play  # noqa: PLC0415 - the stage imports the plays

    write_runbook(f"s{number}", [{"queue": {"queue": "empty"}}, {"bus": {"bus": "nowhere"}}])
    target, options = {"system": f"s{number}"}, {"sweep": SWEEP}
    return Play(number, "check_health", target, lambda: None, None, more={"options": options})


def write_runbook(system: str, checks: list[dict[str, Any]]) -> None:
    """The stack's only runbook has this sweep from now on."""
    text = _compiled(json.dumps(checks)).replace("SYSTEM", system)
    Path(os.environ["RUNBOOKS_PATH"]).write_text(text)
    runbook._load.cache_clear()


@cache
def _compiled(checks: str) -> str:
    written = {"system": "SYSTEM", "owner": "ann", "sweeps": [{"name": SWEEP, "at": "15 9 * * ? *"}]}
    with TemporaryDirectory() as folder:
        (Path(folder) / "shop.yaml").write_text(json.dumps({**written, "checks": json.loads(checks)}))
        return json.dumps(compile_folder(Path(folder)))


PLAYS = (a_sweep,)
