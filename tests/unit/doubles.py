"""Doubles for tests of the engine: AWS in memory, four actions on it, a clock, and faults at any call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError, ReadTimeoutError
from selfheal.action import Action, AlreadyDone, Change, Decision, Image, State, Verification
from selfheal.arns import Home
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.engine import World
from selfheal.ledger import Ledger
from selfheal.request import Request, read_request
from selfheal.words import Direction, ResponseMode, Verdict

LEASE_S = 120.0
START = 1_800_000_000.0
HOME = Home("aws", "eu-central-1", "123456789012")


class Killed(BaseException):
    """The process is gone: nothing of ours may catch it."""


def throttled() -> ClientError:
    """AWS did not carry the call out."""
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "Any")


def timed_out() -> ReadTimeoutError:
    """No answer: AWS may have carried the call out or not."""
    return ReadTimeoutError(endpoint_url="https://aws.test")


@dataclass
class Faults:
    """Goes around every call to DynamoDB, to tags and to the AWS in memory: counts them, and breaks those asked for."""

    calls: list[str] = field(default_factory=list)
    at: int | None = None
    names: tuple[str, ...] = ()
    after: bool = False
    error: Callable[[], BaseException] = Killed
    repeat: str = ""
    before_call: dict[str, Callable[[], None]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        """`call`, unless it is to break before or after its effect; or twice, as an SDK that got no answer."""
        with self.lock:
            index = self.begin(name)
            answer = call()
            if name == self.repeat:
                answer = call()
            self.end(name, index)
            return answer

    def begin(self, name: str) -> int:
        """A call is about to be made; answers its number."""
        index = len(self.calls)
        self.calls.append(name)
        if hook := self.before_call.pop(name, None):
            hook()
        if self._breaks(name, index) and not self.after:
            raise self.error()
        return index

    def end(self, name: str, index: int) -> None:
        """AWS has carried the call out."""
        if self._breaks(name, index) and self.after:
            raise self.error()

    def _breaks(self, name: str, index: int) -> bool:
        return index == self.at or name.startswith(self.names or ("-",))


class FaultyClient:
    """A boto3 client whose calls go through `faults`."""

    def __init__(self, service: str, faults: Faults) -> None:
        self._real = client(service)
        self._service = service
        self._faults = faults

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._real, name)
        return lambda **arguments: self._faults.around(f"{self._service}.{name}", lambda: method(**arguments))


@dataclass
class Clock:
    """Seconds; only `sleep` and `advance` let it go on."""

    at: float = START

    def now(self) -> float:
        """Epoch seconds."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds


@dataclass
class Cloud:
    """One resource of the AWS in memory. `effects` are the writes that took effect, in order."""

    faults: Faults = field(default_factory=Faults)
    value: Any = "true"
    revision: int = 1
    waiting: list[int] = field(default_factory=lambda: [1, 2, 3])
    effects: list[Any] = field(default_factory=list)

    def read(self) -> dict[str, Any]:
        """A Get."""
        answer: dict[str, Any] = self._call("cloud.read", lambda: {"value": self.value, "revision": self.revision})
        return answer

    def write(self, value: Any, revision: int | None = None) -> None:
        """A Put; with `revision` AWS compares and sets."""
        self._call("cloud.write", lambda: self._write(value, revision))

    def invoke(self) -> None:
        """What can't be deduplicated."""
        self._call("cloud.invoke", lambda: self.effects.append("invoked"))

    def count(self) -> int:
        """How many messages wait."""
        return int(self._call("cloud.count", lambda: len(self.waiting)))

    def move(self) -> None:
        """Move one message."""
        self._call("cloud.move", lambda: self.effects.append(self.waiting.pop(0)))

    def by_hand(self, value: Any) -> None:
        """Somebody else writes."""
        self.value, self.revision = value, self.revision + 1

    def _write(self, value: Any, revision: int | None) -> None:
        if revision is not None and revision != self.revision:
            raise ClientError({"Error": {"Code": "PreconditionFailedException", "Message": "stale"}}, "UpdateAlias")
        self.value, self.revision = value, self.revision + 1
        self.effects.append(value)

    def _call(self, name: str, call: Callable[[], Any]) -> Any:
        try:
            return self.faults.around(name, call)
        except AwsError as error:
            translate(error, name)


