"""Which task definition a service ran well before, told from its deployments. Pure: no calls.

A deployment in the history is `{status, created, task_definition, digests}`, the oldest first; what ECS has forgotten
has an empty task definition. ROLLBACK_… are
deployments that failed and were taken back; a rollback that somebody made by deploying an earlier task definition
looks like any other success, and is known by its place: what it leads to has run before what it replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.frozen import dataclass

Deployment = Mapping[str, Any]
SUCCESSFUL = "SUCCESSFUL"
TAKEN_BACK = ("ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED")
"""What such a deployment led to did not stay."""


@dataclass(frozen=True)
class Choice:
    """`deployment` led to what ran well before; None: there is nothing. `bad` were rolled back from. `failed` is the
    newest deployment to the chosen one, if that did not succeed."""

    deployment: Deployment | None
    bad: frozenset[str]
    failed: Deployment | None = None


def before(current: str, history: Sequence[Deployment]) -> Choice:
    """The newest successful deployment before `current` first came, to another task definition, never forward."""
    done = [one for one in history if one["status"] == SUCCESSFUL and one["task_definition"]]
    first: dict[str, int] = {}
    bad: set[str] = set()
    for place, one in enumerate(done):
        name = one["task_definition"]
        if place and name in first and first[name] < first[done[place - 1]["task_definition"]]:
            bad.add(done[place - 1]["task_definition"])
        first.setdefault(name, place)
    fit = [
        one
        for one in done[: first.get(current, len(done))]
        if one["task_definition"] not in {current, *bad} and not _is_later(one["task_definition"], current)
    ]
    if not fit:
        return Choice(None, frozenset(bad))
    chosen = fit[-1]
    newest = [one for one in history if one["task_definition"] == chosen["task_definition"]][-1]
    return Choice(chosen, frozenset(bad), None if newest["status"] == SUCCESSFUL else newest)


def came_at(current: str, history: Sequence[Deployment]) -> float | None:
    """When `current` was last brought in, in epoch seconds. A restart deploys the same task definition again: it is
    not when the code changed. None where the history does not reach back so far."""
    came: float | None = None
    for one in reversed(history):
        if one["status"] in TAKEN_BACK:
            continue
        if one["task_definition"] != current:
            return came
        came = float(one["created"])
    return None


def leads_back(source: str, goal: str, history: Sequence[Deployment]) -> bool:
    """A deployment from `source` to `goal` is a rollback: `goal` has run before `source` came."""
    names = [one["task_definition"] for one in history if one["status"] == SUCCESSFUL]
    return source in names and goal in names[: names.index(source)]


def _is_later(one: str, other: str) -> bool:
    """Of one family and registered later: to go there is no way back, even where the history has lost its beginning."""
    return family_of(one) == family_of(other) and revision_of(one) > revision_of(other)


def name_of(arn: str) -> str:
    """The last part of an ARN: `family:revision`, or the id of a deployment."""
    return arn.rpartition("/")[2]


def family_of(task_definition_arn: str) -> str:
    """The family in an ARN or in `family:revision`."""
    return name_of(task_definition_arn).rpartition(":")[0]


def revision_of(task_definition_arn: str) -> int:
    """The number in an ARN or in `family:revision`."""
    number = name_of(task_definition_arn).rpartition(":")[2]
    return int(number) if number.isdecimal() else 0
