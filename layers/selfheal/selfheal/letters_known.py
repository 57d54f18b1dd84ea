"""What the ledger knows of a queue's letters: read once at the beginning of a run, then kept up with what the run does.

A lookup costs no call, so a run may ask about each of a hundred thousand letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from selfheal.dead_letter import DeadLetter
from selfheal.frozen import dataclass
from selfheal.letter_ids import Ids, key_of, unpack

CAME_BACK_S = 3600
"""Within this time after a send, a new letter with the same payload counts as the same one come back."""
CLOCKS_DIFFER_S = 2.0


class Fate(StrEnum):
    """What became of one message, or of a chunk of them."""

    CLAIMED = "claimed"
    SENT = "sent"
    UNKNOWN = "unknown"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class Known:
    """What is known of a letter: its own fate (sent or unknown), and who sent it before if it came back."""

    fate: Fate | None = None
    is_archived: bool = False
    """It was archived in order to be deleted."""
    came_back: bool = False
    from_this_action: bool = False


class LettersKnown:
    """Not safe for threads by itself; the record's lock is around it."""

    def __init__(self, action_id: str) -> None:
        self._action_id = action_id
        self._fates = {fate: Ids() for fate in (Fate.ARCHIVED, Fate.SENT, Fate.UNKNOWN)}
        self._sent_as = {True: Ids(), False: Ids()}
        """By this action, by another one: the ids that letters have if they come back."""
        self._payloads: dict[int, tuple[float, bool]] = {}
        """Fingerprint → when it was sent, and whether by this action."""

    def take_in(self, chunk: Mapping[str, Any]) -> None:
        """The item of one chunk that is over."""
        doc, mine = chunk["doc"], chunk["doc"]["action_id"] == self._action_id
        for fate, ids in self._fates.items():
            ids.add_keys(unpack(doc.get(fate.value, "")))
        self._sent_as[mine].add_keys(unpack(doc.get("sent_as", "")))
        at = float(doc["at"])
        for key in unpack(doc.get("payloads", "")):
            if at >= self._payloads.get(key, (0.0, mine))[0]:
                self._payloads[key] = at, mine

    def of(self, letter: DeadLetter) -> Known:
        """What is known of it."""
        key = key_of(letter.message_id)
        fate = next((fate for fate in (Fate.UNKNOWN, Fate.SENT) if self._fates[fate].has_key(key)), None)
        archived = self._fates[Fate.ARCHIVED].has_key(key)
        came_back, mine = (False, False) if fate or archived else self._came_back(letter)
        return Known(fate, archived, came_back, mine)

    def _came_back(self, letter: DeadLetter) -> tuple[bool, bool]:
        """Whether it did, and whether this action had sent it."""
        key = key_of(letter.request_id) if letter.request_id else 0
        for mine, ids in self._sent_as.items():
            if key and ids.has_key(key):
                return True, mine
        if not self._payloads:
            return False, False
        sent_at, mine = self._payloads.get(key_of(letter.fingerprint), (0.0, False))
        age = letter.sent_at - sent_at  # negative: it was in the queue before that send
        came_back = bool(sent_at) and -CLOCKS_DIFFER_S <= age <= CAME_BACK_S
        return came_back, came_back and mine
