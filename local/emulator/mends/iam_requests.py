"""Requests are authorised under the action and resource that AWS's service authorization reference names.

Stock ministack 1.5.33 authorises GetAlias, UpdateAlias and DeleteAlias as ``lambda:ListAliases``, the reads of a
function's concurrency as ``PutFunctionConcurrency``, and forgets a call's ``Qualifier``; takes a log group without
the stream part, a rule of the default bus as ``rule/default/NAME``, any ECS service or task as its cluster, every
schedule as one of the group ``default``, a snapshot of RDS as anything; wants a permission of its own for each batch
call of SQS; does not ask for ``iam:PassRole``, the other permissions of a move task, nor a replay's bus and archive;
and never sees ``cloudwatch:namespace``, nor of an event source mapping the ``lambda:FunctionArn``.

AWS: https://docs.aws.amazon.com/service-authorization/latest/reference (list_awslambda, list_amazoncloudwatchlogs,
list_amazoneventbridge, list_amazonelasticcontainerservice, list_amazoneventbridgescheduler, list_amazoncloudwatch,
list_amazonrds);
…/lambda/latest/dg/lambda-api-permissions-ref.html (a qualified call needs the qualified ARN);
…/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html and its siblings
(batch calls); …/scheduler/latest/UserGuide/setting-up.html (PassRole);
…/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html (a redrive).
"""

from __future__ import annotations

import contextvars
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from ministack.core import iam_actions, iam_evaluator

from local.emulator.mends import hook, sqs_move_tasks

_QUALIFIED = {
    "InvokeFunction",
    "GetFunction",
    "GetFunctionConfiguration",
    "PutProvisionedConcurrencyConfig",
    "GetProvisionedConcurrencyConfig",
    "DeleteProvisionedConcurrencyConfig",
}
_LAMBDA_NAMES = {
    "Invoke": "InvokeFunction",
    "InvokeAsync": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
}
_PASSED = {  # action: (member with the role, service that gets it)
    "scheduler:CreateSchedule": ("Target.RoleArn", "scheduler.amazonaws.com"),
    "scheduler:UpdateSchedule": ("Target.RoleArn", "scheduler.amazonaws.com"),
    "lambda:CreateFunction": ("Role", "lambda.amazonaws.com"),
    "lambda:UpdateFunctionConfiguration": ("Role", "lambda.amazonaws.com"),
}
_body: contextvars.ContextVar[tuple[bytes, str]] = contextvars.ContextVar("request_body", default=(b"", ""))


@dataclass(frozen=True)
class Call:
    """One request, as far as its resource depends on it."""

    operation: str
    data: dict[str, Any]
    path: str
    query: dict[str, Any]
    scope: str  # region:account, the middle of an ARN
    stock: str  # the resource that ministack would take


def _action(service: str, method: str, path: str, *rest: Any) -> str | None:
    """``rest`` is headers, body, query."""
    if service == "lambda":
        operation = iam_actions._match_rest_action(service, method, path, rest[2])
        if operation:
            return f"lambda:{_LAMBDA_NAMES.get(operation, operation)}"
    found: str | None = _stock_action(service, method, path, *rest)
    if service == "sqs" and found:
        return found.removesuffix("Batch")  # one permission for both
    return found


