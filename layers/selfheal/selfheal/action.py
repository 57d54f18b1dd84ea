"""An action is four small functions; the engine does all the rest, the same way however it was started.

observe(request) → State      read, never write
decide(state, request) → Change | AlreadyDone | Decline      pure: no I/O; says safe or risky
apply(request, change) → evidence      compare-and-set where AWS has it
verify(request, change) → Verification      holds / not yet / does not hold / unknown
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

from selfheal.frozen import dataclass
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

State = Mapping[str, Any]
"""What `observe` saw: JSON types only, because it is recorded."""

Image = Mapping[str, Any]
"""The fields that an action writes, and no others: before- and after-images are compared field by field."""

DEPLOYED_AT = "deployed_at"
"""A fact: when what would be rolled back was made, in epoch seconds. Only rollbacks have it; None where AWS did not
say."""


@dataclass(frozen=True)
class Change:
    """What would be done. `before` and `after` are images; `summary` is one line for a person.

    `plan` is what `apply` needs beyond the images (a RevisionId, the whole schedule document): recorded with the
    before-image, so that a run that was killed can be resumed from the record alone. `facts` are what `observe` has
    seen and a guard asks about (DEPLOYED_AT). `evidence` goes into the result, of a plan as well.
    """

    direction: Direction
    summary: str
    before: Image = field(default_factory=dict)
    after: Image = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AlreadyDone:
    """The wanted state holds already; nothing is to be done."""

    detail: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decline:
    """The action refuses for a named reason; `detail` says what was found and what would be right.

    `until`: when what stands in the way is over, in epoch seconds, where that is known.
    """

    refusal: Refusal
    detail: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    until: float | None = None


Decision = Change | AlreadyDone | Decline


@dataclass(frozen=True)
class Verification:
    """What the resource looks like after the call; `after` is an image."""

    verdict: Verdict
    after: Image = field(default_factory=dict)
    detail: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Action(ABC):
    """Base of every action. One instance serves one invocation.

    Calls that AWS makes fail are raised as `SelfhealError`s (see `aws_errors.translate`); the engine turns them into
    outcomes. Nothing here catches what it does not expect.
    """

    name: ClassVar[str]
    """Its name in the catalogue."""
    permissions: ClassVar[tuple[str, ...]]
    """Every IAM action that it needs; a project test compares them with template.yaml."""
    reversible: ClassVar[bool] = True
    """An undo can restore `before`."""
    repeatable: ClassVar[bool] = True
    """`apply` may run again after a crash. False where AWS can't deduplicate (Invoke, SendMessage): a killed run of
    such an action ends inconclusive."""
    continues: ClassVar[bool] = False
    """Long work: while `verify` says not yet, a resumed run applies again (its own journal knows what is done)."""
    changes_target: ClassVar[bool] = True
    """False for what only uses the target (a smoke test): it leaves no cooldown behind, which would keep the next
    incident from healing the same target."""
    captures: ClassVar[bool] = False
    """Where it is risky, evidence is captured right before `apply` (see `capture`); that it failed stops nothing."""
    destroys: ClassVar[bool] = False
    """What would be evidence is gone afterwards: it is captured first whatever the direction, and without it the step
    is refused."""
    compare_and_set: ClassVar[bool] = False
    """AWS itself refuses a stale write. Where it does not, the engine looks again under the lease."""
    verify_for_s: ClassVar[float] = 10.0
    """How long the engine asks `verify` again while it says not yet."""

    def __init__(self, remaining_s: float = 60.0) -> None:
        self.remaining_s = remaining_s
        """Seconds that this invocation has left; long work stops in time and is continued by the clock."""
        self._called = False
        """Set by `apply`: what `verify` sees unchanged is then not there yet; in a later run it was never called."""

    @abstractmethod
    def observe(self, request: Request) -> State:
        """Read the target. Raises TargetNotFound, TargetForbidden, Unreadable."""

    def look(self, request: Request) -> State:
        """As much of what `observe` reads as `image` needs: asked under the lease. Raises as it does."""
        return self.observe(request)

    @abstractmethod
    def decide(self, state: State, request: Request) -> Decision:
        """What to do about what was seen. Pure. `request.wanted` (an image) is to be restored if it is set."""

    @abstractmethod
    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Make the change; returns evidence. Raises ChangedMeanwhile when compare-and-set lost, NotApplied."""

    @abstractmethod
    def verify(self, request: Request, change: Change) -> Verification:
        """Read the target again and say whether the change holds."""

    def image(self, state: State) -> Image:
        """The fields of `state` that this action writes. Needed by reversible actions only."""
        raise TypeError(f"{self.name} is not reversible and has no image of {sorted(state)}")

    def may_repeat(self, request: Request) -> bool:  # noqa: ARG002 - what overrides it asks the request
        """`repeatable`, where that depends on the request: a hook of the user's own says it of itself."""
        return self.repeatable
