"""The record of every dead letter that was taken out of its queue: written before it is sent, completed after.

    pk                              sk        what
    MESSAGE#<queue>#<MessageId>     MESSAGE   `fate` of one message; written as `claimed` before the send
    REPLAYED#<queue>#<id>           REPLAYED  what was sent, under the id that it has if it comes back, and under the
                                              fingerprint of its payload
    DRAIN#<action_id>               DRAIN     how far a drain got: how many it took, its phase, its last evidence

AWS cannot deduplicate Invoke or SendMessage. A claim that is found without its `sent` belongs to a run that died around
the call: the message was sent or was not, so it is recorded as `unknown` and never sent again by selfheal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from selfheal.dead_letter import DeadLetter
from selfheal.errors import Unreadable
from selfheal.ledger import DAY_S, Ledger, Lost, Write, delete, put, put_new, update

KEEP_S = 15 * DAY_S
"""A message lives 14 days at most (SQS's longest retention), so it never outlives its record."""
CAME_BACK_S = 3600
"""Within this time after a send, a new letter with the same payload counts as the same one come back."""
CLOCKS_DIFFER_S = 2.0


class Fate(StrEnum):
    """What became of one message."""

    CLAIMED = "claimed"
    SENT = "sent"
    UNKNOWN = "unknown"
    ARCHIVED = "archived"


class Phase(StrEnum):
    """Where a drain is. `stopped` and `done` are its ends."""

    CANARY = "canary"
    WATCH = "watch"
    REST = "rest"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True)
class Known:
    """What the ledger knows of a letter: its own fate, and the action that sent it before if it came back."""

    fate: Fate | None = None
    came_back_from: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a drain got.

    Messages that it `taken` (claimed or archived), of these the `settled` (known to be sent or archived), of these the
    `deleted`. `watch_until` is in epoch seconds; `idle_runs` counts runs that found nothing to take.
    """

    phase: Phase
    taken: int = 0
    settled: int = 0
    deleted: int = 0
    watch_until: float = 0.0
    idle_runs: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Nothing more will be done under this action_id."""
        return self.phase in (Phase.STOPPED, Phase.DONE)

    @property
    def unclear(self) -> int:
        """Messages of which nobody knows whether they were sent."""
        return self.taken - self.settled


