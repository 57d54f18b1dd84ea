"""Respond: every alarm, every outcome and every tick of the clock arrives here; it decides what is done.

It takes CloudWatch alarms in their three shapes (SNS, EventBridge, direct alarm action), outcome events of the
actions, `{"clock": "tick"}`, deployments that are done (CodeDeploy, ECS, by hand), and the name of a rollout or a
procedure from a person. Anything else is refused by name. It starts action functions and never touches a protected
resource itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import alarm, deployments, in_init, mutes, outcome, procedures, rollouts, runbook, starter
from selfheal.arns import Home
from selfheal.clock import tick
from selfheal.errors import LedgerUnavailable
from selfheal.ledger import PERMISSIONS as LEDGER_PERMISSIONS
from selfheal.observability import logger, metrics
from selfheal.respond import Respond
from selfheal.step_outcome import Finished
from selfheal.unrecorded import PERMISSIONS as QUEUE_PERMISSIONS
from selfheal.words import Outcome
from selfheal.world import ledger

PERMISSIONS = (
    *LEDGER_PERMISSIONS,
    *mutes.PERMISSIONS,
    "cloudwatch:DescribeAlarms",
    "events:PutEvents",
    "lambda:InvokeFunction",
    "sqs:SendMessage",
    *QUEUE_PERMISSIONS,
)

in_init.prepare(PERMISSIONS, engine=())  # they name what Respond needs of the engine as well

_JOINED: set[str] = set()
"""What this process knows of storms; see Respond."""


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer the decisions, one per alarm.

    Raises LedgerUnavailable after the last one if one is not recorded: Lambda delivers it again, and in the end keeps
    the event for a person.
    """
    respond = Respond(ledger(), runbook.load(), starter.start, time.time, joined=_JOINED)
    if isinstance(event, Mapping) and event.get("clock") == "tick":
        ticked = tick(respond)
        metrics.add_metric(name="Heartbeat", unit=MetricUnit.Count, value=1)  # a tick that was finished, not begun
        if "passed" in (drill := ticked["rounds"].get("drill", {})):
            metrics.add_metric(name="DrillPassed", unit=MetricUnit.Count, value=drill["passed"])
        return _answer(ticked)
    if isinstance(event, Mapping) and "procedure" in event:
        metrics.add_metric(name="AskedByPeople", unit=MetricUnit.Count, value=1)
        stack = os.environ.get("POWERTOOLS_SERVICE_NAME") or "selfheal"
        return {"decisions": [procedures.answer(event, respond.runbooks, stack)]}  # in no log: it changes nothing
    if isinstance(event, Mapping) and "rollout" in event:
        metrics.add_metric(name="AskedByPeople", unit=MetricUnit.Count, value=1)
        return _answer({"decisions": [rollouts.start(respond, event)]})
    if isinstance(event, Mapping) and deployments.is_one(event):
        metrics.add_metric(name="DeploymentsReceived", unit=MetricUnit.Count, value=1)
        home = Home.of(context.invoked_function_arn)
        return _answer({"decisions": deployments.take(respond, event, home, context.aws_request_id)})
    if (answered := _read_outcome(event)) is not None:
        metrics.add_metric(name="OutcomesReceived", unit=MetricUnit.Count, value=1)
        return _answer({"decisions": [_take_outcome(respond, *answered)]})
    alarms = alarm.read(event, Home.of(context.invoked_function_arn))
    record_ids = [f"{context.aws_request_id}.{number}" for number, _ in enumerate(alarms)]
    decisions = [respond.take_alarm(one, name, event) for one, name in zip(alarms, record_ids, strict=True)]
    metrics.add_metric(name="AlarmsReceived", unit=MetricUnit.Count, value=len(alarms))
    return _answer({"decisions": decisions})


def _read_outcome(event: Any) -> tuple[str, Finished, int] | None:
    """Incident (empty if a person asked), answer and hops of an action's outcome event; None: it is none."""
    if not (isinstance(event, Mapping) and event.get("source") == outcome.SOURCE):
        return None
    try:
        detail = event["detail"]
        said = Outcome(detail["outcome"])
        until = None if detail.get("until") is None else float(detail["until"])
        captured = str((detail.get("evidence") or {}).get("captured", ""))
        finished = Finished(detail["action_id"], said, detail["reason"], detail["detail"], until, captured)
        return str(detail["incident"] or ""), finished, int(detail["hops"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        logger.warning("not an outcome", cause=repr(error))
        return None


def _take_outcome(respond: Respond, incident: str, finished: Finished, hops: int) -> dict[str, Any]:
    if not incident:
        return {"decision": "by_hand", "action_id": finished.action_id}
    return respond.take_outcome(incident, finished, hops)


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    logger.info("decided", **answer)
    unrecorded = [decision for decision in answer["decisions"] if decision.get("retry")]
    if unrecorded:
        raise LedgerUnavailable(f"{len(unrecorded)} decisions are not recorded: {unrecorded[0]}")
    return answer
