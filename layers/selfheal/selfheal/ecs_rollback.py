"""Where a service is rolled back to, and how. Pure: it decides on what was observed.

The state: `service` as `ecs.service_of` has it; `history`, its deployments with what each led to; `definitions`, the
task definitions in question by name, None where there is none; `registered`, earlier ones of the family, the newest
first; `sources`, what the deployment in flight came from; `code_deploy`, what CodeDeploy has in flight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import ecs, ecs_history
from selfheal.action import DEPLOYED_AT, AlreadyDone, Change, Decision, Decline, Image, State
from selfheal.ecs_deploying import busy, since
from selfheal.ecs_history import family_of, name_of
from selfheal.members import listed
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.words import Direction


def decide(state: State, request: Request) -> Decision:
    """Stop what leads forward; leave alone what leads back; else deploy what ran well before."""
    service, name = state["service"], request.target["service"]
    if service["controller"] != "ECS" or state["code_deploy"]:
        return Decline(Refusal.OTHER_CONTROLLER, _elsewhere(state, request))
    if request.wanted is not None:
        return _put_back(state, name, request.wanted["task_definition"])
    back = [name_of(one["arn"]) for one in state["history"] if one["status"] in ecs.ROLLING_BACK]
    if back:
        return AlreadyDone(f"{name} is being rolled back already: {listed(back)}", {"in_flight": back})
    if asked := request.options.get("to_revision"):
        return _asked_for(state, name, asked)
    flying, source = starting(state), _source(state)
    if flying and source:
        goal = flying["task_definition"]
        if ecs_history.leads_back(source, goal, state["history"]):
            told = f"{name} is on its way back from {name_of(source)} to {name_of(goal)}"
            return AlreadyDone(told, {"in_flight": [name_of(flying["arn"])]})
        if source != goal:  # else it is a restart, and what it would be rolled back to is the same
            return _stop(state, flying, source, name)
    return _earlier(state, name)


def image(state: State) -> Image:
    """The task definition."""
    return {"task_definition": state["service"]["task_definition"]}


def starting(state: State) -> Mapping[str, Any] | None:
    """The newest service deployment that leads somewhere and is not over."""
    found = [one for one in state["history"] if one["status"] in ecs.STARTING]
    return found[-1] if found else None


def _source(state: State) -> str:
    """What a rollback of the deployment in flight leads to: of its sources, the one that was completed last."""
    done = [one["task_definition"] for one in state["history"] if one["status"] == ecs_history.SUCCESSFUL]
    return max(
        state["sources"], key=lambda one: max((at for at, led in enumerate(done) if led == one), default=-1), default=""
    )


def _put_back(state: State, name: str, wanted: str) -> Decision:
    """An undo."""
    if deploying := busy(state):
        return Decline(Refusal.SERVICE_DEPLOYING, f"in progress: {listed(deploying)}")
    if wanted == state["service"]["task_definition"]:
        return AlreadyDone(f"{name} runs {name_of(wanted)} already", dict(image(state)))
    return _deploy(state, wanted, f"put {name} back to {name_of(wanted)}", {})


def _stop(state: State, flying: Mapping[str, Any], source: str, name: str) -> Change:
    return Change(
        Direction.RISKY,
        f"stop deployment {name_of(flying['arn'])} of {name} and roll back to {name_of(source)}",
        before=image(state),
        after={"task_definition": source},
        plan={"stop": flying["arn"]},
        facts={DEPLOYED_AT: flying["created"]},
    )


def _asked_for(state: State, name: str, asked: str) -> Decision:
    """The task definition that a person named, unless it can't serve."""
    current, found = state["service"]["task_definition"], state["definitions"].get(asked)
    led_to = [one["task_definition"] for one in state["history"]]
    families = sorted({family_of(one) for one in (current, *led_to) if one})
    if found is None:
        return Decline(Refusal.REVISION_UNFIT, f"task definition {asked} does not exist")
    if family_of(asked) not in families:
        return Decline(Refusal.REVISION_UNFIT, f"{asked} is of none of the families of {name}: {listed(families)}")
    if found["arn"] == current:
        return Decline(Refusal.REVISION_UNFIT, f"{asked} is the current one")
    return _to(state, name, found["arn"], {})


