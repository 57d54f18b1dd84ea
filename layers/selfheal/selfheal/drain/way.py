"""Where the letters of a drain go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from selfheal.dead_letter import DeadLetter, Stay
from selfheal.replay_record import Fate

Plan = Mapping[str, Any]
"""What was decided and recorded: url, arn, queue, fifo, looked_at, way, counts, limit, canary, per_second."""


class Way(Protocol):
    """What differs between the drains."""

    @property
    def sends(self) -> bool:
        """False: letters are archived and go nowhere else."""

    def why_stay(self, letter: DeadLetter, plan: Plan) -> Stay | None:
        """None: this letter may be taken."""

    def send(self, letter: DeadLetter, plan: Plan) -> str:
        """Send it once; the id under which it would come back. Raises botocore's errors."""


def done_fates(way: Way) -> tuple[Fate, ...]:
    """Nothing is left to do for such a message but to delete it."""
    return (Fate.SENT,) if way.sends else (Fate.SENT, Fate.ARCHIVED)


def open_fates(way: Way) -> tuple[Fate, ...]:
    """Such a message is looked after even when no further one may be taken."""
    return (*done_fates(way), Fate.CLAIMED, Fate.UNKNOWN) if way.sends else done_fates(way)
