"""Runs checks as a sweep does, for the tests of single kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from selfheal import changes
from selfheal.checks import read_check, read_checks
from selfheal.checks.finding import Finding
from selfheal.checks.runner import run
from selfheal.errors import Refused
from selfheal.ledger import Ledger
from selfheal.request import result_of
from selfheal.words import Outcome

from tests.unit.aws import ask

DENIED = "AccessDenied"


def found(*checks: Mapping[str, Any]) -> list[Finding]:
    return run(read_checks(list(checks)), 20)


def the_only(check: Mapping[str, Any]) -> Finding:
    (finding,) = found(check)
    return finding


def told(*checks: Mapping[str, Any]) -> list[str]:
    return [finding.verdict.value for finding in found(*checks)]


def refusal_of(check: object) -> str:
    with pytest.raises(Refused) as refused:
        read_check(check)
    return refused.value.detail


def changed_by_selfheal(ledger: Ledger, action: str, target: Mapping[str, str], **options: Any) -> None:
    """An open change in the ledger."""
    request = ask(action, target, action_id=f"{action}-1", requested_by="ann", options=options)
    ledger.write(changes.opened(request, result_of(request, Outcome.ACTED, detail="changed"), 1_700_000_000.0))
