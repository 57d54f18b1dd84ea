"""Killing the process of an action's function while it is at work, and running it again under the same id."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from local import stack
from tests.local.scenario import Deployed

D = TypeVar("D", bound=Deployed)

BY_HAND = {"mode": "act", "requested_by": "tester", "reason": "a test"}


@dataclass(frozen=True)
class Case(Generic[D]):
    """An action, how its target is made ready, and what the target must look like in the end."""

    function: str
    action: str
    target: dict[str, Any]
    ready: Callable[[D], object]
    right: Callable[[D], bool]
    outcomes: tuple[str, ...] = ("acted", "already_done")
    options: dict[str, Any] = field(default_factory=dict)

    def event(self, action_id: str) -> dict[str, Any]:
        """The request, by hand."""
        named = {"action": self.action, "action_id": action_id}
        return {**BY_HAND, **named, "target": self.target, "options": self.options}


def killed_and_finished(
    deployed: D, case: Case[D], moment: Callable[[], object] = lambda: True
) -> tuple[str, dict[str, Any]]:
    """Start it, kill it once it has its claim and `moment` is true, run it to its end: its id, its last answer."""
    action_id = f"killed-{uuid.uuid4().hex}"
    function = deployed.function(case.function)
    event = case.event(action_id)

    deployed.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
    deployed.wait(lambda: record(deployed, action_id), "the claim")
    wait_for(moment)
    kill(deployed, function)

    let_the_claim_end(deployed, action_id)
    # Lambda itself tries the event once more as well: one of the two runs goes on, the other learns of it
    answer = deployed.wait(lambda: finished(deployed.invoke(case.function, {**event, "mode": "resume"})), "the end", 60)
    assert answer is not None
    return action_id, answer


def wait_for(moment: Callable[[], object], patience_s: float = 10.0) -> None:
    """Asked often: a kill must meet the run, not its end."""
    deadline = time.monotonic() + patience_s
    while not moment():
        assert time.monotonic() < deadline, f"waited {patience_s} s for the moment to kill it"


def denied_twice(deployed: Deployed, function: str, event: dict[str, Any]) -> None:
    """IAM says no: the request is refused by that name each time, and recorded."""
    asked = {**BY_HAND, "action_id": f"denied-{uuid.uuid4().hex}", **event}

    answers = [deployed.invoke(function, asked) for _ in range(2)]

    assert [(one["outcome"], one["reason"]) for one in answers] == [("refused", "target_forbidden")] * 2, answers
    assert record(deployed, asked["action_id"])["outcome"]["S"] == "refused"


def finished(answer: dict[str, Any]) -> dict[str, Any] | None:
    """The answer, unless it says that the action goes on."""
    return None if answer["outcome"] == "in_progress" else answer


def kill(deployed: Deployed, function: str) -> None:
    """The processes that run the function, of this stack alone: another one has functions of the same names.

    All of them, as nobody can tell from outside which of them is at work; and until they are dead, or the next run
    would be given to one that dies.
    """
    workers = _workers(deployed, function)
    assert workers, f"no process of {function}"
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    deployed.wait(lambda: not workers & _workers(deployed, function), "the end of the processes")


def _workers(deployed: Deployed, function: str) -> set[int]:
    """A dead process has no environment any more, though it may have its number still."""
    wanted = {
        f"AWS_LAMBDA_FUNCTION_NAME={function}".encode(),
        f"AWS_ENDPOINT_URL={deployed.stack.emulator.endpoint}".encode(),
    }
    found = Path("/proc").glob("[0-9]*/environ")
    return {int(path.parent.name) for path in found if wanted <= set(_read(path).split(b"\0"))}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # another user's, or gone
        return b""


def let_the_claim_end(deployed: Deployed, action_id: str) -> None:
    """As if 16 minutes had passed: until then the killed run might still be at work."""
    deployed.client("dynamodb").update_item(
        TableName=ledger_of(deployed),
        Key=_key(action_id),
        UpdateExpression="SET claimed_until = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )


def record(deployed: Deployed, action_id: str) -> dict[str, Any]:
    """The action's record, as soon as there is one. Asked often: a kill must meet the run, not its end."""
    deadline, table = time.monotonic() + 1.0, ledger_of(deployed)
    while time.monotonic() < deadline:
        found = deployed.client("dynamodb").get_item(TableName=table, Key=_key(action_id), ConsistentRead=True)
        if "Item" in found:
            item: dict[str, Any] = found["Item"]
            return item
    return {}


def ledger_of(deployed: Deployed) -> str:
    """The name of selfheal's table."""
    return deployed.stack.account.outputs(stack.NAME)["LedgerTable"]


def _key(action_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"ACTION#{action_id}"}, "sk": {"S": "ACTION"}}
