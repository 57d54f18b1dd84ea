"""One kill and one error per action, for real: the process of the function dies, and IAM says no.

Where in its run the SIGKILL meets the function is left to chance; the fault matrix of the unit tests has every place.
Here it is a real process, a real lease and a real second run.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local import system
from tests.local.conftest import Healed
from tests.local.killing import BY_HAND, Case, denied_twice, killed_and_finished, record

pytestmark = pytest.mark.local

LIVE = {"function": system.FUNCTION, "alias": system.ALIAS}
QUEUE = {"queue": system.QUEUE, "replay_to": LIVE}


def _leave(healed: Healed) -> None:
    """Nothing to make ready."""


def _always(healed: Healed) -> bool:
    return True


def _resume_trading(healed: Healed) -> None:
    healed.client("ssm").put_parameter(Name=system.FLAG, Value="true", Overwrite=True)


def _is_halted(healed: Healed) -> bool:
    return bool(healed.client("ssm").get_parameter(Name=system.FLAG)["Parameter"]["Value"] == "false")


def _enable_schedule(healed: Healed) -> None:
    _switch_schedule(healed, "ENABLED")


def _switch_schedule(healed: Healed, state: str) -> None:
    scheduler = healed.client("scheduler")
    found = scheduler.get_schedule(Name=system.SCHEDULE)
    settings = scheduler.meta.service_model.operation_model("UpdateSchedule").input_shape.members
    scheduler.update_schedule(**{k: v for k, v in found.items() if k in settings} | {"State": state})


def _is_disabled(healed: Healed) -> bool:
    return bool(healed.client("scheduler").get_schedule(Name=system.SCHEDULE)["State"] == "DISABLED")


def _point_to_the_faulty_version(healed: Healed) -> None:
    healed.client("lambda").update_alias(FunctionName=system.FUNCTION, Name=system.ALIAS, FunctionVersion=system.FAULTY)


def _is_back(healed: Healed) -> bool:
    alias = healed.client("lambda").get_alias(FunctionName=system.FUNCTION, Name=system.ALIAS)
    return bool(alias["FunctionVersion"] == system.LAST_GOOD)


def _is_trading(healed: Healed) -> bool:
    return not _is_halted(healed)


def _halt(healed: Healed) -> None:
    healed.client("ssm").put_parameter(Name=system.FLAG, Value="false", Overwrite=True)


def _halt_by_hand(healed: Healed) -> None:
    _resume_trading(healed)
    halt = {**BY_HAND, "action": "halt_trading", "action_id": UNDONE, "target": {"parameter": system.FLAG}}
    assert healed.invoke("SwitchTrading", halt)["outcome"] == "acted"


def _is_undone(healed: Healed) -> bool:
    """The undo only starts the function that undoes."""
    return bool(healed.wait(lambda: _is_trading(healed), "the undone halt"))


def _disable_schedule(healed: Healed) -> None:
    _switch_schedule(healed, "DISABLED")


def _is_enabled(healed: Healed) -> bool:
    return not _is_disabled(healed)


def _rule(healed: Healed, state: str) -> None:
    events = healed.client("events")
    if system.NAME not in {bus["Name"] for bus in events.list_event_buses()["EventBuses"]}:
        events.create_event_bus(Name=system.NAME)
    events.put_rule(Name="signal", EventBusName=system.NAME, EventPattern='{"source": ["test"]}', State=state)


def _rule_on(healed: Healed) -> None:
    _rule(healed, "ENABLED")


def _rule_off(healed: Healed) -> None:
    _rule(healed, "DISABLED")


def _is_rule_on(healed: Healed) -> bool:
    return bool(healed.client("events").describe_rule(Name="signal", EventBusName=system.NAME)["State"] == "ENABLED")


def _is_rule_off(healed: Healed) -> bool:
    return not _is_rule_on(healed)


def _two_dead_letters(healed: Healed) -> None:
    for strategy in ("momentum", "hedge"):
        healed.client("lambda").invoke(
            FunctionName=system.FUNCTION,
            Qualifier=system.FAULTY,
            InvocationType="Event",
            Payload=json.dumps({"strategy": strategy, "day": UNDONE}),
        )
    healed.wait(lambda: healed.stack.system.state().dead_letters == 2, "the dead letters")


def _has_no_dead_letter(healed: Healed) -> bool:
    return healed.stack.system.state().dead_letters == 0


def _shift(healed: Healed) -> None:
    """CodeDeploy is on its way from the good to the faulty version, ten percent first."""
    codedeploy, name = healed.client("codedeploy"), system.NAME
    codedeploy.create_application(applicationName=name, computePlatform="Lambda")
    codedeploy.create_deployment_group(
        applicationName=name,
        deploymentGroupName="live",
        deploymentConfigName="CodeDeployDefault.LambdaCanary10Percent30Minutes",
        serviceRoleArn="arn:aws:iam::111111111111:role/code-deploy",
    )
    versions = {"CurrentVersion": system.LAST_GOOD, "TargetVersion": system.FAULTY}
    properties = {"Name": system.FUNCTION, "Alias": system.ALIAS, **versions}
    spec = {"version": 0.0, "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": properties}}]}
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(spec)}}
    codedeploy.create_deployment(applicationName=name, deploymentGroupName="live", revision=revision)
    healed.wait(lambda: _weights(healed), "ten percent")


def _weights(healed: Healed) -> dict[str, float]:
    alias = healed.client("lambda").get_alias(FunctionName=system.FUNCTION, Name=system.ALIAS)
    weights: dict[str, float] = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return weights


def _is_back_unweighted(healed: Healed) -> bool:
    return _is_back(healed) and not _weights(healed)


def _is_paused(healed: Healed) -> bool:
    key = {"pk": {"S": "PAUSE"}, "sk": {"S": "nobody"}}
    return "Item" in healed.client("dynamodb").get_item(TableName=healed.watcher.ledger, Key=key)


UNDONE = f"undone-{uuid.uuid4().hex}"
SYSTEM = {"system": system.NAME}
RULE = {"bus": system.NAME, "rule": "signal"}
SHIFTED = {**LIVE, "code_deploy": {"application": system.NAME, "deployment_group": "live"}}

CASES = {
    case.action: case
    for case in (
        Case("Undo", "undo", {"incident": "-", "action_id": UNDONE}, _halt_by_hand, _is_undone),
        Case("Approve", "pause", {"pause": "nobody"}, _leave, _is_paused),
        Case("SwitchTrading", "resume_trading", {"parameter": system.FLAG}, _halt, _is_trading),
        Case("SwitchSchedule", "enable_schedule", {"schedule": system.SCHEDULE}, _disable_schedule, _is_enabled),
        Case("SwitchRules", "disable_rules", RULE, _rule_on, _is_rule_off),
        Case("SwitchRules", "enable_rules", RULE, _rule_off, _is_rule_on),
        # a rule that nothing has met yet proves nothing, and the gate must say so
        Case(
            "CheckGate",
            "check_gate",
            SYSTEM,
            _rule_on,
            _always,
            ("inconclusive",),
            options={"rules": [f"{system.NAME}/signal"]},
        ),
        Case("DrainDlq", "archive_dlq", QUEUE, _two_dead_letters, _has_no_dead_letter),
        Case("StopDeployment", "stop_deployment", SHIFTED, _shift, _is_back_unweighted),
        Case("SwitchTrading", "halt_trading", {"parameter": system.FLAG}, _resume_trading, _is_halted),
        Case("SwitchSchedule", "disable_schedule", {"schedule": system.SCHEDULE}, _enable_schedule, _is_disabled),
        Case("RollBackAlias", "roll_back_alias", LIVE, _point_to_the_faulty_version, _is_back),
        Case("InspectDlq", "inspect_dlq", QUEUE, _leave, _always),
        # AWS can't deduplicate an Invoke: a run that died around it may end inconclusive, for a person, and not twice
        Case("InvokeTarget", "smoke_test", LIVE, _leave, _always, ("acted", "inconclusive")),
        Case("CheckHealth", "check_health", SYSTEM, _leave, _always),
    )
}


@pytest.mark.parametrize("action", CASES)
def test_killed_it_is_finished_under_the_same_id(healed: Healed, action: str) -> None:
    case = CASES[action]
    case.ready(healed)

    action_id, answer = killed_and_finished(healed, case)

    assert answer["outcome"] in case.outcomes, answer
    assert case.right(healed)
    assert record(healed, action_id)["run"]["S"] == "done"


@pytest.mark.parametrize(
    ("function", "action", "target"),
    [
        ("SwitchTrading", "halt_trading", {"parameter": "/elsewhere/trading_enabled"}),
        ("SwitchTrading", "resume_trading", {"parameter": "/elsewhere/trading_enabled"}),
        ("SwitchSchedule", "disable_schedule", {"schedule": "elsewhere"}),
        ("SwitchSchedule", "enable_schedule", {"schedule": "elsewhere"}),
        ("RollBackAlias", "roll_back_alias", {"function": "elsewhere", "alias": "live"}),
        ("SwitchRules", "disable_rules", {"bus": "elsewhere", "rule": "signal"}),
        ("SwitchRules", "enable_rules", {"bus": "elsewhere", "rule": "signal"}),
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
    denied_twice(healed, function, {"action": action, "target": target})
