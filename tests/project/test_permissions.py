"""What the code says that it calls, and what its role may: the same, or an exception with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from selfheal import capture, paced
from selfheal.guards import chain
from selfheal.ledger import PERMISSIONS as LEDGER_PERMISSIONS

from tests.project.conftest import actions_of, app_of
from tests.project.test_template_and_code import FOLDERS

OUTCOMES = {"events:PutEvents"}
NOT_CALLED = {
    "iam:PassRole": "no call of its own: UpdateSchedule passes the schedule's role again",
    "rds:AddTagsToResource": "no call of its own: CreateDBSnapshot and CreateDBClusterSnapshot with tags",
    "secretsmanager:GetSecretValue": "no call of its own: made by the Data API with the caller's rights",
    "kms:Decrypt": "no call of its own: made by SSM, SQS and Scheduler with the caller's rights",
    "kms:DescribeKey": "as kms:Decrypt",
    "kms:Encrypt": "as kms:Decrypt",
    "kms:GenerateDataKey": "as kms:Decrypt",
}

READS_OF_ANOTHER_NAME = {
    "cloudtrail:LookupEvents": "AWS knows no resource for it",
    "xray:BatchGetTraces": "AWS knows no resource for it",
}
"""Reads whose names do not begin like one, with the reason why they have `*`."""


def _statements(template: Mapping[str, Any], folder: str, functions: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every statement of a function's role, those of its managed policies and behind conditions included."""
    for policy in functions[folder].get("Policies", []):
        if "Fn::If" in policy:
            policy = policy["Fn::If"][1]  # noqa: PLW2901 - the branch is the policy
        if "Ref" in policy:
            policy = template["Resources"][policy["Ref"]]["Properties"]["PolicyDocument"]  # noqa: PLW2901
        yield from policy["Statement"]


def _actions(statement: Mapping[str, Any]) -> set[str]:
    actions = statement.get("Action", [])  # a Deny may say NotAction
    return {actions} if isinstance(actions, str) else set(actions)


def _declared(folder: str) -> set[str]:
    module = app_of(folder)
    if hasattr(module, "PERMISSIONS"):
        return set(module.PERMISSIONS)
    return {permission for action in actions_of(folder) for permission in action.permissions}


def _captures(folder: str) -> bool:
    """Some action of it asks for evidence before it changes anything."""
    return any(action.captures or action.destroys for action in actions_of(folder))


def _is_paced(function: Mapping[str, Any]) -> bool:
    return "Paced" in function.get("Events", {})


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_role_may_exactly_what_the_code_declares(
    template: Mapping[str, Any], functions: Mapping[str, Any], folder: str
) -> None:
    statements = [one for one in _statements(template, folder, functions) if one["Effect"] == "Allow"]
    declared = _declared(folder)
    allowed = {action for statement in statements for action in _actions(statement)} - (set(NOT_CALLED) - declared)
    by_engine: set[str] = set()
    if actions_of(folder):
        by_engine = set(LEDGER_PERMISSIONS) | OUTCOMES
        guarded = any(policy == {"Ref": "GuardPolicy"} for policy in functions[folder]["Policies"])
        by_engine |= set(chain.PERMISSIONS) if guarded else set()
        by_engine |= set(capture.PERMISSIONS) if _captures(folder) else set()
        by_engine |= set(paced.PERMISSIONS) if _is_paced(functions[folder]) else set()

    assert allowed == declared | by_engine


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_wildcard_resource_explains_itself(
    template: Mapping[str, Any], functions: Mapping[str, Any], folder: str
) -> None:
    """Reads and calls that AWS can't scope may have `*`; of what changes something only StopDeployment may."""
    reads = ("Get", "List", "Describe", "Simulate")
    for statement in _statements(template, folder, functions):
        if statement["Resource"] == "*" and statement["Effect"] == "Allow":
            writes = {one for one in _actions(statement) if not one.split(":")[1].startswith(reads)}

            assert writes <= {"codedeploy:StopDeployment", *READS_OF_ANOTHER_NAME}


@pytest.mark.parametrize("folder", FOLDERS)
def test_whoever_destroys_evidence_can_ask_for_it_first_and_nobody_else(
    template: Mapping[str, Any], functions: Mapping[str, Any], folder: str
) -> None:
    variables = functions[folder].get("Environment", {}).get("Variables", {})
    asks = [
        one
        for one in _statements(template, folder, functions)
        if one["Resource"] == {"Fn::GetAtt": ["PreserveEvidence", "Arn"]}
    ]

    assert ("EVIDENCE_FUNCTION" in variables) is bool(asks) is _captures(folder)
    assert variables.get("EVIDENCE_FUNCTION", {"Ref": "PreserveEvidence"}) == {"Ref": "PreserveEvidence"}
    assert all(_actions(one) == set(capture.PERMISSIONS) for one in asks)


