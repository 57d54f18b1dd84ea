"""What speaks against a replay of archived events: pure, and each reason with what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from selfheal.action import Decline, State
from selfheal.errors import Refused
from selfheal.event_replay import DAY_S, LAG_S, MAX_ACTIVE, Window, is_name, read_time, told
from selfheal.frozen import dataclass
from selfheal.members import listed
from selfheal.refusal import Refusal
from selfheal.request import Request

MAX_RULES = 100
MAX_HOURS = 87_600
MARGIN_S = 900
"""A replay takes its time: what the handlers still remember now, they may have forgotten when its turn comes."""
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")


@dataclass(frozen=True)
class Asked:
    """The options of a replay. `hours`: how long the handlers remember an event in `table`."""

    window: Window
    rules: tuple[str, ...]
    table: str
    hours: int


def read_asked(request: Request) -> Asked:
    """The options, read. Raises Refused with what is missing or wrong."""
    options = request.options
    rules, table, hours = options.get("rules"), options.get("dedup_table"), options.get("remembers_hours")
    if not rules:
        raise Refused(Refusal.NO_RULES_NAMED)
    if len(rules) > MAX_RULES:
        raise Refused(Refusal.BAD_OPTIONS, f"rules names {len(rules)}; at most {MAX_RULES}")
    for rule in rules:
        if not isinstance(rule, str) or not is_name(rule):
            raise Refused(Refusal.BAD_OPTIONS, f"rules must list exact names of rules, got {rule!r:.80}")
    if not table or not hours:
        found = "name the table in which the handlers remember events in dedup_table, and how long in remembers_hours"
        raise Refused(Refusal.HANDLERS_FORGET, found)
    if not _TABLE.fullmatch(table) or hours > MAX_HOURS:
        raise Refused(Refusal.BAD_OPTIONS, f"dedup_table must be a name, remembers_hours at most {MAX_HOURS}")
    return Asked(_window(options), tuple(dict.fromkeys(rules)), table, hours)


def why_not(asked: Asked, state: State, request: Request) -> Decline | None:
    """The first reason; what the handlers have forgotten first, since that is the worst that can happen here."""
    return (
        _forgotten(asked, state["now"], state["memory"])
        or _archive_unfit(state["archive"], request)
        or _window_unfit(asked.window, state["now"], state["archive"])
        or _rules_unfit(state["rules"])
        or _too_many(state["active"])
    )


def _window(options: Mapping[str, Any]) -> Window:
    times = {}
    for name in ("start", "end"):
        times[name] = read_time(options.get(name))
        if times[name] is None:
            raise Refused(Refusal.BAD_OPTIONS, f"{name} must be a time with its zone, such as 2026-01-31T09:35:00Z")
    window = Window(times["start"] or 0.0, times["end"] or 0.0)
    if window.start >= window.end:
        raise Refused(Refusal.WINDOW_UNFIT, f"{window} is empty: the start must be before the end")
    return window


def _forgotten(asked: Asked, now: float, memory: Mapping[str, Any]) -> Decline | None:
    window, table, hours = asked.window, asked.table, asked.hours
    if memory.get("unread"):
        return Decline(Refusal.GUARD_UNREADABLE, f"what the handlers remember is not known: {memory['unread']}")
    if memory.get("missing"):
        return Decline(Refusal.HANDLERS_FORGET, f"table {table} does not exist")
    if memory["status"] != "ACTIVE":
        return Decline(Refusal.HANDLERS_FORGET, f"table {table} is {memory['status']}; it must be ACTIVE")
    if memory["ttl"] != "ENABLED":
        return Decline(Refusal.HANDLERS_FORGET, f"the TTL of table {table} is {memory['ttl']}; it must be ENABLED")
    earliest = now - hours * 3600 + MARGIN_S
    if window.start >= earliest:
        return None
    found = f"the handlers remember {hours} h, and the window begins {(now - window.start) / 3600:.1f} h ago"
    right = f"the earliest start is {told(earliest)}" if window.end > earliest else "nothing of this window is left"
    return Decline(Refusal.HANDLERS_FORGET, f"{found}: older events would be carried out again; {right}")


def _archive_unfit(archive: Mapping[str, Any], request: Request) -> Decline | None:
    name, bus = request.target["archive"], request.target["bus"]
    if not archive["source"].endswith(f":event-bus/{bus}"):
        return Decline(Refusal.ARCHIVE_UNFIT, f"archive {name} keeps the events of {archive['source']}, not of {bus}")
    if archive["state"] != "ENABLED":
        return Decline(Refusal.ARCHIVE_UNFIT, f"archive {name} is {archive['state']}; it must be ENABLED")
    return None


def _window_unfit(window: Window, now: float, archive: Mapping[str, Any]) -> Decline | None:
    if window.end > now:
        return Decline(Refusal.WINDOW_UNFIT, f"the window {window} ends in the future")
    if window.end > now - LAG_S:
        until = window.end + LAG_S
        return Decline(Refusal.ARCHIVE_LAGS, f"events may still be missing; from {told(until)} on", until=until)
    if window.start < archive["created"]:
        return Decline(Refusal.WINDOW_UNFIT, f"the archive was made at {told(archive['created'])}; nothing is older")
    kept_s = archive["retention_days"] * DAY_S
    if kept_s and window.start < now - kept_s:
        detail = f"the archive keeps {archive['retention_days']} days; the earliest start is {told(now - kept_s)}"
        return Decline(Refusal.WINDOW_UNFIT, detail)
    return None


def _rules_unfit(rules: Mapping[str, Mapping[str, Any]]) -> Decline | None:
    if missing := [name for name, rule in rules.items() if rule["state"] is None]:
        return Decline(Refusal.TARGET_NOT_FOUND, f"not on the bus: {listed(missing)}")
    if managed := [name for name, rule in rules.items() if rule["managed_by"]]:
        return Decline(Refusal.MANAGED_RULE, f"an AWS service owns {listed(managed)}")
    if off := [name for name, rule in rules.items() if not rule["state"].startswith("ENABLED")]:
        return Decline(Refusal.RULE_DISABLED, f"disabled: {listed(off)}; enable what is to receive the events first")
    return None


def _too_many(replays: list[Mapping[str, Any]]) -> Decline | None:
    if len(replays) < MAX_ACTIVE:
        return None
    names = listed(replay["ReplayName"] for replay in replays)
    return Decline(Refusal.TOO_MANY_REPLAYS, f"{len(replays)} replays are active: {names}; wait, or cancel one")
