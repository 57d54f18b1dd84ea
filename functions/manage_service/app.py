"""Restart, scale, roll back or stop an ECS service.

Alarm: errors, latency, load or unhealthy targets of a service that runs on ECS.
Action: `restart_service` (risky) replaces the tasks by fresh ones of the same task definition. `scale_service` (risky)
sets how many run, and moves the limits of Application Auto Scaling along: going up they keep scaling from taking away
what was added, going down from adding what was taken. `roll_back_service` (risky) stops a deployment in flight with
rollback, or deploys the task definition that ran well before; the option `to_revision` names another. `stop_service`
lets no task run and suspends scaling: safe where nothing sends the service requests, risky where a load balancer or
service discovery does, because those are lost.
Precondition: the service is ACTIVE. To restart it or to roll it back, ECS itself must deploy it: with CodeDeploy or an
external controller UpdateService refuses a new task definition, and the refusal says what to run.

Traps. A desired count does not last where Auto Scaling has limits, and RegisterScalableTarget forces the service into
its limits at once: so limits come first and the count second, and back in the reverse order. A forced deployment pulls
a mutable tag again. UpdateService without a revision takes the latest one: the exact one is always sent. A task
definition that was rolled back from, or that is INACTIVE, is never gone to; nor is one twice that did not come up. A
rollback under way is left alone: a second one would start another deployment. A restart deploys the same code again,
so it is not "the last deployment" that an alarm may be older than.
ECS has no compare-and-set: the engine looks again once it has the target. A killed restart is not repeated if a
deployment was created meanwhile.

Never: waits for a deployment to end (the clock goes on), stops single tasks, deletes a service or a revision. The next
deployment of a template sets task definition and desired count as it has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from selfheal import ecs, ecs_history, ecs_rollback
from selfheal.action import AlreadyDone, Change, Decision, Decline, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.code_deploy import in_flight
from selfheal.ecs_capacity import SetCapacity
from selfheal.ecs_deploying import Deploys, busy, since
from selfheal.ecs_history import family_of, name_of, revision_of
from selfheal.ecs_scaling import ALL_SUSPENDED, limits_for
from selfheal.errors import Refused
from selfheal.handler import handler_for
from selfheal.members import listed
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction, Verdict

EXACT_REVISION = re.compile(r"[A-Za-z0-9_-]{1,255}:[1-9][0-9]{0,9}")
NEWEST_DEPLOYMENTS = 100
"""So far back is looked for what ran well: 5 calls for their revisions."""


class RestartService(Deploys):
    """One UpdateService with forceNewDeployment. AWS calls: 3 to observe, 2 to apply, 2 for each look."""

    name = "restart_service"
    permissions = (
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListServiceDeployments",
        "ecs:ListTasks",
        "ecs:UpdateService",
    )
    reversible = False

    def observe(self, request: Request) -> State:
        """The service, its deployments, and the images that fresh tasks would run."""
        service = ecs.service_of(request.target)
        if service["controller"] != "ECS":
            return {"service": service, "history": [], "images": {}}
        definition = ecs.task_definition(service["task_definition"]) or {"images": {}}
        history = ecs.service_deployments(request.target)
        return {"service": service, "history": history, "images": definition["images"]}

    def decide(self, state: State, request: Request) -> Decision:
        """Restart what runs and is not being deployed."""
        service, name = state["service"], request.target["service"]
        if service["controller"] != "ECS":
            detail = (
                f"{name} is deployed by {service['controller']}; start its deployment there, with the same revision"
            )
            return Decline(Refusal.OTHER_CONTROLLER, detail)
        if not service["daemon"] and service["desired"] == 0:
            return Decline(Refusal.SERVICE_STOPPED, f"{name} has desired count 0; scale_service starts it")
        if deploying := busy(state):
            return Decline(
                Refusal.SERVICE_DEPLOYING, f"in progress: {listed(deploying)}; wait for its end or roll it back"
            )
        summary = f"restart {name}: fresh tasks of {name_of(service['task_definition'])}"
        if mutable := ecs.mutable_images(state["images"]):
            summary += f"; may pull another image, as the tag can move: {listed(mutable)}"
        if service["latest_platform"]:
            summary += "; Fargate's platform version LATEST may be a newer one"
        return Change(Direction.RISKY, summary, plan=since(state))

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Look first: a run that died may have started the deployment, and UpdateService would start another."""
        service = ecs.service_of(request.target)
        started = [one["id"] for one in service["deployments"] if one["id"] not in change.plan["deployments"]]
        if started:
            return {"started_before": started}
        self._update(request, forceNewDeployment=True)
        return {}

    def verify(self, request: Request, change: Change) -> Verification:
        """A deployment that was not there before, and what became of it."""
        service = ecs.service_of(request.target)
        seen = self._rolled_out(request, service, change.plan, {})
        if seen is not None:
            return seen
        verdict = Verdict.NOT_YET if self._called else Verdict.DOES_NOT_HOLD
        return Verification(verdict, detail="no deployment has been created")


