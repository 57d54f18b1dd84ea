"""The compiled runbooks: which response an alarm has, and what its steps touch.

The build checks the YAML and writes one JSON file; this reads that file at a cold start and trusts its shape. Only what
comes from an alarm is checked here: the names that a step takes from its dimensions.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from selfheal.calendar import When, read_when
from selfheal.catalogue import ACTIONS, Entry
from selfheal.errors import Misconfigured, Refused
from selfheal.frozen import dataclass
from selfheal.refusal import Refusal
from selfheal.target import Target, read_target
from selfheal.words import ResponseMode, Stage

FORMAT_VERSION = 1
DEFAULT_PATH = "/opt/runbooks/runbooks.json"

_FROM_ALARM = re.compile(r"\{alarm\.([^{}]+)\}")


@dataclass(frozen=True)
class Step:
    """One step. `target` are its fields, in which `{alarm.Dimension}` may stand; `target_name` is its name in the
    runbook (the sweep's, for checks), empty where it was written out. `settle_s` is 0 outside remediate."""

    action: str
    target_name: str
    target: Mapping[str, Any]
    settle_s: int
    approval: bool
    options: Mapping[str, Any]

    @property
    def entry(self) -> Entry:
        """The action's row in the catalogue."""
        return ACTIONS[self.action]

    @property
    def label(self) -> str:
        """For people: `enable_rules market-data`; the action alone where its target was written out."""
        return f"{self.action} {self.target_name}".strip()

    def target_for(self, dimensions: Mapping[str, str]) -> Target:
        """The target for an alarm with these dimensions (name → value).

        Raises `Refused(BAD_TARGET)` when a dimension is missing, or its value is not the name of one resource.
        """
        return read_target(_fill(self.target, dimensions), self.entry.kinds)


@dataclass(frozen=True)
class Limits:
    """How much a response may do by itself; where nothing is said, this much.

    `per_hour` and `per_day` count incidents, `useless` incidents in a row that it did not heal. `targets` are distinct
    ones of the system within an hour; `targets_percent` bounds them by how many the runbook names.
    """

    per_hour: int = 3
    per_day: int = 7
    useless: int = 3
    targets: int = 10
    targets_percent: int | None = None


def response_key(system: str, response: str) -> str:
    """The name under which limits of a response are kept; also what a person resumes, so without wildcards."""
    return f"{system}|{response}".replace("*", "_").replace("?", "_")


@dataclass(frozen=True)
class Response:
    """What a runbook does for some alarms. `line` is where it stands in the runbook's file."""

    system: str
    name: str
    line: int
    alarms: tuple[str, ...]
    severity: str
    mode: ResponseMode
    contain: tuple[Step, ...]
    remediate: tuple[Step, ...]
    probe: Step | None
    recover: tuple[Step, ...]
    escalate_after_s: int
    cooldown_s: int
    limits: Limits
    respond_within_s: int = 0
    procedures: tuple[str, ...] = ()

    def steps(self, stage: Stage) -> tuple[Step, ...]:
        """The steps of one stage, in their order."""
        return {Stage.CONTAIN: self.contain, Stage.REMEDIATE: self.remediate, Stage.RECOVER: self.recover}[stage]

    def fits(self, alarm_name: str) -> bool:
        """One of its patterns fits this name."""
        return any(fits(pattern, alarm_name) for pattern in self.alarms)


@dataclass(frozen=True)
class Sweep:
    """Health checks at set times: `at` is a cron of six fields in `timezone`, `when` what it means (None: only when
    somebody asks)."""

    name: str
    at: str
    when: When | None
    timezone: str
    checks: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Window:
    """A time of the week, such as a maintenance window. `days` (`mon` … `sun`) are those on which it begins; `end`
    before `start` means the next day. Times are HH:MM in the runbook's time zone.

    `notice_s` before it begins people are told (0: they are not), and `before_s` before it the steps in `before` run.
    """

    days: tuple[str, ...]
    start: str
    end: str
    notice_s: int = 0
    before: tuple[Step, ...] = ()
    before_s: int = 0


@dataclass(frozen=True)
class Requires:
    """Another rollout (`system/name`) that was done to its end, and after it nothing of its system was red for
    `clean_for_s`."""

    rollout: str
    clean_for_s: int


@dataclass(frozen=True)
class Rollout:
    """Steps that a person starts, each behind the gate of the one before: at most `failed_invocations`, and at least
    one event that came through, unless `quiet_ok`. It begins after what it `requires`, and in one of the windows in
    `only`. Without `notify` people hear of it only if it does not go well."""

    name: str
    steps: tuple[Step, ...]
    failed_invocations: int
    quiet_ok: bool
    requires: Requires | None = None
    only: tuple[Window, ...] = ()
    notify: bool = True


@dataclass(frozen=True)
class Watch:
    """A sweep every `every_s` seconds for `for_s` after a deployment of a target whose name fits `on` (empty: any)."""

    name: str
    sweep: str
    every_s: int
    for_s: int
    on: tuple[str, ...]


@dataclass(frozen=True)
class Runbook:
    """The runbook of one protected system. `file` is what a person opens; `holidays` are ISO dates."""

    system: str
    file: str
    owner: str
    timezone: str
    maintenance: tuple[Window, ...]
    holidays: frozenset[str]
    exempt: frozenset[str]
    targets: Mapping[str, Mapping[str, Any]]
    responses: tuple[Response, ...]
    checks: tuple[Mapping[str, Any], ...]
    sweeps: tuple[Sweep, ...]
    rollouts: tuple[Rollout, ...] = ()
    watches: tuple[Watch, ...] = ()
    procedures: tuple[Mapping[str, Any], ...] = ()

    def is_exempt(self, target_key: str) -> bool:
        """The target with this key (`Target.key`) must not be touched. An exempt group covers its schedules, an exempt
        prefix its rules; and a prefix or a group may not be acted on while one of its own is exempt."""
        return any(_covers(key, target_key) or _covers(target_key, key) for key in self.exempt)

    def response(self, name: str) -> Response | None:
        """The response of this name; None when the runbook was changed since an incident was opened."""
        return next((response for response in self.responses if response.name == name), None)

    def procedure(self, name: str) -> Mapping[str, Any] | None:
        """The procedure of this name, as the build has written it."""
        return next((one for one in self.procedures if one["name"] == name), None)


@dataclass(frozen=True)
class Match:
    """The response of an alarm, and the runbook that it is in."""

    runbook: Runbook
    response: Response

    @property
    def system(self) -> str:
        """The protected system."""
        return self.runbook.system


@dataclass(frozen=True)
class Runbooks:
    """Every runbook of the stack."""

    runbooks: tuple[Runbook, ...]

    def match(self, alarm_name: str) -> Match | None:
        """The response for this alarm. There is at most one: the build refuses patterns that overlap."""
        for runbook in self.runbooks:
            for response in runbook.responses:
                if response.fits(alarm_name):
                    return Match(runbook, response)
        return None

    def system(self, name: str) -> Runbook | None:
        """The runbook of a system."""
        return next((runbook for runbook in self.runbooks if runbook.system == name), None)


def fits(pattern: str, name: str) -> bool:
    """`name` fits `pattern`: `*` stands for any text, `?` for any one character, the rest for itself.

    Steps are at most len(pattern) * len(name), whatever the pattern (a regular expression gives no such bound).
    """
    position = at = 0
    star, mark = -1, 0
    while at < len(name):
        if position < len(pattern) and pattern[position] == "*":
            star, mark = position, at
            position += 1
        elif position < len(pattern) and pattern[position] in (name[at], "?"):
            position += 1
            at += 1
        elif star >= 0:  # let the last star take one character more
            mark += 1
            position, at = star + 1, mark
        else:
            return False
    return not pattern[position:].strip("*")


def _covers(key: str, other: str) -> bool:
    """Keys of groups and prefixes end in `*`, and no other does."""
    return other.startswith(key[:-1]) if key.endswith("*") else other == key


def load(path: str | None = None) -> Runbooks:
    """The runbooks in the file at `path`, by default the one that the environment variable RUNBOOKS_PATH names.

    Read once per path and process. Raises Misconfigured with the path if the file is missing or not of this version.
    """
    return _load(path or os.environ.get("RUNBOOKS_PATH") or DEFAULT_PATH)


@cache
def _load(path: str) -> Runbooks:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise Misconfigured(f"the runbooks cannot be read at {path}: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"the runbooks at {path} are not JSON: {error}") from error
    try:
        if document["version"] != FORMAT_VERSION:
            raise Misconfigured(
                f"the runbooks at {path} have version {document['version']}, not {FORMAT_VERSION}; build both layers"
            )
        return read_runbooks(document)
    except (KeyError, TypeError, ValueError) as error:
        raise Misconfigured(f"the runbooks at {path} are not what the build writes: {error!r}") from error


def read_runbooks(document: Mapping[str, Any]) -> Runbooks:
    """The runbooks in what the build has written. Raises KeyError, TypeError, ValueError for anything else."""
    return Runbooks(tuple(map(_runbook, document["systems"])))


def _runbook(document: Mapping[str, Any]) -> Runbook:
    return Runbook(
        system=document["system"],
        file=document["file"],
        owner=document["owner"],
        timezone=document["timezone"],
        maintenance=tuple(
            replace(
                _window(window),
                notice_s=window["notice_s"],
                before=tuple(Step(**step) for step in window["before"]),
                before_s=window["before_s"],
            )
            for window in document["maintenance"]
        ),
        holidays=frozenset(document["holidays"]),
        exempt=frozenset(document["exempt"]),
        targets=document["targets"],
        responses=tuple(_response(document["system"], response) for response in document["responses"]),
        checks=tuple(document["checks"]),
        sweeps=tuple(
            Sweep(
                sweep["name"],
                sweep["at"],
                read_when(sweep["when"]) if sweep["when"] else None,
                sweep["timezone"],
                tuple(sweep["checks"]),
            )
            for sweep in document["sweeps"]
        ),
        rollouts=tuple(map(_rollout, document["rollouts"])),
        watches=tuple(Watch(**{**watch, "on": tuple(watch["on"])}) for watch in document["watches"]),
        procedures=tuple(document["procedures"]),
    )


def _window(document: Mapping[str, Any]) -> Window:
    return Window(tuple(document["days"]), document["from"], document["to"])


def _rollout(document: Mapping[str, Any]) -> Rollout:
    read = {
        "steps": tuple(Step(**step) for step in document["steps"]),
        "requires": Requires(**document["requires"]) if document["requires"] else None,
        "only": tuple(map(_window, document["only"])),
    }
    return Rollout(**{**document, **read})


def _response(system: str, document: Mapping[str, Any]) -> Response:
    steps = {stage.value: tuple(Step(**step) for step in document[stage.value]) for stage in Stage}
    return Response(
        system=system,
        name=document["name"],
        line=document["line"],
        alarms=tuple(document["alarms"]),
        severity=document["severity"],
        mode=ResponseMode(document["mode"]),
        probe=Step(**document["probe"]) if document["probe"] else None,
        escalate_after_s=document["escalate_after_s"],
        cooldown_s=document["cooldown_s"],
        limits=Limits(**document["limits"]),
        respond_within_s=document["respond_within_s"],
        procedures=tuple(document["procedures"]),
        **steps,
    )


def _fill(value: Any, dimensions: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _fill(item, dimensions) for name, item in value.items()}
    return _FROM_ALARM.sub(lambda found: _dimension(found[1], dimensions), value)


def _dimension(name: str, dimensions: Mapping[str, str]) -> str:
    if name not in dimensions:
        raise Refused(
            Refusal.BAD_TARGET,
            f"the alarm has no dimension {name} to take the target from; it has {sorted(dimensions) or 'none'}",
        )
    return dimensions[name]
