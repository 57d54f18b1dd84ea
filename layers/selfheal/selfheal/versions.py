"""What is known of the versions of a target: good after a clean watch, bad after a rollback from them that healed.

A version of a Lambda function never changes, so what it has proven stays true until it proves the opposite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfheal import ledger as table
from selfheal import record
from selfheal.incident import Incident, Status
from selfheal.ledger import Ledger, Write

ROLLS_BACK = "roll_back_alias"
HEALED = "healed"


@dataclass(frozen=True)
class Known:
    """Versions of one target: the good ones, the last proven first, and the bad ones."""

    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()


def of(ledger: Ledger, target_key: str) -> Known:
    """Raises LedgerUnavailable."""
    items = sorted(ledger.query(_where(target_key)), key=lambda item: float(item["at"]), reverse=True)
    by_verdict = {
        verdict: tuple(str(item["sk"]) for item in items if item["verdict"] == verdict) for verdict in ("good", "bad")
    }
    return Known(**by_verdict)


def proven(target_key: str, version: str, verdict: str, now: float, why: str) -> Write:
    """The write that keeps that a version is `good` or `bad`; the last word counts."""
    expires = int(now + table.KEEP_S)
    return table.put(_where(target_key), version, {"why": why}, verdict=verdict, at=now, expires=expires)


def rolled_back_from(ledger: Ledger, incident: Incident, now: float) -> list[Write]:
    """The versions that an incident was healed by leaving: they belong into its closing transaction."""
    if incident.verdict != HEALED or incident.rollout:
        return []
    writes = {}
    for step in incident.steps:
        if step.action != ROLLS_BACK or step.status is not Status.DONE:
            continue
        found = record.find(ledger, incident.action_id(step))
        result = found["doc"].get("result") if found else None
        for version in sorted(_left(result or {})):
            writes[step.target_key, version] = proven(step.target_key, version, "bad", now, incident.id)
    return list(writes.values())


def serving(image: Mapping[str, Any] | None) -> str:
    """The one version that an alias points to; empty while there are two, or where it was not read."""
    if not image or image.get("weights"):
        return ""
    return str(image.get("version", ""))


def _left(result: Mapping[str, Any]) -> set[str]:
    """Versions that served before and do not any more."""
    before, after = result.get("before") or {}, result.get("after") or {}
    if not (before and after):
        return set()
    return _all(before) - _all(after)


def _all(image: Mapping[str, Any]) -> set[str]:
    return {str(image.get("version", "")), *map(str, image.get("weights") or {})} - {""}


def _where(target_key: str) -> str:
    return f"VERSION#{target_key}"
