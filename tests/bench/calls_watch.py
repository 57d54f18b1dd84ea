"""Every AWS call of a run, with what it is for: botocore's own hook, and the frame of the engine that it came from."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from selfheal import clients, github

from tests.unit.wire import Wire

KINDS = ("ledger", "guards", "target", "telling")
STORM, PUT_BACK = "guard storm", "looks for the change that it puts back"
WRITE_UNIT, READ_UNIT = 1024, 4096
"""What one unit of DynamoDB's on-demand price writes or reads (consistently), in bytes."""

_FOR: Mapping[tuple[str, str], tuple[str, str]] = {
    ("hold", "claim"): ("ledger", "claims the action_id"),
    ("hold", "find_original"): ("ledger", "finds the change to undo"),
    ("hold", "take"): ("ledger", "takes the target and writes the before-image"),
    ("changes", "put_back_by"): ("ledger", PUT_BACK),
    ("hold", "finish"): ("ledger", "records the result, the open change and the cooldown, and frees the target"),
    ("hold", "ask"): ("guards", "guards"),
    ("engine", "_moved_since"): ("guards", "looks again: AWS has no compare-and-set here"),
    ("capture", "first"): ("guards", "keeps the evidence before it is destroyed"),
    ("outcome", "send"): ("telling", "tells the bus"),
    ("refusals", "keep"): ("telling", "keeps the refusal"),
    ("calls", "observe"): ("target", "observe"),
    ("calls", "verify"): ("target", "verify"),
    ("engine", "_apply_and_verify"): ("target", "apply"),
    ("incident_store", "find_open"): ("ledger", "reads the open incident"),
    ("incident_store", "all_open"): ("ledger", "reads the open incidents"),
    ("incident_store", "commit"): ("ledger", "commits the advance"),
    ("respond", "_send"): ("telling", "asks an action for a step"),
    ("outbox", "deliver"): ("telling", "tells the bus, and crosses the news off"),
    ("clock", "tick"): ("ledger", "reads the open incidents"),
    ("unrecorded", "ingest"): ("ledger", "takes in what the ledger missed"),
    ("outbox", "deliver_left"): ("ledger", "looks for news that were not sent"),
    ("sweeps", "start_due"): ("ledger", "looks for sweeps that are due"),
    ("rounds", "run_due"): ("ledger", "keeps when its rounds were done"),
    ("red_alarms", "take_in"): ("ledger", "looks for alarms that nobody has taken in"),
    ("pauses", "tell_ended"): ("ledger", "looks for pauses that ended"),
    ("in_force", "look"): ("ledger", "looks for changes that are still in force"),
    ("maintenance_ahead", "look"): ("ledger", "looks for maintenance ahead"),
    ("watches", "go_on"): ("ledger", "goes on with the watches"),
    ("drills", "watch"): ("ledger", "looks how the last drill went"),
    ("reminders", "remind"): ("ledger", "looks for what people have forgotten"),
    ("guards.alarm", "read_alarms"): ("guards", "reads alarms"),
}
"""Module and function, the innermost that counts → kind and purpose."""
_FIRST = (("engine", "_moved_since"), ("hold", "ask"), ("hold", "find_original"))
"""What counts wherever it is found: these have others of the list within."""


@dataclass(frozen=True)
class Call:
    """One call that was made. `body` tells two reads of the same apart from two of a kind."""

    name: str
    kind: str
    purpose: str
    body: str

    @property
    def operation(self) -> str:
        """Without its service."""
        return self.name.partition(":")[2]


