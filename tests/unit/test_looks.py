"""The look under the lease: as much as the image needs, and no call that the first look has not made."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal.action import Action
from selfheal.catalogue import ACTIONS
from selfheal.request import read_request

from tests.unit.stage import PLAYS, Stage, stage


def test_every_action_sees_again_what_it_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with stage(monkeypatch, tmp_path) as here:
        looked = {name: looks(here, name) for name in PLAYS}
    compared = {name: found for name, found in looked.items() if found is not None}
    assert {name for name, found in compared.items() if found[0] != found[1]} == set()
    assert {name for name, found in compared.items() if found[3] - found[2]} == set()
    assert {"halt_trading", "disable_rules", "stop_service", "roll_back_service"} <= {
        name for name, found in compared.items() if found[3].total() < found[2].total()
    }


def looks(here: Stage, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any], Counter[str], Counter[str]] | None:
    """The image by the first look and by the second one, and the calls of each; None: the action has no image."""
    play = here.play(name)
    module = importlib.import_module(f"functions.{ACTIONS[play.action].function}.app")
    made: Action = next(one for one in vars(module).values() if getattr(one, "name", "") == play.action)(60.0)
    if not made.reversible:
        return None
    request = read_request(play.request, (play.action,), "id")

    def image(read: Callable[..., Any]) -> tuple[Mapping[str, Any], Counter[str]]:
        here.wire.again()
        here.wire.listening = True
        seen = dict(made.image(read(request)))
        here.wire.listening = False
        return seen, Counter(here.wire.calls)

    (first, calls), (second, fewer) = image(made.observe), image(made.look)
    return first, second, calls, fewer
