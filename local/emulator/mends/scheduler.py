"""EventBridge Scheduler: on time, in the schedule's time zone, with the schedule's role, and complete.

Stock ministack 1.5.33 looks at schedules every ten seconds; reads ``cron()`` and ``at()`` as UTC whatever
``ScheduleExpressionTimezone`` says; needs no permission of the target's role; delivers an EventBridge rule's event
instead of the target's input without its placeholders; has no dead-letter queue; accepts ``rate(0 minutes)``; lists
one page; and CloudFormation passes on six of a schedule's thirteen properties.

AWS: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html (types, time zones),
…/UserGuide/managing-schedule-context-attributes.html (placeholders), …/UserGuide/configuring-schedule-dlq.html
(the request that failed, with its attributes), https://docs.aws.amazon.com/scheduler/latest/APIReference
(UpdateSchedule overrides every field; the group's pages have a NextToken).

Targets: a function, a queue, a topic, an event bus. A flexible time window is kept and not used: it only delays.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region, new_uuid, request_scope
from ministack.services import eventbridge, iam, scheduler, sns, sqs, sts
from ministack.services.cloudformation import provisioners

from local.emulator.mends import hook
from local.emulator.mends.lambda_async import accept, role_allows, send_to_queue

TICK = 1.0  # seconds
PRINCIPAL = "scheduler.amazonaws.com"
FIELDS = (
    "ActionAfterCompletion",
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "GroupName",
    "KmsKeyArn",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "State",
    "Target",
)
_fired: dict[tuple[str, str, str], float] = {}
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")


class DeliveryError(Exception):
    """AWS would not deliver this occurrence; ``code`` is what its dead-letter queue says."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def tick(now: float) -> None:
    """Start what is due."""
    for key, schedule in scheduler._schedules.all_items():
        if schedule["State"] != "ENABLED":
            _fired.pop(key, None)
            continue
        due = _due(key, schedule, now)
        if due is None:
            continue
        _fired[key] = now
        account, region, _ = key
        with request_scope(account, region):
            _start(schedule, due)
        if _AT.fullmatch(schedule["ScheduleExpression"]) and schedule["ActionAfterCompletion"] == "DELETE":
            scheduler._schedules.pop_scoped(*key, None)
            _fired.pop(key, None)


def _due(key: tuple[str, str, str], schedule: dict[str, Any], now: float) -> float | None:
    """The moment of the occurrence that is due, or None."""
    start, end = scheduler._to_epoch(schedule.get("StartDate")), scheduler._to_epoch(schedule.get("EndDate"))
    if (start is not None and now < start) or (end is not None and now > end):
        return None
    expression = schedule["ScheduleExpression"]
    zone = ZoneInfo(schedule["ScheduleExpressionTimezone"])
    once = _AT.fullmatch(expression)
    if once:
        moment = datetime.fromisoformat(once[1]).replace(tzinfo=zone).timestamp()
        # An occurrence that was past when the schedule was written does not run.
        missed = moment < schedule["LastModificationDate"] - 60
        return moment if moment <= now and key not in _fired and not missed else None
    # A change of the schedule starts the count anew.
    last = max(_fired.get(key, 0.0), schedule["LastModificationDate"] if key not in _fired else 0.0, start or 0.0)
    interval = eventbridge._parse_rate_seconds(expression)
    if interval:
        return last + interval if now - last >= interval else None
    fields = eventbridge._parse_cron_fields(expression)
    following = eventbridge._cron_next_fire(fields, datetime.fromtimestamp(last, zone)) if fields else None
    return following.timestamp() if following is not None and following.timestamp() <= now else None


def _start(schedule: dict[str, Any], due: float) -> None:
    target = schedule["Target"]
    execution = new_uuid()
    moment = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    context = {
        "<aws.scheduler.schedule-arn>": schedule["Arn"],
        "<aws.scheduler.scheduled-time>": moment,
        "<aws.scheduler.execution-id>": execution,
        "<aws.scheduler.attempt-number>": "1",
    }
    body = target.get("Input")
    if body is None:
        body = json.dumps(
            {
                "version": "0",
                "id": execution,
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
                "account": get_account_id(),
                "time": moment,
                "region": get_region(),
                "resources": [schedule["Arn"]],
                "detail": "{}",
            }
        )
    for placeholder, value in context.items():
        body = body.replace(placeholder, value)
    try:
        _deliver(target, body)
    except DeliveryError as error:
        scheduler.logger.warning("schedule %s: %s", schedule["Arn"], error)
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue and _role_may(target["RoleArn"], "sqs:SendMessage", queue):
            attributes = {
                "ERROR_CODE": error.code,
                "ERROR_MESSAGE": str(error),
                "EXECUTION_ID": execution,
                "IS_PAYLOAD_TRUNCATED": "false",
                "RETRY_ATTEMPTS": "0",
                "SCHEDULED_TIME": moment,
                "SCHEDULE_ARN": schedule["Arn"],
                "TARGET_ARN": target["Arn"],
            }
            send_to_queue(
                queue,
                json.dumps(
                    {"FunctionName": target["Arn"], "Payload": body} if ":lambda:" in target["Arn"] else {"Input": body}
                ),
                {name: ("String", value) for name, value in attributes.items()},
            )