class ScaleService(SetCapacity):
    """Sets the desired count, and the limits of Auto Scaling so that it lasts."""

    name = "scale_service"
    writes = ("desired", "min", "max")

    def observe(self, request: Request) -> State:
        """Count and limits. Raises Refused for options that can't be meant."""
        wanted = request.options.get("desired")
        if wanted is None and not self.restores(request):
            raise Refused(Refusal.BAD_OPTIONS, "desired is missing: how many tasks are to run")
        return super().observe(request)

    def decide(self, state: State, request: Request) -> Decision:
        """Up to `most` and no further; any change of capacity is risky."""
        service, name = state["service"], request.target["service"]
        if service["daemon"]:
            return Decline(Refusal.DAEMON_SERVICE, f"{name} is a DAEMON service")
        if request.wanted is not None:
            return self.restore(state, request)
        wanted, most, now = request.options["desired"], request.options["most"], service["desired"]
        if wanted > most:
            return Decline(Refusal.BEYOND_MOST, f"{wanted} tasks are asked for, most is {most}")
        if wanted == now:
            return AlreadyDone(f"{name} has desired count {now} already", dict(self.image(state)))
        scaling = state["scaling"]
        after = {"desired": wanted, **(limits_for(wanted, now, scaling) if scaling else {})}
        summary = f"scale {name} from {now} to {wanted}"
        if scaling:
            summary += f", limits from {scaling['min']}-{scaling['max']} to {after['min']}-{after['max']}"
        if scaling and state["scheduled"] and not scaling["suspended"]["ScheduledScalingSuspended"]:
            summary += f"; scheduled actions will set the limits anew: {listed(state['scheduled'])}"
        return self.change(state, after, Direction.RISKY, summary)


class StopService(SetCapacity):
    """No task, and nothing that starts one. Risky where requests arrive (they are lost), else safe.

    ECS tells of stopped tasks and their reasons for an hour, so that an emergency stop waits for no evidence.
    """

    name = "stop_service"
    writes = ("desired", "min", "max", "suspended")
    captures = True

    def decide(self, state: State, request: Request) -> Decision:
        """Limits 0 and 0, everything suspended, desired count 0."""
        service, name = state["service"], request.target["service"]
        if service["daemon"]:
            return Decline(Refusal.DAEMON_SERVICE, f"{name} is a DAEMON service")
        if request.wanted is not None:
            return self.restore(state, request)
        limits = {"min": 0, "max": 0, "suspended": ALL_SUSPENDED} if state["scaling"] else {}
        after = {"desired": 0, **limits}
        if after == self.image(state) and service["running"] + service["pending"] == 0:
            return AlreadyDone(f"{name} is stopped already", dict(after))
        if after == self.image(state):
            return AlreadyDone(f"{name} has desired count 0; {service['running']} tasks are still ending", dict(after))
        summary = f"stop {name}: desired count from {service['desired']} to 0"
        if state["scaling"]:
            summary += ", Auto Scaling suspended with limits 0-0"
        if state["scheduled"]:
            summary += f"; scheduled actions do not run meanwhile: {listed(state['scheduled'])}"
        if service["requests"]:
            summary += f"; requests are lost, it has {listed(service['requests'])}"
        direction = Direction.RISKY if service["requests"] else Direction.SAFE
        return self.change(state, after, direction, summary)


