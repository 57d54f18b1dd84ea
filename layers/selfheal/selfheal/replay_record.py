"""The record of a drain: each chunk of letters is written down before it is sent, and completed after.

    pk                   sk                             what
    DRAIN#<action_id>    DRAIN                          how far a drain got: how many it took, its phase, its evidence
    LETTERS#<queue>      RUN                            which run works on the queue now; an older one can't write
    LETTERS#<queue>      CHUNK#<action_id>#<run>#<n>    one chunk: `fate`, where it is archived, its letters' ids, what
                                                        they were sent as, and which are unknown

AWS cannot deduplicate Invoke or SendMessageBatch. A chunk that is found `claimed` belongs to a run that died around its
sends: each of its letters was sent or was not, so all of them are recorded as `unknown`, and selfheal never sends them
again. Each write carries the counts of the drain and the check that no other run has begun: together or not at all.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from typing import Any

from selfheal.dead_letter import DeadLetter
from selfheal.errors import Unreadable
from selfheal.frozen import dataclass
from selfheal.ledger import DAY_S, Ledger, Lost, Write, check, delete, put, put_new, update
from selfheal.letter_ids import pack
from selfheal.letters_known import Fate, Known, LettersKnown

KEEP_S = 15 * DAY_S
"""A message lives 14 days at most (SQS's longest retention), so it never outlives its record."""


class Phase(StrEnum):
    """Where a drain is. `stopped` and `done` are its ends."""

    CANARY = "canary"
    WATCH = "watch"
    REST = "rest"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True)
