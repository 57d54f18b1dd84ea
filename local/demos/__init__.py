"""The further demo systems: one for each runbook besides the first, which `local.system` has.

A module says its NAME (of the stack), its FOLDER (a SAM template), which `parameters` let selfheal touch it and nothing
else, and how to `prepare` it: what CloudFormation of the emulator cannot make.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from local.account import Account
from local.emulator.control import ACCOUNT, REGION
from local.emulator.environments import REPOSITORY

SYSTEMS = REPOSITORY / "local" / "systems"


class Demo(Protocol):
    """What a module of this package has."""

    NAME: str
    FOLDER: Path

    def parameters(self) -> Mapping[str, list[str]]:
        """Parameter of selfheal → the ARN patterns of this system."""

    def prepare(self, account: Account) -> None:
        """Called once, after the stack is deployed."""


def arn(service: str, resource: str) -> str:
    """An ARN in the account of the local stack."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def together(parameters: Iterable[Mapping[str, list[str]]]) -> dict[str, str]:
    """The parameters of several systems as one set, each a comma-delimited list."""
    merged: dict[str, list[str]] = defaultdict(list)
    for one in parameters:
        for name, patterns in one.items():
            merged[name] += patterns
    return {name: ",".join(dict.fromkeys(patterns)) for name, patterns in merged.items()}
