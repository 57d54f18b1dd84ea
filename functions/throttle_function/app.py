"""Stop or limit a Lambda function by its reserved concurrency, or pause what feeds it.

Alarm: a function does damage with each event, or floods what is behind it.
Action: `stop_function` (reserved concurrency 0) and `limit_function` (so many at once), for the function with all of
its versions and aliases; `pause_source`, for one event source mapping. Each is undone to what was there before.
Precondition: no provisioned concurrency above the limit, which Lambda would refuse.

To stop or to lower is safe only if every failed asynchronous event has a destination and no event source mapping
polls; else it is risky, and the summary says what would be lost and which request comes first. To raise is risky, for
it runs more, and so is every undo. A limit where there was none is taken from what the account's other functions
share, of which Lambda keeps 100 (a new account may have 10 in all): beyond that it refuses.

A pause of an SQS queue is safe: its messages wait, for 4 days unless the queue says otherwise, and polling goes on at
the same place. A pause of anything else is risky: records of DynamoDB Streams age out after 24 hours, those of Kinesis
after 24 hours unless the stream says otherwise, and what a broker does is not known here. A batch in flight goes on.
A pause takes Lambda up to some minutes (Disabling); while a mapping is being created or updated it is asked again.

There is no compare-and-set: the engine looks again under the lease. Running invocations finish; synchronous callers
get a 429; dead letters are to be replayed after the undo. Open positions and orders stay as they are.

Never: touches selfheal's own functions or what feeds them (the role denies it), or deletes anything but the limit.

AWS calls to observe: 1, and for what would be lost 4 and more once (`selfheal.unserved`); 1 to apply, 1 to verify.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from selfheal import unserved
from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.busy import patiently
from selfheal.clients import client
from selfheal.errors import NotApplied, Refused, TargetNotFound
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

POLLS = {"Enabled": True, "Enabling": True, "Disabled": False, "Disabling": False}
"""What the stable states of a mapping, and those on the way to them, mean for polling."""


class SetConcurrency(Action):
    """Brings the reserved concurrency to a number, or (`request.wanted`) back to the recorded one, or to none."""

    permissions = (
        "lambda:DeleteFunctionConcurrency",
        "lambda:GetFunctionConcurrency",
        "lambda:PutFunctionConcurrency",
        *unserved.PERMISSIONS,
    )

    def __init__(self, remaining_s: float = 60.0) -> None:
        super().__init__(remaining_s)
        self._around: dict[str, Any] | None = None

    def observe(self, request: Request) -> State:
        """The reserved concurrency (None: the function has none), and what becomes of its events.

        The latter once for each run: the look under the lease asks only for what is going to be written.
        """
        function = request.target["function"]
        self._to(request)
        state = {"reserved": _reserved(function)}
        if _restores(request):
            return state
        if self._around is None:
            self._around = unserved.look(function)
        return state | self._around

    def decide(self, state: State, request: Request) -> Decision:
        """The number that is wanted; safe if it lets the function run less and nothing is lost."""
        function, to, now = request.target["function"], self._to(request), state["reserved"]
        if now == to:
            return AlreadyDone(f"the reserved concurrency of {function} is {_shown(to)} already", {"reserved": to})
        provisioned = state.get("provisioned", {})
        if to is not None and sum(provisioned.values()) > to:
            names = ", ".join(f"{count} for {name}" for name, count in sorted(provisioned.items()))
            detail = f"{function} has provisioned concurrency ({names}), and {to} would be less; remove it first"
            return Decline(Refusal.PROVISIONED_CONCURRENCY, detail, {"provisioned": provisioned})
        more = _restores(request) or to is None or (now is not None and to > now)
        losses = [] if more else unserved.losses(state)
        notes = ["its dead letters are to be replayed now"] if _restores(request) and now == 0 else losses
        if now is None and to:
            notes = [f"{to} are taken from what the account's other functions share", *notes]
        moved = f"reserved concurrency of {function} from {_shown(now)} to {_shown(to)}"
        return Change(
            direction=Direction.RISKY if more or losses else Direction.SAFE,
            summary="; ".join([moved, *notes]),
            before=self.image(state),
            after={"reserved": to},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One PutFunctionConcurrency or DeleteFunctionConcurrency; both come out the same when repeated."""
        self._called = True
        function, to, aws = request.target["function"], change.after["reserved"], client("lambda")
        what, busy = f"concurrency of {function}", aws.exceptions.ResourceConflictException
        if to is None:
            patiently(lambda: aws.delete_function_concurrency(FunctionName=function), what, busy)
        else:
            patiently(lambda: _put(function, to), what, busy)
        return {"reserved": to}

    def verify(self, request: Request, change: Change) -> Verification:
        """One GetFunctionConcurrency."""
        seen = {"reserved": _reserved(request.target["function"])}
        if seen == change.after:
            return Verification(Verdict.HOLDS, seen)
        if seen == change.before:
            verdict = Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD
            return Verification(verdict, seen, "the reserved concurrency is as it was")
        return Verification(Verdict.DOES_NOT_HOLD, seen, f"somebody set it to {_shown(seen['reserved'])}")

    def image(self, state: State) -> Image:
        """The reserved concurrency."""
        return {"reserved": state["reserved"]}

    def _to(self, request: Request) -> int | None:
        """The number that is wanted, None for no limit. Raises Refused."""
        if request.wanted is not None:
            return None if request.wanted["reserved"] is None else int(request.wanted["reserved"])
        return 0 if _restores(request) else self._asked(request)

    @abstractmethod
    def _asked(self, request: Request) -> int:
        """The number that the request names. Raises Refused."""