class RollBackService(Deploys):
    """Back to the task definition that ran well before: by StopServiceDeployment, or by UpdateService.

    AWS calls: 3 to 6 to observe, 1 to apply, 2 for each look.
    """

    name = "roll_back_service"
    permissions = (
        "codedeploy:ListDeployments",
        "ecs:DescribeServiceDeployments",
        "ecs:DescribeServiceRevisions",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListServiceDeployments",
        "ecs:ListTaskDefinitions",
        "ecs:ListTasks",
        "ecs:StopServiceDeployment",
        "ecs:UpdateService",
    )

    def look(self, request: Request) -> State:
        """The service, which names its task definition."""
        return {"service": ecs.service_of(request.target)}

    def observe(self, request: Request) -> State:
        """The service, its history with what each deployment led to, and the task definitions in question."""
        asked = request.options.get("to_revision")
        if asked is not None and not EXACT_REVISION.fullmatch(asked):
            raise Refused(Refusal.BAD_OPTIONS, f"to_revision must be family:revision, got {asked!r:.80}")
        target = request.target
        service = ecs.service_of(target)
        code_deploy = target["code_deploy"]
        state: dict[str, Any] = {"service": service, "history": [], "definitions": {}, "registered": [], "sources": []}
        state["code_deploy"] = in_flight(code_deploy) if code_deploy else []
        if service["controller"] != "ECS":
            return state
        history = ecs.service_deployments(target)[-NEWEST_DEPLOYMENTS:]
        known = ecs.revisions(one["revision"] for one in history)
        unknown = {"task_definition": "", "digests": {}}
        state["history"] = [{**one, **known.get(one["revision"], unknown)} for one in history]
        current = service["task_definition"]
        choice = ecs_history.before(current, state["history"])
        if request.undo_of is not None or request.wanted is not None:
            return state
        if flying := ecs_rollback.starting(state):
            sources = ecs.service_deployment(flying["arn"])["sources"]
            state["sources"] = [found["task_definition"] for found in ecs.revisions(sources).values()]
        goal = asked or (choice.deployment["task_definition"] if choice.deployment else "")
        if not goal and not choice.bad:
            earlier = revision_of(current)
            state["registered"] = [one for one in ecs.registered(family_of(current)) if revision_of(one) < earlier]
            goal = next(iter(state["registered"]), "")
        for name in filter(None, dict.fromkeys((current, goal))):
            state["definitions"][name] = ecs.task_definition(name)
        return state

    def decide(self, state: State, request: Request) -> Decision:
        """Stop what leads forward; leave alone what leads back; else deploy what ran well before."""
        return ecs_rollback.decide(state, request)

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """One call. The exact revision is sent: without one, ECS takes the latest."""
        if "stop" not in change.plan:
            self._update(request, taskDefinition=name_of(change.after["task_definition"]))
            return {"images": change.plan["images"]} if change.plan.get("images") else {}
        arn, self._called = change.plan["stop"], True
        try:
            client("ecs").stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
        except AwsError as error:
            translate(error, f"service deployment {name_of(arn)}")
        return {"stopped": name_of(arn)}

    def verify(self, request: Request, change: Change) -> Verification:
        """The service has the wanted task definition, and its tasks run."""
        service = ecs.service_of(request.target)
        seen = {"task_definition": service["task_definition"]}
        if "stop" in change.plan:
            return self._stopped(request, change, seen)
        if seen == change.after:
            rolled = self._rolled_out(request, service, change.plan, seen)
            return rolled or Verification(Verdict.NOT_YET, seen, "no deployment has been created")
        rolled = self._rolled_out(request, service, change.plan, seen)
        if rolled is not None:  # ECS took ours back, or somebody deployed
            detail = f"it runs {name_of(seen['task_definition'])}: {rolled.detail}"
            return Verification(Verdict.DOES_NOT_HOLD, seen, detail, rolled.evidence)
        verdict = Verdict.NOT_YET if self._called and seen == change.before else Verdict.DOES_NOT_HOLD
        return Verification(verdict, seen, f"it runs {name_of(seen['task_definition'])}")

    def _stopped(self, request: Request, change: Change, seen: Image) -> Verification:
        found = ecs.service_deployment(change.plan["stop"])
        told = f"deployment {name_of(change.plan['stop'])} is {found['status']}"
        told += f": {found['reason']}" if found["reason"] else ""
        if found["status"] in ecs.ROLLING_BACK or (found["status"] in ecs.STARTING and self._called):
            return Verification(Verdict.NOT_YET, seen, told)
        if found["status"] == "ROLLBACK_SUCCESSFUL" and seen == change.after:
            return Verification(Verdict.HOLDS, seen, told)
        evidence = {"stop_reasons": ecs.stop_reasons(request.target)}
        return Verification(Verdict.DOES_NOT_HOLD, seen, told, evidence)

    def image(self, state: State) -> Image:
        """The task definition."""
        return ecs_rollback.image(state)


lambda_handler = handler_for(RestartService, ScaleService, RollBackService, StopService)