def _deliver(target: dict[str, Any], body: str) -> None:
    spec = parse_arn(target["Arn"])
    action = {
        "lambda": "lambda:InvokeFunction",
        "sqs": "sqs:SendMessage",
        "sns": "sns:Publish",
        "events": "events:PutEvents",
    }.get(spec.service)
    if action is None:
        raise DeliveryError("UNSUPPORTED_TARGET", f"this emulator does not start {target['Arn']}")
    if not _role_may(target["RoleArn"], action, target["Arn"]):
        raise DeliveryError(
            "NO_PERMISSIONS", f"{target['RoleArn']} is not authorized to perform: {action} on resource: {target['Arn']}"
        )
    if spec.service == "lambda":
        if eventbridge_function_missing(target["Arn"]):
            raise DeliveryError("RESOURCE_NOT_FOUND", f"Function not found: {target['Arn']}")
        try:
            accept(target["Arn"], json.loads(body))
        except ValueError:
            accept(target["Arn"], body)
    elif spec.service == "sqs":
        if sqs._queue_by_arn(target["Arn"]) is None:
            raise DeliveryError("RESOURCE_NOT_FOUND", f"Queue not found: {target['Arn']}")
        eventbridge._dispatch_to_sqs(spec, body, target.get("SqsParameters") or {})
    elif spec.service == "sns":
        if sns.publish_internal(target["Arn"], body) is None:
            raise DeliveryError("RESOURCE_NOT_FOUND", f"Topic not found: {target['Arn']}")
    else:
        parameters = target.get("EventBridgeParameters") or {}
        eventbridge._put_events(
            {
                "Entries": [
                    {
                        "Source": parameters.get("Source", ""),
                        "DetailType": parameters.get("DetailType", ""),
                        "Detail": body,
                        "EventBusName": target["Arn"].rpartition("/")[2],
                    }
                ]
            }
        )


def eventbridge_function_missing(arn: str) -> bool:
    from ministack.services import lambda_svc  # noqa: PLC0415

    record, _, _ = lambda_svc._get_func_record_for_ref(arn)
    return record is None


def _role_may(role_arn: str, action: str, resource: str) -> bool:
    """Whether Scheduler can assume the role, and the role may do it."""
    spec = parse_arn(role_arn)
    name = spec.resource.rpartition("/")[2]
    role = iam._roles.get(name)
    if role is None or not _trusts_scheduler(role):
        return False
    key = "ASIA" + hashlib.sha256(f"scheduler:{role_arn}".encode()).hexdigest()[:16].upper()
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{spec.account_id}:assumed-role/{name}/scheduler",
            "UserId": f"{name}:scheduler",
            "SecretAccessKey": key,
            "SessionToken": key,
        },
    )
    return role_allows(role_arn, key, action, resource)


def _trusts_scheduler(role: dict[str, Any]) -> bool:
    document = role["AssumeRolePolicyDocument"]
    statements = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement["Effect"] == "Allow" and iam_evaluator._service_principal_matches(
            statement.get("Principal"), PRINCIPAL
        ):
            return True
    return False