class StopFunction(SetConcurrency):
    """Let a function run no more."""

    name = "stop_function"

    def _asked(self, request: Request) -> int:
        return 0


class LimitFunction(SetConcurrency):
    """Let a function run so many times at once."""

    name = "limit_function"

    def _asked(self, request: Request) -> int:
        wanted = request.options["concurrency"]
        if not wanted:
            raise Refused(Refusal.BAD_OPTIONS, "limit_function needs concurrency, at least 1; 0 is stop_function")
        return int(wanted)


class PauseSource(Action):
    """Switches the polling of one event source mapping off, or (`request.wanted`) back to what it was."""

    name = "pause_source"
    permissions = ("lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping")
    continues = True
    verify_for_s = 20.0

    def observe(self, request: Request) -> State:
        """Whether the mapping polls. Refused for a while where it is being created or updated."""
        found = _mapping(request)
        if found["State"] not in POLLS:
            detail = f"the mapping is {found['State']}, and Lambda changes nothing meanwhile; it will be asked again"
            raise Refused(Refusal.TARGET_UNREADABLE, detail)
        return {
            "polls": POLLS[found["State"]],
            "source": found.get("EventSourceArn", ""),
            "function": found.get("FunctionArn", ""),
        }

    def decide(self, state: State, request: Request) -> Decision:
        """Off is safe for a queue, which keeps its messages; everything else is risky."""
        to = bool(request.wanted["polls"]) if request.wanted is not None else False
        named = f"{state['source'] or 'the source'} for {state['function']}"
        if state["polls"] == to:
            return AlreadyDone(f"polling of {named} is {'on' if to else 'off'} already")
        is_queue = state["source"].split(":")[2:3] == ["sqs"]
        if to:
            summary = f"poll {named} again"
        elif is_queue:
            summary = f"stop polling {named}; its messages wait for as long as the queue keeps them"
        else:
            summary = f"stop polling {named}; its records age out, after 24 hours unless the stream keeps them longer"
        return Change(
            direction=Direction.SAFE if is_queue and not to else Direction.RISKY,
            summary=summary,
            before=self.image(state),
            after={"polls": to},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One UpdateEventSourceMapping, unless it is on its way already; a mapping that is in use stays for later."""
        uuid, aws = request.target["event_source"], client("lambda")
        if POLLS.get(_mapping(request)["State"]) == change.after["polls"]:
            return {"as_wanted_before": uuid}
        enabled, busy = change.after["polls"], aws.exceptions.ResourceInUseException
        try:
            patiently(lambda: aws.update_event_source_mapping(UUID=uuid, Enabled=enabled), f"event source {uuid}", busy)
        except NotApplied as error:
            if not isinstance(error.__cause__, busy):
                raise
            return {"left_for_the_next_run": str(error)}
        return {"switched": uuid}

    def verify(self, request: Request, change: Change) -> Verification:
        """One GetEventSourceMapping: stable in the wanted state, or on its way."""
        found = _mapping(request)
        state = found["State"]
        if state == ("Enabled" if change.after["polls"] else "Disabled"):
            return Verification(
                Verdict.HOLDS, change.after, evidence={"last_result": found.get("LastProcessingResult")}
            )
        return Verification(Verdict.NOT_YET, change.after, f"the mapping is {state}")

    def image(self, state: State) -> Image:
        """Whether it polls."""
        return {"polls": state["polls"]}


def _restores(request: Request) -> bool:
    return request.undo_of is not None or request.wanted is not None


def _shown(reserved: int | None) -> str:
    return "none" if reserved is None else str(reserved)


def _reserved(function: str) -> int | None:
    try:
        found = client("lambda").get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions")
    except AwsError as error:
        translate(error, f"concurrency of {function}")
    return None if found is None else int(found)


def _put(function: str, to: int) -> None:
    aws = client("lambda")
    try:
        aws.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=to)
    except aws.exceptions.InvalidParameterValueException as error:
        detail = (
            f"Lambda does not reserve {to} for {function}; reserve less, or have the account's limit raised: {error}"
        )
        raise NotApplied(detail) from error


def _mapping(request: Request) -> dict[str, Any]:
    uuid = request.target["event_source"]
    try:
        found: dict[str, Any] = client("lambda").get_event_source_mapping(UUID=uuid)
    except AwsError as error:
        translate(error, f"event source {uuid}")
    if found["State"] == "Deleting":
        raise TargetNotFound(f"event source {uuid} is being deleted")
    return found


lambda_handler = handler_for(StopFunction, LimitFunction, PauseSource)
