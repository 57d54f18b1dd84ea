"""How many tasks a service runs: the count and the limits around it, set in an order in which they last.

Limits come first and the count second; an undo sets the count first and the limits second, since limits would force
the service into them before the count is back. Each call is left out where its part is as wanted, so that a run that
died goes on with what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from selfheal import ecs
from selfheal.action import Action, AlreadyDone, Change, Decision, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.ecs_scaling import LIMITS, scaling_of, scheduled_actions, set_scaling
from selfheal.errors import ChangedMeanwhile, Unreadable
from selfheal.request import Request
from selfheal.words import Direction, Verdict


class SetCapacity(Action):
    """Sets what `writes` names, or (`request.wanted`) sets it back.

    AWS calls: 2 or 3 to observe, up to 4 to apply, 2 for each look.
    """

    permissions = (
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScheduledActions",
        "application-autoscaling:RegisterScalableTarget",
        "ecs:DescribeServices",
        "ecs:UpdateService",
    )
    continues = True
    verify_for_s = 5.0
    writes: ClassVar[tuple[str, ...]]
    """Of `desired`, `min`, `max` and `suspended`."""

    def restores(self, request: Request) -> bool:
        """It is an undo."""
        return request.undo_of is not None or request.wanted is not None

    def observe(self, request: Request) -> State:
        """The service, its limits, and what sets them by the clock."""
        service, scaling = ecs.service_of(request.target), scaling_of(request.target)
        scheduled = scheduled_actions(request.target) if scaling else []
        return {"service": service, "scaling": scaling, "scheduled": scheduled}

    def look(self, request: Request) -> State:
        """The service and its limits."""
        return {"service": ecs.service_of(request.target), "scaling": scaling_of(request.target)}

    def change(self, state: State, after: Image, direction: Direction, summary: str) -> Change:
        """From how it is to `after`, limits first."""
        return Change(direction, summary, before=self.image(state), after=after, plan={"limits_first": True})

    def restore(self, state: State, request: Request) -> Decision:
        """Back to the recorded image, the count first."""
        before, wanted = self.image(state), dict(request.wanted or {})
        if wanted == before:
            return AlreadyDone("count and limits are as they were", dict(before))
        summary = f"put {request.target['service']} back to desired count {wanted['desired']}"
        if "min" in wanted:
            summary += f", limits {wanted['min']}-{wanted['max']}"
        return Change(Direction.RISKY, summary, before=before, after=wanted, plan={"limits_first": False})

    def apply(self, request: Request, change: Change) -> Mapping[str, Any]:
        """Two calls at most, in the order of the plan."""
        self._called = True
        limits = {name: value for name, value in change.after.items() if name in LIMITS}

        def set_limits() -> None:
            now = scaling_of(request.target)
            if limits and (now is None or any(now[name] != wanted for name, wanted in limits.items())):
                set_scaling(request.target, limits)

        def set_count() -> None:
            if ecs.service_of(request.target)["desired"] != change.after["desired"]:
                self._set_desired(request, change.after["desired"])

        first, second = (set_limits, set_count) if change.plan["limits_first"] else (set_count, set_limits)
        first()
        try:
            second()
        except ChangedMeanwhile as error:  # not "nothing of ours": a later run goes on with what is left
            raise Unreadable(f"second part of {request.action}", str(error)) from error
        return {}

    def _set_desired(self, request: Request, desired: int) -> None:
        target = request.target
        try:
            client("ecs").update_service(cluster=target["cluster"], service=target["service"], desiredCount=desired)
        except AwsError as error:
            translate(error, f"service {target['service']} of {target['cluster']}")

    def verify(self, request: Request, change: Change) -> Verification:
        """Count and limits as wanted, and so many tasks run."""
        service, scaling = ecs.service_of(request.target), scaling_of(request.target)
        seen = self.image({"service": service, "scaling": scaling})
        wanted = change.after
        if seen == wanted or _scaled_since(seen, wanted, scaling):
            return _tasks(service, seen)
        found = f"count and limits are {dict(seen)}"
        if _on_the_way(seen, change):
            verdict = Verdict.NOT_YET if self._called or seen != change.before else Verdict.DOES_NOT_HOLD
            return Verification(verdict, seen, found)
        return Verification(Verdict.DOES_NOT_HOLD, seen, f"somebody changed them: {found}")

    def image(self, state: State) -> Image:
        """Count, and the limits where something scales the service."""
        everything = {"desired": state["service"]["desired"], **(state["scaling"] or {})}
        return {name: everything[name] for name in self.writes if name in everything}


def _scaled_since(seen: Image, wanted: Image, scaling: Mapping[str, Any] | None) -> bool:
    """Everything is as wanted but the count, which scaling has moved within the limits."""
    if scaling is None or all(scaling["suspended"].values()):
        return False
    within = scaling["min"] <= seen["desired"] <= scaling["max"]
    return within and {**seen, "desired": 0} == {**wanted, "desired": 0}


def _on_the_way(seen: Image, change: Change) -> bool:
    """Each part is as before or as wanted; the count may be where the limits have forced it."""
    wanted, before = change.after, change.before
    limits = [{name: one.get(name) for name in LIMITS} for one in (seen, before, wanted)]
    if limits[0] not in limits[1:]:
        return False
    forced = [min(max(one["desired"], seen["min"]), seen["max"]) for one in (before, wanted)] if "min" in seen else []
    return seen["desired"] in (before["desired"], wanted["desired"], *forced)


def _tasks(service: Mapping[str, Any], seen: Image) -> Verification:
    desired, running, pending = service["desired"], service["running"], service["pending"]
    told = f"{running} of {desired} tasks run"
    if running == desired and pending == 0:
        return Verification(Verdict.HOLDS, seen, told)
    failed = [one for one in service["deployments"] if one["rollout"] == "FAILED" and one["status"] == "PRIMARY"]
    if failed and running < desired:
        return Verification(Verdict.DOES_NOT_HOLD, seen, f"{told}; {failed[0]['reason']}")
    return Verification(Verdict.NOT_YET, seen, told)
