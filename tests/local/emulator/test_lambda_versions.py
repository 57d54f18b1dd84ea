"""Contract of ``lambda_versions``: an alias points at what exists, and only for who knows its revision."""

from __future__ import annotations

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local


def test_alias_refuses_a_version_that_does_not_exist(account: Account) -> None:
    function, client = account.function(), account.client("lambda")
    account.alias(function)

    refused(
        client.update_alias, "ResourceNotFoundException", FunctionName=function.name, Name="live", FunctionVersion="7"
    )
    refused(
        client.create_alias, "ResourceNotFoundException", FunctionName=function.name, Name="next", FunctionVersion="7"
    )

    assert client.get_alias(FunctionName=function.name, Name="live")["FunctionVersion"] == "1"


def test_weights_lie_between_nought_and_one(account: Account) -> None:
    function, client = account.function(), account.client("lambda")
    account.alias(function)
    client.update_function_configuration(FunctionName=function.name, Description="second")
    client.publish_version(FunctionName=function.name)

    refused(
        client.update_alias,
        "ValidationException",
        FunctionName=function.name,
        Name="live",
        RoutingConfig={"AdditionalVersionWeights": {"2": 1.5}},
    )


def test_lost_race_is_a_failed_precondition(account: Account) -> None:
    function, client = account.function(), account.client("lambda")
    account.alias(function)
    seen = client.get_alias(FunctionName=function.name, Name="live")["RevisionId"]
    client.update_alias(FunctionName=function.name, Name="live", Description="somebody was faster", RevisionId=seen)

    response = refused(
        client.update_alias,
        "PreconditionFailedException",
        FunctionName=function.name,
        Name="live",
        FunctionVersion="7",
        RevisionId=seen,
    )

    assert response["ResponseMetadata"]["HTTPStatusCode"] == 412
    refused(client.publish_version, "PreconditionFailedException", FunctionName=function.name, RevisionId=seen)
