"""The ladder under anything: alarms in any order, answers that repeat, come late or belong to nobody, time in jumps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from selfheal.incident import DELETED, Incident, Phase, Status, StepRun, read_incident
from selfheal.judgement import WATCH_EVERY_S
from selfheal.ladder import advance
from selfheal.refusal import Refusal
from selfheal.step_outcome import Finished
from selfheal.words import Outcome, Stage

from tests.unit.incidents import ESCALATE_S, START, alarm, incident

CONTAIN = ["", "halt_trading", "halt_trading disable_schedule"]
REMEDIATE = ["", "roll_back_alias", "stop_deployment roll_back_alias"]
RECOVER = ["", "inspect_dlq resume_trading!", "enable_schedule! inspect_dlq replay_dlq"]
REASONS = ["", "does_not_hold", *(refusal.value for refusal in Refusal)]
STATES = ["ALARM", "OK", "INSUFFICIENT_DATA", DELETED]
MAX_QUIET_ROUNDS = 2_000


class Ladder(RuleBasedStateMachine):
    """One incident from its opening to its end."""

    @initialize(
        contain=st.sampled_from(CONTAIN),
        remediate=st.sampled_from(REMEDIATE),
        recover=st.sampled_from(RECOVER),
        probe=st.booleans(),
        muted=st.booleans(),
    )
    def opens(self, contain: str, remediate: str, recover: str, probe: bool, muted: bool) -> None:
        """It is opened by one red alarm."""
        self.now = START
        self.incident = incident(contain=contain, remediate=remediate, recover=recover, probe=probe)
        if muted:
            self.incident = replace(self.incident, phase=Phase.HELD).with_alarm(alarm(muted="muted by a rule"))
        self.asked: set[tuple[str, int]] = set()
        self.ids: list[str] = []
        self.advance()

    def advance(self, *finished: Finished, may_ask: bool = True) -> None:
        """One advance, and everything that must hold of it."""
        before = self.incident
        done = advance(before, self.now, finished=finished, may_ask=may_ask)
        after = done.incident
        for run in done.asks:
            self.check_ask(before, after, run)
        assert may_ask or not done.asks
        told = [item["detail"] for item in done.news if item["what"] == "escalated"]
        assert list(after.escalations) == [*before.escalations, *told]
        assert len(set(after.escalations)) == len(after.escalations)
        if before.phase is Phase.CLOSED:
            assert (after, done.news) == (before, [])
        self.incident = replace(after, version=after.version + 1)

    def check_ask(self, before: Incident, after: Incident, run: StepRun) -> None:
        """What is asked is asked once, in its turn, and never by an incident that a person has."""
        ask = (after.action_id(run), run.asks)
        assert ask not in self.asked
        self.asked.add(ask)
        self.ids.append(ask[0])
        assert before.phase not in {Phase.WATCH, Phase.CLOSED}
        assert after.phase is not Phase.CLOSED
        open_rungs = [one for one in after.of(Stage.REMEDIATE) if one.status is Status.ASKED]
        assert len(open_rungs) <= 1
        if run.stage is Stage.RECOVER:
            assert after.green_at is not None
            assert not run.approval

    @rule(
        name=st.sampled_from(["errors", "duration"]),
        state=st.sampled_from(STATES),
        ago=st.sampled_from([-400, -61, -1, 0, 0, 0]),
        data=st.sampled_from([None, -100, 0, 1]),
        window_s=st.sampled_from([0, 60, 900]),
        muted=st.sampled_from(["", "", "muted by a rule"]),
    )
    def alarm_changes(self, *, name: str, state: str, ago: int, data: int | None, window_s: int, muted: str) -> None:
        """An alarm's state arrives, early or late, with new data, old data or none."""
        at = None if data is None else self.now + data
        seen = alarm(state, self.now + ago, name=name, data=at, window_s=window_s, muted=muted)
        if self.incident.phase is not Phase.CLOSED:
            self.incident = self.incident.with_alarm(seen)
            self.advance()

    @rule(seconds=st.sampled_from([0, 1, 20, 60, 61, 130, 300, ESCALATE_S, 4_000, 90_000]), may_ask=st.booleans())
    def time_passes(self, seconds: int, may_ask: bool) -> None:
        """The clock looks."""
        self.now += seconds
        self.advance(may_ask=may_ask)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), outcome=st.sampled_from(list(Outcome)), reason=st.sampled_from(REASONS))
    def action_answers(self, data: Any, outcome: Outcome, reason: str) -> None:
        """An action answers: the one that is asked, or an old one once more, or one that nobody knows."""
        action_id = data.draw(st.sampled_from([*self.ids, "demo-12345678-1a.7.1", "nobody"]))
        self.advance(Finished(action_id, outcome, reason, "said " * 300), may_ask=data.draw(st.booleans()))

    @rule(outcomes=st.lists(st.sampled_from([Outcome.ACTED, Outcome.ALREADY_DONE]), min_size=1, max_size=4))
    def all_answer_well(self, outcomes: list[Outcome]) -> None:
        """The usual case, so that the later phases are reached."""
        for outcome in outcomes:
            runs = [run for run in (*self.incident.steps, *self.incident.probes) if run.status is Status.ASKED]
            self.advance(*(Finished(self.incident.action_id(run), outcome) for run in runs))

    @invariant()
    def it_can_be_recorded(self) -> None:
        """The document in the ledger is the incident."""
        assert read_incident(json.loads(json.dumps(self.incident.as_doc()))) == self.incident

    @invariant()
    def it_is_looked_after(self) -> None:
        """Open, it is due soon; closed, nothing of it is open."""
        one = self.incident
        if one.phase is Phase.CLOSED:
            assert (one.due, bool(one.verdict), one.closed_at is not None) == (None, True, True)
            assert not [step for step in (*one.steps, *one.probes) if step.is_open]
        else:
            assert one.due is not None
            assert one.due <= self.now + WATCH_EVERY_S
            assert not one.verdict

    def teardown(self) -> None:
        """Whatever came before: once every alarm is green and every action answers, it comes to its end."""
        if not hasattr(self, "incident"):
            return
        for name in ("errors", "duration"):
            if self.incident.phase is not Phase.CLOSED and any(
                one.name == name for one in self.incident.alarms.values()
            ):
                far = self.now + 200_000
                self.incident = self.incident.with_alarm(alarm("OK", far, name=name, data=far))
        for _ in range(MAX_QUIET_ROUNDS):
            if self.incident.phase is Phase.CLOSED:
                return
            self.now += 60
            runs = [run for run in (*self.incident.steps, *self.incident.probes) if run.status is Status.ASKED]
            self.advance(*(Finished(self.incident.action_id(run), Outcome.ACTED) for run in runs))
        raise AssertionError(f"still open after {MAX_QUIET_ROUNDS} rounds: {self.incident}")


TestLadder = Ladder.TestCase
TestLadder.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
