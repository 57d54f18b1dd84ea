"""Actions on dead letters and on archived events."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

_DRAIN = {
    "limit": Option(int, 0, "stop after this many messages (0: all that were counted at the start)"),
    "canary": Option(int, 1, "replay this many first and look at them before the rest"),
    "per_second": Option(int, 10, "replay at most this many messages a second (redrive_dlq: 100)"),
}
_REDRIVE = {
    **_DRAIN,
    "per_second": Option(int, 100, "send at most this many messages a second"),
    "archive": Option(bool, True, "false: after the canary SQS moves the rest by itself, and no copy is kept"),
}

ENTRIES = (
    Entry(
        "inspect_dlq",
        "inspect_dlq",
        ("queue",),
        "count, sample and classify dead letters without consuming one",
        {"sample": Option(int, 10, "look at up to this many messages (at most 50)")},
        contains=True,
    ),
    Entry("archive_dlq", "drain_dlq", ("queue",), "archive dead letters to S3, then delete them", _DRAIN),
    Entry("replay_dlq", "drain_dlq", ("queue",), "archive dead letters, then send them to their function", _DRAIN),
    Entry("redrive_dlq", "drain_dlq", ("queue",), "move dead letters back to their source queue", _REDRIVE),
    Entry(
        "replay_events",
        "replay_events",
        ("archive",),
        "replay archived events of a bus to the rules that are named",
        {
            "rules": Option(list, None, "names of the rules on the bus that receive them; needed"),
            "start": Option(str, None, "from this moment, such as 2026-01-31T09:35:00Z; needed"),
            "end": Option(str, None, "up to this moment; needed"),
            "dedup_table": Option(str, None, "the table in which the handlers remember events; needed"),
            "remembers_hours": Option(int, None, "how long they remember one; needed"),
        },
        person=True,
    ),
    Entry(
        "cancel_replay",
        "replay_events",
        ("archive",),
        "cancel a replay that runs; what was delivered stays delivered",
        {"replay": Option(str, None, "name of the replay; default: the one that runs from this archive")},
        contains=True,
    ),
)
