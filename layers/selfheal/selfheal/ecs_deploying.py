"""What restart and rollback of a service have in common: a deployment that they start, and look after for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import ecs, ecs_history
from selfheal.action import Action, Image, State, Verification
from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.ecs_history import name_of
from selfheal.members import listed
from selfheal.request import Request
from selfheal.words import Verdict

_NOT_LASTING = (*ecs.ROLLING_BACK, *ecs_history.TAKEN_BACK)


class Deploys(Action):
    """Starts a deployment, whose tasks replace those that are evidence."""

    captures = True
    destroys = True
    verify_for_s = 5.0

    def _update(self, request: Request, **change: Any) -> None:
        target = request.target
        self._called = True
        try:
            client("ecs").update_service(cluster=target["cluster"], service=target["service"], **change)
        except AwsError as error:
            translate(error, f"service {target['service']} of {target['cluster']}")

    def _rolled_out(
        self, request: Request, service: Mapping[str, Any], since: Mapping[str, Any], after: Image
    ) -> Verification | None:
        """How the deployments do that there were none of at `since`; None if there is none."""
        ours = [one for one in service["deployments"] if one["id"] not in since["deployments"]]
        over = ecs.service_deployments(request.target, _NOT_LASTING)
        taken_back = [one for one in over if one["created"] > since["newest"]]
        if not ours and not taken_back:
            return None
        seen = {one["id"]: f"{one['status']} {one['rollout']}".strip() for one in ours}
        seen |= {name_of(one["arn"]): one["status"] for one in taken_back}
        told = ", ".join(f"{name} is {state}" for name, state in seen.items())
        verdicts = [ecs.rollout(one, service) for one in ours]
        if taken_back or Verdict.DOES_NOT_HOLD in verdicts:
            why = ecs.stop_reasons(request.target, [one["id"] for one in ours])
            evidence = {"deployments": seen, "stop_reasons": why}
            return Verification(Verdict.DOES_NOT_HOLD, after, f"{told}; tasks stopped: {listed(why) or '-'}", evidence)
        verdict = Verdict.HOLDS if set(verdicts) == {Verdict.HOLDS} else Verdict.NOT_YET
        return Verification(verdict, after, told, {"deployments": seen})


def since(state: State) -> dict[str, Any]:
    """What there was before our call: by it a later run tells whether the call took effect."""
    newest = max((one["created"] for one in state["history"]), default=0.0)
    return {"deployments": [one["id"] for one in state["service"]["deployments"]], "newest": newest}


def busy(state: State) -> list[str]:
    """The names of what is being deployed."""
    found = [name_of(one["arn"]) for one in state["history"] if one["status"] in ecs.IN_FLIGHT]
    return found or [one["id"] for one in state["service"]["deployments"] if one["rollout"] == "IN_PROGRESS"]
