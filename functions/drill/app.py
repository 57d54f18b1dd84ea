"""Drill: proves once a week that the guards guard, on a flag that the stack owns and nobody reads.

It asks `SwitchTrading`, the deployed one with its role, for the same actions as an incident would, with the origin
`drill`: the pause pauses, the lease excludes, the undo undoes, and only once, the cooldown limits, and what people
should be told arrives on their topic. Its pause is one of its own system; nothing of anybody else is touched.

Emits `DrillPassed` (1 or 0) and records how it went; an alarm waits for a 0, and for a drill that did not happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import drills, outcome, pauses, settings, starter
from selfheal import ledger as table
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.errors import SelfhealError
from selfheal.guards import claim
from selfheal.ledger import PERMISSIONS as LEDGER_PERMISSIONS
from selfheal.ledger import Ledger, Lost
from selfheal.observability import logger, metrics
from selfheal.refusal import Refusal
from selfheal.request import Request, read_request
from selfheal.words import Mode, Origin, Outcome
from selfheal.world import ledger

PERMISSIONS = (
    *LEDGER_PERMISSIONS,
    "events:PutEvents",
    "lambda:InvokeFunction",
    "sqs:DeleteMessage",
    "sqs:ReceiveMessage",
    "ssm:GetParameter",
    "ssm:PutParameter",
)
HALT = "halt_trading"
COOLDOWN_S = 300
PAUSE_S = 300
ANSWER_WITHIN_S = 60
NOTICE_WITHIN_S = 60
LONGEST_S = 360
"""Longer than the function can run."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold, whether it did, and what was seen."""

    name: str
    held: bool
    seen: str


@dataclass
class Drill:
    """One drill. `ask` sends a request to SwitchTrading and waits for its result; `notices` are texts that arrived."""

    ledger: Ledger
    flag: str
    run: str
    ask: Callable[[dict[str, Any]], Mapping[str, Any]]
    notices: Callable[[], list[str]]
    now: Callable[[], float] = time.time
    checks: list[Check] = field(default_factory=list)

    def carry_out(self) -> dict[str, Any]:
        """Every check, in an order in which none stands in the way of the next. Answers the report."""
        self._prepare()
        for name, check in (
            ("pause", self._pause),
            ("lease", self._lease),
            ("action", self._action),
            ("undo", self._undo),
            ("undo_once", self._undo_once),
            ("cooldown", self._cooldown),
            ("notification", self._notification),
        ):
            try:
                held, seen = check()
            except SelfhealError as error:
                held, seen = False, f"{type(error).__name__}: {error}"
            self.checks.append(Check(name, held, seen))
            logger.info("checked", check=name, held=held, seen=seen)
        self._clean_up()
        return {
            "run": self.run,
            "passed": all(check.held for check in self.checks),
            "checks": [asdict(check) for check in self.checks],
        }

    # -- the checks ---------------------------------------------------------------------------------------------

    def _pause(self) -> tuple[bool, str]:
        until = self.now() + PAUSE_S
        doc = {"what": "all", "who": "drill", "reason": "drill", "since": "now", "until": "the drill is over"}
        self.ledger.write(table.put("PAUSE", drills.SYSTEM, doc, paused_until=until, expires=int(until)))
        try:
            return self._refused(self._halt("pause"), Refusal.PAUSED)
        finally:
            self.ledger.write(table.delete("PAUSE", drills.SYSTEM))

    def _lease(self) -> tuple[bool, str]:
        """Another action has the flag."""
        other = self._request(self._event("lease_holder"))
        declined = claim.take(self.ledger, other, now=self.now(), lease_s=ANSWER_WITHIN_S)
        if declined is not None:
            return False, f"the lease was not free: {declined.detail}"
        try:
            return self._refused(self._halt("lease"), Refusal.LEASED)
        finally:
            self._release(other)

    def _action(self) -> tuple[bool, str]:
        """With nothing in the way it must act, or all refusals prove nothing."""
        return self._acted(self._halt("action"), "false")

    def _undo(self) -> tuple[bool, str]:
        return self._acted(self._ask_undo("undo"), "true")

    def _undo_once(self) -> tuple[bool, str]:
        return self._refused(self._ask_undo("undo_once"), Refusal.ALREADY_UNDONE)

    def _cooldown(self) -> tuple[bool, str]:
        return self._refused(self._halt("cooldown"), Refusal.COOLDOWN)

    def _notification(self) -> tuple[bool, str]:
        """Bus, rule, Notify, topic, subscriber: the whole way."""
        notice = {"what": "drill", "run": self.run, "checks": [asdict(check) for check in self.checks]}
        if not outcome.send(outcome.NOTICE, notice):
            return False, "the bus did not take it"
        until = self.now() + NOTICE_WITHIN_S
        while True:
            if any(self.run in text for text in self.notices()):
                return True, "it arrived on the people's topic"
            if self.now() >= until:
                return False, f"it did not arrive on the people's topic within {NOTICE_WITHIN_S} s"

    def _release(self, other: Request) -> None:
        try:
            self.ledger.write(claim.release(other))
        except Lost:
            logger.warning("somebody took the lease away", check="lease")

    # -- helpers ------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """As after a drill that went well, whatever became of the last one. Raises SelfhealError."""
        if _read(self.flag) != "true":
            _write(self.flag, "true")
        self._clean_up()

    def _clean_up(self) -> None:
        self.ledger.write(table.delete("PAUSE", drills.SYSTEM))
        self.ledger.write(table.delete(f"TARGET#{self._request(self._event('any')).target.key}", "COOLDOWN"))

    def _event(self, name: str, **more: Any) -> dict[str, Any]:
        return {
            "action": HALT,
            "action_id": f"drill.{self.run}.{name}",
            "target": {"parameter": self.flag},
            "mode": Mode.ACT.value,
            "origin": Origin.DRILL.value,
            "system": drills.SYSTEM,
            "cooldown_s": COOLDOWN_S,
            "reason": f"drill {self.run}",
            **more,
        }

    def _request(self, event: dict[str, Any]) -> Request:
        return read_request(event, (HALT,), "drill")

    def _halt(self, name: str) -> Mapping[str, Any]:
        return self.ask(self._event(name))

    def _ask_undo(self, name: str) -> Mapping[str, Any]:
        undo_of = f"drill.{self.run}.action"
        return self.ask(self._event(name, origin=Origin.UNDO.value, undo_of=undo_of, requested_by="drill"))

    def _refused(self, answer: Mapping[str, Any], reason: Refusal) -> tuple[bool, str]:
        """It was refused for this reason, and the flag was left alone."""
        value = _read(self.flag)
        held = answer.get("outcome") == Outcome.REFUSED and answer.get("reason") == reason and value == "true"
        return held, f"{_said(answer)}; the flag is {value}"

    def _acted(self, answer: Mapping[str, Any], wanted: str) -> tuple[bool, str]:
        value = _read(self.flag)
        return answer.get("outcome") == Outcome.ACTED and value == wanted, f"{_said(answer)}; the flag is {value}"


