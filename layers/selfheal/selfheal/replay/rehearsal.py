"""An action that looks and decides, as in `plan`, and whose change is then taken for made: nothing is called.

The engine runs whole around it, so that every guard is asked and every lease, cooldown and count is written, into the
ledger of the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from selfheal.action import Action, AlreadyDone, Change, Decision, Image, State, Verification
from selfheal.catalogue import ACTIONS, Entry
from selfheal.clients import instead
from selfheal.request import Request
from selfheal.words import Direction, Verdict

READS = frozenset({"capture_evidence", "check_gate", "check_health", "inspect_dlq", "list_sessions"})
"""Actions that only read; a test holds them against the actions' own code."""
ONLY_USES = frozenset({"capture_evidence", "smoke_test"})
"""Actions that use their target and leave it as it is (`Action.changes_target`); the same test holds them."""

Holds = Callable[[Request], Verification]


class Done:
    """What the steps of a replay have switched, and nobody back: to halt what is halted is nothing to do."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def note(self, request: Request) -> None:
        """It acted. What its own name undoes, like a rollback, can be done again."""
        if request.entry.undo not in {None, request.action}:
            self._last[request.target.key] = request.action

    def has(self, request: Request) -> bool:
        """It is as the request wants it."""
        return self._last.get(request.target.key) == request.action


def direction_of(entry: Entry) -> Direction:
    """What `decide` would say of an action that is not to be undone: what may stand in contain is safe."""
    if entry.name in READS:
        return Direction.READ
    return Direction.SAFE if entry.contains else Direction.RISKY


class Rehearsed(Action):
    """`real` observes and decides with clients of `read`; without it the action's name and `done` must do.

    `holds` says what verification would have seen.
    """

    permissions = ()
    compare_and_set = True  # nobody writes in between
    verify_for_s = 0.0

    def __init__(self, real: Action | None, read: Callable[[str], Any], holds: Holds, done: Done) -> None:
        super().__init__()
        self._real = real
        self._read = read
        self._holds = holds
        self._done = done

    def observe(self, request: Request) -> State:
        """As it is now, or not at all."""
        if self._real is None:
            return {}
        with instead(self._read):
            return self._real.observe(request)

    def decide(self, state: State, request: Request) -> Decision:
        """What the action decides about what is there now; unseen, that its change is to be made."""
        if self._real is not None:
            with instead(self._read):
                return self._real.decide(state, request)
        entry = ACTIONS[self.name]
        if self._done.has(request):
            return AlreadyDone(f"an earlier step has done it and nobody undid it: {entry.summary}")
        summary = f"{entry.summary}: {request.target.key.partition(':')[2]}"
        return Change(direction_of(entry), summary, {"changed": False}, {"changed": True})

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:  # noqa: ARG002 - an action's signature
        """Nothing."""
        return {}

    def verify(self, request: Request, change: Change) -> Verification:
        """As assumed."""
        seen = self._holds(request)
        return Verification(seen.verdict, change.after, seen.detail or change.summary)

    def image(self, state: State) -> Image:
        """As the action has it."""
        return self._real.image(state) if self._real is not None else {"changed": False}


def rehearsed(name: str, real: type[Action] | None, read: Callable[[str], Any], holds: Holds, done: Done) -> Action:
    """The action `name` for one request. Its traits are class attributes, as those of any action."""
    traits = {
        "name": name,
        "reversible": ACTIONS[name].undo is not None if real is None else real.reversible,
        "changes_target": name not in ONLY_USES if real is None else real.changes_target,
    }
    kind = type(f"Rehearsed_{name}", (Rehearsed,), traits)
    action: Action = kind(real() if real is not None else None, read, holds, done)
    return action


def as_planned(request: Request) -> Verification:  # noqa: ARG001 - one of the kind Holds
    """Every change holds."""
    return Verification(Verdict.HOLDS)
