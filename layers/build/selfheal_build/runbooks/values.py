"""The single values of a runbook: names, durations, times of day, dates, time zones, cron.

Each is a type that pydantic checks and that the JSON schema describes. A wrong value raises `wrong(…)`: the message
says what is wrong and what would be right.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import date
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from selfheal.errors import Refused
from selfheal.target import read_target

from . import cron
from .problems import nearest

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_DURATION_S = 7 * 86400

STAGE = "{stage}"
HOME_PARTS = ("partition", "region", "account")
"""What `selfheal.checks.home` fills in."""
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FROM_ALARM = re.compile(r"alarm\.[A-Za-z0-9_.:-]+")


def wrong(message: str, **context: Any) -> PydanticCustomError:
    """The error that a validator raises; its text reaches the user as it is."""
    return PydanticCustomError("runbook", "{message}", {"message": message, **context})


def shown(value: object) -> str:
    """A value as a person would recognise it in the file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"`{str(value)[:60]}`"


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise wrong(
            f"{what} must be text, got {shown(value)}" + ("" if isinstance(value, dict | list | None) else "; quote it")
        )
    return value


def _duration(value: Any) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", value) if isinstance(value, str) else None
    if not found:
        raise wrong(f"{shown(value)} is no duration; write a whole number and s, m, h or d, such as `5m`")
    seconds = int(found[1]) * UNITS[found[2]]
    if seconds > MAX_DURATION_S:
        raise wrong(f"`{value}` is longer than 7d, the longest that an incident is watched")
    return seconds


def _time_of_day(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise wrong(f"{shown(value)} is no time of day; write `HH:MM` from `00:00` to `23:59`")
    return value


def _date(value: Any) -> str:
    message = f"{shown(value)} is no date; write `YYYY-MM-DD`, a day that exists"
    # fromisoformat alone would also read 20260126 and 2026-W05-1.
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise wrong(message)
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise wrong(message) from error


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _timezone(value: Any) -> str:
    text = _text(value, "timezone")
    if text not in _zones():
        near = nearest(text, (zone for zone in _zones() if "/" in zone))
        near = near if near.startswith("did") else "write an IANA name such as `Europe/Berlin`"
        raise wrong(f"there is no time zone `{text[:60]}`; {near}")
    return text


def _cron(value: Any) -> str:
    text = _text(value, "at")
    if message := cron.wrong_with(text):
        raise wrong(f"`{text[:60]}` is no schedule; {message}")
    return " ".join(text.split())


def placeholders(text: str, *, alarm: bool = False, home: bool = False) -> str:
    """What is wrong with the `{…}` in a text, or nothing. `alarm`: `{alarm.Dimension}` is allowed here; `home`: so are
    the parts of an ARN that only the deployed stack knows."""
    parts: list[str] = list(HOME_PARTS) if home else []
    names = [f"`{{{name}}}`" for name in ("stage", *(["alarm.DimensionName"] if alarm else []), *parts)]
    allowed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    for name in _PLACEHOLDER.findall(text):
        if name not in {"stage", *parts} and not (alarm and _FROM_ALARM.fullmatch(name)):
            return f"`{{{name}}}` is not filled in here; allowed: {allowed}"
    if set(_PLACEHOLDER.sub("", text)) & set("{}"):
        return f"a single brace in `{text[:60]}`; allowed: {allowed}"
    return ""


def _plain(text: str) -> str:
    if message := placeholders(text):
        raise wrong(message)
    return text


def _system(value: Any) -> str:
    text = _plain(_text(value, "system"))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text.replace(STAGE, "stage")):
        raise wrong(f"`{text[:60]}` is no system name; use letters, digits, `.`, `_` and `-`, at most 100")
    return text


def _resource(value: Any) -> str:
    text = _text(value, "a resource name")
    if message := placeholders(text, alarm=True):
        raise wrong(message)
    try:
        read_target({"parameter": text}, ("parameter",))  # the kind that takes the most names
    except Refused as refused:
        message = "is no name of one resource; a target names exactly one, without `*` and `?`, in at most 512 bytes"
        raise wrong(f"{text[:60]!r} {message}") from refused
    return text


def _pattern(value: Any) -> str:
    text = _plain(_text(value, "an alarm pattern"))
    if not text or len(text) > 255 or re.search(r"[\x00-\x1f]", text):
        raise wrong("an alarm pattern has 1 to 255 characters, all printable")
    if set(text) & set("[]"):
        raise wrong(f"`{text[:60]}`: only `*` and `?` are wild; write one pattern per case instead of `[…]`")
    if not set(text.replace(STAGE, "")) - set("*?-"):
        raise wrong(f"`{text[:60]}` fits every alarm of the account; begin it with the system's own prefix")
    return text


def _line(value: Any) -> str:
    text = _text(value, "this")
    if not text.strip() or len(text) > 120 or re.search(r"[\x00-\x1f\x7f]", text):
        raise wrong("write one line of 1 to 120 characters")
    return text.strip()


def _label(value: Any) -> str:
    text = _text(value, "this")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,49}", text):
        raise wrong(f"`{text[:60]}` is no short name; use lower-case letters, digits, `_` and `-`, at most 50")
    return text


def _schema(type_: str = "string", **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": type_, **more})


Duration = Annotated[
    int, BeforeValidator(_duration), _schema(pattern="^[1-9][0-9]{0,6}[smhd]$", examples=["30s", "5m", "2h", "1d"])
]
"""Seconds; written `30s`, `5m`, `2h`, `1d`."""
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day), _schema(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Day = Annotated[str, BeforeValidator(_date), _schema(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", format="date")]
Timezone = Annotated[str, BeforeValidator(_timezone), _schema(examples=["America/New_York", "Asia/Kolkata"])]
Cron = Annotated[
    str, BeforeValidator(_cron), _schema(pattern=r"^\s*(\S+\s+){5}\S+\s*$", examples=["45 8 ? * MON-FRI *"])
]
System = Annotated[str, BeforeValidator(_system), _schema(minLength=1, maxLength=100)]
Resource = Annotated[str, BeforeValidator(_resource), _schema(minLength=1, pattern=r"^[^*?]+$")]
Pattern = Annotated[str, BeforeValidator(_pattern), _schema(minLength=1, maxLength=255, pattern=r"^[^\[\]]+$")]
Line = Annotated[str, BeforeValidator(_line), _schema(minLength=1, maxLength=120)]
Label = Annotated[str, BeforeValidator(_label), _schema(pattern="^[a-z0-9][a-z0-9_-]{0,49}$")]


def _no_repeat(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise wrong(f"{shown(value)} stands here twice; keep one", at=[index])
    return values


Unique = (AfterValidator(_no_repeat), Field(json_schema_extra={"uniqueItems": True}))
"""Metadata for lists whose items may stand there once only."""
