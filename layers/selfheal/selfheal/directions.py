"""What happens when something that a run needs can't be read or told: decided by the direction, never case by case.

What stops the bleeding must work while something is broken; what can hurt must not. So a safe action goes without its
guards and without its memory, a risky one with neither, and nobody acts on a target that he can't see. A test runs
every action through every cell, with the dependency failing in three ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from selfheal.catalogue import Entry
from selfheal.words import Direction


class Dependency(StrEnum):
    """What can fail to answer, in the order in which a run meets it."""

    CREDENTIALS = "credentials"
    LEDGER = "ledger"
    TARGET = "target"
    EXTRAS = "what a write repeats"
    RUNBOOKS = "runbooks"
    TAGS = "tags"
    ALARM = "alarm"
    EVIDENCE = "evidence"
    BUS = "bus"
    LOG = "log"

    @property
    def meaning(self) -> str:
        """For a person."""
        return _MEANINGS[self]


class Need(StrEnum):
    """What a run needs a dependency for. This, and the direction, decide."""

    SIGHT = "to see the target"
    MEMORY = "to remember, and to exclude others"
    ADVICE = "to be told that it should not"
    CARE = "to leave everything else as it is"
    KEEPING = "to keep what may be gone afterwards"
    TELLING = "to tell what was done"


class Consequence(StrEnum):
    """What becomes of the run."""

    ACTS = "acts"
    NOTED = "acts; noted in the evidence"
    TAKEN_IN_LATER = "acts; recorded afterwards"
    GUARD_UNREADABLE = "`guard_unreadable`"
    TARGET_UNREADABLE = "`target_unreadable`"
    EVIDENCE_MISSING = "`evidence_missing`"
    NOT_ASKED = "not asked"

    @property
    def goes_on(self) -> bool:
        """The action is carried out."""
        return self not in {
            Consequence.GUARD_UNREADABLE,
            Consequence.TARGET_UNREADABLE,
            Consequence.EVIDENCE_MISSING,
        }


NEEDED: Mapping[Dependency, Need] = {
    Dependency.CREDENTIALS: Need.SIGHT,
    Dependency.LEDGER: Need.MEMORY,
    Dependency.TARGET: Need.SIGHT,
    Dependency.EXTRAS: Need.CARE,
    Dependency.RUNBOOKS: Need.ADVICE,
    Dependency.TAGS: Need.ADVICE,
    Dependency.ALARM: Need.ADVICE,
    Dependency.EVIDENCE: Need.KEEPING,
    Dependency.BUS: Need.TELLING,
    Dependency.LOG: Need.TELLING,
}

_MEANINGS: Mapping[Dependency, str] = {
    Dependency.CREDENTIALS: "the function's role gives no valid credentials, so nothing answers",
    Dependency.LEDGER: "DynamoDB",
    Dependency.TARGET: "the service whose resource is to be changed",
    Dependency.EXTRAS: "the history of a parameter, which knows its tier, description, pattern and key",
    Dependency.RUNBOOKS: "the compiled file in the runbooks layer; asked if the request names a system",
    Dependency.TAGS: "the tagging API",
    Dependency.ALARM: "CloudWatch; asked for steps that an alarm asked for",
    Dependency.EVIDENCE: "PreserveEvidence; asked before what may destroy evidence (rollback, drain, restart); what "
    "surely does is refused without it, as `evidence_missing`",
    Dependency.BUS: "EventBridge; the clock finds the answer in the record",
    Dependency.LOG: "the function's output, which carries the metrics too",
}

_BY_DIRECTION: Mapping[Need, Mapping[Direction, Consequence]] = {
    Need.MEMORY: {
        Direction.READ: Consequence.ACTS,
        Direction.SAFE: Consequence.TAKEN_IN_LATER,
        Direction.RISKY: Consequence.GUARD_UNREADABLE,
    },
    Need.ADVICE: {
        Direction.READ: Consequence.NOT_ASKED,
        Direction.SAFE: Consequence.NOTED,
        Direction.RISKY: Consequence.GUARD_UNREADABLE,
    },
    Need.KEEPING: {
        Direction.READ: Consequence.NOT_ASKED,
        Direction.SAFE: Consequence.NOT_ASKED,
        Direction.RISKY: Consequence.NOTED,
    },
    Need.CARE: {
        Direction.READ: Consequence.NOT_ASKED,
        Direction.SAFE: Consequence.NOTED,
        Direction.RISKY: Consequence.TARGET_UNREADABLE,
    },
}


def without(
    dependency: Dependency,
    direction: Direction,
    *,
    undo: bool = False,
    in_ledger: bool = False,
    destroys: bool = False,
) -> Consequence:
    """What a run of this direction does without the dependency.

    `undo`: it restores an image, which only the ledger has. `in_ledger`: the target is an item of the ledger itself.
    `destroys`: what would be evidence is gone afterwards.
    """
    need = NEEDED[dependency]
    if need is Need.KEEPING and destroys and direction is not Direction.READ:
        return Consequence.EVIDENCE_MISSING
    if need is Need.TELLING:
        return Consequence.ACTS
    if need is Need.SIGHT or (in_ledger and dependency is Dependency.LEDGER):
        return Consequence.TARGET_UNREADABLE
    if undo and dependency is Dependency.LEDGER:
        return Consequence.GUARD_UNREADABLE
    return _BY_DIRECTION[need][direction]


def is_in_ledger(entry: Entry) -> bool:
    """What a person decides is written into the ledger and nowhere else."""
    return bool({"incident", "pause"} & {*entry.kinds})
