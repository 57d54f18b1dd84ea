"""One letter: archive → claim → send → record. In each line before `sent` the letter is still in the queue."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from selfheal.aws_errors import AwsError, translate
from selfheal.dead_letter import DeadLetter, Stay
from selfheal.drain.hand import Hand
from selfheal.drain.report import Report
from selfheal.drain.timing import Timing
from selfheal.drain.way import Plan, Way, done_fates
from selfheal.errors import NotApplied
from selfheal.letter_archive import archive
from selfheal.replay_record import Fate, Known, Progress, ReplayRecord

CLOCKS_DIFFER_S = 5


class Taking:
    """Takes letters one by one, or leaves them and says why."""

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

    def handle(self, letter: DeadLetter, known: Known, progress: Progress) -> Progress:
        """Everything for one letter. Raises what ends the run; the letter's own trouble only leaves it in place."""
        if known.fate in done_fates(self._way):  # by an earlier run, and the delete did not stick
            self._hand.is_done(letter)
            return progress
        if known.fate is Fate.CLAIMED and self._way.sends:  # by a run that died around its send
            self._record.unknown(letter)
        stay, detail = self._why_left(letter, known), ""
        if stay is None:
            try:
                return self._take(letter, known, progress)
            except NotApplied as error:
                stay, detail = Stay.REFUSED_BY_AWS, str(error)
        self._report.leave(letter, stay, detail)
        if self._plan["fifo"] and letter.group and self._way.sends:
            self._blocked_groups.add(letter.group)
        return progress

    def _why_left(self, letter: DeadLetter, known: Known) -> Stay | None:
        if letter.sent_at > self._plan["looked_at"] + CLOCKS_DIFFER_S:
            return Stay.ARRIVED_LATER
        if self._way.sends:
            if known.fate in (Fate.CLAIMED, Fate.UNKNOWN):
                return Stay.SENT_OR_NOT
            if known.came_back_from:
                return Stay.CAME_BACK
            if letter.group in self._blocked_groups:
                return Stay.BEHIND_ANOTHER
        return self._way.why_stay(letter, self._plan)

    def _take(self, letter: DeadLetter, known: Known, progress: Progress) -> Progress:
        archive(letter, self._plan["queue"])
        if not self._way.sends:
            progress = self._record.archived(letter, known.fate, progress)
            self._hand.is_done(letter)
            return progress
        self._timing.pace(self._plan["per_second"])
        progress = self._record.claim(letter, progress)
        try:
            sent_as = self._way.send(letter, self._plan)
        except AwsError as error:
            if _was_not_sent(error):
                self._record.not_sent(letter, progress)
            else:
                self._record.unknown(letter)
            translate(error, f"sending message {letter.message_id}")
        progress = self._record.sent(letter, sent_as, progress)
        self._hand.is_done(letter)
        return progress


def _was_not_sent(error: ClientError | BotoCoreError) -> bool:
    """AWS said no (4xx), or was never reached. Every other failure leaves it open whether the call took effect."""
    if isinstance(error, ClientError):
        return bool(400 <= error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) < 500)
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)
