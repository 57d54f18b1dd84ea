"""A rule's target gets the event as AWS delivers it, or its dead-letter queue does; both are counted.

Stock ministack 1.5.33 calls a function once, synchronously in a thread, without asking its resource policy; delivers to
a queue without asking the queue's policy; stores a target's ``DeadLetterConfig`` and never uses it; and emits no
metrics. Its clock looks at scheduled rules every ten seconds.

AWS hands the event to the function asynchronously (so a function's error is not the rule's failure); needs
``events.amazonaws.com`` in the policy of the function or queue; does not retry a missing permission or target but
sends the event, as it was, to the dead-letter queue with the attributes RULE_ARN, TARGET_ARN, ERROR_CODE and
ERROR_MESSAGE (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html); and counts
MatchedEvents, TriggeredRules, Invocations and FailedInvocations (the last only when there is one), by RuleName, on a
bus of one's own together with EventBusName (…/userguide/eb-monitoring.html).
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import get_account_id
from ministack.services import cloudwatch, eventbridge, sqs

from local.emulator.mends import hook
from local.emulator.mends.lambda_async import accept, allowed, send_to_queue

PRINCIPAL = "events.amazonaws.com"
TICK = 1.0  # seconds


def _invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
    view = view or eventbridge._pattern_event_view(event)
    counted = ["Invocations", "TriggeredRules", *(["MatchedEvents"] if rule.get("EventPattern") else [])]
    for metric in counted:
        _count(rule, metric)
    failure = _refusal(target["Arn"], rule["Arn"])
    if failure is None:
        _stock_invoke_target(target, event, rule, view)
        return
    _count(rule, "FailedInvocations")
    code, message = failure
    eventbridge.logger.warning("EventBridge: %s for %s: %s", code, target["Arn"], message)
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue and sqs.queue_policy_allows(queue, PRINCIPAL, rule["Arn"], get_account_id()):
        attributes = {
            "RULE_ARN": rule["Arn"],
            "TARGET_ARN": target["Arn"],
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message,
        }
        send_to_queue(
            queue, json.dumps(view.event_with_detail()), {name: ("String", value) for name, value in attributes.items()}
        )


def _refusal(target: str, rule: str) -> tuple[str, str] | None:
    """Error code and message where the delivery cannot be made, however often it is tried."""
    try:
        spec = parse_arn(target)
    except ArnParseError:
        return "INVALID_PARAMETER", f"{target} is not an ARN"
    if spec.service == "lambda" and not allowed(target, PRINCIPAL, rule):
        return "NO_PERMISSIONS", f"{PRINCIPAL} is not authorized to invoke {target} from {rule}"
    if spec.service == "sqs":
        if sqs._queue_by_arn(target) is None:
            return "NO_RESOURCE", "The specified queue does not exist."
        if not sqs.queue_policy_allows(target, PRINCIPAL, rule, get_account_id()):
            return "NO_PERMISSIONS", f"{PRINCIPAL} is not authorized to perform: sqs:SendMessage on {target}"
    return None


def _count(rule: dict[str, Any], metric: str) -> None:
    bus = rule.get("EventBusName", "default")
    dimensions = {"RuleName": rule["Name"]}
    if bus != "default":
        dimensions["EventBusName"] = bus
    cloudwatch.record_metric("AWS/Events", metric, 1, "Count", dimensions)


def _dispatch_to_lambda(arn: str, payload: str) -> None:
    # _invoke_target has asked for the permission.
    try:
        event = json.loads(payload)
    except ValueError:
        event = payload
    accept(arn, event)


def apply() -> None:
    global _stock_invoke_target  # noqa: PLW0603
    _stock_invoke_target = hook(eventbridge, "_invoke_target", _invoke_target)
    hook(eventbridge, "_dispatch_to_lambda", _dispatch_to_lambda)
    hook(eventbridge, "_SCHEDULER_TICK_INTERVAL", TICK)


_stock_invoke_target: Any = None
