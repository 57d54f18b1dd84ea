"""What only a person asks for."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

ENTRIES = (
    Entry("undo", "undo", ("incident",), "undo an incident, or one of its actions", person=True),
    Entry("approve", "approve", ("incident",), "approve a step that waits for a person", person=True),
    Entry("deny", "approve", ("incident",), "deny a step that waits for a person", person=True),
    Entry("take_over", "approve", ("incident",), "take an incident over: selfheal only watches", person=True),
    Entry("hand_back", "approve", ("incident",), "give an incident back to selfheal", person=True),
    Entry(
        "pause",
        "approve",
        ("pause",),
        "pause selfheal, for one system or for all (target `*`)",
        {
            "what": Option(str, "risky", "`risky` lets safe actions through, `all` does not"),
            "minutes": Option(int, 60, "the pause ends by itself after this many minutes (at most 10080)"),
        },
        person=True,
    ),
    Entry("resume", "approve", ("pause",), "end a pause", person=True),
)
