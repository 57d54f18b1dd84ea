"""Empty a dead-letter queue without losing a message: archive it, send it to its function, or move it back.

Alarm: messages in a dead-letter queue; usually as a recover step, once the cause is mended.
Actions (all risky): `archive_dlq` (to S3, then delete), `replay_dlq` (to S3, to the function in `replay_to`, then
delete), `redrive_dlq` (to S3, back to the SQS queue it came from, then delete).
Precondition: the queue has no redrive policy of its own. That also keeps this away from live queues, which have one.

A chunk of letters at a time, and several chunks side by side: one S3 object with all letters of the chunk → claim in
the ledger → send → `sent` in the ledger → delete. Killed anywhere, a message is still in the queue, or it was sent
exactly once and recorded, or it is recorded as unknown and never sent again: of a run that dies while it sends, the
chunks in hand, none larger than what is sent in a second. A canary goes first and is watched; the first message that
comes back ends the drain. Work that does not fit into one invocation goes on where it stopped, under the same
action_id.

Never: purges a queue, deletes what is not archived, sends what a schedule tried at a time that has passed, sends a
message twice, or forwards a trace header (Lambda would count the chain of invocations on, and cut it).

`redrive_dlq` with `archive: false` leaves the rest to SQS itself (StartMessageMoveTask) once the canary has not come
back. What is lost then: there is no copy and no record of what was moved, nothing can be left out, and what comes back
stops nothing; a message that came from no queue fails the move and stays. It needs a queue with one source, and no
`limit`. A pause does not stop what SQS has begun; `aws sqs cancel-message-move-task` does, and what was moved stays.

`per_second` is the rate of what is sent. A replay calls a function at once, so its default is 10. A redrive only fills
a queue that its consumer empties at its own pace; its default is 100, a fifth of the most that SQS's own move does.

The permissions of the ledger come with the base policy.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from selfheal import settings
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.clients import client, client_bulk_once
from selfheal.dead_letter import DeadLetter, Stay, Writer, function_of, why_not_redrive, why_not_replay
from selfheal.drain.canary import watch_s
from selfheal.drain.loop import Drain
from selfheal.drain.report import verification
from selfheal.drain.timing import Timing
from selfheal.drain.way import Answer, Plan
from selfheal.errors import LedgerUnavailable, Unreadable
from selfheal.handler import handler_for
from selfheal.ledger import Ledger
from selfheal.queue import BATCH, MAX_BATCH_BYTES, Outgoing, Queue, Receipt
from selfheal.refusal import Refusal
from selfheal.replay_record import ReplayRecord
from selfheal.replay_target import read_target, why_rule_stays
from selfheal.request import Request
from selfheal.words import Direction, Verdict


class DrainDlq(Action):
    """What the three have in common; a subclass is the way: it says which letters stay, and how one is sent."""

    reversible = False
    captures = True
    """And destroys nothing: it archives every letter itself before it touches it."""
    continues = True
    verify_for_s = 0.0
    sends: ClassVar[bool] = True
    chunk: ClassVar[int] = 100
    marks_payloads: ClassVar[bool] = False
    verb: ClassVar[str]

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._timing = Timing(remaining_s)

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
            "looked_at": self._timing.now(),
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
                "archive": request.options.get("archive", True),
            },
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Go on from the record until the work, or the time of this invocation, is over."""
        queue = Queue(request.target["queue"], change.plan["url"], bulk=True)
        record = self._record(request)
        return Drain(self, queue, change.plan, record=record, timing=self._timing).run()

    def verify(self, request: Request, change: Change) -> Verification:
        """What the record says of the whole drain. Where it can't be read now, a later run reads it."""
        try:
            progress = self._record(request).progress()
        except LedgerUnavailable as error:
            return Verification(Verdict.NOT_YET, detail=str(error))
        return verification(progress, change.plan["limit"])

    def _record(self, request: Request) -> ReplayRecord:
        ledger = Ledger(settings.ledger_table(), client("dynamodb"))
        return ReplayRecord(ledger, request.target["queue"], request.action_id, self._timing.now)

    # -- what differs -------------------------------------------------------------------------------------------------

    def _way(self, request: Request, queue: Queue) -> Mapping[str, Any]:
        """What must be known of where messages go, as JSON; `watch_s` says how long a failure takes to come back."""
        return {}

    def _decline(self, way: Mapping[str, Any], request: Request) -> Decline | None:
        """Why the way can't be gone at all."""
        return None

    @abstractmethod
    def why_stay(self, letter: DeadLetter, plan: Plan) -> Stay | None:
        """None: this letter may be taken."""

    @abstractmethod
    def batch(self, letters: Sequence[DeadLetter], plan: Plan) -> Sequence[DeadLetter]:
        """Those that the next call sends."""

    @abstractmethod
    def send(self, letters: Sequence[DeadLetter], plan: Plan) -> Mapping[str, Answer]:
        """Send them once, in one call. Raises botocore's errors."""


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

    def why_stay(self, letter: DeadLetter, plan: Plan) -> Stay | None:
        return None

    def batch(self, letters: Sequence[DeadLetter], plan: Plan) -> Sequence[DeadLetter]:
        raise TypeError(f"{self.name} sends nothing, and not {len(letters)} letters to {plan['way']}")

    def send(self, letters: Sequence[DeadLetter], plan: Plan) -> Mapping[str, Answer]:
        raise TypeError(f"{self.name} sends nothing, and not {len(letters)} letters to {plan['way']}")


