"""Alarms in the order of their time through Respond, the clock and the engine; what each decided, as rows.

Time is that of the events: it jumps from one thing that happens to the next. The clock ticks in whole minutes, when an
incident is due, and every five minutes while an alarm is red.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from selfheal import incident_store, world
from selfheal.action import Action, Verification
from selfheal.alarm import Alarm
from selfheal.arns import Home
from selfheal.catalogue import ACTIONS
from selfheal.clients import client, instead
from selfheal.clock import tick
from selfheal.engine import World, run
from selfheal.incident import Incident
from selfheal.ledger import Ledger
from selfheal.observability import logger, metrics
from selfheal.replay.history import Delivery
from selfheal.replay.past import Client, Past
from selfheal.replay.rehearsal import Done, as_planned, rehearsed
from selfheal.request import Request, Result, read_request
from selfheal.respond import Respond
from selfheal.runbook import Runbook, Runbooks
from selfheal.step_outcome import Finished
from selfheal.words import Direction, Mode, Outcome, ResponseMode, Verdict

ANSWERS_AFTER_S = 3.0
ANSWERS_PACED_AFTER_S = 10.0
"""A step is taken to have run, and to have answered, so long after it was asked for."""
GOES_ON_FOR_S = 86_400.0
"""After the last alarm of a file: long enough for every ladder to end."""
LOOK_EVERY_S = 300.0
LEASE_S = 120.0


@dataclass(frozen=True)
class Plan:
    """How a replay goes. `actions` and `read` are for looking at resources as they are now; None: nothing is looked at.

    `assume_acted`: a step that would have acted has acted; else it was only suggested. `until` in epoch seconds.
    """

    runbooks: Runbooks
    home: Home
    max_mode: ResponseMode
    assume_acted: bool = True
    actions: Callable[[str], type[Action]] | None = None
    read: Client | None = None
    until: float | None = None
    out_of_time: Callable[[], bool] = lambda: False
    """Whoever asked can't wait any longer: the replay stops where it is, and says so."""


@dataclass(frozen=True)
class Row:
    """One decision. `at` in epoch seconds; `incident` is its id, empty if it belongs to none."""

    at: float
    kind: str  # alarm, step or incident
    incident: str
    what: str
    decision: str
    why: str


@dataclass
class Story:
    """What a replay came to: the rows in the order of time, and every incident as it ended, or stands at the end."""

    rows: list[Row] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    alarms: int = 0
    until: float = 0.0
    stopped_at: float | None = None
    """Where it ran out of time; what would have come after that is not told."""


def replay(deliveries: list[Delivery], plan: Plan, descriptions: Iterable[dict[str, Any]] = ()) -> Story:
    """Play them. `descriptions`: the alarms as DescribeAlarms tells them, for their windows.

    Writes nothing anywhere: raises WriteInReplay, a defect, rather than that.
    """
    time = _Time()
    past = Past(time.now, plan.read)
    for description in descriptions:
        past.alarms.know(description["AlarmArn"], description)
    with _alone(past):
        return _Replay(deliveries, plan, past, time).play()


@dataclass
class _Time:
    """The time that the replay has reached, in epoch seconds."""

    at: float = 0.0

    def now(self) -> float:
        return self.at


