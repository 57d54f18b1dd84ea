"""One kill and one error per action, for real: the process of the function dies, and IAM says no.

Where in its run the SIGKILL meets the function is left to chance; the fault matrix of the unit tests has every place.
Here it is a real process, a real lease and a real second run.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from local import system
from tests.local.conftest import Healed
from tests.local.test_heal_by_hand import finished, let_the_claim_end, worker_of

pytestmark = pytest.mark.local

BY_HAND = {"mode": "act", "requested_by": "tester", "reason": "a test"}
LIVE = {"function": system.FUNCTION, "alias": system.ALIAS}
QUEUE = {"queue": system.QUEUE, "replay_to": LIVE}


@dataclass(frozen=True)
class Case:
    """An action, how its target is made ready, and what the target must look like in the end."""

    function: str
    action: str
    target: dict[str, Any]
    ready: Callable[[Healed], None]
    right: Callable[[Healed], bool]
    outcomes: tuple[str, ...] = ("acted", "already_done")


def _leave(healed: Healed) -> None:
    """Nothing to make ready."""


def _always(healed: Healed) -> bool:
    return True


def _resume_trading(healed: Healed) -> None:
    healed.client("ssm").put_parameter(Name=system.FLAG, Value="true", Overwrite=True)


def _is_halted(healed: Healed) -> bool:
    return bool(healed.client("ssm").get_parameter(Name=system.FLAG)["Parameter"]["Value"] == "false")


def _enable_schedule(healed: Healed) -> None:
    scheduler = healed.client("scheduler")
    found = scheduler.get_schedule(Name=system.SCHEDULE)
    settings = scheduler.meta.service_model.operation_model("UpdateSchedule").input_shape.members
    scheduler.update_schedule(**{k: v for k, v in found.items() if k in settings} | {"State": "ENABLED"})


def _is_disabled(healed: Healed) -> bool:
    return bool(healed.client("scheduler").get_schedule(Name=system.SCHEDULE)["State"] == "DISABLED")


def _point_to_the_faulty_version(healed: Healed) -> None:
    healed.client("lambda").update_alias(FunctionName=system.FUNCTION, Name=system.ALIAS, FunctionVersion=system.FAULTY)


def _is_back(healed: Healed) -> bool:
    alias = healed.client("lambda").get_alias(FunctionName=system.FUNCTION, Name=system.ALIAS)
    return bool(alias["FunctionVersion"] == system.LAST_GOOD)


CASES = {
    case.action: case
    for case in (
        Case("SwitchTrading", "halt_trading", {"parameter": system.FLAG}, _resume_trading, _is_halted),
        Case("SwitchSchedule", "disable_schedule", {"schedule": system.SCHEDULE}, _enable_schedule, _is_disabled),
        Case("RollBackAlias", "roll_back_alias", LIVE, _point_to_the_faulty_version, _is_back),
        Case("InspectDlq", "inspect_dlq", QUEUE, _leave, _always),
        # AWS can't deduplicate an Invoke: a run that died around it may end inconclusive, for a person, and not twice
        Case("InvokeTarget", "smoke_test", LIVE, _leave, _always, ("acted", "inconclusive")),
        Case("CheckHealth", "check_health", {"system": system.NAME}, _leave, _always),
    )
}


@pytest.mark.parametrize("action", CASES)
def test_killed_it_is_finished_under_the_same_id(healed: Healed, action: str) -> None:
    case, action_id = CASES[action], f"killed-{uuid.uuid4().hex}"
    case.ready(healed)
    event = {**BY_HAND, "action": action, "action_id": action_id, "target": case.target}
    function = healed.function(case.function)

    healed.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
    healed.wait(lambda: _record(healed, action_id), "the claim")
    os.kill(worker_of(function), signal.SIGKILL)

    let_the_claim_end(healed, action_id)
    answer = healed.wait(lambda: finished(healed.invoke(case.function, {**event, "mode": "resume"})), "the end", 60)
    assert answer is not None
    assert answer["outcome"] in case.outcomes, answer
    assert case.right(healed)
    assert _record(healed, action_id)["run"]["S"] == "done"


@pytest.mark.parametrize(
    ("function", "action", "target"),
    [
        ("SwitchTrading", "halt_trading", {"parameter": "/elsewhere/trading_enabled"}),
        ("SwitchTrading", "resume_trading", {"parameter": "/elsewhere/trading_enabled"}),
        ("SwitchSchedule", "disable_schedule", {"schedule": "elsewhere"}),
        ("SwitchSchedule", "enable_schedule", {"schedule": "elsewhere"}),
        ("RollBackAlias", "roll_back_alias", {"function": "elsewhere", "alias": "live"}),
        ("InspectDlq", "inspect_dlq", {"queue": "elsewhere"}),
        ("DrainDlq", "archive_dlq", {"queue": "elsewhere"}),
        ("DrainDlq", "replay_dlq", {"queue": "elsewhere", "replay_to": LIVE}),
        ("DrainDlq", "redrive_dlq", {"queue": "elsewhere"}),
        ("InvokeTarget", "smoke_test", {"function": "elsewhere", "alias": "live"}),
        (
            "StopDeployment",
            "stop_deployment",
            {**LIVE, "code_deploy": {"application": "elsewhere", "deployment_group": "elsewhere"}},
        ),
    ],
)
def test_what_iam_denies_is_refused_by_name_and_recorded(
    healed: Healed, function: str, action: str, target: dict[str, Any]
) -> None:
    """Whatever a runbook or a person names: outside of the stack's parameters every role is refused."""
    action_id = f"denied-{uuid.uuid4().hex}"
    event = {**BY_HAND, "action": action, "action_id": action_id, "target": target}

    answers = [healed.invoke(function, event) for _ in range(2)]

    assert [(one["outcome"], one["reason"]) for one in answers] == [("refused", "target_forbidden")] * 2
    assert _record(healed, action_id)["outcome"]["S"] == "refused"


def _record(healed: Healed, action_id: str) -> dict[str, Any]:
    """The action's record, as soon as there is one. Asked often: a kill must meet the run, not its end."""
    deadline = time.monotonic() + 1.0
    key = {"pk": {"S": f"ACTION#{action_id}"}, "sk": {"S": "ACTION"}}
    while time.monotonic() < deadline:
        found = healed.client("dynamodb").get_item(TableName=healed.watcher.ledger, Key=key, ConsistentRead=True)
        if "Item" in found:
            item: dict[str, Any] = found["Item"]
            return item
    return {}
