"""Respond decides what: it takes in alarms and outcomes, advances incidents, and asks action functions for steps.

Every way in ends in the same three moves: advance the incident (pure), commit it with a condition on its version,
and only then send what was decided. A crash after the commit leaves asked steps without an answer and news that were
not sent; the clock asks them again under the same action_id, and sends the news.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import field
from typing import Any

from selfheal import flapping, incident_store, opening, outbox, refusals
from selfheal.alarm import Alarm, from_description
from selfheal.asking import request_event
from selfheal.climb import Advance
from selfheal.errors import LedgerUnavailable, Raced, Refused, SelfhealError, Unreadable
from selfheal.frozen import dataclass
from selfheal.guards.alarm import read_alarms
from selfheal.incident import AlarmState, Incident, Phase, StepRun
from selfheal.incident_store import AlreadyOpen, DuplicateDelivery, Flaps
from selfheal.ladder import advance
from selfheal.ledger import Item, Ledger, Lost, Write
from selfheal.observability import logger
from selfheal.refusal import Refusal
from selfheal.request import MAX_HOPS
from selfheal.runbook import Match, Runbooks
from selfheal.step_outcome import Finished
from selfheal.words import ResponseMode, Stage

RACE_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.5, 1.0, 1.0, 2.0)
"""How often, and after what pause, an advance is tried again when somebody else advanced the incident first."""

Start = Callable[[dict[str, Any]], None]
Decision = dict[str, Any]


@dataclass(frozen=True)
class Respond:
    """Respond's dependencies. `start` sends a request's event to its action function.

    `joined`: keys of incidents that alarms have joined; it may outlive an invocation, and may know of none.
    """

    ledger: Ledger
    runbooks: Runbooks
    start: Start
    now: Callable[[], float]
    joined: set[str] = field(default_factory=set, compare=False)

    # -- alarms -------------------------------------------------------------------------------------------------

    def take_alarm(
        self, alarm: Alarm | Refused, record_id: str, event: Any, *, after: str = incident_store.REFUSED
    ) -> Decision:
        """What is done about one alarm (or about what was not one), as it is answered to the caller.

        `after` is the closed incident that had this state change before; then it opens another one. A decision with
        `retry` is not recorded: the alarm must be delivered again.
        """
        if isinstance(alarm, Refused):
            refusals.keep(record_id, alarm, event)
            return _decision("refused", reason=alarm.refusal.value, detail=alarm.detail)
        match = self.runbooks.match(alarm.name)
        try:
            if match is None:
                return self._refuse(alarm, Refused(Refusal.NO_RUNBOOK, f"no response fits {alarm.name}"), event)
            if match.response.mode is ResponseMode.OFF:
                return self._refuse(alarm, Refused(Refusal.RESPONSE_OFF, f"{match.response.name} is off"), event)
            return self._advance_with(match, alarm, after)
        except DuplicateDelivery:
            return _decision("duplicate", alarm=alarm.name)
        except LedgerUnavailable as error:
            return self._without_ledger(match, alarm, error)
        except Raced as error:
            return _decision("raced", alarm=alarm.name, detail=str(error), retry=True)

    def _refuse(self, alarm: Alarm, why: Refused, event: Any) -> Decision:
        """Recorded once per state change; a person is told if the alarm is left red."""
        if alarm.state == "ALARM" and not self._keep_refusal(alarm, why, event):
            raise DuplicateDelivery
        return _decision("refused", alarm=alarm.name, reason=why.refusal.value, detail=why.detail)

    def _keep_refusal(self, alarm: Alarm, why: Refused, event: Any) -> bool:
        """False: it was refused before. Its record is one of a day; the delivery says so for as long as it is red."""
        key = delivery_key(alarm)
        detail = {"alarm": alarm.name, "state": alarm.state, "transport": alarm.transport, "refused": why.refusal.value}
        try:
            if incident_store.deliveries(self.ledger, [key]):
                return False
            first = refusals.keep(key, why, event, escalate=not alarm.muted)
            self._take_in(incident_store.delivery(key, detail, self.now()))
        except LedgerUnavailable as error:
            logger.warning("refusal may be told again", alarm=alarm.name, cause=str(error))
            return refusals.keep(key, why, event, escalate=not alarm.muted)
        return first

    def _advance_with(self, match: Match, alarm: Alarm, after: str) -> Decision:
        key = opening.key_of(match, alarm)
        detail = {"alarm": alarm.name, "state": alarm.state, "transport": alarm.transport}
        state: AlarmState | None = None
        last: Item | None = None
        incident = self._first_look(key, alarm)
        for pause in RACE_PAUSES_S:
            now = self.now()
            if incident is None and alarm.state != "ALARM":
                return _decision("nothing_open", alarm=alarm.name, state=alarm.state)
            state = state or _told_by(alarm)
            known = incident or opening.open_incident(match, alarm, now, again=after != incident_store.REFUSED)
            known = flapping.continued(known, last) if last and incident is None else known
            taken = incident_store.delivery(delivery_key(alarm), detail, now, incident=known.id, after=after)
            joined = known.with_alarm(state) if state else known
            if joined == incident and joined.too_many:
                # one of very many: only that it was taken in is new
                self._take_in(taken)
                return _decision("joined", alarm=alarm.name, incident=joined.id)
            advanced = advance(joined, now)
            if incident is None:
                advanced.news[:0] = _news_of_opening(joined, alarm)
            try:
                if self._commit(advanced, now, hops=0, also=(taken,)):
                    return _decision("joined" if incident else "opened", alarm=alarm.name, incident=joined.id)
            except AlreadyOpen as found:
                self.joined.add(key)
                incident = found.incident
                continue
            except Flaps as found:
                last = found.last
                continue
            _pause(pause)
            incident = incident_store.find_open(self.ledger, key)
        raise Raced(f"{key} was advanced by others {len(RACE_PAUSES_S)} times in a row")

    def _first_look(self, key: str, alarm: Alarm) -> Incident | None:
        """The open incident, unless it is tried first to open one.

        The transaction that opens an incident finds a duplicate and an open incident by itself, so that an alarm that
        turned red costs no read. Where alarms join, in a storm, a read costs less than a transaction that loses.
        """
        if alarm.state == "ALARM" and key not in self.joined:
            return None
        incident = incident_store.find_open(self.ledger, key)
        if incident is None:
            self.joined.discard(key)
        return incident

    # -- rollouts -----------------------------------------------------------------------------------------------

    def begin(self, incident: Incident, why: str) -> bool:
        """Open an incident that no alarm opened. False: there is one. Raises LedgerUnavailable."""
        now = self.now()
        advanced = advance(incident, now)
        advanced.news[:0] = [{"what": "opened", "detail": why}]
        try:
            return self._commit(advanced, now, hops=0)
        except AlreadyOpen:
            return False

    def _take_in(self, taken: Write) -> None:
        try:
            self.ledger.write(taken)
        except Lost as lost:
            raise DuplicateDelivery from lost

    def _without_ledger(self, match: Match | None, alarm: Alarm, error: LedgerUnavailable) -> Decision:
        """Only safe containment, under ids that derive from the alarm; the engine refuses whatever is risky."""
        logger.error("the ledger does not answer", cause=str(error), alarm=alarm.name)
        if match is None or alarm.state != "ALARM" or alarm.muted:
            reason = Refusal.GUARD_UNREADABLE.value
            return _decision("refused", alarm=alarm.name, reason=reason, detail=str(error), retry=True)
        advanced = advance(opening.open_incident(match, alarm, self.now()), self.now())
        asked = [step for step in advanced.asks if step.stage is Stage.CONTAIN]
        self._send(advanced.incident, asked, hops=0)
        outbox.tell(advanced.incident, [{"what": "escalated", "detail": f"no ledger, only containment: {error}"}])
        steps = [step.label for step in asked]
        return _decision("contained_without_ledger", alarm=alarm.name, steps=steps, retry=True)

    # -- outcomes -----------------------------------------------------------------------------------------------

    def take_outcome(self, incident_id: str, finished: Finished, hops: int) -> Decision:
        """An action has answered for a step of an incident. Raises LedgerUnavailable, Raced: deliver it again."""
        for pause in RACE_PAUSES_S:
            now = self.now()
            incident = incident_store.find_open(self.ledger, incident_id.rsplit("-", 1)[0])
            if incident is None or incident.id != incident_id:
                return _decision("nothing_open", incident=incident_id)
            if incident.step_of(finished.action_id) is None:
                return _decision("not_a_step", incident=incident_id, action_id=finished.action_id)
            advanced = advance(incident, now, finished=(finished,), may_ask=hops + 1 < MAX_HOPS)
            if advanced.incident == incident:
                return _decision("duplicate", incident=incident_id, action_id=finished.action_id)
            if self._commit(advanced, now, hops=hops + 1):
                return _decision("advanced", incident=incident_id, phase=advanced.incident.phase.value)
            _pause(pause)
        raise Raced(f"{incident_id} was advanced by others {len(RACE_PAUSES_S)} times in a row")

    # -- the clock ----------------------------------------------------------------------------------------------

    def advance_again(self, incident: Incident, finished: tuple[Finished, ...]) -> Decision:
        """Advance an incident that is due, with what the clock has found out. A lost race is left to the next tick."""
        now = self.now()
        advanced = advance(incident, now, finished=finished)
        done = self._commit(advanced, now, hops=0)
        return _decision("advanced" if done else "raced", incident=incident.id, phase=advanced.incident.phase.value)

    def ask_again(self, incident: Incident, action_ids: list[str]) -> None:
        """Send asked steps once more under the same action_id: their answer is overdue."""
        steps = [step for action_id in action_ids if (step := incident.step_of(action_id))]
        self._send(incident, steps, hops=0)

    # -- the three moves ----------------------------------------------------------------------------------------

    def _commit(self, advanced: Advance, now: float, *, hops: int, also: tuple[Write, ...] = ()) -> bool:
        offered = {item["step"] for item in advanced.news if item["what"] == "needs_person"}
        offers = tuple(step for step in advanced.incident.steps if step.number in offered)
        committed = incident_store.commit(self.ledger, advanced.incident, now, *also, offers=offers, news=advanced.news)
        if committed is None:
            return False
        self._send(committed, advanced.asks, hops=hops)
        if advanced.news:
            outbox.deliver(self.ledger, committed, advanced.news)
        return True

    def _send(self, incident: Incident, steps: list[StepRun], *, hops: int) -> None:
        for step in steps:
            try:
                self.start(request_event(incident, step, now=self.now(), hops=hops))
            except SelfhealError as error:
                logger.error("step not sent; the clock asks again", step=step.label, cause=str(error))


def delivery_key(alarm: Alarm) -> str:
    """A muted state change may come a second time when the mute ends, and is no duplicate then."""
    return f"{alarm.delivery_key}|muted" if alarm.muted else alarm.delivery_key


def _news_of_opening(incident: Incident, alarm: Alarm) -> outbox.News:
    """That it was opened (nobody need hear of it while the alarm is muted), and what was wrong from the start."""
    what = "held" if incident.phase is Phase.HELD else "opened"
    at_once = [{"what": "escalated", "detail": why} for why in incident.escalations]
    return [{"what": what, "detail": alarm.reason[:500]}, *at_once]


def _told_by(alarm: Alarm) -> AlarmState | None:
    """The state of the whole alarm, as far as it is known; None: nothing is known of the whole.

    A contributor that is OK again says nothing of the others, and some transports don't say whether there was data:
    then the alarm itself knows.
    """
    state = opening.state_of(alarm)
    of_a_part = alarm.contributor is not None
    if state.is_red or not (of_a_part or (state.state == "OK" and state.last_datapoint_at is None)):
        return state
    try:
        described = [opening.state_of(from_description(one)) for one in read_alarms([alarm.name])]
    except Unreadable as error:
        logger.warning("alarm not read", alarm=alarm.name, cause=str(error))
        described = []
    found = next((one for one in described if one.arn == state.arn), None)
    if of_a_part:
        return found
    return found if found is not None and found.state == state.state else state


def _pause(seconds: float) -> None:
    """Up to `seconds`, by chance: those who race must not meet again."""
    time.sleep(seconds * secrets.randbelow(1000) / 1000)


def _decision(what: str, **more: Any) -> Decision:
    return {"decision": what, **more}