@contextmanager
def _alone(past: Past) -> Iterator[None]:
    """In the past's own world: its clients, and neither logs nor metrics, which would look like those of today."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    world.ledger.cache_clear()
    try:
        with instead(past.client):
            yield
    finally:
        world.ledger.cache_clear()
        metrics.clear_metrics()
        logger.setLevel(level)


class _Replay:
    """One replay; `_later` is what is going to happen, in the order of time."""

    def __init__(self, deliveries: list[Delivery], plan: Plan, past: Past, time: _Time) -> None:
        self._plan = plan
        self._past = past
        self._time = time
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._next_tick = float("inf")
        self._ids: dict[str, None] = {}
        self._done = Done()
        self._ledger = Ledger("replay", client("dynamodb"))
        runbooks = Runbooks(tuple(map(_answering, plan.runbooks.runbooks)))
        self._respond = Respond(self._ledger, runbooks, self._start, time.now)
        self._world = World(
            ledger=self._ledger,
            max_mode=plan.max_mode,
            lease_s=LEASE_S,
            home=plan.home,
            runbook_of=runbooks.system,
            now=time.now,
            sleep=_pass,
        )
        last = max((one.at for one in deliveries), default=0.0)
        self._story = Story(alarms=len(deliveries), until=plan.until or last + GOES_ON_FOR_S)
        for number, one in enumerate(deliveries):
            self._at_time(one.at, lambda one=one, number=number: self._alarm(one, number))  # type: ignore[misc]

    def play(self) -> Story:
        """Until nothing is left, or time is over."""
        while self._later and self._later[0][0] <= self._story.until:
            if self._plan.out_of_time():
                self._story.stopped_at = self._later[0][0]
                break
            self._time.at, _, happens = heapq.heappop(self._later)
            happens()
            self._take_news()
            self._set_the_clock()
        found = (incident_store.find(self._ledger, incident) for incident in self._ids)
        self._story.incidents = [incident for incident in found if incident is not None]
        return self._story

    def _at_time(self, at: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._later, (at, next(self._count), happens))

    # -- what happens ---------------------------------------------------------------------------------------------

    def _alarm(self, one: Delivery, number: int) -> None:
        if isinstance(one.alarm, Alarm):
            self._past.alarms.change(one.alarm)
        told = self._respond.take_alarm(one.alarm, f"replay.{number}", one.event)
        incident = str(told.get("incident", ""))
        if isinstance(one.alarm, Alarm):
            match = self._plan.runbooks.match(one.alarm.name)
            response = match.response.name if match else ""
            what = f"{one.alarm.name} {one.alarm.state}"
            why = told.get("detail") or (one.alarm.muted or response if incident else response)
        else:
            what, why = "an event", one.alarm.detail
        reason = f" {told['reason']}" if told.get("reason") else ""
        self._row("alarm", incident, what, f"{told['decision']}{reason}", str(why))

    def _start(self, event: dict[str, Any]) -> None:
        """Respond asks for a step: it runs a moment later."""
        paced = ACTIONS[event["action"]].paced
        after = ANSWERS_PACED_AFTER_S if paced else ANSWERS_AFTER_S
        self._at_time(self._time.at + after, lambda: self._run(event))

    def _run(self, event: dict[str, Any]) -> None:
        """The whole engine, with every guard, around an action that calls nothing."""
        mode = event.get("response_mode") if self._plan.assume_acted else ResponseMode.SUGGEST.value
        asked = {**event, "mode": Mode.ACT.value, **({"response_mode": mode} if mode else {})}
        request = read_request(asked, (event["action"],), "replay")
        real = self._plan.actions(request.action) if self._plan.actions else None
        is_probe = ".probe." in request.action_id
        action = rehearsed(request.action, real, self._past_or_now, self._probe if is_probe else as_planned, self._done)
        result = run(action, request, self._world)
        if result.outcome is Outcome.ACTED:
            self._done.note(request)
        if request.incident is None:
            return
        self._row("step", request.incident, self._label(request), _in_words(result, is_probe), _why(result))
        finished = Finished(**{one.name: getattr(result, one.name) for one in fields(Finished)})
        self._respond.take_outcome(request.incident, finished, request.hops)

    def _past_or_now(self, service: str) -> Any:
        return self._past.client(service) if self._plan.read is None else self._plan.read(service)

    def _probe(self, request: Request) -> Verification:
        """Nobody knows what it would have said: as the incident's alarms were, news of it or not."""
        incident = incident_store.find(self._ledger, request.incident or "")
        if incident is not None and any(self._past.alarms.is_red(arn) for arn in incident.alarms):
            return Verification(Verdict.DOES_NOT_HOLD, detail="an alarm was red at that time")
        return Verification(Verdict.HOLDS, detail="no alarm was red at that time")

    def _label(self, request: Request) -> str:
        incident = incident_store.find(self._ledger, request.incident or "")
        step = incident.step_of(request.action_id) if incident else None
        return step.label if step else request.action

    def _tick(self) -> None:
        self._next_tick = float("inf")
        tick(self._respond)

    def _set_the_clock(self) -> None:
        """The next whole minute at which the clock has something to do."""
        due = [one.due or 0.0 for one in incident_store.all_open(self._ledger)]
        times = [_whole(max(min(due), self._time.at + 1), 60.0)] if due else []
        if self._past.alarms.some_are_red:
            times.append(_whole(self._time.at + 1, LOOK_EVERY_S))
        if times and min(times) < self._next_tick:
            self._next_tick = min(times)
            self._at_time(self._next_tick, self._tick)

    # -- what is told ---------------------------------------------------------------------------------------------

    def _take_news(self) -> None:
        """What people would have been told. That an alarm opened an incident is in the alarm's own row."""
        for news in self._past.bus.take():
            incident, what = news.get("incident", ""), news["what"]
            if (what == "opened" and not news["detail"].startswith("no longer muted")) or what == "refused":
                continue
            self._row("incident", incident, "people" if not incident else "incident", what, news.get("detail", ""))

    def _row(self, kind: str, incident: str, what: str, decision: str, why: str) -> None:
        if incident:
            self._ids.setdefault(incident)
        self._story.rows.append(Row(self._time.at, kind, incident, what, decision, " ".join(why.split())))


def _pass(seconds: float) -> None:  # noqa: ARG001 - nobody waits in the past
    return


def _whole(at: float, unit: float) -> float:
    return -(-at // unit) * unit


def _in_words(result: Result, is_probe: bool) -> str:
    acts = "would look" if result.direction is Direction.READ else "would act"
    return {
        Outcome.ACTED: "would pass" if is_probe else acts,
        Outcome.ALREADY_DONE: "nothing to do",
        Outcome.PLANNED: "would suggest",
        Outcome.REFUSED: f"would refuse {result.reason}",
        Outcome.FAILED: "would fail",
    }.get(result.outcome, f"would end {result.outcome.value}")


def _why(result: Result) -> str:
    """The detail, and the guards that were passed over because the past does not tell."""
    unread = result.evidence.get("guards_not_read", ())
    return f"{result.detail} (not read: {'; '.join(unread)})" if unread else result.detail


def _answering(runbook: Runbook) -> Runbook:
    """What it answers alarms with, and not what it does by the calendar."""
    windows = tuple(replace(window, notice_s=0, before=()) for window in runbook.maintenance)
    return replace(runbook, sweeps=(), maintenance=windows)