def _earlier(state: State, name: str) -> Decision:
    """What ran well before, else what was registered before."""
    current, history = state["service"]["task_definition"], state["history"]
    choice = ecs_history.before(current, history)
    if choice.deployment is None:
        arn = next(iter(state["registered"]), None)
        if arn is None:
            bad = f"; rolled back from: {listed(map(name_of, sorted(choice.bad)))}" if choice.bad else ""
            detail = f"nothing to go back to from {name_of(current)}{bad}; name one with to_revision"
            return Decline(Refusal.NO_EARLIER_REVISION, detail)
        note = "ECS knows no earlier deployment: this one is registered, but whether it ever ran is not known"
        return _to(state, name, arn, {}, note)
    arn = choice.deployment["task_definition"]
    if choice.failed is not None:
        detail = f"{name_of(arn)} was tried last and did not come up: {choice.failed['status']}"
        return Decline(Refusal.REVISION_UNFIT, f"{detail}; name another with to_revision")
    then: Mapping[str, str] = choice.deployment["digests"]
    now: Mapping[str, str] = next(
        (one["digests"] for one in reversed(history) if one["task_definition"] == current), {}
    )
    images = {container: [now.get(container, ""), then.get(container, "")] for container in sorted({*now, *then})}
    return _to(state, name, arn, images)


def _to(state: State, name: str, arn: str, images: Mapping[str, list[str]], note: str = "") -> Decision:
    """Deploy `arn`. `images`: each container's digest now and then."""
    goal = name_of(arn)
    definition = next((one for one in state["definitions"].values() if one and one["arn"] == arn), None)
    if definition is None or definition["status"] != "ACTIVE":
        found = definition["status"] if definition else "gone"
        detail = f"{goal} is {found} and ECS refuses it; register it again, or name another with to_revision"
        return Decline(Refusal.REVISION_UNFIT, detail)
    parts = [f"roll {name} back from {name_of(state['service']['task_definition'])} to {goal}"]
    if flying := starting(state):
        parts.append(f"in place of deployment {name_of(flying['arn'])}")
    other = [container for container, (now, then) in images.items() if now != then]
    if images:
        parts.append(
            f"other images in {listed(other)}" if other else "the same images: only the configuration goes back"
        )
    if mutable := ecs.mutable_images(definition["images"]):
        parts.append(f"may pull another image than then, as the tag can move: {listed(mutable)}")
    return _deploy(state, arn, "; ".join([*parts, note] if note else parts), images)


def _deploy(state: State, arn: str, summary: str, images: Mapping[str, list[str]]) -> Change:
    current = state["service"]["task_definition"]
    came = ecs_history.came_at(current, state["history"])
    registered = (state["definitions"].get(current) or {}).get("registered")
    return Change(
        Direction.RISKY,
        summary,
        before=image(state),
        after={"task_definition": arn},
        plan={**since(state), "images": dict(images)},
        facts={DEPLOYED_AT: registered if came is None else came},
    )


def _elsewhere(state: State, request: Request) -> str:
    """What to run where ECS does not deploy."""
    name, controller = request.target["service"], state["service"]["controller"]
    if state["code_deploy"]:
        commands = "; ".join(
            f"aws deploy stop-deployment --deployment-id {one} --auto-rollback-enabled" for one in state["code_deploy"]
        )
        return f"CodeDeploy is deploying {name}; stop it with rollback: {commands}"
    if controller == "CODE_DEPLOY":
        group = request.target["code_deploy"].get("deployment_group", "GROUP")
        application = request.target["code_deploy"].get("application", "APPLICATION")
        return (
            f"{name} is deployed by CodeDeploy; deploy the AppSpec of the last good revision again: aws deploy"
            f" create-deployment --application-name {application} --deployment-group-name {group} --revision …"
        )
    return f"{name} is deployed by an external controller ({controller}); roll back there"
