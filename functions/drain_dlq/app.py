"""Empty a dead-letter queue without losing a message: archive it, send it to its function, or move it back.

Alarm: messages in a dead-letter queue; usually as a recover step, once the cause is mended.
Actions (all risky): `archive_dlq` (to S3, then delete), `replay_dlq` (to S3, to the function in `replay_to`, then
delete), `redrive_dlq` (to S3, back to the SQS queue it came from, then delete).
Precondition: the queue has no redrive policy of its own. That also keeps this away from live queues, which have one.

One message at a time: S3 object → claim in the ledger → send → `sent` in the ledger → delete. Killed anywhere, the
message is still in the queue, or it was sent exactly once and recorded, or it is recorded as unknown and stays.
A canary goes first and is watched; the first message that comes back ends the drain. Work that does not fit into one
invocation goes on where it stopped, under the same action_id.

Never: purges a queue, deletes what is not archived, sends what a schedule tried at a time that has passed, sends a
message twice, or forwards a trace header (Lambda would count the chain of invocations on, and cut it).

SQS's own StartMessageMoveTask is not used: it can't archive first, can't leave a message out, and takes queues of SQS
only (API reference). A message is sent by SendMessage and not in a batch, so that an unclear answer leaves one message
in doubt and not ten, and a FIFO group keeps its order.

The permissions of the ledger (GetItem, BatchGetItem, PutItem, UpdateItem, DeleteItem) come with the base policy.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError
from selfheal import settings
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client, client_once
from selfheal.dead_letter import (
    DeadLetter,
    Stay,
    Writer,
    function_of,
    preview,
    read_letter,
    why_not_redrive,
    why_not_replay,
)
from selfheal.errors import NotApplied, Unreadable
from selfheal.handler import handler_for
from selfheal.ledger import Ledger
from selfheal.letter_archive import archive
from selfheal.queue import Queue
from selfheal.refusal import Refusal
from selfheal.replay_record import Fate, Known, Phase, Progress, ReplayRecord
from selfheal.replay_target import read_target, why_rule_stays
from selfheal.request import Request
from selfheal.words import Direction, Verdict

RESERVE_S = 60.0
"""Left for verify, the record and the outcome; of an invocation shorter than two minutes, half of it."""
VISIBILITY_S = 120
"""Hides one batch of ten while it is worked on, and for so long after a killed run."""
MAX_WATCH_S = 300
"""A canary is watched until its retries are over, but not longer than this."""
MARGIN_S = 15
"""From the last failed attempt to the message in the queue."""
EMPTY_RECEIVES = 2
"""In a row, after which the queue is held to be seen through: a long poll asks all of its servers."""
LOOK_BATCHES = 5
"""Batches looked through for the canary before the rest is sent: 50 messages."""
MAX_IDLE_RUNS = 5
"""In a row, in which nothing could be taken; the clock starts one a minute."""
MAX_SHOWN = 20
CLOCKS_DIFFER_S = 5


class DrainDlq(Action):
    """What the three have in common; a subclass says which letters stay, and how one is sent."""

    reversible = False
    continues = True
    verify_for_s = 0.0
    sends: ClassVar[bool] = True
    verb: ClassVar[str]

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._deadline = time.monotonic() + remaining_s - min(RESERVE_S, remaining_s / 2)
        self._held: dict[str, str] = {}
        self._to_delete: set[str] = set()
        self._stays: dict[str, Stay] = {}
        self._blocked_groups: set[str] = set()
        self._shown: list[dict[str, str]] = []
        self._not_deleted: list[str] = []
        self._next_send = 0.0
        self._empty = 0
        self._fruitless = 0

    # -- the four functions of an action ----------------------------------------------------------------------------

    def observe(self, request: Request) -> State:
        """The queue, its counts, and where its messages would go."""
        queue = Queue(request.target["queue"])
        seen = queue.attributes()
        return {
            "url": queue.url,
            "arn": seen.arn,
            "counts": seen.counts.as_dict(),
            "has_redrive": seen.redrive_policy is not None,
            "fifo": seen.fifo,
            "looked_at": time.time(),
            "way": dict(self._way(request, queue)),
        }

    def decide(self, state: State, request: Request) -> Decision:
        """Refuse a queue that is no end of the line, and a way that is not known."""
        if request.options["per_second"] < 1:
            return Decline(Refusal.BAD_OPTIONS, "per_second must be at least 1")
        if state["has_redrive"]:
            return Decline(Refusal.QUEUE_HAS_REDRIVE, f"{request.target['queue']} has a redrive policy itself")
        declined = self._decline(state["way"], request)
        if declined is not None:
            return declined
        counted = state["counts"]["total"]
        if not counted:
            return AlreadyDone(
                f"{request.target['queue']} holds no message that SQS counts", {"counts": state["counts"]}
            )
        limit = min(request.options["limit"] or counted, counted)
        return Change(
            direction=Direction.RISKY,
            summary=f"{self.verb} up to {limit} of {counted} dead letters of {request.target['queue']}",
            before={"messages": counted},
            plan={
                **{name: state[name] for name in ("url", "arn", "fifo", "looked_at", "way", "counts")},
                "queue": request.target["queue"],
                "limit": limit,
                "canary": min(request.options["canary"], limit) if self.sends else 0,
                "per_second": request.options["per_second"],
            },
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Go on from the record until the work, or the time of this invocation, is over."""
        record = _record(request)
        progress = record.begin(Phase.CANARY if change.plan["canary"] else Phase.REST)
        if progress.is_over:
            return progress.evidence
        queue = Queue(request.target["queue"], change.plan["url"])
        try:
            progress = self._drain(queue, record, progress, request, change.plan)
        finally:
            self._let_go(queue)
        return progress.evidence if progress.is_over else self._evidence(progress, change.plan)

    def verify(self, request: Request, change: Change) -> Verification:
        """What the record says; the queue's own counts are approximate and others write into it as well."""
        progress = _record(request).progress()
        if progress is None or not progress.is_over:
            taken = progress.taken if progress else 0
            return Verification(Verdict.NOT_YET, detail=f"{taken} of {change.plan['limit']} taken; going on")
        evidence = progress.evidence
        left, taken = evidence.get("left", {}), progress.taken
        told = f"{taken} taken, {sum(left.values())} left in place {left or ''}".rstrip()
        if progress.phase is Phase.STOPPED:
            return Verification(
                Verdict.DOES_NOT_HOLD, detail=f"stopped, {evidence['stopped']} ({told})", evidence=evidence
            )
        if progress.unclear or left.get(Stay.SENT_OR_NOT):
            return Verification(Verdict.UNKNOWN, detail=f"{Stay.SENT_OR_NOT.sentence} ({told})", evidence=evidence)
        if not taken:
            return Verification(Verdict.DOES_NOT_HOLD, detail=f"no message could be taken ({told})", evidence=evidence)
        return Verification(Verdict.HOLDS, {"messages": evidence["left_total"]}, told, evidence)

    # -- what differs -------------------------------------------------------------------------------------------------

    def _way(self, request: Request, queue: Queue) -> Mapping[str, Any]:
        """What must be known of where messages go, as JSON; `watch_s` says how long a failure takes to come back."""
        return {}

    def _decline(self, way: Mapping[str, Any], request: Request) -> Decline | None:
        """Why the way can't be gone at all."""
        return None

    @abstractmethod
    def _why_stay(self, letter: DeadLetter, plan: Mapping[str, Any]) -> Stay | None:
        """None: this letter may be taken."""

    @abstractmethod
    def _send(self, letter: DeadLetter, plan: Mapping[str, Any]) -> str:
        """Send it once; the id under which it would come back. Raises botocore's errors."""

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _drain(
        self, queue: Queue, record: ReplayRecord, progress: Progress, request: Request, plan: Mapping[str, Any]
    ) -> Progress:
        taken_before, look = progress.taken, 1
        while not self._is_late():
            if progress.phase is Phase.CANARY and progress.taken >= plan["canary"]:
                self._put_back_unjudged(queue)
                progress = record.advance(progress, phase=Phase.WATCH, watch_until=_watch_until(plan))
            if progress.phase is Phase.WATCH:
                if not self._wait_until(progress.watch_until):
                    return progress
                look = LOOK_BATCHES
            letters = self._receive(queue, look)
            known = record.known(letters)
            came_back = [letter for letter in letters if known[letter.message_id].came_back_from == request.action_id]
            if came_back:
                return self._stop(record, progress, came_back[0], plan)
            if progress.phase is Phase.WATCH:
                progress, look = record.advance(progress, phase=Phase.REST), 1
            for letter in letters:
                if self._is_late():
                    break
                if progress.taken < self._most(progress, plan) or known[letter.message_id].fate in self._open_fates:
                    progress = self._handle(letter, known[letter.message_id], record, progress, plan)
            progress = self._delete(queue, record, progress)
            if progress.phase is Phase.REST and plan["limit"] <= progress.taken == progress.deleted:
                return self._finish(record, progress, plan)
            if self._has_seen_all():
                return self._end_of_queue(queue, record, progress, plan, idle=progress.taken == taken_before)
        return self._pause(record, progress, plan, idle=progress.taken == taken_before)

    @property
    def _done_fates(self) -> tuple[Fate, ...]:
        """Nothing is left to do for such a message but to delete it."""
        return (Fate.SENT,) if self.sends else (Fate.SENT, Fate.ARCHIVED)

    @property
    def _open_fates(self) -> tuple[Fate, ...]:
        """Such a message is looked after even when no further one may be taken."""
        return (*self._done_fates, Fate.CLAIMED, Fate.UNKNOWN) if self.sends else self._done_fates

    @staticmethod
    def _most(progress: Progress, plan: Mapping[str, Any]) -> int:
        return int(plan["canary"] if progress.phase is Phase.CANARY else plan["limit"])

    def _receive(self, queue: Queue, batches: int) -> list[DeadLetter]:
        """Letters that this run has not judged yet; a long poll that finds nothing ends it early."""
        fresh: dict[str, DeadLetter] = {}
        for _ in range(batches):
            messages = queue.receive(visibility_s=VISIBILITY_S)
            for message in messages:
                letter = read_letter(message)
                self._held[letter.message_id] = letter.receipt
                if letter.message_id not in self._stays:
                    fresh[letter.message_id] = letter
            self._empty = 0 if messages else self._empty + 1
            self._fruitless = 0 if fresh else self._fruitless + 1
            if not messages:
                break
        return list(fresh.values())

    def _has_seen_all(self) -> bool:
        """Letters that stay come round again when their visibility ends; seeing only them ends the drain as well."""
        return self._empty >= EMPTY_RECEIVES or self._fruitless > EMPTY_RECEIVES + len(self._stays)

    def _handle(
        self, letter: DeadLetter, known: Known, record: ReplayRecord, progress: Progress, plan: Mapping[str, Any]
    ) -> Progress:
        """Everything for one letter. In each line before `sent` the letter is still in the queue."""
        if known.fate in self._done_fates:  # by an earlier run, and the delete did not stick
            self._to_delete.add(letter.message_id)
            return progress
        if known.fate is Fate.CLAIMED and self.sends:  # by a run that died around its send
            record.unknown(letter)
        stay = self._why_left(letter, known, plan)
        if stay is None:
            try:
                return self._take(letter, known, record, progress, plan)
            except NotApplied as error:
                stay = Stay.REFUSED_BY_AWS
                self._show(letter, stay, str(error))
        else:
            self._show(letter, stay)
        self._stays[letter.message_id] = stay
        if plan["fifo"] and letter.group and self.sends:
            self._blocked_groups.add(letter.group)
        return progress

    def _why_left(self, letter: DeadLetter, known: Known, plan: Mapping[str, Any]) -> Stay | None:
        if letter.sent_at > plan["looked_at"] + CLOCKS_DIFFER_S:
            return Stay.ARRIVED_LATER
        if self.sends:
            if known.fate in (Fate.CLAIMED, Fate.UNKNOWN):
                return Stay.SENT_OR_NOT
            if known.came_back_from:
                return Stay.CAME_BACK
            if letter.group in self._blocked_groups:
                return Stay.BEHIND_ANOTHER
        return self._why_stay(letter, plan)

    def _take(
        self, letter: DeadLetter, known: Known, record: ReplayRecord, progress: Progress, plan: Mapping[str, Any]
    ) -> Progress:
        archive(letter, plan["queue"])
        if not self.sends:
            progress = record.archived(letter, known.fate, progress)
            self._to_delete.add(letter.message_id)
            return progress
        self._pace(plan["per_second"])
        progress = record.claim(letter, progress)
        try:
            sent_as = self._send(letter, plan)
        except AwsError as error:
            if _was_not_sent(error):
                record.not_sent(letter, progress)
            else:
                record.unknown(letter)
            translate(error, f"sending message {letter.message_id}")
        progress = record.sent(letter, sent_as, progress)
        self._to_delete.add(letter.message_id)
        return progress

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _stop(self, record: ReplayRecord, progress: Progress, letter: DeadLetter, plan: Mapping[str, Any]) -> Progress:
        """The first re-failure: the cause is not mended, and every further message would only come back as well."""
        self._stays[letter.message_id] = Stay.CAME_BACK
        self._show(letter, Stay.CAME_BACK)
        why = f"a message that was sent came back with {letter.error_code or 'no error code'}"
        evidence = {**self._evidence(progress, plan), "stopped": f"{why}: {preview(letter.error_message)}".rstrip(": ")}
        return record.advance(progress, phase=Phase.STOPPED, evidence=evidence)

    def _finish(self, record: ReplayRecord, progress: Progress, plan: Mapping[str, Any]) -> Progress:
        return record.advance(progress, phase=Phase.DONE, evidence=self._evidence(progress, plan))

    def _end_of_queue(
        self, queue: Queue, record: ReplayRecord, progress: Progress, plan: Mapping[str, Any], *, idle: bool
    ) -> Progress:
        """Nothing new is visible. What another consumer, or a run that was killed, still hides is waited for."""
        accounted = progress.deleted + len(self._stays) >= plan["counts"]["total"]
        hidden = 0 if accounted else queue.attributes().counts.in_flight - len(self._held)
        if hidden > 0:
            return self._pause(record, progress, plan, idle=idle)
        if progress.phase is Phase.CANARY and progress.taken:
            return record.advance(progress, phase=Phase.WATCH, watch_until=_watch_until(plan))
        return self._finish(record, progress, plan)

    def _pause(self, record: ReplayRecord, progress: Progress, plan: Mapping[str, Any], *, idle: bool) -> Progress:
        """Until the next run; a drain that only ever waits comes to an end as well."""
        if idle and progress.idle_runs >= MAX_IDLE_RUNS:
            return self._finish(record, progress, plan)
        return record.advance(progress, idle_runs=progress.idle_runs + 1 if idle else 0)

    def _evidence(self, progress: Progress, plan: Mapping[str, Any]) -> dict[str, Any]:
        left = Counter(stay.value for stay in self._stays.values())
        evidence: dict[str, Any] = {
            "counted": plan["counts"],
            "taken": progress.taken,
            "unclear": progress.unclear,
            "left": dict(left),
            "left_total": sum(left.values()),
            "shown": self._shown,
        }
        if self._not_deleted:
            evidence["not_deleted"] = self._not_deleted[:MAX_SHOWN]
        return evidence

    def _show(self, letter: DeadLetter, stay: Stay, detail: str = "") -> None:
        if len(self._shown) < MAX_SHOWN:
            seen = {"message_id": letter.message_id, "writer": letter.writer.value, "why": stay.value}
            self._shown.append({**seen, "detail": preview(detail or stay.sentence)})

    # -- time and receipts ------------------------------------------------------------------------------------------

    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _wait_until(self, moment: float) -> bool:
        """Wait if this invocation lasts so long; False: the clock goes on later, and waiting costs nothing."""
        left = moment - time.time()
        if left > self._deadline - time.monotonic():
            return False
        time.sleep(max(0.0, left))
        return True

    def _pace(self, per_second: int) -> None:
        now = time.monotonic()
        if now < self._next_send:
            time.sleep(self._next_send - now)
        self._next_send = max(now, self._next_send) + 1 / per_second

    def _delete(self, queue: Queue, record: ReplayRecord, progress: Progress) -> Progress:
        """What was sent or archived, with the latest receipts."""
        if not self._to_delete:
            return progress
        ids, self._to_delete = self._to_delete, set()
        failed = queue.delete({message_id: self._held[message_id] for message_id in ids})
        self._not_deleted += failed
        self._held = {name: receipt for name, receipt in self._held.items() if name not in ids}
        return record.advance(progress, deleted=progress.deleted + len(ids) - len(failed))

    def _put_back_unjudged(self, queue: Queue) -> None:
        """So that they can be received again after the watch."""
        unjudged = {name: receipt for name, receipt in self._held.items() if name not in self._stays}
        self._held = {name: receipt for name, receipt in self._held.items() if name in self._stays}
        self._empty = self._fruitless = 0
        if unjudged:
            queue.release(unjudged)

    def _let_go(self, queue: Queue) -> None:
        """However the run ends: delete what was sent, and show the rest to others again."""
        gone, self._to_delete = self._to_delete, set()
        held, self._held = self._held, {}
        if gone:
            queue.delete({message_id: held.pop(message_id) for message_id in gone})
        if held:
            queue.release(held)


