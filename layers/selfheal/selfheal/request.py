"""The one request that every action takes, however it was started, and the one result that it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from selfheal.catalogue import ACTIONS, Entry
from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.refusal import Refusal
from selfheal.target import Target, read_target
from selfheal.words import Direction, Mode, Origin, Outcome, ResponseMode

W = TypeVar("W", Mode, Origin, ResponseMode)

MAX_ID_LENGTH = 256
MAX_NAME_LENGTH = 120
"""Characters of a system or a response, as the build of the runbooks has it; both become parts of keys."""
MAX_OPTIONS_BYTES = 100_000
"""The request is recorded in the ledger, whose items hold 400 KB."""

MAX_HOPS = 8
"""Lambda stops a chain of functions after about 16 hops; past this many only the clock goes on."""

_KNOWN = {
    "action",
    "action_id",
    "target",
    "reason",
    "mode",
    "origin",
    "not_after",
    "incident",
    "system",
    "response",
    "alarms",
    "response_mode",
    "cooldown_s",
    "requested_by",
    "options",
    "undo_of",
    "hops",
}


@dataclass(frozen=True)
class AlarmReference:
    """The state change for which a request was made; the re-read guard compares it with the alarm now."""

    name: str
    arn: str
    state_at: str
    """CloudWatch's timestamp of the state change, as epoch milliseconds in a string."""


@dataclass(frozen=True)
class Request:
    """A validated request. Times are UTC; `cooldown_s` in seconds.

    `response` is the one of the runbook whose limits count. `undo_of` is the action_id whose before-image is the wanted
    state. `hops` counts functions since the clock or the alarm. `requested_by` is recorded as claimed: Lambda does not
    see its caller.
    """

    action: str
    action_id: str
    target: Target
    reason: str = ""
    mode: Mode = Mode.PLAN
    origin: Origin = Origin.HAND
    not_after: datetime | None = None
    incident: str | None = None
    system: str | None = None
    response: str | None = None
    alarms: tuple[AlarmReference, ...] = ()
    response_mode: ResponseMode = ResponseMode.AUTO
    cooldown_s: int = 900
    requested_by: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    undo_of: str | None = None
    hops: int = 0
    wanted: Mapping[str, Any] | None = None
    """The before-image to restore; the engine fills it in for an undo, nobody sends it."""

    @property
    def entry(self) -> Entry:
        """The action's row in the catalogue."""
        return ACTIONS[self.action]

    def as_event(self) -> dict[str, Any]:
        """The JSON form that `read_request` reads back."""
        event = {name: value for name, value in asdict(self).items() if name in _KNOWN and value not in (None, ())}
        event["target"] = self.target.as_dict()
        event["alarms"] = [asdict(alarm) for alarm in self.alarms]
        event["options"] = dict(self.options)
        if self.not_after:
            event["not_after"] = self.not_after.isoformat()
        return event


def read_request(event: object, action_names: tuple[str, ...], default_id: str) -> Request:
    """The request in `event` for a function that has `action_names`.

    A missing `action` means the function's first one; a missing `action_id` means `default_id` (the Lambda request id,
    which stays the same when Lambda itself retries). Raises `Refused` with what is wrong and what would be right.
    """
    if not isinstance(event, Mapping):
        raise Refused(Refusal.NOT_A_REQUEST, f"the event is a {type(event).__name__}; expected an object")
    event = {name: value for name, value in event.items() if value is not None}
    if unknown := sorted(str(name) for name in event if name not in _KNOWN):
        raise Refused(Refusal.NOT_A_REQUEST, f"unknown {unknown[:5]}; known are {sorted(_KNOWN)}")
    action = event.get("action", action_names[0])
    if action not in action_names:
        raise Refused(Refusal.UNKNOWN_ACTION, f"{action!r:.80} is not one of {list(action_names)}")
    entry = ACTIONS[action]
    return Request(
        action=action,
        action_id=_id(event, "action_id", default_id),
        target=read_target(event.get("target"), entry.kinds),
        reason=_text(event, "reason", ""),
        mode=_word(event, "mode", Mode, Mode.PLAN),
        origin=_word(event, "origin", Origin, Origin.HAND),
        not_after=_time(event, "not_after"),
        incident=_id(event, "incident", "") or None,
        system=_id(event, "system", "", MAX_NAME_LENGTH) or None,
        response=_text(event, "response", "", MAX_NAME_LENGTH) or None,
        alarms=_alarms(event.get("alarms", ())),
        response_mode=_word(event, "response_mode", ResponseMode, ResponseMode.AUTO),
        cooldown_s=_whole(event, "cooldown_s", 900),
        requested_by=_text(event, "requested_by", "") or None,
        options=_options(entry, event.get("options", {})),
        undo_of=_id(event, "undo_of", "") or None,
        hops=_whole(event, "hops", 0),
    )


