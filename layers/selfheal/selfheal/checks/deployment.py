"""How did the last CodeDeploy deployment end, or where does it hang?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.finding import Finding, Mark, Problem, findings
from selfheal.checks.kind import Check, CheckKind, Field, named
from selfheal.clients import client
from selfheal.code_deploy import IN_FLIGHT, deployment_info

KIND = CheckKind(
    "deployment",
    "the last CodeDeploy deployment succeeded, and none hangs",
    {
        "application": named("CodeDeploy application"),
        "deployment_group": named("deployment group"),
        "stuck_minutes": Field(int, 30, help="one that takes longer hangs (a canary of 5 minutes takes about 7)"),
    },
    named_by=("application", "deployment_group"),
)
SERVICES = ("codedeploy",)
PERMISSIONS = (
    "codedeploy:GetDeployment",
    "codedeploy:GetDeploymentTarget",
    "codedeploy:ListDeploymentTargets",
    "codedeploy:ListDeployments",
)
NEWEST = 5
"""The list comes newest first, which no page of AWS promises: the newest of so many counts."""
STOP_IT = "stop_deployment ends it with a rollback"
WHY: Mapping[str, str] = {
    "ALARM_ACTIVE": "an alarm of the group went red: see it; CodeDeploy has rolled back if the group says so",
    "HOOK_EXECUTION_FAILURE": "a hook function failed or never reported: see its log; it must call "
    "PutLifecycleEventHookExecutionStatus, and its role may have to be allowed to",
    "TIMEOUT": "a hook or an instance did not answer in time: see its log",
    "MANUAL_STOP": "somebody, or selfheal, stopped it: see who before it is deployed again",
    "IAM_ROLE_PERMISSIONS": "CodeDeploy's service role lacks a permission: see the message, add it, deploy again",
    "IAM_ROLE_MISSING": "CodeDeploy's service role is gone: give the group a role",
    "INVALID_LAMBDA_FUNCTION": "a function, a version or the alias does not exist or differs from what CodeDeploy "
    "expected: somebody moved the alias; deploy again",
    "INVALID_LAMBDA_CONFIGURATION": "the AppSpec and the alias do not fit: somebody moved the alias; deploy again",
    "INVALID_REVISION": "the AppSpec is wrong: see the message",
    "THROTTLED": "an API of AWS was called too often: deploy again in some minutes",
    "HEALTH_CONSTRAINTS": "too few instances stayed healthy: see the targets",
    "RESOURCE_LIMIT_EXCEEDED": "a quota of CodeDeploy is used up: see the message",
}


def look(check: Check) -> list[Finding]:
    """ListDeployments and GetDeployment; the targets as well of one that hangs or failed."""
    last = _last(check)
    if last is None:
        none = Problem("nothing was deployed yet", "a deployment", "deploy, or correct the names", Mark.UNKNOWN)
        return findings(check, [none], "")
    status, name = last["status"], last["deploymentId"]
    age_min = (time.time() - last["createTime"].timestamp()) / 60
    told = f"{name} {status}, begun {age_min:.0f} min ago"
    if status == "Succeeded":
        return findings(check, _rolled_back(last, told), told)
    if status not in IN_FLIGHT:
        return findings(check, [_ended(last, told)], "")
    if age_min <= check["stuck_minutes"]:
        wait = Problem(told, "Succeeded", "wait for its end", Mark.UNKNOWN)
        return findings(check, [wait], "")
    where = _where(name)
    return findings(check, [Problem(f"{told}: it hangs{where}", "Succeeded", f"see why; {STOP_IT}")], "")


def _last(check: Check) -> Mapping[str, Any] | None:
    names = {"applicationName": check["application"], "deploymentGroupName": check["deployment_group"]}
    try:
        ids = client("codedeploy").list_deployments(**names)["deployments"][:NEWEST]
    except AwsError as error:
        translate(error, f"deployments of {check['deployment_group']}")
    return max(map(deployment_info, ids), key=lambda one: one["createTime"], default=None)


def _rolled_back(last: Mapping[str, Any], told: str) -> list[Problem]:
    if last.get("creator") != "codeDeployRollback":
        return []
    of = (last.get("rollbackInfo") or {}).get("rollbackTriggeringDeploymentId", "the one before")
    seen = f"{told}: it is the rollback of {of}"
    return [Problem(seen, "a release that stayed", f"see why {of} failed before it is deployed again")]


def _ended(last: Mapping[str, Any], told: str) -> Problem:
    error = last.get("errorInformation") or {}
    code, message = error.get("code", ""), error.get("message", "")
    back = (last.get("rollbackInfo") or {}).get("rollbackDeploymentId")
    after = f"rolled back by {back}" if back else "not rolled back: see whether the alias still has two versions"
    seen = f"{told}: {code} {message}".rstrip(": ")[:400]
    return Problem(f"{seen}{_where(last['deploymentId'])}; {after}", "Succeeded", WHY.get(code, "see its message"))


def _where(deployment: str) -> str:
    """The step of the deployment that is not done, in words; empty where AWS does not say."""
    try:
        targets = client("codedeploy").list_deployment_targets(deploymentId=deployment).get("targetIds", [])
        seen = [_target(deployment, target) for target in targets[:NEWEST]]
    except AwsError:  # only an explanation
        return ""
    for target in seen:
        for event in target.get("lifecycleEvents", ()):
            if event.get("status") not in {"Succeeded", "Skipped"}:
                said = (event.get("diagnostics") or {}).get("message") or ""
                return f" at {event.get('lifecycleEventName')} ({event.get('status')}) {said}".rstrip()[:300]
    return ""


def _target(deployment: str, target: str) -> Mapping[str, Any]:
    answer = client("codedeploy").get_deployment_target(deploymentId=deployment, targetId=target)["deploymentTarget"]
    found = (answer.get(kind) for kind in ("lambdaTarget", "ecsTarget", "instanceTarget", "cloudFormationTarget"))
    return next((one for one in found if one), {})
