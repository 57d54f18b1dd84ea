"""What is made in INIT: only inside Lambda, never a failure, never long."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any

import pytest
from selfheal import clients, in_init, runbook, world
from selfheal.catalogue import functions
from selfheal.errors import LedgerUnavailable

from tests.unit.test_recorded_permissions import declared

PERMISSIONS = ("lambda:GetAlias", "lambda:UpdateAlias", "codedeploy:ListDeployments")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The clients that were made, in their order; no runbooks here."""
    names: list[str] = []
    monkeypatch.setattr(in_init, "client", names.append)
    monkeypatch.setattr(runbook, "load", lambda: names.append("runbooks"))
    monkeypatch.setenv(in_init.SWITCH, "1")
    return names


class SomeLedger:
    """Answers, fails or hangs."""

    def __init__(self, how: Any = None) -> None:
        self.how = how
        self.read: list[tuple[str, str]] = []

    def get(self, pk: str, sk: str) -> None:
        self.read.append((pk, sk))
        if self.how is not None:
            self.how()


def use(monkeypatch: pytest.MonkeyPatch, ledger: SomeLedger) -> SomeLedger:
    monkeypatch.setattr(world, "ledger", cache(lambda: ledger))
    return ledger


def test_nothing_is_made_outside_lambda(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = use(monkeypatch, SomeLedger())
    monkeypatch.delenv(in_init.SWITCH)
    in_init.prepare(PERMISSIONS)
    assert (made, ledger.read) == ([], [])


def test_the_engines_clients_the_functions_the_runbooks_and_one_read(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = use(monkeypatch, SomeLedger())
    in_init.prepare(PERMISSIONS)
    assert made == [*in_init.ENGINE, "lambda", "codedeploy", "runbooks"]
    assert ledger.read == [in_init.READ]


def test_a_ledger_that_hangs_does_not_hold_up_init(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    use(monkeypatch, SomeLedger(answered.wait))
    monkeypatch.setattr(in_init, "WITHIN_S", 0.01)
    began = time.monotonic()
    in_init.prepare(())
    answered.set()
    assert time.monotonic() - began < 30  # it came back at all; the wait above is without end


@pytest.mark.parametrize("error", [LedgerUnavailable("down"), KeyError("anything")])
def test_what_goes_wrong_fails_nothing(made: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(in_init, "client", fail)
    ledger = use(monkeypatch, SomeLedger(fail))
    in_init.prepare(PERMISSIONS)
    assert made == ["runbooks"]
    assert ledger.read == [in_init.READ]


def test_a_function_of_many_services_gets_the_engines_only() -> None:
    many = [f"service{number}:Get" for number in range(in_init.MOST + 1)]
    assert in_init.services(many) == []


@pytest.mark.parametrize("folder", functions())
def test_every_functions_permissions_name_services_that_have_clients(folder: str) -> None:
    named = set(in_init.services(declared(folder)))
    assert named <= set(clients.SERVICES)