@dataclass
class Watch:
    """What was called while the wire listened, and what of the ledger's units it used."""

    wire: Wire
    calls: list[Call] = field(default_factory=list)
    write_units: int = 0
    read_units: int = 0
    entries: int = 0
    """Entries that were put on a bus: what EventBridge counts."""

    def listen_to(self, wire: Wire) -> None:
        """The stage's own wire says when the code under test is at work; GitHub's calls pass by here as well."""
        self.wire = wire
        github.exchange = self.github

    def again(self) -> None:
        """Forget what was called."""
        self.calls.clear()
        self.write_units = self.read_units = self.entries = 0

    def before(self, model: Any, params: Mapping[str, Any], **_: Any) -> None:
        """A call is about to be made."""
        if not self.wire.listening:
            return
        name = f"{model.service_model.service_name}:{model.name}"
        text = params.get("body") or b""
        body = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        self._took(name, f"{params.get('url_path')}{params.get('query_string')}{body}")
        if name.startswith("dynamodb:"):
            asked = json.loads(body)
            self.write_units += _written(model.name, asked)
            self.read_units += sum(len(table["Keys"]) for table in asked.get("RequestItems", {}).values())
        if name == "events:PutEvents":
            self.entries += len(json.loads(body)["Entries"])

    def after(self, model: Any, parsed: Mapping[str, Any], **_: Any) -> None:
        """It was answered."""
        if not self.wire.listening or model.service_model.service_name != "dynamodb":
            return
        if model.name == "GetItem":
            self.read_units += max(1, -(-_size(parsed.get("Item", {})) // READ_UNIT))
        if model.name == "Query":
            self.read_units += max(1, -(-sum(map(_size, parsed["Items"])) // READ_UNIT))
        if model.name == "BatchGetItem":
            found = [item for items in parsed["Responses"].values() for item in items]
            self.read_units += sum(-(-_size(item) // READ_UNIT) - 1 for item in found)  # 1 each was asked for

    def github(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> github.Answer:
        """Not AWS, and a call all the same."""
        if self.wire.listening:
            self._took(f"github:{method}", f"{url}{body!r}")
        return self.wire._github(method, url, headers, body)

    def _took(self, name: str, body: str) -> None:
        kind, purpose = _purpose(name)
        self.calls.append(Call(name, kind, purpose, body))


@contextmanager
def watching(wire: Wire) -> Iterator[Watch]:
    """Watch every client that is made within; to be entered before the stage is made."""
    watch, events = Watch(wire), clients.hooks()
    hooks: dict[str, Any] = {"before-call.*.*": watch.before, "after-call.*.*": watch.after}
    for name, hook in hooks.items():
        events.register_first(name, hook)
    try:
        yield watch
    finally:
        for name, hook in hooks.items():
            events.unregister(name, hook)


def count(calls: Sequence[Call], kind: str) -> int:
    """How many are of this kind."""
    return sum(call.kind == kind for call in calls)


def said(calls: Sequence[Call]) -> str:
    """In the order of their first: operations by purpose."""
    by_purpose: dict[str, dict[str, int]] = {}
    for call in calls:
        names = by_purpose.setdefault(call.purpose, {})
        names[call.name] = names.get(call.name, 0) + 1
    return "; ".join(
        f"{purpose}: {', '.join(name if times == 1 else f'{times} {name}' for name, times in names.items())}"
        for purpose, names in by_purpose.items()
    )


def writes(calls: Sequence[Call]) -> int:
    """How many write to the ledger."""
    written = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems")
    return sum(call.name.startswith("dynamodb:") and call.operation in written for call in calls)


def _purpose(name: str) -> tuple[str, str]:
    found = _known(sys._getframe(3))
    if found is None:  # a thread of the action's own: the one that waits for it knows what for
        found = _known(sys._current_frames()[threading.main_thread().ident or 0])
    kind, purpose = found or ("target", "else")
    if kind == "target" and name.startswith("dynamodb:"):
        return "ledger", f"{purpose}, in the ledger"
    return kind, purpose


def _known(frame: FrameType | None) -> tuple[str, str] | None:
    """The innermost that counts, unless one of _FIRST is around it; of a guard its name."""
    innermost, guard = None, ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        where = module.removeprefix("selfheal."), frame.f_code.co_name
        if where[0].startswith("guards.") and not guard and where[0] not in {"guards.context", "guards.chain"}:
            guard = where[0].removeprefix("guards.")
        if where in _FIRST:
            kind, purpose = _FOR[where]
            return kind, f"guard {guard}" if where == ("hold", "ask") else purpose
        innermost = innermost or _FOR.get(where)
        frame = frame.f_back
    return innermost


def _written(operation: str, body: Mapping[str, Any]) -> int:
    """Units of a write: of each item by its size, twice that in a transaction. An update is taken by what it sets."""
    if operation == "TransactWriteItems":
        return sum(2 * _units(part) for item in body["TransactItems"] for part in item.values())
    return _units(body) if operation in {"PutItem", "UpdateItem", "DeleteItem"} else 0


def _units(part: Mapping[str, Any]) -> int:
    item = part.get("Item") or {**part.get("Key", {}), **part.get("ExpressionAttributeValues", {})}
    return max(1, -(-_size(item) // WRITE_UNIT))


def _size(item: Mapping[str, Any]) -> int:
    """Bytes of names and values, as DynamoDB counts them (numbers a little less)."""
    return sum(len(name.encode()) + len(str(next(iter(value.values()))).encode()) for name, value in item.items())