class ArchiveDlq(DrainDlq):
    """To S3 and out of the queue, whoever wrote it; also the way to put away what is recorded as unknown."""

    name = "archive_dlq"
    verb = "archive"
    sends = False
    permissions = (
        "sqs:GetQueueUrl",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "s3:PutObject",
    )

    def _why_stay(self, letter: DeadLetter, plan: Mapping[str, Any]) -> Stay | None:
        return None

    def _send(self, letter: DeadLetter, plan: Mapping[str, Any]) -> str:
        raise TypeError(f"{self.name} sends nothing, and not {letter.message_id} to {plan['way']}")


class ReplayDlq(DrainDlq):
    """To the function in `replay_to`, asynchronously: 202 means accepted, so the canary is watched."""

    name = "replay_dlq"
    verb = "replay"
    permissions = (
        *ArchiveDlq.permissions,
        "lambda:GetFunctionConfiguration",
        "lambda:GetFunctionEventInvokeConfig",
        "lambda:InvokeFunction",
        "events:ListTargetsByRule",
    )

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._rules: dict[str, Stay | None] = {}

    def _way(self, request: Request, queue: Queue) -> Mapping[str, Any]:
        to = request.target["replay_to"]
        if not (to.get("function") and to.get("alias")):
            return {}
        target = read_target(to["function"], to["alias"])
        return {**target.as_dict(), "watch_s": _watch_s(target.fails_within_s)}

    def _decline(self, way: Mapping[str, Any], request: Request) -> Decline | None:
        if way:
            return None
        return Decline(Refusal.NO_REPLAY_TARGET, f"{request.target['queue']} needs replay_to: {{function, alias}}")

    def _why_stay(self, letter: DeadLetter, plan: Mapping[str, Any]) -> Stay | None:
        way = plan["way"]
        function = function_of(way["arn"])
        if function is None:
            raise Unreadable(f"function {way['function']}", f"{way['arn']} is no ARN of a function")
        stay = why_not_replay(letter, function, way["dead_letter_queue"], plan["arn"])
        if stay is None and letter.writer is Writer.EVENTBRIDGE_RULE:
            if letter.origin not in self._rules:
                self._rules[letter.origin] = why_rule_stays(letter.origin, function)
            stay = self._rules[letter.origin]
        return stay

    def _send(self, letter: DeadLetter, plan: Mapping[str, Any]) -> str:
        answer = client_once("lambda").invoke(
            FunctionName=plan["way"]["function"],
            Qualifier=plan["way"]["alias"],
            InvocationType="Event",
            Payload=(letter.payload or "").encode(),
        )
        return str(answer["ResponseMetadata"].get("RequestId", ""))


