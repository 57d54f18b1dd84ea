"""The letters that a run holds: received, hidden from others, and in the end deleted or shown to others again."""

from __future__ import annotations

from collections.abc import Collection

from selfheal.dead_letter import DeadLetter, read_letter
from selfheal.queue import Queue

VISIBILITY_S = 120
"""Hides one batch of ten while it is worked on, and for so long after a killed run."""
EMPTY_RECEIVES = 2
"""In a row, after which the queue is held to be seen through: a long poll asks all of its servers."""


class Hand:
    """Message ids and their latest receipts. `judged`: those that are known to stay; it grows during the run."""

    def __init__(self, queue: Queue, judged: Collection[str]) -> None:
        self._queue = queue
        self._judged = judged
        self._held: dict[str, str] = {}
        self._done: set[str] = set()
        self._empty = 0
        self._fruitless = 0

    def __len__(self) -> int:
        """How many messages are hidden by this run."""
        return len(self._held)

    def receive(self, batches: int) -> list[DeadLetter]:
        """Letters that this run has not judged yet; a long poll that finds nothing ends it early."""
        fresh: dict[str, DeadLetter] = {}
        for _ in range(batches):
            messages = self._queue.receive(visibility_s=VISIBILITY_S)
            for message in messages:
                letter = read_letter(message)
                self._held[letter.message_id] = letter.receipt
                if letter.message_id not in self._judged:
                    fresh[letter.message_id] = letter
            self._empty = 0 if messages else self._empty + 1
            self._fruitless = 0 if fresh else self._fruitless + 1
            if not messages:
                break
        return list(fresh.values())

    def has_seen_all(self) -> bool:
        """Letters that stay come round again when their visibility ends; seeing only them ends the drain as well."""
        return self._empty >= EMPTY_RECEIVES or self._fruitless > EMPTY_RECEIVES + len(self._judged)

    def is_done(self, letter: DeadLetter) -> None:
        """It was sent or archived, and that is recorded: it may be deleted."""
        self._done.add(letter.message_id)

    def delete_done(self) -> tuple[int, list[str]]:
        """With the latest receipts. How many were deleted, and the ids of those that were not."""
        if not self._done:
            return 0, []
        ids, self._done = self._done, set()
        failed = self._queue.delete({message_id: self._held[message_id] for message_id in ids})
        self._held = {name: receipt for name, receipt in self._held.items() if name not in ids}
        return len(ids) - len(failed), failed

    def put_back_unjudged(self) -> None:
        """So that they can be received again after the watch."""
        unjudged = {name: receipt for name, receipt in self._held.items() if name not in self._judged}
        self._held = {name: receipt for name, receipt in self._held.items() if name in self._judged}
        self._empty = self._fruitless = 0
        if unjudged:
            self._queue.release(unjudged)

    def let_go(self) -> None:
        """However the run ends: delete what was sent, and show the rest to others again."""
        gone, self._done = self._done, set()
        held, self._held = self._held, {}
        if gone:
            self._queue.delete({message_id: held.pop(message_id) for message_id in gone})
        if held:
            self._queue.release(held)
