"""Deployments: what CodeDeploy, ECS or a person says that was deployed becomes a record, a notice and watches.

    {"deployment": {"system": "…", "version": "…", "by": "…", "target": "…"}}

by hand or from a pipeline; the last three may be missing. Account and region come from the ARN of what was deployed and
from nothing else. Events of what no runbook names are none of selfheal's.

Sources: CodeDeploy user guide, "Monitoring deployments with EventBridge"; ECS developer guide, "Amazon ECS service
deployment state change events".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from selfheal import ledger as table
from selfheal import refusals, watches
from selfheal.alarm_shapes import pick, shown
from selfheal.arns import Home
from selfheal.errors import LedgerUnavailable, Refused
from selfheal.frozen import dataclass
from selfheal.ledger import Ledger, Lost
from selfheal.refusal import Refusal
from selfheal.respond import Decision, Respond
from selfheal.runbook import Runbook, Runbooks

SOURCES = ("aws.codedeploy", "aws.ecs")
CODE_DEPLOY = "CodeDeploy Deployment State-change Notification"
ECS = "ECS Deployment State Change"
KNOWN = ("system", "version", "by", "target")
MAX_TEXT = 100
KEEP_S = 400 * table.DAY_S


@dataclass(frozen=True)
class Deployment:
    """What was deployed. `targets` are names in the runbook; `id` is the same for each delivery of it."""

    system: str
    targets: tuple[str, ...]
    version: str
    by: str
    source: str
    id: str


def is_one(event: Mapping[str, Any]) -> bool:
    """Somebody means this as a deployment."""
    return "deployment" in event or event.get("source") in SOURCES


def take(respond: Respond, event: Mapping[str, Any], home: Home, record_id: str) -> list[Decision]:
    """What is done about a deployment, one answer for each system that it is of. `record_id` is the same for each
    attempt of one invocation. A decision with `retry` is not recorded."""
    runbooks = respond.runbooks
    try:
        found = list(_by_hand(event, runbooks, record_id) if "deployment" in event else _by_aws(event, runbooks, home))
    except Refused as refused:
        refusals.keep(record_id, refused, event)
        return [{"decision": "refused", "reason": refused.refusal.value, "detail": refused.detail}]
    if not found:
        return [{"decision": "not_ours", "detail": "no runbook names what was deployed"}]
    return [_recorded(respond.ledger, runbooks, one, respond.now()) for one in found]


def _recorded(ledger: Ledger, runbooks: Runbooks, deployment: Deployment, now: float) -> Decision:
    """The record, the notice and the watches: all of them or none."""
    runbook = runbooks.system(deployment.system)
    begun = watches.begun(runbook, deployment.targets) if runbook else []
    told = {"decision": "deployed", "system": deployment.system, "watches": [watch.name for watch in begun]}
    doc = {**asdict(deployment), "at": now}
    notice = {
        **doc,
        "what": "deployed",
        "watches": [{"name": watch.name, "for_s": watch.for_s} for watch in begun],
    }
    where = f"DEPLOYMENT#{deployment.system}"
    try:
        ledger.write(
            table.put_new(where, deployment.id, doc, expires=int(now + KEEP_S)),
            watches.news(f"{deployment.system}|{deployment.id}", notice, now),
            *(watches.beginning(deployment.system, watch, doc, deployment.id, now) for watch in begun),
        )
    except Lost:
        return {"decision": "duplicate", "system": deployment.system}
    except LedgerUnavailable as error:
        return {"decision": "refused", "reason": Refusal.GUARD_UNREADABLE.value, "detail": str(error), "retry": True}
    return told


def _by_hand(event: Mapping[str, Any], runbooks: Runbooks, record_id: str) -> Iterator[Deployment]:
    said = event["deployment"]
    if len(event) != 1 or not isinstance(said, Mapping):
        raise _none(f"""write {{"deployment": {{{", ".join(KNOWN)}}}}}, and no more""")
    if strange := sorted(str(name) for name in said if name not in KNOWN):
        raise _none(f"unknown {strange[:5]}; a deployment has {list(KNOWN)}")
    given = {name: value for name, value in said.items() if value is not None}
    if wrong := [name for name, value in given.items() if not _is_text(value)]:
        raise _none(f"{wrong} must be a text of 1 to {MAX_TEXT} printable characters")
    runbook = runbooks.system(given.get("system", ""))
    if runbook is None:
        raise Refused(
            Refusal.BAD_TARGET, f"there is no system {shown(said.get('system'))}; known are {_names(runbooks)}"
        )
    target = given.get("target")
    if target is not None and target not in runbook.targets:
        raise Refused(
            Refusal.BAD_TARGET, f"{runbook.system} has no target {target}; known are {sorted(runbook.targets)}"
        )
    targets = tuple(_deployable(runbook)) if target is None else (target,)
    version, by = given.get("version", ""), given.get("by", "")
    yield Deployment(runbook.system, targets, version, by, "by hand", f"hand-{_digest(record_id)}")


def _by_aws(event: Mapping[str, Any], runbooks: Runbooks, home: Home) -> Iterator[Deployment]:
    kind, detail = event.get("detail-type"), event.get("detail")
    if (event.get("source"), kind) not in (("aws.codedeploy", CODE_DEPLOY), ("aws.ecs", ECS)):
        raise _none(
            f"detail-type is {shown(kind)} from {shown(event.get('source'))}; {CODE_DEPLOY!r} or {ECS!r} is right"
        )
    where = "deploymentgroup:" if kind == CODE_DEPLOY else "service/"
    arn = _arn_of(event.get("resources"), where)
    _, _, service, region, account, resource = arn.split(":", 5)
    if (account, region) != (home.account, home.region):
        raise Refused(
            Refusal.FOREIGN_DEPLOYMENT,
            f"{resource[:100]} is of account {account}, region {region}; "
            f"from here, account {home.account} is watched in region {home.region}",
        )
    done = {"codedeploy": ("state", "SUCCESS"), "ecs": ("eventName", "SERVICE_DEPLOYMENT_COMPLETED")}[service]
    if pick(detail, done[0]) != done[1]:
        raise _none(f"detail.{done[0]} is {shown(pick(detail, done[0]))}; {done[1]} is right")
    deployment = pick(detail, "deploymentId")
    if not _is_text(deployment):
        raise _none(f"detail.deploymentId is {shown(deployment)}; a text is right")
    names = tuple(resource.removeprefix(where).split("/"))
    for runbook in runbooks.runbooks:
        targets = tuple(name for name, fields in runbook.targets.items() if _is(fields, service, names))
        if targets:
            source = "CodeDeploy" if service == "codedeploy" else "ECS"
            identity = _digest(f"{arn}|{deployment}")
            yield Deployment(runbook.system, targets, "", str(deployment), source, f"{service}-{identity}")


def _arn_of(resources: object, where: str) -> str:
    """The ARN of the deployment group or the service among an event's resources."""
    for arn in resources if isinstance(resources, list) else []:
        parts = arn.split(":", 5) if isinstance(arn, str) else []
        service = {"deploymentgroup:": "codedeploy", "service/": "ecs"}[where]
        right = len(parts) == 6 and all(parts) and (parts[0], parts[2]) == ("arn", service)
        if right and parts[5].startswith(where):
            return str(arn)
    raise _none(f"resources name no ARN of a {where.rstrip(':/')}; account and region are taken from nothing else")


def _is(fields: Mapping[str, Any], service: str, names: tuple[str, ...]) -> bool:
    """A target of a runbook is what was deployed."""
    shifted = fields.get("code_deploy") or {}
    if service == "codedeploy":
        return (shifted.get("application"), shifted.get("deployment_group")) == names
    # Services of before the long ARN format have no cluster in it; such a name alone could be anybody's.
    return (fields.get("cluster"), fields.get("service")) == names


def _deployable(runbook: Runbook) -> Iterator[str]:
    """Targets that are deployed: functions and services."""
    for name, fields in runbook.targets.items():
        if {"function", "service"} & set(fields) and "{alarm." not in str(fields):
            yield name


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_TEXT


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _names(runbooks: Runbooks) -> list[str]:
    return [one.system for one in runbooks.runbooks]


def _none(detail: str) -> Refused:
    return Refused(Refusal.NOT_A_DEPLOYMENT, detail)
