"""Writes the draft of a runbook: every response only suggests, so that nothing acts before a person has read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .found import Alarm, Found, Function

_HEAD = """\
# yaml-language-server: $schema=schema.json
#
# A first draft, written from what was found with the prefix {prefix!r}.
# Read it line by line: it knows names and not what they mean. Every response says `mode: suggest`, so that it only
# tells what it would do; take the line away from a response when you trust it. `make validate` checks it,
# `make explain ALARM=…` says what it would do.
system: {system}
owner: {owner}
timezone: UTC  # yours, for instance Europe/Berlin: every time of day below is in it
"""


@dataclass
class _Names:
    """Short names for targets: a word each, none twice."""

    prefix: str
    taken: dict[str, str] = field(default_factory=dict)

    def of(self, wanted: str, target: str) -> str:
        """The name for a target, made of what it is called in the account."""
        short = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-") or "it"
        if not short[0].isalpha() or short in _WORDS:  # YAML would read a number, or true
            short = f"the-{short}"
        name, number = short, 2
        while self.taken.get(name, target) != target:
            name, number = f"{short}-{number}", number + 1
        self.taken[name] = target
        return name

    def short(self, name: str) -> str:
        """A name of the account without the system's prefix."""
        return name.removeprefix(self.prefix).strip("-_/") or name


@dataclass
class _Response:
    """One response of the draft."""

    name: str
    alarms: list[str]
    contain: list[str] = field(default_factory=list)
    remediate: list[str] = field(default_factory=list)
    recover: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draft(found: Found, system: str, owner: str) -> str:
    """The text of the file."""
    return _Draft(found, system, owner).text()


