"""The letters that a run holds: received, hidden from others, and in the end deleted or shown to others again."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from selfheal.dead_letter import DeadLetter, read_letter
from selfheal.letter_ids import Ids
from selfheal.queue import BATCH, Queue

VISIBILITY_S = 120
"""Hides letters while they are worked on, and for so long after a killed run."""
EMPTY_RECEIVES = 2
"""In a row, after which the queue is held to be seen through: a long poll asks all of its servers."""
MOST_BYTES = 1_048_576
"""Of bodies, after which a chunk grows no further."""
MOST_STAYING = 1_000
"""Receipts of letters that stay are kept for so many, to show them again at the end; others show by themselves when
their visibility ends. So a queue full of them takes no memory."""


class Hand:
    """Message ids and their latest receipts. `judged`: those that are known to stay; it grows during the run.

    Several threads take from it; a letter that SQS shows twice is given out once.
    """

    def __init__(self, queue: Queue, judged: Ids) -> None:
        self._queue = queue
        self._judged = judged
        self._lock = threading.Lock()
        self._taken: dict[str, str] = {}
        self._staying: dict[str, str] = {}
        self._empty = 0
        self._seen_again = 0

    def __len__(self) -> int:
        """How many messages are hidden by this run, as far as it remembers them."""
        with self._lock:
            return len(self._taken) + len(self._staying)

    def receive(self, most: int) -> list[DeadLetter]:
        """Up to `most` letters that nobody in this run holds or has judged; fewer where the queue gave no more, or
        they are large: threads that hold MOST_BYTES each fit into the memory of the function."""
        fresh: list[DeadLetter] = []
        size = 0
        while len(fresh) < most and size < MOST_BYTES:
            messages = self._queue.receive(visibility_s=VISIBILITY_S, most=min(BATCH, most - len(fresh)))
            letters = [read_letter(message) for message in messages]
            with self._lock:
                found = [letter for letter in letters if self._is_fresh(letter)]
                self._empty = 0 if messages else self._empty + 1
                self._seen_again = 0 if found else self._seen_again + max(1, len(letters))
            fresh += found
            size += sum(len(letter.body) for letter in found)
            if not found or (most <= BATCH and len(messages) < most):
                break
        return fresh

    def _is_fresh(self, letter: DeadLetter) -> bool:
        name, receipt = letter.message_id, letter.receipt
        if name in self._taken:
            self._taken[name] = receipt
            return False
        if name in self._judged:
            if name in self._staying or len(self._staying) < MOST_STAYING:
                self._staying[name] = receipt
            return False
        self._taken[name] = receipt
        return True

    def has_seen_all(self) -> bool:
        """Letters that stay come round again when their visibility ends; seeing only them ends the drain as well."""
        with self._lock:
            return self._empty >= EMPTY_RECEIVES or self._seen_again > EMPTY_RECEIVES + len(self._judged)

    def stays(self, letter: DeadLetter) -> None:
        """It was judged."""
        with self._lock:
            receipt = self._taken.pop(letter.message_id, "")
            if receipt and len(self._staying) < MOST_STAYING:
                self._staying[letter.message_id] = receipt

    def delete(self, ids: Iterable[str]) -> tuple[int, list[str]]:
        """By their latest receipts, after they were sent or archived and that is recorded. How many were deleted, and
        the ids of those that were not."""
        with self._lock:
            receipts = {name: self._taken.pop(name) for name in ids if name in self._taken}
        failed = self._queue.delete(receipts) if receipts else []
        return len(receipts) - len(failed), failed

    def put_back(self, letters: Iterable[DeadLetter] | None = None) -> None:
        """Show letters to others again (all that nobody has judged), so that they can be received anew."""
        with self._lock:
            names = list(self._taken) if letters is None else [letter.message_id for letter in letters]
            receipts = {name: self._taken.pop(name) for name in names if name in self._taken}
            if letters is None:
                self._empty = self._seen_again = 0
        if receipts:
            self._queue.release(receipts)

    def let_go(self) -> None:
        """However the run ends: show what it still holds to others again."""
        with self._lock:
            held, self._taken, self._staying = {**self._taken, **self._staying}, {}, {}
        if held:
            self._queue.release(held)