class FakeAction(Action):
    """An action on a `Cloud`; `on_apply` looks at the ledger right before the call."""

    permissions = ()
    verify_for_s = 2.0
    direction: ClassVar[Direction] = Direction.RISKY

    def __init__(self, cloud: Cloud, on_apply: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.cloud = cloud
        self.on_apply = on_apply

    def observe(self, request: Request) -> State:
        return self.cloud.read()

    def image(self, state: State) -> Image:
        return {"value": state["value"]}

    def verify(self, request: Request, change: Change) -> Verification:
        value = self.cloud.read()["value"]
        verdict = Verdict.HOLDS if value == change.after["value"] else Verdict.DOES_NOT_HOLD
        return Verification(verdict, {"value": value})


class Flag(FakeAction):
    """Like a parameter: safe towards `false`, no compare-and-set."""

    name = "halt_trading"

    def decide(self, state: State, request: Request) -> Decision:
        wanted = request.wanted["value"] if request.wanted else "false"
        if state["value"] == wanted:
            return AlreadyDone(f"it is {wanted}")
        direction = Direction.SAFE if wanted == "false" else Direction.RISKY
        return Change(direction, f"set to {wanted}", {"value": state["value"]}, {"value": wanted})

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        self.on_apply()
        self.cloud.write(change.after["value"])
        return {"wrote": change.after["value"]}


class Alias(FakeAction):
    """Like an alias: risky, compare-and-set, and one version back from wherever it is."""

    name = "roll_back_alias"
    compare_and_set = True

    def decide(self, state: State, request: Request) -> Decision:
        wanted = request.wanted["value"] if request.wanted else state["value"] - 1
        if state["value"] == wanted:
            return AlreadyDone(f"it is at {wanted}")
        plan = {"revision": state["revision"]}
        return Change(Direction.RISKY, f"to {wanted}", {"value": state["value"]}, {"value": wanted}, plan)

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        self.on_apply()
        self.cloud.write(change.after["value"], change.plan["revision"])
        return {}


class Drain(FakeAction):
    """Like a redrive: long, not reversible, knows what is done; two messages per run."""

    name = "redrive_dlq"
    reversible = False
    continues = True
    verify_for_s = 0.0

    def observe(self, request: Request) -> State:
        return {"waiting": self.cloud.count()}

    def image(self, state: State) -> Image:
        raise TypeError("a drain has no image")

    def decide(self, state: State, request: Request) -> Decision:
        if not state["waiting"]:
            return AlreadyDone("nothing waits")
        return Change(Direction.RISKY, f"move {state['waiting']}", after={"waiting": 0})

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        self.on_apply()
        for _ in range(min(2, self.cloud.count())):
            self.cloud.move()
        return {}

    def verify(self, request: Request, change: Change) -> Verification:
        left = self.cloud.count()
        return Verification(Verdict.NOT_YET if left else Verdict.HOLDS, {"waiting": left}, f"{left} left")


class Invoke(FakeAction):
    """Like a hook of the user's own: AWS can't deduplicate it, and only the run that called knows that it did."""

    name = "smoke_test"
    reversible = False
    repeatable = False
    answered = False

    def image(self, state: State) -> Image:
        raise TypeError("an invocation has no image")

    def decide(self, state: State, request: Request) -> Decision:
        return Change(Direction.RISKY, "invoke", after={})

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        self.on_apply()
        self.cloud.invoke()
        self.answered = True
        return {}

    def verify(self, request: Request, change: Change) -> Verification:
        return Verification(Verdict.HOLDS if self.answered else Verdict.UNKNOWN)


class Look(FakeAction):
    """Reads only."""

    name = "inspect_dlq"
    reversible = False

    def image(self, state: State) -> Image:
        raise TypeError("a look has no image")

    def decide(self, state: State, request: Request) -> Decision:
        return Change(Direction.READ, "look")

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        return {"seen": self.cloud.read()["value"]}

    def verify(self, request: Request, change: Change) -> Verification:
        return Verification(Verdict.HOLDS)


TARGETS: Mapping[str, Callable[[str], dict[str, str]]] = {
    "halt_trading": lambda name: {"parameter": f"/{name}"},
    "roll_back_alias": lambda name: {"function": name, "alias": "live"},
    "redrive_dlq": lambda name: {"queue": name},
    "smoke_test": lambda name: {"function": name, "alias": "live"},
    "inspect_dlq": lambda name: {"queue": name},
}


def ask(action: type[FakeAction] | str, name: str = "one", **more: Any) -> Request:
    """A request for an action on the target `name`, on behalf of the incident `inc-1` unless told otherwise."""
    action_name = action if isinstance(action, str) else action.name
    event = {
        "action": action_name,
        "action_id": f"{name}.1",
        "target": TARGETS[action_name](name),
        "mode": "act",
        "origin": "alarm",
        "incident": "inc-1",
        **more,
    }
    return read_request(event, (action_name,), "default-id")


def world_of(faults: Faults, clock: Clock, **more: Any) -> World:
    """A world with the ledger of the fixture behind `faults`."""
    return World(
        **{
            "ledger": Ledger("ledger", FaultyClient("dynamodb", faults)),
            "max_mode": ResponseMode.AUTO,
            "lease_s": LEASE_S,
            "home": HOME,
            "runbook_of": lambda system: None,
            "now": clock.now,
            "sleep": clock.advance,
            **more,
        }
    )


def scan() -> list[dict[str, Any]]:
    """The whole table, as DynamoDB has it."""
    items: list[dict[str, Any]] = client("dynamodb").scan(TableName="ledger")["Items"]
    return sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def keys(items: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The keys of scanned items."""
    return {(item["pk"]["S"], item["sk"]["S"]) for item in items}
