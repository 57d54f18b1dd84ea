"""Contract of ``ssm_parameters``: what a parameter refuses, and who wrote it."""

from __future__ import annotations

import pytest

from tests.local.emulator.account import Account
from tests.local.emulator.test_relied_upon import refused

pytestmark = pytest.mark.local


def test_pattern_and_type_bind_every_writer(account: Account) -> None:
    ssm, name = account.client("ssm"), f"/{account.name('parameter')}"
    ssm.put_parameter(Name=name, Value="true", Type="String", AllowedPattern="^(true|false)$")

    refused(ssm.put_parameter, "ParameterPatternMismatchException", Name=name, Value="perhaps", Overwrite=True)
    refused(
        ssm.put_parameter,
        "HierarchyTypeMismatchException",
        Name=name,
        Value="true",
        Type="SecureString",
        Overwrite=True,
    )

    assert ssm.get_parameter(Name=name)["Parameter"]["Version"] == 1


def test_history_names_the_writer(account: Account) -> None:
    name = f"/{account.name('parameter')}"
    arn = f"arn:aws:ssm:us-east-1:111111111111:parameter{name}"
    writer = account.client("ssm", account.credentials({"Action": "ssm:PutParameter", "Resource": arn}))

    writer.put_parameter(Name=name, Value="true", Type="String")

    [entry] = account.client("ssm").get_parameter_history(Name=name)["Parameters"]
    assert entry["LastModifiedUser"].startswith("arn:aws:sts::111111111111:assumed-role/role-")
