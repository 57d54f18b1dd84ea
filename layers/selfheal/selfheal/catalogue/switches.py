"""Actions that switch something off and on: the trading flag, schedules, rules."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

ENTRIES = (
    Entry(
        "halt_trading",
        "switch_trading",
        ("parameter",),
        "set the trading flag to false",
        contains=True,
        undo="resume_trading",
    ),
    Entry(
        "resume_trading",
        "switch_trading",
        ("parameter",),
        "set the trading flag to true",
        {
            "after_sweep": Option(str, None, "only if this sweep of the system passed lately"),
            "within_minutes": Option(int, 15, "how long ago that may be"),
        },
        person=True,
        undo="halt_trading",
    ),
    Entry(
        "disable_schedule",
        "switch_schedule",
        ("schedule", "schedule_group"),
        "disable a schedule, or every enabled one of a group",
        contains=True,
        undo="enable_schedule",
    ),
    Entry(
        "enable_schedule",
        "switch_schedule",
        ("schedule", "schedule_group"),
        "enable a schedule, or the disabled ones of a group that are named",
        {"only": Option(list, None, "names in the group; needed for a group")},
        undo="disable_schedule",
    ),
    Entry(
        "disable_rules",
        "switch_rules",
        ("rule", "rules"),
        "disable an EventBridge rule, or every enabled one of a bus with a prefix",
        contains=True,
        undo="enable_rules",
    ),
    Entry(
        "enable_rules",
        "switch_rules",
        ("rule", "rules"),
        "enable an EventBridge rule, or those with a prefix that are named",
        {"only": Option(list, None, "names with the prefix; needed for a prefix")},
        undo="disable_rules",
    ),
)
