"""Every unit test runs alone: no sockets, credentials that open nothing, clients and caches of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from moto import mock_aws
from pytest_socket import disable_socket, enable_socket
from selfheal import clients, world
from selfheal.ledger import Ledger

from tests.unit import shortcuts

shortcuts.take()
# No example is wrong because the machine is busy. All else stays as hypothesis has it, on CI as well.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")

REGION = "eu-central-1"
ACCOUNT = "123456789012"
TABLE = "ledger"
BUS = "selfheal"


ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "LEDGER_TABLE": TABLE,
    "EVENT_BUS": BUS,
    "POWERTOOLS_METRICS_NAMESPACE": "selfheal",
}


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions' environment, without what a shell may have set."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "RUNBOOKS_PATH", "MAX_MODE", "LEASE_SECONDS", "ACTION_FUNCTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settle(monkeypatch)
    disable_socket(allow_unix_socket=False)
    forget()
    yield
    forget()
    enable_socket()


def forget() -> None:
    """All that knows of the last test. The session stays: it is made of the environment above, always the same."""
    clients.forget(session=False)
    world.ledger.cache_clear()


@pytest.fixture
def aws() -> Iterator[None]:
    """AWS as moto has it."""
    with mock_aws():
        yield


@pytest.fixture
def ledger(aws: None) -> Ledger:
    """The stack's ledger, a table in moto, and the stack's bus."""
    clients.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    clients.client("events").create_event_bus(Name=BUS)
    return world.ledger()


@dataclass(frozen=True)
class FakeLambdaContext:
    """What Lambda tells a function about its invocation."""

    function_name: str = "selfheal-test"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:selfheal-test"
    aws_request_id: str = "00000000-0000-4000-8000-000000000001"
    tenant_id: str | None = None
    remaining_ms: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        return self.remaining_ms


@pytest.fixture
def lambda_context() -> Any:
    """A context with a minute left."""
    return FakeLambdaContext()


@pytest.fixture
def fault_count(record_property: Callable[[str, object], None]) -> Callable[[str, int, int], None]:
    """Where the fault matrix says how much it has injected; told at the end of the run."""

    def count(name: str, cases: int, calls: int) -> None:
        record_property("faults", (name, cases, calls))

    return count


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many faults the matrix has injected, also when the tests ran in several processes."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, ())]
    counted = [value for one in reports for name, value in one.user_properties if name == "faults"]
    if counted:
        cases, calls = sum(one[1] for one in counted), sum(one[2] for one in counted)
        broken = sum(bool(one.failed) for one in reports if any(name == "faults" for name, _ in one.user_properties))
        end = "all as the table says" if not broken else f"{broken} of them with failures"
        actions = len({one[0] for one in counted})
        terminalreporter.write_line(f"fault matrix: {cases} cases over {calls} calls of {actions} plays, {end}")
