"""One chunk of letters: archive → claim → send → record → delete. Until they are deleted they are in the queue."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from selfheal.aws_errors import AwsError, translate
from selfheal.dead_letter import DeadLetter, Stay
from selfheal.drain.hand import Hand
from selfheal.drain.report import Report
from selfheal.drain.timing import Timing
from selfheal.drain.way import Answer, Plan, Way, is_done
from selfheal.errors import NotApplied, SelfhealError
from selfheal.letter_archive import archive
from selfheal.letters_known import Fate, Known
from selfheal.replay_record import Chunk, Phase, ReplayRecord

CLOCKS_DIFFER_S = 5


class Taking:
    """Takes letters, or leaves them and says why. Several threads use it, each with letters of its own."""

    def __init__(
        self, way: Way, plan: Plan, *, record: ReplayRecord, hand: Hand, report: Report, timing: Timing
    ) -> None:
        self._way = way
        self._plan = plan
        self._record = record
        self._hand = hand
        self._report = report
        self._timing = timing
        self._blocked_groups: set[str] = set()
        self._came_back = threading.Event()

    @property
    def stopped(self) -> bool:
        """A letter that this action had sent came back: nothing more is to be taken."""
        return self._came_back.is_set()

    def judge(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Those that may be taken, unless one came back: that ends the drain, and all of them go back.

        What is done already is deleted, what stays is reported.
        """
        known = {letter.message_id: self._record.known(letter) for letter in letters}
        came_back = next((letter for letter in letters if known[letter.message_id].from_this_action), None)
        if came_back is not None:
            self._report.came_back(came_back)
            self._came_back.set()
            return []
        self._delete([name for name, one in known.items() if is_done(self._way, one)])
        to_take = []
        for letter in letters:
            if is_done(self._way, known[letter.message_id]):
                continue
            stay = self._why_left(letter, known[letter.message_id])
            if stay is None:
                to_take.append(letter)
            else:
                self._leave(letter, stay)
        return to_take

    def take(self, letters: Sequence[DeadLetter]) -> None:
        """Everything for letters that may be taken and were reserved. Raises what ends the run; what is wrong with a
        letter itself only leaves it in place."""
        number = self._record.name_chunk()
        try:
            name = f"{self._record.action_id}/{self._record.run}-{number:06}"
            chunk = Chunk(number, letters, archive(letters, self._plan["queue"], name))
            if self._way.sends:
                self._record.claim(chunk)
            else:
                self._record.archived(chunk)
        except BaseException:
            self._record.hand_back(len(letters))
            raise
        if self._way.sends:
            self._send(chunk)
        else:
            self._delete([letter.message_id for letter in letters])

    def _why_left(self, letter: DeadLetter, known: Known) -> Stay | None:
        if letter.sent_at > self._plan["looked_at"] + CLOCKS_DIFFER_S:
            return Stay.ARRIVED_LATER
        if self._way.sends:
            if known.fate is Fate.UNKNOWN:
                return Stay.SENT_OR_NOT
            if known.came_back:
                return Stay.CAME_BACK
            if letter.group in self._blocked_groups:
                return Stay.BEHIND_ANOTHER
        return self._way.why_stay(letter, self._plan)

    def _leave(self, letter: DeadLetter, stay: Stay, detail: str = "") -> None:
        self._report.leave(letter, stay, detail)
        self._hand.stays(letter)
        if self._plan["fifo"] and letter.group and self._way.sends:
            self._blocked_groups.add(letter.group)

    # -- sending ------------------------------------------------------------------------------------------------------

    def _send(self, chunk: Chunk) -> None:
        answers: dict[str, Answer] = {}
        ending = self._send_all(chunk.letters, answers)
        sent = {name: answer.sent_as for name, answer in answers.items() if answer.sent_as is not None}
        unknown = [name for name, answer in answers.items() if answer.unclear]
        marked = [one.fingerprint for one in chunk.letters if one.message_id in sent] if self._marks else []
        self._record.complete(chunk, sent, unknown, marked)
        for letter in chunk.letters:
            answer = answers.get(letter.message_id)
            if answer is not None and answer.sent_as is None:
                self._leave(letter, Stay.SENT_OR_NOT if answer.unclear else Stay.REFUSED_BY_AWS, answer.why_not)
        self._delete(list(sent))
        if ending is not None:
            raise ending

    @property
    def _marks(self) -> bool:
        """The canary's payload is always known: it is what tells whether the cause is mended."""
        return self._way.marks_payloads or self._record.so_far.phase is Phase.CANARY

    def _send_all(self, letters: Sequence[DeadLetter], answers: dict[str, Answer]) -> SelfhealError | None:
        """Fills `answers` with what AWS said; the error that ends the run, if there was one."""
        pending = list(letters)
        while pending and not self._timing.is_late():
            batch = self._way.batch(pending, self._plan)
            self._timing.pace(len(batch), self._plan["per_second"])
            try:
                answered = self._way.send(batch, self._plan)
            except AwsError as error:
                try:
                    translate(error, f"sending message {batch[0].message_id} ({len(batch)} in the call)")
                except SelfhealError as told:
                    unclear = not _was_not_sent(error)
                    answer = Answer(why_not=str(told), unclear=unclear)
                    goes_on = isinstance(told, NotApplied) and not unclear
                    if unclear or goes_on:
                        answers.update({letter.message_id: answer for letter in batch})
                    if not goes_on:
                        return told
            else:
                answers.update(answered)
            names = {letter.message_id for letter in batch}
            pending = [letter for letter in pending if letter.message_id not in names]
            if self._plan["fifo"]:
                pending = self._unblocked(batch, pending, answers)
        return None

    def _unblocked(
        self, batch: Sequence[DeadLetter], pending: list[DeadLetter], answers: dict[str, Answer]
    ) -> list[DeadLetter]:
        """Behind a letter that was not sent the rest of its group stays, claimed by nobody."""
        blocked = {one.group for one in batch if one.group and answers[one.message_id].sent_as is None}
        for letter in pending:
            if letter.group in blocked:
                self._leave(letter, Stay.BEHIND_ANOTHER)
        return [letter for letter in pending if letter.group not in blocked]

    def _delete(self, ids: list[str]) -> None:
        if ids:
            deleted, failed = self._hand.delete(ids)
            self._report.not_deleted(failed)
            self._record.deleted(deleted)


def _was_not_sent(error: ClientError | BotoCoreError) -> bool:
    """AWS said no (4xx), or was never reached. Every other failure leaves it open whether the call took effect."""
    if isinstance(error, ClientError):
        return bool(400 <= error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) < 500)
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)
