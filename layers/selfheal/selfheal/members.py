"""A change of several resources under one target: a schedule group, the rules of a bus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from selfheal.errors import ChangedMeanwhile, NotApplied, TargetForbidden, TargetNotFound, Unreadable

SHARE_OF_TIME = 0.6
"""Of what the invocation has left; the rest is for verifying and recording."""


def change_each(
    keys: Iterable[str],
    change: Callable[[str, dict[str, Any]], None],
    failed: dict[str, str],
    *,
    alone: bool,
    remaining_s: float,
) -> dict[str, Any]:
    """Call `change(key, evidence)` for one member after the other; answers the evidence.

    Each failure is noted in `failed` and the others go on; when nothing at all was changed, the first failure is
    raised. `alone`: the target is this one resource, and every failure is raised. Stops in time to verify.
    """
    evidence: dict[str, Any] = {}
    first: Exception | None = None
    untouched = True
    end = time.monotonic() + remaining_s * SHARE_OF_TIME
    for key in keys:
        if time.monotonic() > end:
            evidence["left_for_the_next_run"] = True
            break
        try:
            change(key, evidence)
            untouched = False
        except Unreadable as error:
            if alone:
                raise
            untouched = False  # it may have been changed; verify looks, and a later run goes on with it
            evidence.setdefault("no_clear_answer", {})[key] = str(error)
        except (ChangedMeanwhile, NotApplied, TargetForbidden, TargetNotFound) as error:
            if alone:
                raise
            first = first or error
            failed[key] = str(error)
    if first and untouched:
        raise first
    return evidence | ({"failed": failed} if failed else {})


def listed(keys: Iterable[str], limit: int = 10) -> str:
    """Some of the names, for a person, and how many more there are."""
    keys = list(keys)
    return ", ".join(keys[:limit]) + (f" and {len(keys) - limit} more" if len(keys) > limit else "")