class _Draft:
    def __init__(self, found: Found, system: str, owner: str) -> None:
        self._found, self._system, self._owner = found, system, owner
        self._names = _Names(found.prefix)
        self._targets: dict[str, str] = {}
        self._letters = {queue: self._letters_of(queue) for queue in found.queues if _is_dead_letters(queue)}
        self._flags = [self._target(self._flag_name(name), {"parameter": name}) for name in found.flags]
        self._schedules = {
            one: self._target(self._names.short(one.name), _schedule(one.name, one.group)) for one in found.schedules
        }
        self._live = {one.name: self._function(one) for one in found.functions if one.aliases}
        self._engines = {
            pair: self._target(self._names.short(pair[1]), {"cluster": pair[0], "service": pair[1]})
            for pair in found.services
        }
        self._databases = {name: self._target(self._names.short(name), {"database": name}) for name in found.databases}

    def text(self) -> str:
        parts = [_HEAD.format(prefix=self._found.prefix, system=_quoted(self._system), owner=_quoted(self._owner))]
        if self._targets:
            parts.append("targets:\n" + "".join(f"  {name}: {value}\n" for name, value in self._targets.items()))
        if responses := self._responses():
            parts.append("responses:\n" + "\n".join("\n".join(_lines(one)) for one in responses) + "\n")
        if checks := list(self._checks()):
            parts.append(
                "# What healthy means; a sweep without `checks` runs all of them.\nchecks:\n" + "".join(checks)
            )
            parts.append('sweeps:\n  - {name: every morning, at: "0 8 ? * MON-FRI *"}\n')
        return "\n".join(parts)

    # -- targets --------------------------------------------------------------------------------------------------

    def _target(self, wanted: str, fields: dict[str, object]) -> str:
        text = _flow(fields)
        name = self._names.of(wanted, text)
        self._targets[name] = text
        return name

    def _flag_name(self, parameter: str) -> str:
        """The only one is what halts trading; of several the last two words of the path say which."""
        return "trading" if len(self._found.flags) == 1 else "-".join(parameter.strip("/").split("/")[-2:])

    def _function(self, function: Function) -> str:
        alias = "live" if "live" in function.aliases else function.aliases[0]
        wanted = alias if len(self._found.functions) == 1 else self._names.short(function.name)
        return self._target(wanted, {"function": function.name, "alias": alias})

    def _letters_of(self, queue: str) -> str:
        """With where they came from, if a function with an alias writes its dead letters there."""
        fields: dict[str, object] = {"queue": queue}
        writers = [one for one in self._found.functions if one.dead_letters == queue and one.aliases]
        if len(writers) == 1:
            alias = "live" if "live" in writers[0].aliases else writers[0].aliases[0]
            fields["replay_to"] = {"function": writers[0].name, "alias": alias}
        return self._target(self._names.short(queue), fields)

    # -- responses ------------------------------------------------------------------------------------------------

    def _responses(self) -> list[_Response]:
        responses: dict[str, _Response] = {}
        for alarm in self._found.alarms:
            name = self._about(alarm)
            one = responses.setdefault(name, _Response(name, []))
            one.alarms.append(alarm.name)
        for one in responses.values():
            first = next(alarm for alarm in self._found.alarms if alarm.name == one.alarms[0])
            self._fill(one, first)
        return list(responses.values())

    def _about(self, alarm: Alarm) -> str:
        """What is the matter: alarms of one resource are one incident."""
        dimensions = alarm.dimensions
        if dimensions.get("FunctionName") in self._live:
            return f"{dimensions['FunctionName']} failing"
        if (dimensions.get("ClusterName"), dimensions.get("ServiceName")) in self._engines:
            return f"{dimensions['ServiceName']} failing"
        if dimensions.get("QueueName") in self._letters:
            return f"dead letters in {dimensions['QueueName']}"
        if dimensions.get("DBInstanceIdentifier") in self._databases:
            return f"database {dimensions['DBInstanceIdentifier']}"
        return f"{alarm.name} is red"

    def _fill(self, one: _Response, alarm: Alarm) -> None:
        dimensions = alarm.dimensions
        function = dimensions.get("FunctionName", "")
        service = (dimensions.get("ClusterName", ""), dimensions.get("ServiceName", ""))
        if function in self._live:
            self._of_function(one, function)
        elif service in self._engines:
            one.contain += [f"{{halt_trading: {flag}}}" for flag in self._flags]
            engine = self._engines[service]
            one.remediate += [
                f"{{restart_service: {engine}, settle: 5m}}",
                f"{{roll_back_service: {engine}, settle: 10m}}",
            ]
            one.recover += [f"{{resume_trading: {flag}, approval: required}}" for flag in self._flags]
        elif dimensions.get("QueueName") in self._letters:
            one.contain.append(f"{{inspect_dlq: {self._letters[dimensions['QueueName']]}}}")
        else:
            one.contain.append(f"{{check_health: {_flow({'system': self._system})}}}")
            one.notes.append("selfheal looks and tells a person; what would help?")

    def _of_function(self, one: _Response, function: str) -> None:
        schedules = [name for schedule, name in self._schedules.items() if schedule.function == function]
        one.contain += [f"{{halt_trading: {flag}}}" for flag in self._flags]
        one.contain += [f"{{disable_schedule: {name}}}" for name in schedules]
        one.remediate.append(f"{{roll_back_alias: {self._live[function]}, settle: 3m}}")
        one.notes.append("a `probe` proves green where the alarm can't: {smoke_test: …, payload: {…}, expect: {…}}")
        queue = next((found.dead_letters for found in self._found.functions if found.name == function), "")
        if queue in self._letters:
            one.recover.append(f"{{inspect_dlq: {self._letters[queue]}}}")
        one.recover += [f"{{enable_schedule: {name}, approval: required}}" for name in schedules]
        one.recover += [f"{{resume_trading: {flag}, approval: required}}" for flag in self._flags]

    # -- checks ---------------------------------------------------------------------------------------------------

    def _checks(self) -> Iterator[str]:
        if self._found.alarms:
            yield f"  - {{alarms: {_flow({'prefix': self._found.prefix})}}}\n"
        for name in self._live.values():
            yield f"  - {{alias: {name}}}\n"
        for name in self._schedules.values():
            yield f"  - {{schedule: {name}}}\n"
        for name in self._flags:
            yield f"  - {{flag: {name}}}\n"
        for name in self._letters.values():
            yield f"  - {{queue: {name}}}\n"
        for name in self._engines.values():
            yield f"  - {{service: {name}}}\n"


def _lines(one: _Response) -> Iterator[str]:
    yield f"  - name: {_quoted(one.name)}"
    yield f"    alarms: [{', '.join(map(_quoted, one.alarms))}]"
    yield "    severity: P2  # P0 trading is down, money is at risk … P4 can wait"
    yield "    mode: suggest"
    for stage in ("contain", "remediate", "recover"):
        steps: list[str] = getattr(one, stage)
        if steps:
            yield f"    {stage}:"
            yield from (f"      - {step}" for step in steps)
    yield from (f"    # {note}" for note in one.notes)


def _is_dead_letters(queue: str) -> bool:
    return bool(re.search(r"dlq|dead", queue.lower()))


def _schedule(name: str, group: str) -> dict[str, object]:
    return {"schedule": name} if group == "default" else {"schedule": name, "group": group}


def _flow(fields: dict[str, object]) -> str:
    values = (
        f"{key}: {_flow(value) if isinstance(value, dict) else _quoted(str(value))}" for key, value in fields.items()
    )
    return f"{{{', '.join(values)}}}"


def _quoted(text: str) -> str:
    """As YAML reads it back: plain where it is plain, else as JSON, which is YAML as well."""
    plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./ -]*", text) and text.lower() not in _WORDS and text == text.strip()
    return text if plain else json.dumps(text)


_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"}
