"""The enumerations of design: mode, origin, direction, outcome, verdict, stage. Their values go on the wire."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """How a request is to be carried out."""

    ACT = "act"
    PLAN = "plan"
    RESUME = "resume"


class ResponseMode(StrEnum):
    """How far a response may go by itself."""

    OFF = "off"
    SUGGEST = "suggest"
    AUTO = "auto"


class Origin(StrEnum):
    """Who asks. Guards differ by it; Lambda does not see its caller, so it is taken as claimed."""

    ALARM = "alarm"
    LADDER = "ladder"
    HAND = "hand"
    UNDO = "undo"
    SWEEP = "sweep"
    DRILL = "drill"


class Direction(StrEnum):
    """`safe` stops something and loses nothing; `risky` is everything else that writes; `read` writes nothing."""

    READ = "read"
    SAFE = "safe"
    RISKY = "risky"


class Outcome(StrEnum):
    """What became of a request."""

    ACTED = "acted"
    ALREADY_DONE = "already_done"
    PLANNED = "planned"
    REFUSED = "refused"
    IN_PROGRESS = "in_progress"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Verdict(StrEnum):
    """What `verify` saw. `unknown`: the effect can't be told, which is for a person and never for a repeat."""

    HOLDS = "holds"
    NOT_YET = "not_yet"
    DOES_NOT_HOLD = "does_not_hold"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """The stages of a response, in their order. The probe belongs to remediate."""

    CONTAIN = "contain"
    REMEDIATE = "remediate"
    RECOVER = "recover"