def _invalid(body: dict[str, Any]) -> str | None:
    expression = body.get("ScheduleExpression") or ""
    if not (
        _AT.fullmatch(expression)
        or eventbridge._parse_rate_seconds(expression)
        or eventbridge._parse_cron_fields(expression)
    ):
        return f"Invalid Schedule Expression {expression}."
    try:
        ZoneInfo(body.get("ScheduleExpressionTimezone") or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return "Provided ScheduleExpressionTimezone is not valid."
    start = scheduler._to_epoch(body.get("StartDate"))
    if start is not None and start < time.time() - 300:
        return "The StartDate you specify cannot be earlier than 5 minutes ago."
    target = body.get("Target") or {}
    if not target.get("Arn") or not target.get("RoleArn"):
        return "Target Arn and RoleArn are required."
    return None


def _complete(name: str, body: dict[str, Any]) -> None:
    """AWS answers with an optional text only when there is one."""
    schedule = scheduler._schedules[f"{body.get('GroupName') or 'default'}/{name}"]
    schedule["Description"] = body.get("Description") or None


def _create(name: str, body: dict[str, Any]) -> Any:
    problem = _invalid(body)
    if problem:
        return scheduler._error(400, "ValidationException", problem)
    answer = _stock_create(name, body)
    if answer[0] == 200:
        _complete(name, body)
    return answer


def _update(name: str, body: dict[str, Any]) -> Any:
    key = f"{body.get('GroupName') or 'default'}/{name}"
    problem = _invalid(body) if key in scheduler._schedules else None
    if problem:
        return scheduler._error(400, "ValidationException", problem)
    answer = _stock_update(name, body)
    if answer[0] == 200:
        _complete(name, body)
        _fired.pop((get_account_id(), get_region(), key), None)
    return answer


def _list(query: dict[str, str]) -> Any:
    size = min(int(query.get("MaxResults", 100)), 100)
    status, headers, body = _stock_list({**query, "MaxResults": "1000000"})
    schedules = sorted(json.loads(body)["Schedules"], key=lambda schedule: schedule["Arn"])
    begin = int(query.get("NextToken") or 0)
    page: dict[str, Any] = {"Schedules": schedules[begin : begin + size]}
    if begin + size < len(schedules):
        page["NextToken"] = str(begin + size)
    return status, headers, json.dumps(page).encode()


def _cloudformation_create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    name = properties.get("Name") or provisioners._physical_name(stack, logical_id, max_len=64)
    answer = scheduler._create_schedule(name, _body(properties))
    if answer[0] != 200:
        raise ValueError(f"AWS::Scheduler::Schedule: {answer[2].decode()}")
    return name, {"Arn": json.loads(answer[2])["ScheduleArn"]}


def _cloudformation_update(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str | None = None
) -> Any:
    renamed = (new.get("Name") or physical_id) != physical_id
    if renamed or (new.get("GroupName") or "default") != (old.get("GroupName") or "default"):
        created = _cloudformation_create(logical_id or physical_id, {"Name": physical_id, **new}, stack)
        provisioners._scheduler_schedule_delete(physical_id, old)
        return created
    answer = scheduler._update_schedule(physical_id, _body(new))
    if answer[0] == 404:
        return _cloudformation_create(physical_id, {**new, "Name": physical_id}, stack)
    if answer[0] != 200:
        raise ValueError(f"AWS::Scheduler::Schedule: {answer[2].decode()}")
    return physical_id, {"Arn": json.loads(answer[2])["ScheduleArn"]}


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's properties as the API's members; numbers that a template writes as text become numbers."""
    body = {name: properties[name] for name in FIELDS if properties.get(name) is not None}
    target = dict(body["Target"])
    if target.get("RetryPolicy"):
        target["RetryPolicy"] = {name: int(value) for name, value in target["RetryPolicy"].items()}
    window = dict(body.get("FlexibleTimeWindow") or {"Mode": "OFF"})
    if "MaximumWindowInMinutes" in window:
        window["MaximumWindowInMinutes"] = int(window["MaximumWindowInMinutes"])
    return {**body, "Target": target, "FlexibleTimeWindow": window}


def _loop() -> None:
    while True:
        time.sleep(TICK)
        try:
            tick(time.time())
        except Exception:  # noqa: BLE001 - the clock goes on, whatever one schedule does
            scheduler.logger.exception("scheduler tick")


def _start_scheduler() -> None:
    threading.Thread(target=_loop, daemon=True, name="scheduler").start()


def reset() -> None:
    _fired.clear()


def apply() -> None:
    global _stock_create, _stock_update, _stock_list  # noqa: PLW0603
    hook(scheduler, "start_scheduler", _start_scheduler)
    _stock_create = hook(scheduler, "_create_schedule", _create)
    _stock_update = hook(scheduler, "_update_schedule", _update)
    _stock_list = hook(scheduler, "_list_schedules", _list)
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]
    handlers["create"] = _cloudformation_create
    handlers["update"] = _cloudformation_update
    handlers["update_with_logical_id"] = True


_stock_create: Any = None
_stock_update: Any = None
_stock_list: Any = None
