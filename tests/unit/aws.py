"""Helpers for tests of single actions: requests as they arrive, changes as they are resumed, AWS as a script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from botocore.stub import Stubber
from selfheal.action import Action, Change
from selfheal.catalogue import ACTIONS
from selfheal.clients import client
from selfheal.request import Request, read_request
from selfheal.words import Direction

ROOT = Path(__file__).parents[2]


@contextmanager
def script(service: str) -> Iterator[Stubber]:
    """AWS answers what the test says, to exactly the calls that the test says, and no call may be left over."""
    with Stubber(client(service)) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def ask(action: str, target: Mapping[str, Any], *, wanted: Mapping[str, Any] | None = None, **more: Any) -> Request:
    """A request that went through the same reading as in Lambda; `wanted` is filled in as the engine does it."""
    event = {"action": action, "action_id": "test-1", "target": target, "mode": "act", **more}
    request = read_request(event, tuple(ACTIONS), "default-id")
    return request if wanted is None else Request(**{**vars(request), "wanted": wanted})


def event(name: str) -> dict[str, Any]:
    """The payload for `sam remote invoke` of this function."""
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return loaded


def recorded(change: Change) -> Change:
    """The change as a later run reads it back from the ledger."""
    document = json.loads(json.dumps(asdict(change)))
    return Change(**{**document, "direction": Direction(document["direction"])})


def planned(action: Action, request: Request) -> Change:
    """Observe and decide; the action must want to change something. The state must be recordable."""
    state = action.observe(request)
    assert json.loads(json.dumps(state)) == state
    decision = action.decide(state, request)
    assert isinstance(decision, Change), decision
    return recorded(decision)
