"""What one check found: pass, fail or unknown. Unknown is no pass: something could not be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from selfheal.checks.kind import Check
from selfheal.frozen import dataclass


class Mark(StrEnum):
    """The three verdicts of a check."""

    PASS = "pass"  # noqa: S105  (a verdict)
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One line of the answer; every field is a text for a person."""

    check: str
    resource: str
    verdict: Mark
    seen: str
    expected: str = ""
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For evidence."""
        return asdict(self)


@dataclass(frozen=True)
class Problem:
    """What is not as it should be with one resource."""

    seen: str
    expected: str
    advice: str
    verdict: Mark = Mark.FAIL


def findings(check: Check, problems: Sequence[Problem], fine: str, resource: str = "") -> list[Finding]:
    """A finding for each problem, or the one that nothing is wrong."""
    name = resource or check.resource
    if not problems:
        return [Finding(check.kind, name, Mark.PASS, fine)]
    return [Finding(check.kind, name, p.verdict, p.seen, p.expected, p.advice) for p in problems]


def unknown(check: Check, why: str) -> Finding:
    """The check could not look."""
    return Finding(check.kind, check.resource, Mark.UNKNOWN, why[:512], advice="look by hand; it was not checked")