@logger.inject_lambda_context
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Carry out a drill, whatever the event; answer its report. Raises SelfhealError if it can't even begin."""
    run = context.aws_request_id
    if paused := [pause for pause in pauses.in_force(ledger(), time.time()) if pause.name == "*"]:
        return {"run": run, "skipped": f"{paused[0].who} paused everything until {paused[0].until}"}
    if not drills.begin(ledger(), run, time.time(), LONGEST_S):
        return {"run": run, "running": "another drill is not over yet"}
    switch = settings.text("SWITCH_TRADING")
    drill = Drill(
        ledger=ledger(),
        flag=settings.text("DRILL_FLAG"),
        run=run,
        ask=lambda request: starter.ask(switch, request, ANSWER_WITHIN_S),
        notices=lambda: _receive(settings.text("DRILL_QUEUE")),
    )
    report = drill.carry_out()
    drills.end(ledger(), run, report, time.time())
    metrics.add_metric(name="DrillPassed", unit=MetricUnit.Count, value=int(report["passed"]))
    metrics.flush_metrics()
    return report


def _said(answer: Mapping[str, Any]) -> str:
    return f"{answer.get('outcome')} {answer.get('reason')}".strip() + f", {str(answer.get('detail', ''))[:200]}"


def _read(flag: str) -> str:
    try:
        return str(client("ssm").get_parameter(Name=flag)["Parameter"]["Value"])
    except AwsError as error:
        translate(error, f"parameter {flag}")


def _write(flag: str, value: str) -> None:
    try:
        client("ssm").put_parameter(Name=flag, Value=value, Overwrite=True)
    except AwsError as error:
        translate(error, f"parameter {flag}")


def _receive(queue: str) -> list[str]:
    """What has arrived, waiting for it for some seconds; each text is taken off the queue."""
    sqs = client("sqs")
    try:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5).get("Messages", [])
        for message in received:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    except AwsError as error:
        translate(error, "drill queue")
    return [str(message["Body"]) for message in received]
