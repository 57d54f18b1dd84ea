"""One incident of the first example system, as Respond sees it: from the alarm to its end, on a stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from selfheal import incident_store
from selfheal.incident import Incident

from tests.bench.calls_watch import Call, Watch
from tests.bench.figure import REPOSITORY
from tests.unit.conftest import ACCOUNT, REGION
from tests.unit.stage import Stage

SYSTEM, ALARM = "the-alchemiser-v2-dev", "the-alchemiser-v2-dev-errors"
ARN = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{ALARM}"
RESPONSE = "trading lambda failing"
MOST_TICKS = 30


@dataclass
class Counted:
    """Calls and units of one kind of invocation, or of several."""

    calls: list[Call] = field(default_factory=list)
    write_units: int = 0
    read_units: int = 0
    entries: int = 0
    invocations: int = 0

    def add(self, watch: Watch) -> None:
        """What the watch has seen of one invocation."""
        self.calls += watch.calls
        self.write_units += watch.write_units
        self.read_units += watch.read_units
        self.entries += watch.entries
        self.invocations += 1


class Story:
    """Respond with the real runbooks; actions answer at once that they have acted, and the alarm turns when told."""

    def __init__(self, stage: Stage, watch: Watch) -> None:
        self.stage, self.watch = stage, watch
        self.asked: list[dict[str, Any]] = []
        self.actions: list[str] = []
        self.state, self.since = "OK", self.now
        self.red_since = self.now
        stage.wire.answers |= {
            "lambda.invoke": self._invoked,
            "sqs.send_message": self._sent,
            "cloudwatch.describe_alarms": self._described,
        }

    @property
    def now(self) -> datetime:
        """The stage's time."""
        return datetime.fromtimestamp(self.stage.clock.now(), UTC)

    # -- invocations ----------------------------------------------------------------------------------------------

    def alarm(self, state: str) -> Counted:
        """The alarm turns, and Respond is told."""
        self.state, self.since = state, self.now
        if state == "ALARM":
            self.red_since = self.now
        return self.deliver()

    def deliver(self) -> Counted:
        """EventBridge delivers the last state change (again)."""
        text = (REPOSITORY / "events" / "alarms" / "eventbridge-metric-alarm.json").read_text()
        event = json.loads(text.replace("111111111111", ACCOUNT).replace("us-east-1", REGION))
        at = self.since.isoformat(timespec="milliseconds").replace("+00:00", "+0000")
        data = json.loads(event["detail"]["state"]["reasonData"])
        data["evaluatedDatapoints"] = [{"timestamp": at, "sampleCount": 1.0, "value": 1.0}]
        event["detail"]["state"] |= {"value": self.state, "timestamp": at, "reasonData": json.dumps(data)}
        return self.respond(event)

    def deliver_red_again(self) -> Counted:
        """EventBridge delivers the red state change once more, long after."""
        self.state, self.since = "ALARM", self.red_since
        return self.deliver()

    def respond(self, event: Mapping[str, Any]) -> Counted:
        """One invocation of Respond."""
        self.watch.again()
        answer = self.stage.invoke("respond", event)
        assert answer is not None
        counted = Counted()
        counted.add(self.watch)
        return counted

    def an_idle_hour(self) -> list[Counted]:
        """The ticks of an hour, after one that begins every round of the clock."""
        self.tick()
        return [self.tick() for _ in range(60)]

    def tick(self) -> Counted:
        """A minute later the clock ticks."""
        self.stage.clock.advance(60)
        return self.respond({"clock": "tick"})

    def answer_one(self) -> Counted:
        """The first action that was asked for has acted; Respond is told."""
        request = self.asked.pop(0)
        self.actions.append(request["action"])
        detail = {
            "action": request["action"], "action_id": request["action_id"], "incident": request["incident"],
            "outcome": "acted", "reason": "", "detail": "as asked", "until": None, "evidence": {}, "hops": 1,
        }  # fmt: skip
        return self.respond({"source": "selfheal", "detail-type": "Action Outcome", "detail": detail})

    # -- the whole ------------------------------------------------------------------------------------------------

    def to_the_end(self) -> dict[str, Counted]:
        """From red to closed: what Respond called, by what it was invoked for. The clock's ticks are apart."""
        parts = {name: Counted() for name in ("red", "outcomes", "green", "ticks")}
        for _ in range(MOST_TICKS):
            while self.asked:
                parts["outcomes"].invocations += 1
                _together(parts["outcomes"], self.answer_one())
            incident = self.incident()
            if incident is None:
                return parts
            if self.state == "ALARM" and incident.remediated_at is not None:
                self.stage.clock.advance(1)
                parts["green"].invocations += 1
                _together(parts["green"], self.alarm("OK"))
            else:
                parts["ticks"].invocations += 1
                _together(parts["ticks"], self.tick())
        raise AssertionError(f"it never ends: {incident}")

    def incident(self) -> Incident | None:
        """The open one."""
        return next(iter(incident_store.all_open(self.stage.ledger)), None)

    # -- AWS ------------------------------------------------------------------------------------------------------

    def _invoked(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append({name: value for name, value in asked.items() if name != "url_path"})
        return {"StatusCode": 202}

    def _sent(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(json.loads(asked["MessageBody"]))
        return {"MessageId": "m-1"}

    def _described(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        alarm = {
            "AlarmName": ALARM, "AlarmArn": ARN, "StateValue": self.state, "StateReason": "for the bench",
            "StateReasonData": json.dumps({"version": "1.0", "recentDatapoints": [1.0], "period": 60,
                                           "queryDate": self.since.isoformat()}),
            "StateUpdatedTimestamp": self.since, "StateTransitionedTimestamp": self.since,
            "MetricName": "Errors", "Namespace": "AWS/Lambda", "Statistic": "Sum", "Period": 60,
            "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Dimensions": [], "ActionsEnabled": True,
        }  # fmt: skip
        named = asked.get("AlarmNames")
        red = asked.get("StateValue") in {None, self.state}
        return {"MetricAlarms": [alarm] if red and (named is None or ALARM in named) else [], "CompositeAlarms": []}


def _together(all_of: Counted, one: Counted) -> None:
    all_of.calls += one.calls
    all_of.write_units += one.write_units
    all_of.read_units += one.read_units
    all_of.entries += one.entries
