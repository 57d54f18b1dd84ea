"""Actions that only read."""

from __future__ import annotations

from selfheal.catalogue.entry import Entry, Option

ENTRIES = (
    Entry(
        "check_health",
        "check_health",
        ("system",),
        "run the health checks of a system",
        {
            "checks": Option(list, None, "checks to run; default: all of the system's runbook"),
            "sweep": Option(str, None, "run the checks of this sweep of the runbook, and store its report"),
            "must_pass": Option(bool, False, "a check that fails or can't be told makes the step fail"),
        },
        contains=True,
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
)
