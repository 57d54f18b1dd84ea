"""Times and lengths of time as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from selfheal.ledger import DAY_S

_UNITS = (("d", DAY_S), ("h", 3_600), ("min", 60), ("s", 1))


def length(seconds: float) -> str:
    """`0.4 s`, `12 s`, `2 min 14 s`, `3 h 5 min`, `2 d 4 h`: two units at most."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s".replace(".0 s", " s")
    left = round(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))


def clock(at: float, zone: timezone = UTC) -> str:
    """`14:05:09`."""
    return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")


def moment(at: float, now: float, zone: timezone = UTC) -> str:
    """`14:05` of the same day, else `21 Nov 14:05`."""
    then, today = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone)
    return then.strftime("%H:%M" if then.date() == today.date() else "%-d %b %H:%M")


def zone_of(iso: object) -> timezone:
    """The time zone of an offset like `+05:30`; UTC if it is none."""
    try:
        offset = datetime.strptime(str(iso), "%z").utcoffset()
    except ValueError:
        return UTC
    return timezone(offset) if isinstance(offset, timedelta) else UTC
