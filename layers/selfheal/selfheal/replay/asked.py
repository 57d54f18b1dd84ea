"""What somebody who asks for a replay may say, and the replay: the same for the function and for `make replay`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from selfheal.action import Action
from selfheal.arns import Home
from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.refusal import Refusal
from selfheal.replay import history
from selfheal.replay.past import Client
from selfheal.replay.simulation import ANSWERS_AFTER_S, ANSWERS_PACED_AFTER_S, Plan, Story, replay
from selfheal.runbook import Runbooks, fits
from selfheal.words import ResponseMode

T = TypeVar("T")

DAYS = 7
ACTED, SUGGESTED = "acted", "suggested"
MAX_EVENTS = 10_000
_KNOWN = ("alarms", "assume", "days", "events", "max_mode", "observe")


@dataclass(frozen=True)
class Asked:
    """A valid question. `alarms`: names, prefixes or patterns; empty for every alarm that a runbook answers.

    `events` are alarm events to replay instead of CloudWatch's history. `max_mode` None: the stack's own.
    """

    days: float = DAYS
    alarms: tuple[str, ...] = ()
    events: tuple[Any, ...] | None = None
    assume_acted: bool = True
    max_mode: ResponseMode | None = None
    observe: bool = False

    def wants(self, name: str, runbooks: Runbooks) -> bool:
        """This alarm is to be replayed."""
        if not self.alarms:
            return runbooks.match(name) is not None
        return any(fits(pattern, name) or name.startswith(pattern) for pattern in self.alarms)


def read_asked(event: Any, *, may_observe: bool) -> Asked:
    """The question in an event. Raises Refused(BAD_OPTIONS) with what is wrong and what would be right."""
    if not isinstance(event, Mapping):
        raise _wrong(f"the event is a {type(event).__name__}; expected an object")
    if unknown := sorted(str(name) for name in event if name not in _KNOWN):
        raise _wrong(f"unknown {unknown[:5]}; known are {list(_KNOWN)}")
    if event.get("observe") and not may_observe:
        raise _wrong("observe: this function may not look at resources; `make replay OBSERVE=1` does, as you")
    return Asked(
        days=_days(event.get("days", DAYS)),
        alarms=_patterns(event.get("alarms", ())),
        events=_events(event.get("events")),
        assume_acted=_one_of("assume", event.get("assume", ACTED), {ACTED: True, SUGGESTED: False}),
        max_mode=_one_of(
            "max_mode", event.get("max_mode"), {None: None, **{mode.value: mode for mode in ResponseMode}}
        ),
        observe=_one_of("observe", event.get("observe", False), {False: False, True: True}),
    )


def _wrong(detail: str) -> Refused:
    return Refused(Refusal.BAD_OPTIONS, detail)


def _days(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= history.MAX_DAYS:
        raise _wrong(f"days is {value!r:.40}; more than 0 and at most {history.MAX_DAYS}, which CloudWatch keeps")
    return float(value)


def _patterns(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) and value else value
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) and one for one in listed):
        raise _wrong("alarms must be a name, a prefix, a pattern, or a list of them")
    return tuple(listed)


def _events(value: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_EVENTS:
        raise _wrong(f"events must be a list of at most {MAX_EVENTS} alarm events")
    return tuple(value)


def _one_of(name: str, value: Any, known: Mapping[Any, T]) -> T:
    for word, meaning in known.items():
        if word is value or (isinstance(word, str) and word == value):
            return meaning
    raise _wrong(f"{name} is {value!r:.40}; allowed are {[word for word in known if word is not None]}")


def carry_out(
    asked: Asked,
    runbooks: Runbooks,
    home: Home,
    max_mode: ResponseMode,
    now: datetime,
    *,
    actions: Callable[[str], type[Action]] | None = None,
    read: Client | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Story:
    """Replay what was asked for. `max_mode` is the stack's own; `actions` and `read` are for `observe`.

    Raises Refused, Unreadable if CloudWatch does not tell the history.
    """
    descriptions: dict[str, dict[str, Any]] = {}
    if asked.events is not None:
        events: list[Any] = list(asked.events)
    else:
        items = history.fetch(now - timedelta(days=asked.days), now, lambda name: asked.wants(name, runbooks))
        descriptions = history.describe(items)
        events = list(history.written_as_events(items, home, descriptions))
    if len(events) > MAX_EVENTS:
        raise _wrong(f"there are {len(events)} alarm events; ask for fewer days or alarms, at most {MAX_EVENTS} fit")
    plan = Plan(
        runbooks=runbooks,
        home=home,
        max_mode=asked.max_mode or max_mode,
        assume_acted=asked.assume_acted,
        actions=actions if asked.observe else None,
        read=read if asked.observe else None,
        until=now.astimezone(UTC).timestamp() if asked.events is None else None,
        out_of_time=out_of_time,
    )
    return replay(history.deliveries(events, home), plan, descriptions.values())


def assumptions(asked: Asked, max_mode: ResponseMode) -> list[str]:
    """What only the past knew, and how it is taken instead."""
    mode = asked.max_mode or max_mode
    seen = (
        "resources and exempt tags are looked at as they are now, not as they were"
        if asked.observe
        else "nothing is looked at: a target is there, has no exempt tag, and needs the change until a step has made it"
    )
    acted = (
        f"a step that no guard stops has acted, {ANSWERS_AFTER_S:.0f} s after it was asked for "
        f"({ANSWERS_PACED_AFTER_S:.0f} s through the paced queue)"
        if asked.assume_acted
        else "no step has acted: each is only suggested"
    )
    return [
        f"MaxMode is {mode.value}, and the runbooks are those of today",
        acted,
        seen,
        "alarms did what they did: that a step would have turned one green sooner, nobody knows",
        "a probe passes unless an alarm of its incident is red at that moment",
        "nobody paused, approved, took over or muted anything, but for mutes that the events themselves tell of",
        "the ledger was empty before the first alarm; sweeps are left out",
    ]