def test_an_action_can_ask_none_of_selfheal_s_own_functions_but_for_evidence(
    template: Mapping[str, Any], functions: Mapping[str, Any]
) -> None:
    """A Deny knows no exception, so that each function is named but the one."""
    statements = template["Resources"]["HandsOffPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (asking,) = [one for one in statements if "lambda:InvokeFunction" in _actions(one)]
    pattern = "arn:${AWS::Partition}:lambda:*:*:function:${AWS::StackName}-%s-*"
    deployed = {one["LogicalId"] for one in functions.values()} - {"PreserveEvidence"}
    denied = {one["Fn::Sub"] for one in asking["Resource"]}

    assert asking["Effect"] == "Deny"
    assert {pattern % name for name in deployed} == denied


def test_whoever_moves_the_labels_of_secrets_cannot_read_one(
    template: Mapping[str, Any], functions: Mapping[str, Any]
) -> None:
    allowed = {action for one in _statements(template, "refresh_secrets", functions) for action in _actions(one)}

    assert "secretsmanager:UpdateSecretVersionStage" in allowed
    assert not {"secretsmanager:GetSecretValue", "secretsmanager:*"} & allowed


def test_a_restore_can_write_into_the_folders_for_it_and_nowhere_else(
    template: Mapping[str, Any], functions: Mapping[str, Any]
) -> None:
    writes = {"s3:PutObject", "s3:PutObjectTagging"}
    statements = [one for one in _statements(template, "restore_backup", functions) if _actions(one) & writes]

    assert [(one["Resource"], _actions(one)) for one in statements] == [({"Ref": "RestoreFolders"}, writes)]


def test_whoever_changes_something_is_kept_off_selfheal_itself(
    template: Mapping[str, Any], functions: Mapping[str, Any]
) -> None:
    statements = template["Resources"]["HandsOffPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    denied = {action for statement in statements for action in _actions(statement)}
    for folder in FOLDERS:
        if not actions_of(folder) or folder in {"undo", "approve"}:  # these start selfheal's own functions
            continue
        mutating = _declared(folder) & denied
        has_policy = {"Ref": "HandsOffPolicy"} in functions[folder]["Policies"]

        assert has_policy or not mutating, f"{folder} may {mutating} on selfheal's own resources"


NOT_DENIED = {
    "events:CancelReplay": "a replay has a name and no place in the stack",
    "logs:StartQuery": "a read",
    "s3:PutObject": "every statement that allows it names the folder",
    "s3:PutObjectTagging": "as s3:PutObject",
    "sqs:ChangeMessageVisibility": "hides a message for a while; nothing is lost",
    "sqs:ReceiveMessage": "as sqs:ChangeMessageVisibility",
}
"""Calls that are no reads by their name, of services that the stack has resources of, with the reason why they are not
denied on these."""


def test_what_could_hit_the_stack_s_own_resources_is_denied_on_them(template: Mapping[str, Any]) -> None:
    services = {"lambda", *(one["Type"].split("::")[1].lower() for one in template["Resources"].values())}
    statements = template["Resources"]["HandsOffPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    denied = {action for statement in statements for action in _actions(statement)}
    actions = {one for folder in FOLDERS if actions_of(folder) for one in _declared(folder)}
    mutating = {
        one
        for one in actions
        if one.partition(":")[0] in services - {"dynamodb"}
        and not one.partition(":")[2].startswith(("Get", "List", "Describe", "Filter", "Simulate"))
    }

    assert mutating - denied == set(NOT_DENIED), "deny it in HandsOffPolicy, or say here why it may"


def test_the_drills_flag_is_the_only_thing_of_its_own_that_an_action_may_write(
    template: Mapping[str, Any], functions: Mapping[str, Any]
) -> None:
    resources = template["Resources"]
    named = "parameter/${AWS::StackName}/drill/trading_enabled"
    statements = resources["HandsOffPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    excepting = [statement for statement in statements if "StringNotEquals" in statement.get("Condition", {})]
    tagged = [name for name, one in resources.items() if "selfheal-drill" in str(one.get("Properties", {}).get("Tags"))]
    writers = {
        folder
        for folder in FOLDERS
        for statement in _statements(template, folder, functions)
        if statement["Effect"] == "Allow" and named in str(statement["Resource"])
    }

    assert [_actions(statement) for statement in excepting] == [{"ssm:PutParameter"}]
    assert excepting[0]["Condition"] == {"StringNotEquals": {"aws:ResourceTag/selfheal-drill": "true"}}
    assert tagged == ["DrillFlag"]
    assert resources["DrillFlag"]["Properties"]["Name"] == {"Fn::Sub": "/${AWS::StackName}/drill/trading_enabled"}
    assert writers == {"drill", "switch_trading"}


def test_lambda_patterns_have_their_qualified_twin(template: Mapping[str, Any], functions: Mapping[str, Any]) -> None:
    """Lambda matches FunctionName and Qualifier together: an Invoke through an alias needs the `:*` twin."""
    for folder in FOLDERS:
        for statement in _statements(template, folder, functions):
            if _actions(statement) & {"lambda:InvokeFunction", "lambda:GetFunctionConfiguration"}:
                resource = statement["Resource"]
                protected = "ProtectedFunctions" in str(resource)

                assert not protected or ":*" in str(resource), (folder, statement["Sid"])


def test_the_role_of_a_replay_can_change_nothing(functions: Mapping[str, Any]) -> None:
    """Its one policy denies whatever is not a read of alarms or its own log."""
    (policy,) = functions["replay"]["Policies"]
    (allow, deny) = policy["Statement"]

    assert all(action.split(":")[1].startswith("Describe") for action in _actions(allow))
    assert (deny["Effect"], deny["Resource"]) == ("Deny", "*")
    assert set(deny["NotAction"]) == _actions(allow) | {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_sam_gives_a_replay_no_queue_to_send_to(template: Mapping[str, Any]) -> None:
    """It adds sqs:SendMessage to the role of every function that has the destination of the globals."""
    replay = template["Resources"]["Replay"]

    assert replay["IgnoreGlobals"] == ["EventInvokeConfig"]
    assert "EventInvokeConfig" not in replay["Properties"]