class ReplayRecord:
    """The records of one drain of one queue. Every method raises LedgerUnavailable when DynamoDB does not answer."""

    def __init__(self, ledger: Ledger, queue: str, action_id: str, now: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._queue = queue
        self._action_id = action_id
        self._now = now

    # -- the drain ------------------------------------------------------------------------------------------------

    def progress(self) -> Progress | None:
        """None: this drain has not begun."""
        item = self._ledger.get(self._drain, "DRAIN")
        if item is None:
            return None
        doc = item["doc"]
        counts = {name: item[name] for name in ("taken", "settled")}
        return Progress(Phase(item["phase"]), **counts, **doc)

    def begin(self, phase: Phase) -> Progress:
        """Where an earlier run stopped, or a new beginning in `phase`."""
        earlier = self.progress()
        if earlier is not None:
            return earlier
        progress = Progress(phase)
        counts = {"taken": 0, "settled": 0}
        self._write(put_new(self._drain, "DRAIN", _doc(progress), phase=phase.value, expires=self._expires, **counts))
        return progress

    def advance(self, progress: Progress, **changes: Any) -> Progress:
        """Record anything but `taken` and `settled`, which move together with the record of a message."""
        new = replace(progress, **changes)
        self._write(
            update(
                self._drain,
                "DRAIN",
                {"phase": new.phase.value, "doc": _doc(new)},
                "taken = :taken",
                {"taken": progress.taken},
            )
        )
        return new

    # -- messages -------------------------------------------------------------------------------------------------

    def known(self, letters: Iterable[DeadLetter]) -> dict[str, Known]:
        """MessageId → what is known. One consistent read for up to 10 letters."""
        found: dict[str, Known] = {}
        asked = list(letters)
        for start in range(0, len(asked), 10):
            found.update(self._known(asked[start : start + 10]))
        return found

    def _known(self, letters: list[DeadLetter]) -> dict[str, Known]:
        keys = [(self._message(letter), "MESSAGE") for letter in letters]
        keys += [(self._replayed(mark), "REPLAYED") for letter in letters for mark in _marks(letter)]
        items = {item["pk"]: item for item in self._ledger.get_many(keys)}
        found: dict[str, Known] = {}
        for letter in letters:
            own = items.get(self._message(letter))
            fate = Fate(own["fate"]) if own else None
            found[letter.message_id] = Known(fate, "" if own else self._came_back_from(letter, items))
        return found

    def _came_back_from(self, letter: DeadLetter, items: Mapping[str, Mapping[str, Any]]) -> str:
        by_id = items.get(self._replayed(letter.request_id)) if letter.request_id else None
        if by_id is not None:
            return str(by_id["doc"]["action_id"])
        by_payload = items.get(self._replayed(letter.fingerprint))
        if by_payload is None:
            return ""
        age = letter.sent_at - float(by_payload["sent_at"])  # negative: it was in the queue before that send
        return str(by_payload["doc"]["action_id"]) if -CLOCKS_DIFFER_S <= age <= CAME_BACK_S else ""

    def claim(self, letter: DeadLetter, progress: Progress) -> Progress:
        """Before the send. Raises Unreadable if another run has the message or the drain."""
        document = self._about(letter)
        claimed = put(
            self._message(letter),
            "MESSAGE",
            document,
            "attribute_not_exists(pk) OR fate = :archived",
            {"archived": Fate.ARCHIVED.value},
            fate=Fate.CLAIMED.value,
            expires=self._expires,
        )
        return self._count(progress, claimed, taken=1)

    def archived(self, letter: DeadLetter, was: Fate | None, progress: Progress) -> Progress:
        """Before the delete of a message that is only archived. `was`: its fate until now."""
        done = Fate.ARCHIVED.value
        if was is Fate.ARCHIVED:
            return progress
        if was is None:
            document = self._about(letter)
            write = put_new(self._message(letter), "MESSAGE", document, fate=done, expires=self._expires)
        else:
            write = update(self._message(letter), "MESSAGE", {"fate": done}, "fate = :was", {"was": was.value})
        return self._count(progress, write, taken=1, settled=1)

    def sent(self, letter: DeadLetter, sent_as: str, progress: Progress) -> Progress:
        """After the send. `sent_as`: the Lambda request id or MessageId that it would have if it came back."""
        now = self._now()
        document = {"message_id": letter.message_id, "action_id": self._action_id, "sent_as": sent_as}
        done = update(
            self._message(letter),
            "MESSAGE",
            {"fate": Fate.SENT.value, "sent_as": sent_as or "-", "sent_at": now},
            "fate = :claimed",
            {"claimed": Fate.CLAIMED.value},
        )
        marks = dict.fromkeys(mark for mark in (sent_as, letter.fingerprint) if mark)
        notes = [put(self._replayed(mark), "REPLAYED", document, sent_at=now, expires=self._expires) for mark in marks]
        return self._count(progress, done, *notes, settled=1)

    def not_sent(self, letter: DeadLetter, progress: Progress) -> Progress:
        """The send was refused for certain: the claim is taken back."""
        withdrawn = delete(self._message(letter), "MESSAGE", "fate = :claimed", {"claimed": Fate.CLAIMED.value})
        return self._count(progress, withdrawn, taken=-1)

    def unknown(self, letter: DeadLetter) -> None:
        """Nobody can tell whether it was sent."""
        try:
            self._ledger.write(
                update(
                    self._message(letter),
                    "MESSAGE",
                    {"fate": Fate.UNKNOWN.value},
                    "fate = :claimed",
                    {"claimed": Fate.CLAIMED.value},
                )
            )
        except Lost as error:  # botocore's own retry may have met its first attempt
            if (error.reasons[0] or {}).get("fate") != Fate.UNKNOWN.value:
                raise self._another_run() from error

    def _count(self, progress: Progress, *writes: Write, taken: int = 0, settled: int = 0) -> Progress:
        """The message and the counts of the drain, together or not at all: `limit` holds across killed runs."""
        new = replace(progress, taken=progress.taken + taken, settled=progress.settled + settled)
        was = {"taken": progress.taken, "settled": progress.settled}
        now = {"taken": new.taken, "settled": new.settled}
        counted = update(self._drain, "DRAIN", now, "taken = :taken AND settled = :settled", was)
        self._write(*writes, counted)
        return new

    def _write(self, *writes: Write) -> None:
        try:
            self._ledger.write(*writes)
        except Lost as error:
            raise self._another_run() from error

    def _another_run(self) -> Unreadable:
        return Unreadable(f"record of queue {self._queue}", "another run is draining this queue")

    def _about(self, letter: DeadLetter) -> dict[str, Any]:
        return {
            "action_id": self._action_id,
            "writer": letter.writer.value,
            "request_id": letter.request_id,
            "fingerprint": letter.fingerprint,
            "claimed_at": self._now(),
        }

    @property
    def _drain(self) -> str:
        return f"DRAIN#{self._action_id}"

    @property
    def _expires(self) -> int:
        return int(self._now() + KEEP_S)

    def _message(self, letter: DeadLetter) -> str:
        return f"MESSAGE#{self._queue}#{letter.message_id}"

    def _replayed(self, mark: str) -> str:
        return f"REPLAYED#{self._queue}#{mark}"


def _marks(letter: DeadLetter) -> tuple[str, ...]:
    return (letter.request_id, letter.fingerprint) if letter.request_id else (letter.fingerprint,)


def _doc(progress: Progress) -> dict[str, Any]:
    return {
        "deleted": progress.deleted,
        "watch_until": progress.watch_until,
        "idle_runs": progress.idle_runs,
        "evidence": dict(progress.evidence),
    }
