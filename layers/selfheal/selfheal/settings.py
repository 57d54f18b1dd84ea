"""What the stack tells its functions through the environment; a wrong deployment fails here, by the variable's name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from selfheal.errors import Misconfigured
from selfheal.words import ResponseMode


def text(name: str) -> str:
    """The value of the environment variable `name`. Raises Misconfigured if it is missing or empty."""
    value = os.environ.get(name, "")
    if not value:
        raise Misconfigured(f"environment variable {name} is missing; the stack's template sets it")
    return value


def ledger_table() -> str:
    """Name of the DynamoDB table that is the ledger."""
    return text("LEDGER_TABLE")


def bus() -> str:
    """Name of the event bus that carries outcomes."""
    return text("EVENT_BUS")


def unrecorded_queue() -> str:
    """URL of the queue that keeps outcomes which the ledger could not; empty where there is none (Respond has it)."""
    return os.environ.get("UNRECORDED_QUEUE", "")


def evidence_function() -> str:
    """Name of the function that captures evidence; empty where there is none (a function that destroys nothing)."""
    return os.environ.get("EVIDENCE_FUNCTION", "")


def max_mode() -> ResponseMode:
    """The stack's upper bound for risky actions (parameter MaxMode); `suggest` where it is not given."""
    given = os.environ.get("MAX_MODE", ResponseMode.SUGGEST)
    try:
        return ResponseMode(given)
    except ValueError as error:
        allowed = [mode.value for mode in ResponseMode]
        raise Misconfigured(f"environment variable MAX_MODE is {given!r}; allowed are {allowed}") from error


def lease_s() -> float:
    """How long a lease lasts: longer than the function can run, so that its end proves that the owner is gone."""
    return _number("LEASE_SECONDS", "120")


def lambda_calls_per_s() -> float:
    """How many control-plane calls of Lambda this function may make a second; 0: nothing is said, nothing is paced."""
    return _number("LAMBDA_CALLS_PER_SECOND", "0")


def paced_queue() -> str:
    """URL of the queue in which this function's requests wait in line; empty where they don't."""
    return os.environ.get("PACED_QUEUE", "")


def functions() -> Mapping[str, str]:
    """Function folder → function name or queue URL, for those that start actions (Respond, Undo, Approve)."""
    return _names("ACTION_FUNCTIONS")


def paced_functions() -> Mapping[str, str]:
    """Function folder → function name of those that are started through a queue, for who waits for their plans."""
    return _names("PACED_FUNCTIONS")


def _number(variable: str, usual: str) -> float:
    given = os.environ.get(variable, usual)
    try:
        return float(given)
    except ValueError as error:
        raise Misconfigured(f"environment variable {variable} is no number: {given!r}") from error


def _names(variable: str) -> Mapping[str, str]:
    try:
        names = json.loads(text(variable))
    except json.JSONDecodeError as error:
        raise Misconfigured(f"environment variable {variable} is not JSON: {error}") from error
    if not isinstance(names, dict):
        raise Misconfigured(f"environment variable {variable} must be an object of folder → function")
    return names