class ReplayDlq(DrainDlq):
    """To the function in `replay_to`, asynchronously: 202 means accepted, so the canary is watched."""

    name = "replay_dlq"
    verb = "replay"
    chunk = BATCH
    marks_payloads = True
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
        return {**target.as_dict(), "watch_s": watch_s(target.fails_within_s)}

    def _decline(self, way: Mapping[str, Any], request: Request) -> Decline | None:
        if way:
            return None
        return Decline(Refusal.NO_REPLAY_TARGET, f"{request.target['queue']} needs replay_to: {{function, alias}}")

    def why_stay(self, letter: DeadLetter, plan: Plan) -> Stay | None:
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

    def batch(self, letters: Sequence[DeadLetter], plan: Plan) -> Sequence[DeadLetter]:
        return letters[:1]

    def send(self, letters: Sequence[DeadLetter], plan: Plan) -> Mapping[str, Answer]:
        (letter,) = letters
        answer = client_bulk_once("lambda").invoke(
            FunctionName=plan["way"]["function"],
            Qualifier=plan["way"]["alias"],
            InvocationType="Event",
            Payload=(letter.payload or "").encode(),
        )
        return {letter.message_id: Answer(sent_as=str(answer["ResponseMetadata"].get("RequestId", "")))}


class RedriveDlq(DrainDlq):
    """Back to the SQS queue that gave up on it; FIFO groups keep their order."""

    name = "redrive_dlq"
    verb = "redrive"
    permissions = (
        *ArchiveDlq.permissions,
        "sqs:ListDeadLetterSourceQueues",
        "sqs:ListMessageMoveTasks",
        "sqs:SendMessage",
        "sqs:StartMessageMoveTask",
    )

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
        return {"sources": sources, "fails_within_s": fails_within_s, "watch_s": watch_s(fails_within_s)}

    def _decline(self, way: Mapping[str, Any], request: Request) -> Decline | None:
        wanted = request.target["source"]
        names = sorted(arn.rsplit(":", 1)[-1] for arn in way.get("sources", {}))
        if way and (not wanted or wanted in names):
            return None if request.options["archive"] else _why_sqs_can_not(names, request)
        detail = f"{request.target['queue']} is the dead-letter queue of {names or 'no SQS queue'}"
        return Decline(Refusal.NOT_A_REDRIVE_SOURCE, detail + (f", not of {wanted}" if wanted else ""))

    def why_stay(self, letter: DeadLetter, plan: Plan) -> Stay | None:
        return why_not_redrive(letter, plan["way"]["sources"])

    def batch(self, letters: Sequence[DeadLetter], plan: Plan) -> Sequence[DeadLetter]:
        """To one queue, in one call; of a FIFO group one at a time, since a call may fail for one and not the next."""
        batch: list[DeadLetter] = []
        size = 0
        for letter in letters:
            if letter.origin != letters[0].origin or (plan["fifo"] and letter.group in {one.group for one in batch}):
                continue
            size += _outgoing(letter, plan).size
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(letter)
            if len(batch) == BATCH:
                break
        return batch

    def send(self, letters: Sequence[DeadLetter], plan: Plan) -> Mapping[str, Answer]:
        source = plan["way"]["sources"][letters[0].origin]
        said = Queue(source, source).send([_outgoing(letter, plan) for letter in letters])
        return {name: _answer(one) for name, one in said.items()}


def _why_sqs_can_not(sources: Sequence[str], request: Request) -> Decline | None:
    """SQS moves everything that is in the queue, each message to where it came from."""
    if len(sources) == 1 and not request.options["limit"]:
        return None
    found = f"{request.target['queue']} has {len(sources)} sources, limit is {request.options['limit']}"
    return Decline(Refusal.BAD_OPTIONS, f"archive: false needs one source and no limit, as SQS moves all: {found}")


def _outgoing(letter: DeadLetter, plan: Plan) -> Outgoing:
    """On its way here a FIFO message lost its deduplication id to its message id (SQS developer guide)."""
    deduplication = letter.message_id if plan["fifo"] else ""
    return Outgoing(letter.message_id, letter.body, letter.message_attributes, letter.group, deduplication)


def _answer(said: Receipt) -> Answer:
    return Answer(said.message_id, said.why_not, unclear=said.message_id is None and not said.is_clear)


lambda_handler = handler_for(ArchiveDlq, ReplayDlq, RedriveDlq)
