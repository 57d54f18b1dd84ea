"""A scene for tests of respond: a ledger in moto, runbooks in memory, alarms as they arrive, AWS that can fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from selfheal import clock, incident_store, mutes, outcome, record, red_alarms, respond
from selfheal.alarm import Alarm, read
from selfheal.arns import Home
from selfheal.clients import client
from selfheal.errors import NotApplied, Refused, Unreadable
from selfheal.incident import Incident
from selfheal.ledger import Ledger
from selfheal.mutes import Mutes
from selfheal.request import read_request, result_of
from selfheal.respond import Respond
from selfheal.runbook import Limits, Response, Runbook, Runbooks, Step
from selfheal.step_outcome import Finished
from selfheal.words import Outcome, ResponseMode

from tests.unit.conftest import TABLE
from tests.unit.doubles import Faults, FaultyClient

ALARMS = Path(__file__).parents[2] / "events" / "alarms"
HOME = Home("aws", "us-east-1", "111111111111")
NAME = "the-alchemiser-v2-dev-errors"
RED_AT = datetime(2026, 11, 20, 9, 0, 12, 345_000, UTC)
START = RED_AT.timestamp() + 1
TRANSPORTS = ("eventbridge", "sns", "direct")


def alarms(name: str, **changes: str) -> list[Alarm | Refused]:
    """The alarms of an event file; `changes` replace texts in it."""
    text = (ALARMS / f"{name}.json").read_text()
    for old, new in changes.items():
        text = text.replace(old.replace("__", "-"), new)
    return read(json.loads(text), HOME)


def alarm(transport: str = "eventbridge", state: str = "alarm", name: str = NAME, at: float | None = None) -> Alarm:
    """The alarm by this transport, under this name, at this time (epoch seconds)."""
    found = alarms(f"{transport}-metric-{state}")[0]
    assert isinstance(found, Alarm)
    changed = {"name": name, "arn": found.arn.replace(found.name, name)}
    if at is not None:
        changed["state_at"] = int(at * 1000)  # type: ignore[assignment]
    return Alarm(**{**vars(found), **changed})


def step(action: str, target: Mapping[str, Any], **more: Any) -> Step:
    """A step of a runbook."""
    return Step(
        **{
            "action": action,
            "target_name": action,
            "target": target,
            "settle_s": 0,
            "approval": False,
            "options": {},
            **more,
        }
    )


def response(**more: Any) -> Response:
    """Halt, disable, roll back; then offer to resume."""
    trading = {"parameter": "/demo/trading_enabled"}
    return Response(
        **{
            "system": "the-alchemiser-v2-dev",
            "name": "trading lambda failing",
            "line": 1,
            "alarms": ("the-alchemiser-v2-dev-*",),
            "severity": "P0",
            "mode": ResponseMode.AUTO,
            "contain": (step("halt_trading", trading), step("disable_schedule", {"schedule": "daily"})),
            "remediate": (step("roll_back_alias", {"function": "demo", "alias": "live"}, settle_s=120),),
            "probe": None,
            "recover": (step("resume_trading", trading, approval=True),),
            "escalate_after_s": 900,
            "cooldown_s": 900,
            "limits": Limits(3, 7),
            **more,
        }
    )


def runbooks(*responses: Response) -> Runbooks:
    """One runbook with these responses."""
    return Runbooks(
        (
            Runbook(
                "the-alchemiser-v2-dev", "demo.yaml", "demo", "UTC", (), frozenset(), frozenset(), {}, responses, (), ()
            ),
        )
    )


class Scene:
    """Respond with its dependencies in memory. Calls to DynamoDB, to the bus and to actions go through `faults`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *responses: Response) -> None:
        self.faults = Faults()
        self.ledger = Ledger(TABLE, FaultyClient("dynamodb", self.faults))
        self.seen = Ledger(TABLE, client("dynamodb"))
        """The same table without faults: what the test looks at, and what actions write."""
        self.at = START
        self.requests: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.described: dict[str, dict[str, Any]] = {}
        self.described_calls: list[list[str]] = []
        self.cloudwatch_down = False
        self.mutes = Mutes(not_read="no permission")
        """What is known of mute rules: nothing, unless a test says otherwise."""
        self.bus_down = False
        self.refuse_to_start: set[str] = set()
        self.respond = Respond(self.ledger, runbooks(*(responses or (response(),))), self._start, lambda: self.at)
        monkeypatch.setattr(outcome, "client", lambda service: self)
        monkeypatch.setattr("selfheal.refusals.ledger", lambda: self.ledger)
        monkeypatch.setattr(respond, "read_alarms", self.read_alarms)
        monkeypatch.setattr(clock, "read_alarms", self.read_alarms)
        monkeypatch.setattr(mutes, "active", self._active_mutes)
        monkeypatch.setattr(red_alarms, "described", self._described_red)

    # -- what stands in for AWS -----------------------------------------------------------

    def _start(self, event: dict[str, Any]) -> None:
        if event["action"] in self.refuse_to_start:
            raise NotApplied("no such function")
        json.dumps(event)
        read_request(event, (event["action"],), "id")
        self.faults.around("start", lambda: self.requests.append(event))

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """The bus."""
        if self.bus_down:
            raise ClientError({"Error": {"Code": "InternalException", "Message": "no"}}, "PutEvents")
        assert sum(len(entry["Detail"].encode()) for entry in Entries) < 256_000
        self.faults.around("put_events", lambda: self.events.extend(Entries))
        return {"FailedEntryCount": 0}

    def read_alarms(self, names: list[str]) -> list[dict[str, Any]]:
        """DescribeAlarms."""
        if self.cloudwatch_down:
            raise Unreadable("cloudwatch", "it is down")
        self.described_calls.append(names)
        return [self.described[name] for name in names if name in self.described]

    def _described_red(self) -> list[dict[str, Any]]:
        """DescribeAlarms by state."""
        if self.cloudwatch_down:
            raise Unreadable("cloudwatch", "it is down")
        return [one for one in self.described.values() if one["StateValue"] == "ALARM"]

    def _active_mutes(self) -> Mutes:
        if self.cloudwatch_down:
            raise Unreadable("mute rules", "cloudwatch is down")
        return self.mutes

    def shows(self, state: str, at: float, name: str = NAME, data: float | None = None) -> None:
        """DescribeAlarms answers this from now on."""
        points = [] if data is None else [{"timestamp": datetime.fromtimestamp(data, UTC).isoformat(), "value": 0.0}]
        self.described[name] = {
            "AlarmName": name,
            "AlarmArn": f"arn:aws:cloudwatch:us-east-1:111111111111:alarm:{name}",
            "StateValue": state,
            "StateTransitionedTimestamp": datetime.fromtimestamp(at, UTC),
            "StateReasonData": json.dumps({"evaluatedDatapoints": points}),
            "Period": 60,
            "EvaluationPeriods": 2,
        }

    # -- moves ----------------------------------------------------------------------------

    def takes(self, one: Alarm | Refused, record_id: str = "request.0") -> dict[str, Any]:
        """An alarm arrives."""
        return self.respond.take_alarm(one, record_id, {"an": "event"})

    def answers(self, action: str, said: Outcome = Outcome.ACTED, reason: str = "", hops: int = 0) -> dict[str, Any]:
        """The outcome event of the last request of this action arrives."""
        request = next(one for one in reversed(self.requests) if one["action"] == action)
        finished = Finished(request["action_id"], said, reason, f"{action} {said}")
        return self.respond.take_outcome(request["incident"], finished, hops)

    def meanwhile(self, call: str, action: str) -> None:
        """Right before the next such call, another invocation takes in the answer of this action."""

        def answered() -> None:
            self.answers(action)

        self.faults.before_call[call] = answered

    def records(self, action: str, said: Outcome | None) -> None:
        """The last request of this action has its record in the ledger: finished, or (None) running."""
        event = next(one for one in reversed(self.requests) if one["action"] == action)
        request = read_request(event, (action,), "id")
        met = record.claim(self.seen, request, self.at, 120)
        if said is not None:
            record.finish(self.seen, request, met.run_id, result_of(request, said, detail="from the record"), self.at)

    def tick(self, seconds: float = 60) -> dict[str, Any]:
        """Time passes and the clock ticks."""
        self.at += seconds
        return clock.tick(self.respond)

    # -- what there is --------------------------------------------------------------------

    @property
    def incident(self) -> Incident:
        """The one open incident."""
        (found,) = incident_store.all_open(self.seen)
        return found

    def open_count(self) -> int:
        """How many incidents are open."""
        return len(list(incident_store.all_open(self.seen)))

    def has_records(self, action: str) -> bool:
        """Every request of this action that was sent has its record."""
        ids = {request["action_id"] for request in self.requests if request["action"] == action}
        return all(record.find(self.seen, action_id) for action_id in ids)

    @property
    def asked(self) -> list[str]:
        """The actions that were started, in order."""
        return [request["action"] for request in self.requests]

    def told(self, what: str) -> list[str]:
        """Details of the incident updates of this kind."""
        details = [json.loads(event["Detail"]) for event in self.events]
        return [detail["detail"] for detail in details if detail["what"] == what]