def _resource(service: str, method: str, path: str, *rest: Any) -> str:
    """``rest`` is headers, body, query, region, account."""
    stock: str = _stock_resource(service, method, path, *rest)
    finder = {
        "lambda": _lambda,
        "logs": _logs,
        "events": _events,
        "ecs": _ecs,
        "rds": _rds,
        "scheduler": _scheduler,
        "sqs": _sqs,
    }.get(service)
    if finder is None:
        return stock
    headers, body, query, region, account = rest
    operation = (_action(service, method, path, headers, body, query) or "").partition(":")[2]
    data = _json(body) or {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    return finder(Call(operation, data, path, query, f"{region}:{account}", stock))


def _lambda(call: Call) -> str:
    qualifier = _first(call.query, "Qualifier")
    if qualifier and call.operation in _QUALIFIED and call.stock.count(":") == 6:
        return f"{call.stock}:{qualifier}"
    return call.stock


def _logs(call: Call) -> str:
    data = call.data
    named = (
        data.get("logGroupName")
        or data.get("logGroupIdentifier")
        or next(iter(data.get("logGroupNames") or data.get("logGroupIdentifiers") or []), None)
    )
    if not named or call.operation in {"TagResource", "UntagResource", "ListTagsForResource", "DescribeLogGroups"}:
        return call.stock
    group = named.removesuffix(":*").partition(":log-group:")[2] or named
    return f"arn:aws:logs:{call.scope}:log-group:{group}:log-stream:{data.get('logStreamName') or ''}"


def _events(call: Call) -> str:
    data, operation = call.data, call.operation
    if operation in {"TagResource", "UntagResource", "ListTagsForResource"}:
        return str(data.get("ResourceARN", "*"))
    if operation in {"StartReplay", "DescribeReplay", "CancelReplay"}:
        return f"arn:aws:events:{call.scope}:replay/{data.get('ReplayName')}"
    if operation.endswith("Archive"):
        return f"arn:aws:events:{call.scope}:archive/{data.get('ArchiveName')}"
    name = data.get("Rule") or data.get("Name")
    if name and ("Rule" in operation or "Target" in operation) and not operation.startswith("ListRule"):
        bus = str(data.get("EventBusName") or "default").rpartition("/")[2]
        return f"arn:aws:events:{call.scope}:rule/{name if bus == 'default' else f'{bus}/{name}'}"
    return "*" if operation.startswith("List") else call.stock


def _ecs(call: Call) -> str:
    data = call.data
    for member in ("serviceDeploymentArn", "serviceDeploymentArns", "serviceRevisionArns"):
        if data.get(member):
            return str(data[member] if isinstance(data[member], str) else data[member][0])
    cluster = str(data.get("cluster") or "default").rpartition("/")[2]
    task = data.get("task") or next(iter(data.get("tasks") or []), None)
    if task and call.operation in {"DescribeTasks", "StopTask"}:
        return str(task) if task.startswith("arn:") else f"arn:aws:ecs:{call.scope}:task/{cluster}/{task}"
    service = data.get("service") or data.get("serviceName") or next(iter(data.get("services") or []), None)
    if service and call.operation in {
        "UpdateService",
        "DescribeServices",
        "CreateService",
        "DeleteService",
        "ListServiceDeployments",
    }:
        return str(service) if service.startswith("arn:") else f"arn:aws:ecs:{call.scope}:service/{cluster}/{service}"
    if call.operation in {"DescribeTaskDefinition", "ListTaskDefinitions", "RegisterTaskDefinition"}:
        return "*"
    return call.stock


def _scheduler(call: Call) -> str:
    parts = unquote(call.path).strip("/").split("/")
    if parts[0] == "schedules" and len(parts) > 1:
        group = call.data.get("GroupName") or _first(call.query, "groupName") or "default"
        return f"arn:aws:scheduler:{call.scope}:schedule/{group}/{parts[1]}"
    if parts[0] == "tags" and len(parts) > 1:
        return "/".join(parts[1:])
    return "*" if call.operation.startswith("List") else call.stock


def _sqs(call: Call) -> str:
    if call.operation == "CancelMessageMoveTask":
        return sqs_move_tasks.source_of(str(call.data.get("TaskHandle"))) or "*"
    return str(call.data["SourceArn"]) if call.data.get("SourceArn") else call.stock


def _enforce(access_key: str, action: str, service: str, region: str, **named: Any) -> Any:
    """As before, then the permissions that the call needs beside its own."""
    body, content_type = _body.get()
    context = dict(named.pop("service_context", None) or {})
    if action == "cloudwatch:PutMetricData":
        context["cloudwatch:namespace"] = _namespace(body, content_type)
    if action.endswith("EventSourceMapping"):
        context["lambda:FunctionArn"] = _fed_by(str(named.get("resource_arn", "")))
    denied = _stock_enforce(access_key, action, service, region, service_context=context, **named)
    if denied:
        return denied
    if action in _PASSED:
        member, receiver = _PASSED[action]
        role: Any = _json(body)
        for name in member.split("."):
            role = role.get(name) if isinstance(role, dict) else None
        if isinstance(role, str):
            return _stock_enforce(
                access_key,
                "iam:PassRole",
                "iam",
                region,
                resource_arn=role,
                service_context={"iam:PassedToService": receiver},
            )
    if action == "sqs:StartMessageMoveTask":
        return _redrive(access_key, region, _json(body))
    if action == "events:StartReplay":
        return _replay(access_key, region, _json(body))
    of = _service_of(named.get("resource_arn", "")) if service == "ecs" else ""
    return _stock_enforce(access_key, action, service, region, resource_arn=of) if of else None


def _fed_by(mapping: str) -> str:
    """The function behind an event source mapping, given by its ARN; of one that is not there, none."""
    from ministack.services import lambda_svc  # noqa: PLC0415 - reads the environment when it is imported

    return str((lambda_svc._esms.get(mapping.rpartition(":")[2]) or {}).get("FunctionArn", ""))


def _service_of(arn: str) -> str:
    """A call on a service's deployment or revision is authorised on the service as well."""
    for kind in (":service-deployment/", ":service-revision/"):
        if kind in arn:
            return arn.replace(kind, ":service/").rpartition("/")[0]
    return ""


def _redrive(access_key: str, region: str, data: dict[str, Any]) -> Any:
    needed = [
        (action, data.get("SourceArn"))
        for action in ("sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    ]
    needed.append(("sqs:SendMessage", data.get("DestinationArn")))
    for action, arn in needed:
        denied = arn and _stock_enforce(access_key, action, "sqs", region, resource_arn=arn)
        if denied:
            return denied
    return None


def _replay(access_key: str, region: str, data: dict[str, Any]) -> Any:
    """Bus, archive and replay must all be allowed (service authorization reference, StartReplay)."""
    bus = str((data.get("Destination") or {}).get("Arn", ""))
    replay = f"{bus.partition(':event-bus/')[0]}:replay/{data.get('ReplayName')}"
    for arn in (bus, data.get("EventSourceArn"), replay):
        denied = arn and _stock_enforce(access_key, "events:StartReplay", "events", region, resource_arn=arn)
        if denied:
            return denied
    return None


def _namespace(body: bytes, content_type: str) -> str:
    if "cbor" in content_type:
        import cbor2  # noqa: PLC0415

        return str(cbor2.loads(body).get("Namespace", ""))
    return str(_json(body).get("Namespace", ""))


def json_of_request() -> dict[str, Any]:
    """The body of the request that is being authorised."""
    return _json(_body.get()[0])


def _json(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _rds(call: Call) -> str:
    """A snapshot that is named is asked about by its own name, not by that of its database."""
    for member, kind in (("DBSnapshotIdentifier", "snapshot"), ("DBClusterSnapshotIdentifier", "cluster-snapshot")):
        if call.operation.startswith("Describe") and call.data.get(member):
            return f"arn:aws:rds:{call.scope}:{kind}:{call.data[member]}"
    return call.stock


def _first(query: dict[str, Any], name: str) -> str:
    value = query.get(name) or ""
    return str(value[0] if isinstance(value, list) else value)


async def _dispatch(method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any) -> Any:
    _body.set((body, headers.get("content-type", "")))
    return await _stock_dispatch(method, path, headers, body, *rest)


def apply() -> None:
    global _stock_action, _stock_resource, _stock_enforce, _stock_dispatch  # noqa: PLW0603
    from ministack import app  # noqa: PLC0415 - reads the environment when it is imported

    iam_actions._BOTOCORE_SERVICE_MAP["lambda"] = ["lambda"]
    _stock_action = hook(iam_actions, "extract_iam_action", _action)
    _stock_resource = hook(iam_actions, "extract_resource_arn", _resource)
    _stock_enforce = hook(iam_evaluator, "enforce", _enforce)
    _stock_dispatch = hook(app, "_dispatch_service_request", _dispatch)


_stock_action: Any = None
_stock_resource: Any = None
_stock_enforce: Any = None
_stock_dispatch: Any = None