def _text(event: Mapping[str, Any], name: str, default: str, longest: int = 2048) -> str:
    value = event.get(name, default)
    if not isinstance(value, str) or len(value) > longest:
        raise Refused(Refusal.NOT_A_REQUEST, f"{name} must be a text of at most {longest} characters")
    return value or default


def _id(event: Mapping[str, Any], name: str, default: str, longest: int = MAX_ID_LENGTH) -> str:
    """A text that becomes part of a key in the ledger, which holds 1024 bytes."""
    value = _text(event, name, default, longest)
    if not (value.isascii() and value.isprintable()):
        raise Refused(Refusal.NOT_A_REQUEST, f"{name} must consist of printable ASCII characters")
    return value


def _whole(event: Mapping[str, Any], name: str, default: int) -> int:
    value = event.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**9:
        raise Refused(Refusal.NOT_A_REQUEST, f"{name} must be a whole number from 0")
    return value


def _word(event: Mapping[str, Any], name: str, words: type[W], default: W) -> W:
    value = event.get(name, default)
    try:
        return words(value)
    except ValueError as error:
        allowed = [word.value for word in words]
        raise Refused(Refusal.NOT_A_REQUEST, f"{name} is {value!r:.40}; allowed are {allowed}") from error


def _time(event: Mapping[str, Any], name: str) -> datetime | None:
    value = event.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(Refusal.NOT_A_REQUEST, f"{name} must be a time like 2026-01-31T09:35:00+00:00") from error


def _alarms(value: object) -> tuple[AlarmReference, ...]:
    try:
        alarms = tuple(AlarmReference(**alarm) for alarm in value)  # type: ignore[attr-defined]
    except TypeError as error:
        raise Refused(Refusal.NOT_A_REQUEST, "alarms must be a list of {name, arn, state_at}") from error
    for alarm in alarms:
        if not all(isinstance(part, str) for part in (alarm.name, alarm.arn, alarm.state_at)):
            raise Refused(Refusal.NOT_A_REQUEST, "name, arn and state_at of an alarm must be texts")
        if alarm.state_at and not (alarm.state_at.isascii() and alarm.state_at.isdigit()):
            raise Refused(Refusal.NOT_A_REQUEST, f"state_at must be epoch milliseconds, got {alarm.state_at!r:.40}")
    return alarms


def _options(entry: Entry, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(Refusal.BAD_OPTIONS, "options must be an object")
    if unknown := sorted(str(name) for name in value if name not in entry.options):
        raise Refused(Refusal.BAD_OPTIONS, f"unknown {unknown[:5]}; {entry.name} knows {sorted(entry.options)}")
    options = {name: option.default for name, option in entry.options.items()}
    for name, given in value.items():
        if given is None and entry.options[name].default is None:
            continue
        wanted = entry.options[name].type
        whole = not isinstance(given, bool) and isinstance(given, int) and given >= 0
        if not (whole if wanted is int else isinstance(given, wanted)):
            raise Refused(Refusal.BAD_OPTIONS, f"{name} must be {wanted.__name__}, got {given!r:.40}")
        options[name] = given
    if len(json.dumps(options, default=str)) > MAX_OPTIONS_BYTES:
        raise Refused(Refusal.BAD_OPTIONS, f"options are longer than {MAX_OPTIONS_BYTES} bytes")
    return options


@dataclass(frozen=True)
class Result:
    """What became of a request: the answer of every action function, its record and the detail of its event.

    `reason` is a refusal's value or a short cause; `detail` is for a person. `until` says when a refusal is over, in
    epoch seconds, where that is known. `undo` is the request that reverses it. `took_ms` covers the whole run.
    `repeated`: it answers a duplicate, and the run that found it out tells the bus; it is in no JSON.
    """

    action: str
    action_id: str
    outcome: Outcome
    target: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    until: float | None = None
    direction: Direction = Direction.RISKY
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    undo: Mapping[str, Any] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    incident: str | None = None
    system: str | None = None
    requested_by: str | None = None
    hops: int = 0
    took_ms: int = 0
    repeated: bool = field(default=False, compare=False)

    @property
    def captured(self) -> str:
        """Where the evidence lies that was captured on the way; empty if none was."""
        return str(self.evidence.get("captured", ""))

    def as_event(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: value for name, value in asdict(self).items() if name != "repeated"}

    def timed(self, took_ms: int) -> Result:
        """The same with its duration."""
        return replace(self, took_ms=took_ms)


def refused(request: Request, refusal: Refusal, detail: str = "", **more: Any) -> Result:
    """The result of a request that was declined for a named reason."""
    return result_of(request, Outcome.REFUSED, reason=refusal.value, detail=detail or refusal.sentence, **more)


def result_of(request: Request, outcome: Outcome, **more: Any) -> Result:
    """A result that carries over what identifies its request."""
    return Result(
        action=request.action,
        action_id=request.action_id,
        outcome=outcome,
        target=request.target.as_dict(),
        incident=request.incident,
        system=request.system,
        requested_by=request.requested_by,
        hops=request.hops,
        **more,
    )
