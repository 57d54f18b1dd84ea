"""What differs between two runs of a sweep: people are told that, and nothing else.

A finding is the same one as before if kind, resource and expectation are; numbers in what was seen move all the time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from selfheal.checks.finding import Finding, Mark
from selfheal.checks.turns import label_of
from selfheal.frozen import dataclass
from selfheal.sweep_results import Known, SweepResult

MAX_KNOWN = 500
"""Findings that are remembered one by one; an item holds 400 KB."""


@dataclass(frozen=True)
class News:
    """What differs from the last run. `known` is what people know once they have been told."""

    new: tuple[Finding, ...]
    over: tuple[str, ...]
    known: Mapping[str, Known]
    first: bool

    @property
    def is_some(self) -> bool:
        """Worth a message."""
        return bool(self.first or self.new or self.over)


def compare(findings: Sequence[Finding], before: SweepResult | None) -> News:
    """What to tell. A kind of check that could not look this time ends none of its earlier findings."""
    current = {key_of(one): one for one in findings if one.verdict is not Mark.PASS}
    known = {} if before is None else dict(before.known)
    blind = {one.check for one in current.values() if one.verdict is Mark.UNKNOWN and not one.expected}
    over = {name: one for name, one in known.items() if name not in current and one.check not in blind}
    new = [one for name, one in current.items() if name not in known or known[name].verdict != one.verdict.value]
    stays = {name: one for name, one in known.items() if name not in over}
    stays |= {name: _known(one) for name, one in list(current.items())[:MAX_KNOWN]}
    return News(tuple(new), tuple(one.label for one in over.values()), stays, before is None)


def key_of(finding: Finding) -> str:
    """A short name for a finding that stays the same while its numbers move."""
    return _hash(finding.check, finding.resource, finding.expected)


def digest_of_checks(checks: Sequence[object]) -> str:
    """The same for the same checks in the same order."""
    return _hash(*(json.dumps(check, sort_keys=True, default=str) for check in checks))


def digest_of(findings: Sequence[Finding]) -> str:
    """The same for the same failing and unknown findings, in whatever order."""
    return _hash(*sorted(f"{key_of(one)}{one.verdict}" for one in findings if one.verdict is not Mark.PASS))


def line_of(finding: Finding) -> str:
    """One finding in one line."""
    expected = f"; expected {finding.expected}" if finding.expected else ""
    return f"{finding.check} {finding.resource}: {finding.seen}{expected}"


def _known(finding: Finding) -> Known:
    return Known(finding.verdict.value, finding.check, label_of(finding.check, finding.resource))


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
