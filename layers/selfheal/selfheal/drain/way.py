"""Where the letters of a drain go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from selfheal.dead_letter import DeadLetter, Stay
from selfheal.frozen import dataclass
from selfheal.letters_known import Fate, Known

Plan = Mapping[str, Any]
"""What was decided and recorded: url, arn, queue, fifo, looked_at, way, counts, limit, canary, per_second, archive."""


@dataclass(frozen=True)
class Answer:
    """What AWS said about one letter: the id that it has if it comes back, or why it was not taken.

    `unclear`: AWS failed while it took it, so it was sent or it was not.
    """

    sent_as: str | None = None
    why_not: str = ""
    unclear: bool = False


class Way(Protocol):
    """What differs between the drains."""

    @property
    def sends(self) -> bool:
        """False: letters are archived and go nowhere else."""

    @property
    def chunk(self) -> int:
        """So many letters are archived in one object, and are in doubt if a run dies while it sends them."""

    @property
    def marks_payloads(self) -> bool:
        """A letter that comes back may have another id than it was sent as: it is known by its payload as well."""

    def why_stay(self, letter: DeadLetter, plan: Plan) -> Stay | None:
        """None: this letter may be taken."""

    def batch(self, letters: Sequence[DeadLetter], plan: Plan) -> Sequence[DeadLetter]:
        """Those that the next call sends: the first of `letters`, in their order."""

    def send(self, letters: Sequence[DeadLetter], plan: Plan) -> Mapping[str, Answer]:
        """One call. Message id → what AWS said of it. Raises botocore's errors, for all of them."""


def is_done(way: Way, known: Known) -> bool:
    """Nothing is left to do for such a message but to delete it."""
    return known.fate is Fate.SENT or (known.is_archived and not way.sends)
