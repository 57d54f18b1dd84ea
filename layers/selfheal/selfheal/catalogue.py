"""Every action by name: which function does it, on which kinds of target, with which options.

The one table that the runbook schema, `respond`, `undo`, `approve` and the documentation read. A project test holds
it against the action classes and the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Option:
    """One option of an action: its type on the wire, its default (None: must be given or stays unset)."""

    type: type
    default: object = None
    help: str = ""


@dataclass(frozen=True)
class Entry:
    """One action.

    `paced`: reached through the queue that keeps the account's Lambda control-plane rate (15 calls/s), not by Invoke.
    `person`: never runs without a person who asks for it (`requested_by`).
    `contains`: may stand in the contain stage, because it can be safe or only reads.
    """

    name: str
    function: str
    kinds: tuple[str, ...]
    summary: str
    options: Mapping[str, Option] = field(default_factory=dict)
    paced: bool = False
    person: bool = False
    contains: bool = False
    undo: str | None = None


_DRAIN = {
    "limit": Option(int, 0, "stop after this many messages (0: all that were counted at the start)"),
    "canary": Option(int, 1, "replay this many first and look at them before the rest"),
    "per_second": Option(int, 10, "replay at most this many messages a second"),
}

ACTIONS: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
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
        Entry(
            "roll_back_alias",
            "roll_back_alias",
            ("alias",),
            "point a Lambda alias to the last good version",
            {"to_version": Option(str, None, "a version to go to instead of the last good one")},
            paced=True,
            undo="roll_back_alias",
        ),
        Entry(
            "stop_deployment",
            "stop_deployment",
            ("alias",),
            "stop the CodeDeploy shift of an alias, with rollback",
        ),
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
        Entry("redrive_dlq", "drain_dlq", ("queue",), "move dead letters back to their source queue", _DRAIN),
        Entry(
            "smoke_test",
            "invoke_target",
            ("alias",),
            "invoke an alias and compare its answer",
            {
                "payload": Option(dict, None, "the event to send"),
                "expect": Option(dict, None, "fields that the answer must have, with their values"),
                "timeout_s": Option(int, 60, "give up after this many seconds (at most 600)"),
            },
        ),
        Entry(
            "check_health",
            "check_health",
            ("system",),
            "run the health checks of a system",
            {"checks": Option(list, None, "checks to run; default: all of the system's runbook")},
        ),
        Entry(
            "check_gate",
            "check_gate",
            ("system",),
            "look whether the rules that a rollout enabled work",
            {
                "rules": Option(list, None, "the rules of the newest step, as bus/name"),
                "earlier": Option(list, None, "those of the steps before"),
                "since": Option(int, 0, "when the newest step was done, in epoch seconds (0: five minutes ago)"),
                "failed_invocations": Option(int, 0, "more of them are red"),
                "quiet_ok": Option(bool, False, "no event at all is clean as well"),
                "last": Option(bool, True, "a look before the last one only finds what is red"),
                "alarms": Option(list, None, "patterns of alarms; one in ALARM is red"),
            },
        ),
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
}
"""Action name → entry."""


def functions() -> tuple[str, ...]:
    """The function folders that the actions live in, each once, in the order of the table."""
    return tuple(dict.fromkeys(entry.function for entry in ACTIONS.values()))
