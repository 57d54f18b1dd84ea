"""Stop the CodeDeploy deployment that is shifting a Lambda alias, and have it rolled back.

Alarm: errors of a function while a canary or linear deployment shifts traffic to its new version.
Action: `stop_deployment` (risky): StopDeployment with rollback. CodeDeploy then starts a second deployment that leads
back; `verify` follows it until it succeeded. Without rollback the alias would stay weighted on two versions, and later
deployments would fail until somebody removes the weights.
Precondition: the target says `code_deploy: {application, deployment_group}`. If nothing is in flight, nothing is done;
that is also the answer when the deployment comes to its end before it can be stopped. Such a new version is live, and
roll_back_alias is what helps then.

Never: stops a rollback, stops a deployment of another group, or writes the alias itself. It can't be undone: to deploy
again is a decision for people. A CloudFormation stack update that waits for the deployment fails and rolls back, so
leave the stack alone meanwhile.

A function of its own, because IAM can't scope codedeploy:StopDeployment to a deployment group.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from selfheal.action import Action, AlreadyDone, Change, Decision, Decline, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.code_deploy import IN_FLIGHT, deployment_info, in_flight
from selfheal.handler import handler_for
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

ROLLBACK = "codeDeployRollback"
ROLLBACK_STARTS_WITHIN = timedelta(minutes=2)
"""Later than this after its end a deployment was stopped without one, by somebody else."""
BATCH = 25
"""BatchGetDeployments takes this many ids."""


class StopDeployment(Action):
    """Stops what is in flight for one deployment group. AWS calls: 1 or 2 to observe, 1 to apply, 1 or 2 to verify."""

    name = "stop_deployment"
    permissions = (
        "codedeploy:BatchGetDeployments",
        "codedeploy:GetDeployment",
        "codedeploy:ListDeployments",
        "codedeploy:StopDeployment",
    )
    reversible = False
    verify_for_s = 60.0

    def observe(self, request: Request) -> State:
        """The deployments in flight, the ones that roll back apart."""
        code_deploy = request.target["code_deploy"]
        if _missing(code_deploy):
            return {"stopping": [], "rolling_back": []}
        flying = [one for one in _details(in_flight(code_deploy)) if one["status"] in IN_FLIGHT]
        return {
            "stopping": [one["deploymentId"] for one in flying if one.get("creator") != ROLLBACK],
            "rolling_back": [one["deploymentId"] for one in flying if one.get("creator") == ROLLBACK],
        }

    def decide(self, state: State, request: Request) -> Decision:
        """Stop what leads forward; leave alone what leads back."""
        if missing := _missing(request.target["code_deploy"]):
            return Decline(Refusal.BAD_TARGET, f"code_deploy needs {' and '.join(missing)}")
        group = request.target["code_deploy"]["deployment_group"]
        stopping = list(state["stopping"])
        if not stopping and state["rolling_back"]:
            return AlreadyDone(f"a rollback is in flight: {', '.join(state['rolling_back'])}", dict(state))
        if not stopping:
            return AlreadyDone(f"nothing in flight for {group}")
        return Change(
            direction=Direction.RISKY,
            summary=f"stop {', '.join(stopping)} of {group} and roll back",
            before=dict.fromkeys(stopping, "in flight"),
            after=dict.fromkeys(stopping, "Stopped"),
            plan={"deployments": stopping},
        )

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One StopDeployment each. Repeated for one that is stopped already it changes nothing."""
        self._called = True
        return {"stop": {deployment: _stop(deployment) for deployment in change.plan["deployments"]}}

    def verify(self, request: Request, change: Change) -> Verification:
        """Each deployment is over, and where it was stopped its rollback succeeded."""
        verdicts, after, details = [], {}, []
        rollbacks: dict[str, str] = {}
        for deployment in change.plan["deployments"]:
            seen = deployment_info(deployment)
            after[deployment] = seen["status"]
            verdict, detail = self._judge(deployment, seen, rollbacks)
            verdicts.append(verdict)
            details.append(detail)
        evidence = {"rollbacks": rollbacks} if rollbacks else {}
        worst = min(verdicts, key=[Verdict.DOES_NOT_HOLD, Verdict.NOT_YET, Verdict.HOLDS].index)
        return Verification(worst, after, "; ".join(details), evidence)

    def _judge(self, deployment: str, seen: Mapping[str, Any], rollbacks: dict[str, str]) -> tuple[Verdict, str]:
        status = seen["status"]
        if status in IN_FLIGHT:
            waiting = Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD
            return waiting, f"{deployment} is {status}"
        if status == "Succeeded":
            return Verdict.HOLDS, f"{deployment} had succeeded before it could be stopped: its version is live"
        rollback = seen.get("rollbackInfo", {})
        back = rollback.get("rollbackDeploymentId")
        if not back and rollback.get("rollbackMessage"):
            return Verdict.DOES_NOT_HOLD, f"{deployment} is {status}, not rolled back: {rollback['rollbackMessage']}"
        if not back:
            late = "completeTime" in seen and datetime.now(UTC) - seen["completeTime"] > ROLLBACK_STARTS_WITHIN
            verdict = Verdict.DOES_NOT_HOLD if late else Verdict.NOT_YET
            return verdict, f"{deployment} is {status}, its rollback has not started"
        rollbacks[back] = leading_back = deployment_info(back)["status"]
        told = f"{deployment} is {status}, its rollback {back} is {leading_back}"
        if leading_back in IN_FLIGHT:
            return Verdict.NOT_YET, told
        return Verdict.HOLDS if leading_back == "Succeeded" else Verdict.DOES_NOT_HOLD, told


def _missing(code_deploy: Mapping[str, str]) -> list[str]:
    return [name for name in ("application", "deployment_group") if not code_deploy.get(name)]


def _details(deployments: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for start in range(0, len(deployments), BATCH):
        ids = deployments[start : start + BATCH]
        try:
            found += client("codedeploy").batch_get_deployments(deploymentIds=ids)["deploymentsInfo"]
        except AwsError as error:
            translate(error, f"deployments {', '.join(ids)}")
    return found


def _stop(deployment: str) -> str:
    """What CodeDeploy says: Pending or Succeeded; or that the deployment was over, which `verify` looks into."""
    aws = client("codedeploy")
    try:
        return str(aws.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)["status"])
    except aws.exceptions.DeploymentAlreadyCompletedException:
        return "it was over already"
    except AwsError as error:
        translate(error, f"deployment {deployment}")


lambda_handler = handler_for(StopDeployment)
