"""The demo system of an API with functions behind it."""

from __future__ import annotations

from collections.abc import Mapping

from local.account import Account
from local.demos import SYSTEMS, arn
from local.emulator.control import REGION

NAME = "crypto-trading-test"
FOLDER = SYSTEMS / NAME


def parameters() -> Mapping[str, list[str]]:
    """What selfheal may touch of it."""
    return {
        "ProtectedFunctions": [arn("lambda", "function:test-crypto-trading-*")],
        "ProtectedApis": [f"arn:aws:apigateway:{REGION}::/apis/crypto0test/stages/*"],
        "ProtectedSecrets": [arn("secretsmanager", "secret:test-crypto-trading/*")],
        "ProtectedLogGroups": [arn("logs", "log-group:/aws/lambda/test-crypto-trading-*")],
        "ProtectedQueues": [arn("sqs", "test-crypto-trading-*")],
    }


def prepare(account: Account) -> None:
    """A second version of the exchange's secret, so that there is one to go back to."""
    account.client("secretsmanager").put_secret_value(
        SecretId="test-crypto-trading/exchange", SecretString='{"api_key": "second"}'
    )
