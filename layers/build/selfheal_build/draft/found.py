"""What a system consists of, as far as it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Function:
    """A Lambda function with its aliases, and the SQS queue to which its dead letters go (empty: none)."""

    name: str
    aliases: tuple[str, ...] = ()
    dead_letters: str = ""


@dataclass(frozen=True)
class Alarm:
    """A metric or composite alarm with its dimensions (a composite has none)."""

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """A schedule of EventBridge Scheduler, and the function that it starts (empty: something else)."""

    name: str
    group: str = "default"
    function: str = ""


@dataclass(frozen=True)
class Found:
    """Everything with the prefix. `services` are (cluster, service); `not_read` says what AWS did not let us see."""

    prefix: str
    functions: tuple[Function, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    queues: tuple[str, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    flags: tuple[str, ...] = ()
    services: tuple[tuple[str, str], ...] = ()
    databases: tuple[str, ...] = ()
    not_read: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing has this prefix."""
        kinds = (self.functions, self.alarms, self.queues, self.schedules, self.flags, self.services, self.databases)
        return not any(kinds)
