"""Why tasks of an ECS service do not run, read out of what ECS says about it: its events and its stopped tasks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Cause(NamedTuple):
    """What it is in a few words, and what helps."""

    told: str
    advice: str


KILLED = 137
"""128 + SIGKILL: out of memory, or too slow to stop."""

IMAGE = Cause("its image can't be pulled", "see that tag or digest exist, and that the execution role may pull it")
SECRETS = Cause("its secrets can't be fetched", "see the execution role and the names in the task definition")
HEALTH = Cause("it fails its health check", "see the check's path, port and grace period, and the container's log")
MEMORY = Cause("it ran out of memory", "raise the memory in the task definition, or roll_back_service")
ADDRESSES = Cause("there is no network interface or IP address for it", "free addresses, or add subnets to the service")
CAPACITY = Cause("there is no capacity for it", "wait, add another subnet or capacity provider, or ask for less")
ESSENTIAL = Cause("an essential container exited", "see its log; came it with the last deployment: roll_back_service")
BY_HAND = Cause("somebody stopped its tasks", "see CloudTrail for StopTask")

# The texts of `stoppedReason`, of containers' `reason` and of service events (ECS developer guide, stopped task errors
# and service event messages). The first that fits counts, so what is narrow stands first.
_TEXTS: tuple[tuple[str, Cause], ...] = (
    (r"CannotPull|pull image|ImageNotFound|manifest unknown|image .*not found", IMAGE),
    (r"unable to (pull|retrieve) secrets?|secretsmanager|ssm:GetParameters", SECRETS),
    (r"OutOfMemory|out of memory", MEMORY),
    (r"health check|unhealthy in .*target-?group|is unhealthy", HEALTH),
    (r"RESOURCE:ENI|network interface|\bENI\b|insufficient.*addresses|free addresses|PrivateIpAddress", ADDRESSES),
    (r"RESOURCE:|Capacity is unavailable|no container instance met|insufficient.*capacity|SpotInterruption", CAPACITY),
    (r"Essential container", ESSENTIAL),
)


def cause_of_text(text: str) -> Cause | None:
    """What an event or a reason means; None if it is none that is known."""
    return next((cause for pattern, cause in _TEXTS if re.search(pattern, text, re.IGNORECASE)), None)


def cause_of_task(task: Mapping[str, Any]) -> Cause | None:
    """Why a task stopped; what its containers say is nearer to the cause than what the task says."""
    containers: Sequence[Mapping[str, Any]] = task.get("containers", ())
    for container in containers:
        if cause := cause_of_text(str(container.get("reason", ""))):
            return cause
    said = cause_of_text(str(task.get("stoppedReason", "")))
    if said is not None and said is not ESSENTIAL:
        return said
    codes = sorted({one["exitCode"] for one in containers if one.get("exitCode") not in (None, 0)})
    if KILLED in codes:
        return Cause("killed with exit code 137, which is mostly memory", MEMORY.advice)
    if said is ESSENTIAL or task.get("stopCode") == "EssentialContainerExited":
        told = f"{ESSENTIAL.told} with code {', '.join(map(str, codes)) or '0'}"
        return Cause(told, ESSENTIAL.advice)
    return BY_HAND if task.get("stopCode") == "UserInitiated" else said


def explain(events: Iterable[Mapping[str, Any]], tasks: Sequence[Mapping[str, Any]]) -> Cause:
    """The cause that most stopped tasks tell; else the newest event that tells one; else where to look."""
    causes = Counter(cause for task in tasks if (cause := cause_of_task(task)))
    if causes:
        ((cause, count),) = causes.most_common(1)
        return Cause(f"{count} of {len(tasks)} stopped tasks: {cause.told}", cause.advice)
    messages = [str(event.get("message", "")) for event in events]  # ECS gives the newest first
    for message in messages:
        if cause := cause_of_text(message):
            return Cause(f"{cause.told} ({message[:200]})", cause.advice)
    last = f"; its last event: {messages[0][:200]}" if messages else ""
    return Cause(f"no task says why{last}", "see the events of the service and the log of its containers")
