"""Actions on ECS services."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

ENTRIES = (
    Entry(
        "restart_service",
        "manage_service",
        ("service",),
        "replace the tasks of an ECS service by fresh ones of the same revision",
    ),
    Entry(
        "scale_service",
        "manage_service",
        ("service",),
        "run more or fewer tasks of an ECS service, its scaling limits moved along",
        {"desired": Option(int, None, "how many tasks; needed"), "most": Option(int, 10, "refuse to go beyond this")},
        undo="scale_service",
    ),
    Entry(
        "roll_back_service",
        "manage_service",
        ("service",),
        "bring an ECS service back to its last good revision",
        {"to_revision": Option(str, None, "family:revision to go to instead of the last good one")},
        undo="roll_back_service",
    ),
    Entry(
        "stop_service",
        "manage_service",
        ("service",),
        "stop an ECS service: no task runs, and its scaling is suspended",
        contains=True,
        undo="stop_service",
    ),
)
