"""The six fields of EventBridge Scheduler's cron: minutes, hours, day of month, month, day of week, year.

Source: Scheduler User Guide, "Schedule types" (cron-based schedules). Days of the week count from 1 = SUN. What the
guide leaves open (a range that runs backwards, such as FRI-MON) is refused, and so is what a set of numbers cannot say
(L, W and #: the last day, the nearest weekday, the n-th Friday): the clock of selfheal reads sets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    special: str = r"(?!)"  # what else is allowed as a whole field; this matches nothing
    steps: bool = True

    def wrong(self, text: str) -> str:
        """What is wrong with `text` in this field, or nothing."""
        if text == "*" or re.fullmatch(self.special, text):
            return ""
        return next((found for part in text.split(",") if (found := self._part(part))), "")

    def _part(self, part: str) -> str:
        base, slash, step = part.partition("/")
        if slash and not self.steps:
            return f"`{part}`: the {self.name} takes no `/`"
        if slash and not (step.isascii() and step.isdigit() and 0 < int(step) <= self.high):
            return f"`{part}`: after `/` stands a number from 1 to {self.high}"
        if slash and base == "*":
            return ""
        first, dash, last = base.partition("-")
        ends = [self._number(end) for end in ((first, last) if dash else (first,))]
        if None in ends:
            return f"`{part}`: the {self.name} goes from {self.low} to {self.high}" + (
                f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
            )
        if dash and ends[0] > ends[1]:  # type: ignore[operator]  # None was excluded above
            return f"`{part}` runs backwards; write it as a list with commas"
        return ""

    def numbers(self, text: str) -> list[int] | None:
        """The numbers that a right field stands for, sorted; None for any."""
        if text in {"*", "?"}:
            return None
        return sorted({number for part in text.split(",") for number in self._numbers(part)})

    def _numbers(self, part: str) -> range:
        base, slash, step = part.partition("/")
        first, dash, last = (str(self.low), "-", str(self.high)) if base == "*" else base.partition("-")
        low = self._number(first) or 0
        high = (self._number(last) or 0) if dash else (self.high if slash else low)
        return range(low, high + 1, int(step) if slash else 1)

    def _number(self, text: str) -> int | None:
        if text.upper() in self.names:
            return self.names.index(text.upper()) + self.low
        if not (text.isascii() and text.isdigit() and len(text) <= 4):
            return None
        return int(text) if self.low <= int(text) <= self.high else None


_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of month", 1, 31, special=r"\?"),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 1, 7, _DAYS, special=r"\?", steps=False),
    _Field("year", 1970, 2199),
)


def wrong_with(text: str) -> str:
    """What is wrong with a cron text and what would be right; empty when it is fine."""
    if text.strip().startswith(("cron(", "rate(", "at(")):
        return "write the six fields alone, as in `45 8 ? * MON-FRI *`"
    parts = text.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        return f"cron has six fields ({names}), got {len(parts)}; for example `45 8 ? * MON-FRI *`"
    if (parts[2] == "?") == (parts[4] == "?"):
        return "exactly one of day of month (third) and day of week (fifth) must be `?`"
    found = [wrong for field, part in zip(_FIELDS, parts, strict=True) if (wrong := field.wrong(part))]
    return "; ".join(found)


def moments(text: str) -> dict[str, list[int] | None]:
    """The compiled form of a right cron text: the numbers of each field, None for any. Minutes and hours in full."""
    minutes, hours, days, months, weekdays, years = (
        field.numbers(part) for field, part in zip(_FIELDS, text.split(), strict=True)
    )
    return {
        "minutes": list(range(60)) if minutes is None else minutes,
        "hours": list(range(24)) if hours is None else hours,
        "days": days,
        "months": months,
        "weekdays": weekdays,
        "years": years,
    }
