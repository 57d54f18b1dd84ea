"""Contract of ``codedeploy``: a shift is met, watched, stopped and undone as in AWS. A minute is a second here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.emulator.account import Account, Function
from tests.local.emulator.test_cloudformation import deploy
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local

SLOW = "CodeDeployDefault.LambdaCanary10Percent30Minutes"


def shifted(account: Account, config: str) -> tuple[Function, str, str]:
    """A function whose alias is on its way from version 1 to 2; returns it, the application and the deployment."""
    function, client, codedeploy = account.function(), account.client("lambda"), account.client("codedeploy")
    account.alias(function)
    client.update_function_configuration(FunctionName=function.name, Description="second")
    client.publish_version(FunctionName=function.name)
    name = account.name("app")
    codedeploy.create_application(applicationName=name, computePlatform="Lambda")
    codedeploy.create_deployment_group(
        applicationName=name, deploymentGroupName=name, deploymentConfigName=config, serviceRoleArn=function.role
    )
    return function, name, start(account, function, name, "1", "2")


def start(account: Account, function: Function, name: str, current: str, target: str) -> str:
    spec = {
        "version": 0.0,
        "Resources": [
            {
                "f": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Name": function.name,
                        "Alias": "live",
                        "CurrentVersion": current,
                        "TargetVersion": target,
                    },
                }
            }
        ],
    }
    return str(
        account.client("codedeploy").create_deployment(
            applicationName=name,
            deploymentGroupName=name,
            revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(spec)}},
        )["deploymentId"]
    )


def alias(account: Account, function: Function) -> tuple[str, dict[str, float]]:
    found = account.client("lambda").get_alias(FunctionName=function.name, Name="live")
    return found["FunctionVersion"], found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def info(account: Account, deployment: str) -> dict[str, Any]:
    return dict(account.client("codedeploy").get_deployment(deploymentId=deployment)["deploymentInfo"])


def test_canary_shifts_and_ends_at_the_target(account: Account) -> None:
    function, name, deployment = shifted(account, "CodeDeployDefault.LambdaCanary10Percent5Minutes")
    client = account.client("codedeploy")

    account.wait(lambda: alias(account, function) == ("1", {"2": 0.1}), "ten percent")
    [target] = client.list_deployment_targets(deploymentId=deployment)["targetIds"]
    shift = client.get_deployment_target(deploymentId=deployment, targetId=target)["deploymentTarget"]["lambdaTarget"]
    assert shift["lambdaFunctionInfo"] == {
        "functionName": function.name,
        "functionAlias": "live",
        "currentVersion": "1",
        "targetVersion": "2",
        "targetVersionWeight": 10.0,
    }

    account.wait(lambda: info(account, deployment)["status"] == "Succeeded", "success")
    assert alias(account, function) == ("2", {})
    group = client.get_deployment_group(applicationName=name, deploymentGroupName=name)["deploymentGroupInfo"]
    assert group["lastSuccessfulDeployment"]["deploymentId"] == deployment
    refused(client.stop_deployment, "DeploymentAlreadyCompletedException", deploymentId=deployment)


def test_stop_with_rollback_is_a_deployment_of_its_own(account: Account) -> None:
    function, _, deployment = shifted(account, SLOW)
    account.wait(lambda: alias(account, function) == ("1", {"2": 0.1}), "ten percent")

    account.client("codedeploy").stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)

    stopped = info(account, deployment)
    rollback = stopped["rollbackInfo"]["rollbackDeploymentId"]
    account.wait(lambda: info(account, rollback)["status"] == "Succeeded", "the rollback")
    assert stopped["status"] == "Stopped"
    assert info(account, rollback)["creator"] == "codeDeployRollback"
    assert alias(account, function) == ("1", {})


def test_stop_without_rollback_leaves_weights_that_fail_the_next_deployment(account: Account) -> None:
    function, name, deployment = shifted(account, SLOW)
    account.wait(lambda: alias(account, function) == ("1", {"2": 0.1}), "ten percent")

    account.client("codedeploy").stop_deployment(deploymentId=deployment, autoRollbackEnabled=False)
    following = start(account, function, name, "1", "2")

    account.wait(lambda: info(account, following)["status"] == "Failed", "the failure")
    assert alias(account, function) == ("1", {"2": 0.1})
    assert info(account, following)["errorInformation"]["code"] == "INVALID_LAMBDA_CONFIGURATION"


def test_deployments_are_listed_for_application_and_group_or_for_neither(account: Account) -> None:
    _, name, deployment = shifted(account, SLOW)
    client = account.client("codedeploy")

    refused(client.list_deployments, "DeploymentGroupNameRequiredException", applicationName=name)
    refused(client.list_deployments, "ApplicationNameRequiredException", deploymentGroupName=name)
    active = ["Created", "Queued", "InProgress", "Baking", "Ready"]
    found = client.list_deployments(applicationName=name, deploymentGroupName=name, includeOnlyStatuses=active)

    assert found["deployments"] == [deployment]
    assert deployment in client.list_deployments()["deployments"]
    [told] = client.batch_get_deployments(deploymentIds=[deployment])["deploymentsInfo"]
    assert told["computePlatform"] == "Lambda"
    client.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)


def test_reading_is_confined_to_a_group_and_stopping_cannot_be(account: Account) -> None:
    _, name, deployment = shifted(account, SLOW)
    arn = f"arn:aws:codedeploy:us-east-1:111111111111:deploymentgroup:{name}/{name}"
    scoped = account.client(
        "codedeploy",
        account.credentials({"Action": ["codedeploy:GetDeployment", "codedeploy:StopDeployment"], "Resource": arn}),
    )

    scoped.get_deployment(deploymentId=deployment)

    refused(scoped.stop_deployment, "AccessDeniedException", deploymentId=deployment)
    account.client(
        "codedeploy", account.credentials({"Action": "codedeploy:StopDeployment", "Resource": "*"})
    ).stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)


def test_template_may_have_an_application_and_a_group(account: Account) -> None:
    made = deploy(
        account,
        {
            "Resources": {
                "App": {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "Lambda"}},
                "Group": {
                    "Type": "AWS::CodeDeploy::DeploymentGroup",
                    "Properties": {
                        "ApplicationName": {"Ref": "App"},
                        "ServiceRoleArn": account.role([]),
                        "AutoRollbackConfiguration": {"Enabled": True, "Events": ["DEPLOYMENT_FAILURE"]},
                    },
                },
            }
        },
    )

    group = account.client("codedeploy").get_deployment_group(
        applicationName=made["App"], deploymentGroupName=made["Group"]
    )["deploymentGroupInfo"]
    assert group["autoRollbackConfiguration"] == {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}