class RedriveDlq(DrainDlq):
    """Back to the SQS queue that gave up on it; FIFO groups keep their order."""

    name = "redrive_dlq"
    verb = "redrive"
    permissions = (*ArchiveDlq.permissions, "sqs:ListDeadLetterSourceQueues", "sqs:SendMessage")

    def _way(self, request: Request, queue: Queue) -> Mapping[str, Any]:
        sources: dict[str, str] = {}
        fails_within_s = 0
        for url in queue.source_urls():
            source = Queue(url.rsplit("/", 1)[-1], url).attributes()
            sources[source.arn] = url
            tries = int((source.redrive_policy or {}).get("maxReceiveCount", 1))
            fails_within_s = max(fails_within_s, tries * source.visibility_s)
        if not sources:
            return {}
        return {"sources": sources, "fails_within_s": fails_within_s, "watch_s": _watch_s(fails_within_s)}

    def _decline(self, way: Mapping[str, Any], request: Request) -> Decline | None:
        wanted = request.target["source"]
        names = sorted(arn.rsplit(":", 1)[-1] for arn in way.get("sources", {}))
        if way and (not wanted or wanted in names):
            return None
        detail = f"{request.target['queue']} is the dead-letter queue of {names or 'no SQS queue'}"
        return Decline(Refusal.NOT_A_REDRIVE_SOURCE, detail + (f", not of {wanted}" if wanted else ""))

    def _why_stay(self, letter: DeadLetter, plan: Mapping[str, Any]) -> Stay | None:
        return why_not_redrive(letter, plan["way"]["sources"])

    def _send(self, letter: DeadLetter, plan: Mapping[str, Any]) -> str:
        source = plan["way"]["sources"][letter.origin]
        # On its way here a FIFO message lost its deduplication id to its message id (SQS developer guide).
        deduplication = letter.message_id if plan["fifo"] else ""
        return Queue(source, source).send(letter.body, letter.message_attributes, letter.group, deduplication)


def _record(request: Request) -> ReplayRecord:
    ledger = Ledger(settings.ledger_table(), client("dynamodb"))
    return ReplayRecord(ledger, request.target["queue"], request.action_id)


def _watch_until(plan: Mapping[str, Any]) -> float:
    return time.time() + int(plan["way"]["watch_s"])


def _watch_s(fails_within_s: int) -> int:
    return min(fails_within_s + MARGIN_S, MAX_WATCH_S)


def _was_not_sent(error: ClientError | BotoCoreError) -> bool:
    """AWS said no (4xx), or was never reached. Every other failure leaves it open whether the call took effect."""
    if isinstance(error, ClientError):
        return bool(400 <= error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) < 500)
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)


lambda_handler = handler_for(ArchiveDlq, ReplayDlq, RedriveDlq)
