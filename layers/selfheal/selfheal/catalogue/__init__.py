"""Every action by name: which function does it, on which kinds of target, with which options.

The one table that the runbook schema, `respond`, `undo`, `approve` and the documentation read. A project test holds
it against the action classes and the template.
"""

from __future__ import annotations

from collections.abc import Mapping

from selfheal.catalogue import brakes, data, letters, looks, people, releases, services, switches
from selfheal.catalogue.entry import Entry, Option

__all__ = ["ACTIONS", "Entry", "Option", "functions"]

ACTIONS: Mapping[str, Entry] = {
    entry.name: entry
    for group in (switches, releases, services, brakes, letters, data, looks, people)
    for entry in group.ENTRIES
}
"""Action name → entry."""


def functions() -> tuple[str, ...]:
    """The function folders that the actions live in, each once, in the order of the table."""
    return tuple(dict.fromkeys(entry.function for entry in ACTIONS.values()))
