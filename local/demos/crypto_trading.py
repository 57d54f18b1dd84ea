"""The demo system of an API with functions behind it."""

from __future__ import annotations

from collections.abc import Mapping

from local import release
from local.account import Account
from local.demos import SYSTEMS, arn
from local.emulator.control import REGION

NAME = "crypto-trading-test"
FOLDER = SYSTEMS / NAME
FUNCTION = "test-crypto-trading-orders"
ALIAS = "live"
API = "crypto0test"
STAGE = "live"
EXCHANGE = "test-crypto-trading/exchange"
ACCESS_LOG = "/aws/apigateway/crypto-trading-test"
DEFECT = ('event.get("price", "1.0")', 'event["amount"]')
"""What the faulty release changes: it asks for a field that orders do not have."""


def parameters() -> Mapping[str, list[str]]:
    """What selfheal may touch of it."""
    return {
        "ProtectedFunctions": [arn("lambda", "function:test-crypto-trading-*")],
        "ProtectedApis": [f"arn:aws:apigateway:{REGION}::/apis/{API}/stages/*"],
        "ProtectedSecrets": [arn("secretsmanager", "secret:test-crypto-trading/*")],
        "ProtectedEventSources": [arn("lambda", "event-source-mapping:*")],
        "ProtectedLogGroups": [
            arn("logs", "log-group:/aws/lambda/test-crypto-trading-*"),
            arn("logs", f"log-group:{ACCESS_LOG}*"),
        ],
        "ProtectedQueues": [arn("sqs", "test-crypto-trading-*")],
    }


def prepare(account: Account) -> None:
    """A second version of the exchange's secret, so that there is one to go back to."""
    account.client("secretsmanager").put_secret_value(SecretId=EXCHANGE, SecretString='{"api_key": "second"}')


def publish(account: Account, number: str, *, faulty: bool = False) -> str:
    """A release of the function, live at once; answers its version."""
    source = (FOLDER / "function" / "orders.py").read_text()
    source = release.changed(source, ('RELEASE = "1"', f'RELEASE = "{number}"'), *([DEFECT] if faulty else []))
    version = release.publish(account, FUNCTION, "orders.py", source)
    release.point(account, FUNCTION, ALIAS, version)
    return version
