"""What is known of the versions of a target: good after a clean watch, bad after a rollback from them that healed; and
facts, which whoever lists versions anyway leaves behind, so that a rollback need not list them.

A version of a Lambda function never changes, so what it has proven stays true until it proves the opposite, and its
code, its configuration and its date are facts for good. Its state is not: Lambda lets a version go Inactive that was
idle for weeks, and only one that comes back from there can have Failed ("Lambda function states"). So facts count for
FRESH_S: what was Active then is Active still.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from selfheal import ledger as table
from selfheal import record
from selfheal.frozen import dataclass
from selfheal.incident import Incident, Status
from selfheal.ledger import Ledger, Write

ROLLS_BACK = "roll_back_alias"
HEALED = "healed"
FRESH_S = 14 * table.DAY_S
"""Shorter than Lambda leaves a version Active that nobody invokes."""
MOST_FACTS = 5
"""Versions of one target of which facts are kept at a time: the current one, and some that it could go back to."""
LEARNT = "versions"
"""Facts in the evidence of a rollback, and of its plan."""
FACTS = "facts|"
"""No version's name begins like this."""


@dataclass(frozen=True)
class Known:
    """Versions of one target: the good ones, the last proven first, and the bad ones.

    `facts` by version, and no older than FRESH_S: `made_at` in epoch seconds or None, `code` and `config` as AWS's
    hashes (empty where it gives none), `state` and `last_update` as they were when they were learnt. Never an
    environment.
    """

    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def of(ledger: Ledger, target_key: str, now: float | None = None) -> Known:
    """`now` in epoch seconds; without it no facts. One query. Raises LedgerUnavailable."""
    items = sorted(ledger.query(_where(target_key)), key=lambda item: float(item["at"]), reverse=True)
    good, bad = (
        tuple(str(item["sk"]) for item in items if item.get("verdict") == verdict) for verdict in ("good", "bad")
    )
    fresh = [item for item in items if item["sk"].startswith(FACTS) and now is not None and _is_fresh(item, now)]
    return Known(good, bad, {item["sk"].removeprefix(FACTS): item["doc"] for item in fresh})


def learnt(target_key: str, facts: Mapping[str, Mapping[str, Any]], now: float) -> list[Write]:
    """The writes that keep facts: of each version by itself, so that nobody writes over what another has learnt."""
    some = list(facts.items())[:MOST_FACTS]
    expires = int(now + FRESH_S + table.DAY_S)
    return [table.put(_where(target_key), f"{FACTS}{version}", fact, at=now, expires=expires) for version, fact in some]


def facts_of(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a version as AWS describes it: no environment, which may hold secrets."""
    return {
        "made_at": made_at(configuration),
        "code": str(configuration.get("CodeSha256") or ""),
        "config": str(configuration.get("ConfigSha256") or ""),
        "state": configuration.get("State"),
        "last_update": configuration.get("LastUpdateStatus"),
    }


def made_at(configuration: Mapping[str, Any]) -> float | None:
    """When a version was made, in epoch seconds: "last updated" (API reference), and a version does not change.

    None where that can't be read.
    """
    try:
        return datetime.fromisoformat(str(configuration.get("LastModified", ""))).timestamp()
    except ValueError:
        return None


def best(known: Known, current: str) -> str | None:
    """The version that a rollback from `current` goes to, where the ledger alone can tell; else None: list them.

    It tells only if a list could tell nothing else: of the current version it is known when it was made; the good ones
    are gone through in the order of their proof, and each that is passed over has the same code and configuration for
    certain, the one that is taken a different one for certain, and was Active.
    """
    now = known.facts.get(current)
    if now is None or now["made_at"] is None or not now["code"]:
        return None
    for version in known.good:
        if not version.isdecimal() or int(version) >= int(current) or version in known.bad:
            continue
        fact = known.facts.get(version)
        if fact is None or (differs := _differs(fact, now)) is None:
            return None
        if differs:
            return version if fact["state"] == "Active" and fact["last_update"] in (None, "Successful") else None
    return None


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """None: the hashes don't tell."""
    if not (one["code"] and other["code"]):
        return None
    if one["code"] != other["code"]:
        return True
    return one["config"] != other["config"] if one["config"] and other["config"] else None


def of_interest(known: Known, current: str, others: Iterable[str]) -> list[str]:
    """Whose facts are worth keeping: the current version's, and of `others` the good ones first."""
    able = list(others)
    return list(dict.fromkeys([current, *(version for version in known.good if version in able), *able]))[:MOST_FACTS]


def _is_fresh(item: Mapping[str, Any], now: float) -> bool:
    return float(item["at"]) > now - FRESH_S


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