class Progress:
    """How far a drain got.

    Messages that it `taken` (claimed or archived), of these the `settled` (known to be sent or archived), of these the
    `deleted` (as of the last write). `watch_until` is in epoch seconds; `idle_runs` counts runs that found nothing to
    take; `task_asked_at` is when SQS was asked to move the rest by itself (0: it was not).
    """

    phase: Phase
    taken: int = 0
    settled: int = 0
    deleted: int = 0
    watch_until: float = 0.0
    idle_runs: int = 0
    task_asked_at: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Nothing more will be done under this action_id."""
        return self.phase in (Phase.STOPPED, Phase.DONE)

    @property
    def unclear(self) -> int:
        """Messages of which nobody knows whether they were sent."""
        return self.taken - self.settled


@dataclass(frozen=True)
class Chunk:
    """Letters that are archived in one object, and claimed and completed in one item."""

    number: int
    letters: Sequence[DeadLetter]
    archived_in: str


class ReplayRecord:
    """The record of one run of one drain of one queue; several threads may use it.

    Every method that writes raises LedgerUnavailable when DynamoDB does not answer, and Unreadable when another run has
    begun. Writes follow one another: at 8 ms a write that is a hundred chunks a second, and none meets another one.
    """

    def __init__(self, ledger: Ledger, queue: str, action_id: str, now: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._queue = queue
        self.action_id = action_id
        self._now = now
        self._lock = threading.RLock()
        self._known = LettersKnown(action_id)
        self._chunks = 0
        self._reserved = 0
        self.run = secrets.token_hex(4)
        """Names this run in keys."""
        self.so_far = Progress(Phase.DONE)
        """How far the drain is; `begin` reads it."""

    # -- the drain ------------------------------------------------------------------------------------------------

    def progress(self) -> Progress | None:
        """As it is written down. None: this drain has not begun."""
        item = self._ledger.get(self._drain, "DRAIN")
        if item is None:
            return None
        doc = item["doc"]
        counts = {name: item[name] for name in ("taken", "settled")}
        return Progress(Phase(item["phase"]), **counts, **doc)

    def begin(self, phase: Phase) -> Progress:
        """Where an earlier run stopped, or a new beginning in `phase`; from now on no earlier run can write.

        What earlier runs left claimed becomes unknown, whichever action it belongs to: they are dead, or too late.
        """
        earlier = self.progress()
        if earlier is not None and earlier.is_over:
            self.so_far = earlier
            return earlier
        doc = {"action_id": self.action_id, "began_at": self._now()}
        writes = [put(self._letters, "RUN", doc, run=self.run, expires=self._expires)]
        if earlier is None:
            counts = {"taken": 0, "settled": 0}
            new = _doc(Progress(phase))
            writes.append(put_new(self._drain, "DRAIN", new, phase=phase.value, expires=self._expires, **counts))
        self._write(*writes)
        self.so_far = earlier or Progress(phase)
        for chunk in self._ledger.query(self._letters, "CHUNK#"):
            self._known.take_in(self._given_up(chunk) if chunk["fate"] == Fate.CLAIMED.value else chunk)
        return self.so_far

    def _given_up(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        doc = {**chunk["doc"], Fate.UNKNOWN.value: chunk["doc"][Fate.CLAIMED.value]}
        claimed = {"claimed": Fate.CLAIMED.value}
        changes = {"fate": Fate.UNKNOWN.value, "doc": doc}
        self._write(update(self._letters, chunk["sk"], changes, "fate = :claimed", claimed), self._still_ours)
        return {**chunk, "doc": doc}

    def advance(self, **changes: Any) -> Progress:
        """Record anything but `taken` and `settled`, which move together with the record of a chunk."""
        with self._lock:
            self._write_counted((), **changes)
            return self.so_far

    def deleted(self, count: int) -> None:
        """Messages that are gone from the queue; written with what is written next."""
        with self._lock:
            self.so_far = replace(self.so_far, deleted=self.so_far.deleted + count)

    # -- letters --------------------------------------------------------------------------------------------------

    def known(self, letter: DeadLetter) -> Known:
        """What is known of it."""
        with self._lock:
            return self._known.of(letter)

    def reserve(self, wanted: int, most: int) -> int:
        """How many of `wanted` may still be taken if `most` is the limit; to be taken by `claim`, or handed back."""
        with self._lock:
            granted = max(0, min(wanted, most - self.so_far.taken - self._reserved))
            self._reserved += granted
            return granted

    def hand_back(self, reserved: int) -> None:
        """Room that is not needed after all."""
        with self._lock:
            self._reserved -= reserved

    def name_chunk(self) -> int:
        """The number of the next chunk of this run."""
        with self._lock:
            self._chunks += 1
            return self._chunks

    def claim(self, chunk: Chunk) -> None:
        """Before the first send. The letters were reserved."""
        with self._lock:
            doc = {**self._about(chunk), Fate.CLAIMED.value: pack(letter.message_id for letter in chunk.letters)}
            write = put_new(self._letters, self._name(chunk), doc, fate=Fate.CLAIMED.value, expires=self._expires)
            self._write_counted((write,), taken=self.so_far.taken + len(chunk.letters))
            self._reserved -= len(chunk.letters)

    def complete(
        self, chunk: Chunk, sent_as: Mapping[str, str], unknown: Sequence[str], payloads: Sequence[str]
    ) -> None:
        """After the last send. `sent_as`: message id → the id that it has if it comes back; `unknown`: message ids;
        `payloads`: the fingerprints by which a letter is known that comes back under another id. Whatever else the
        chunk holds was not sent: its claim is taken back."""
        with self._lock:
            doc = {
                **self._about(chunk),
                Fate.SENT.value: pack(sent_as),
                Fate.UNKNOWN.value: pack(unknown),
                "sent_as": pack(mark for mark in sent_as.values() if mark),
                "payloads": pack(dict.fromkeys(payloads)),
            }
            claimed = {"claimed": Fate.CLAIMED.value}
            fate = Fate.UNKNOWN if unknown else Fate.SENT
            if sent_as or unknown:
                changes = {"fate": fate.value, "doc": doc}
                write = update(self._letters, self._name(chunk), changes, "fate = :claimed", claimed)
            else:
                write = delete(self._letters, self._name(chunk), "fate = :claimed", claimed)
            not_sent = len(chunk.letters) - len(sent_as) - len(unknown)
            self._write_counted(
                (write,), taken=self.so_far.taken - not_sent, settled=self.so_far.settled + len(sent_as)
            )
            self._known.take_in({"doc": doc})

    def archived(self, chunk: Chunk) -> None:
        """Before the delete of messages that are only archived. They were reserved."""
        with self._lock:
            count = len(chunk.letters)
            doc = {**self._about(chunk), Fate.ARCHIVED.value: pack(letter.message_id for letter in chunk.letters)}
            write = put_new(self._letters, self._name(chunk), doc, fate=Fate.ARCHIVED.value, expires=self._expires)
            self._write_counted((write,), taken=self.so_far.taken + count, settled=self.so_far.settled + count)
            self._reserved -= count
            self._known.take_in({"doc": doc})

    # -- writing --------------------------------------------------------------------------------------------------

    def _write_counted(self, writes: Sequence[Write], **changes: Any) -> None:
        """The chunk and the counts of the drain, together or not at all: `limit` holds across killed runs."""
        new = replace(self.so_far, **changes)
        was = {"taken": self.so_far.taken, "settled": self.so_far.settled}
        now = {"phase": new.phase.value, "taken": new.taken, "settled": new.settled, "doc": _doc(new)}
        counted = update(self._drain, "DRAIN", now, "taken = :taken AND settled = :settled", was)
        self._write(*writes, counted, self._still_ours)
        self.so_far = new

    @property
    def _still_ours(self) -> Write:
        return check(self._letters, "RUN", "run = :run", {"run": self.run})

    def _write(self, *writes: Write) -> None:
        try:
            self._ledger.write(*writes)
        except Lost as error:
            raise Unreadable(f"record of queue {self._queue}", "another run is draining this queue") from error

    def _about(self, chunk: Chunk) -> dict[str, Any]:
        return {"action_id": self.action_id, "archived_in": chunk.archived_in, "at": self._now()}

    @property
    def _drain(self) -> str:
        return f"DRAIN#{self.action_id}"

    @property
    def _letters(self) -> str:
        return f"LETTERS#{self._queue}"

    def _name(self, chunk: Chunk) -> str:
        return f"CHUNK#{self.action_id}#{self.run}#{chunk.number:06}"

    @property
    def _expires(self) -> int:
        return int(self._now() + KEEP_S)


def _doc(progress: Progress) -> dict[str, Any]:
    return {
        "deleted": progress.deleted,
        "watch_until": progress.watch_until,
        "idle_runs": progress.idle_runs,
        "task_asked_at": progress.task_asked_at,
        "evidence": dict(progress.evidence),
    }
