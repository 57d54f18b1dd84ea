"""The real world of a Lambda function: its ledger, its settings, its runbooks."""

from __future__ import annotations

from functools import cache

from selfheal import runbook, settings
from selfheal.arns import Home
from selfheal.clients import client
from selfheal.engine import World
from selfheal.ledger import Ledger


@cache
def ledger() -> Ledger:
    """The stack's ledger."""
    return Ledger(settings.ledger_table(), client("dynamodb"))


def world(function_arn: str) -> World:
    """What the engine needs, for the function that runs under `function_arn`."""
    return World(
        ledger=ledger(),
        max_mode=settings.max_mode(),
        lease_s=settings.lease_s(),
        home=Home.of(function_arn),
        runbook_of=lambda system: runbook.load().system(system),
    )
