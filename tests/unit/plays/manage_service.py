"""ECS services: each play has one of its own, on an account in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tests.unit.ecs_account import EcsAccount
from tests.unit.play import Play

if TYPE_CHECKING:
    from tests.unit.stage import Stage

_accounts: WeakKeyDictionary[Stage, EcsAccount] = WeakKeyDictionary()


def account_of(stage: Stage) -> EcsAccount:
    """The account of this stage."""
    if stage not in _accounts:
        _accounts[stage] = EcsAccount(stage.clock, takes_s=0.5)
    return _accounts[stage]


def answers(stage: Stage) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """What stands in for ECS and Application Auto Scaling."""
    return account_of(stage).answers()


def _service(stage: Stage, number: int, deployed: int = 1, **more: Any) -> tuple[EcsAccount, str]:
    """A service that was deployed so often, each time with a further task definition."""
    ecs, name = account_of(stage), f"web-{number}"
    ecs.tasks.clear()
    definitions = [ecs.register(name) for _ in range(deployed)]
    ecs.create(name, definitions[0], **more)
    for one in definitions[1:]:
        ecs.deploy(name, one)
        ecs.settle()
    ecs.backdate(name, stage.red_at_ms / 1000)
    return ecs, name


def restart_service(stage: Stage, number: int) -> Play:
    ecs, name = _service(stage, number)
    first = ecs.services[name]["deployments"][0]["id"]

    def look() -> str:
        ecs.go_on()
        return "old" if ecs.services[name]["deployments"][0]["id"] == first else "fresh"

    return Play(number, "restart_service", _target(name), look, "fresh", ("ecs.update_service",), more=_red(stage))


def restart_service_that_fails(stage: Stage, number: int) -> Play:
    """Its image is gone: the tasks never come up, and ECS takes the deployment back."""
    play = restart_service(stage, number)
    ecs = account_of(stage)
    ecs.broken.add(ecs.services[f"web-{number}"]["taskDefinition"])
    return play


def roll_back_service(stage: Stage, number: int) -> Play:
    ecs, name = _service(stage, number, deployed=2)
    return _rolled_back(stage, ecs, name, number)


def roll_back_service_in_flight(stage: Stage, number: int) -> Play:
    """The deployment that does not come up is not over."""
    ecs, name = _service(stage, number)
    ecs.deploy(name, ecs.register(name), stuck=True)
    ecs.backdate(name, stage.red_at_ms / 1000)
    return _rolled_back(stage, ecs, name, number)


def roll_back_service_without_history(stage: Stage, number: int) -> Play:
    """ECS knows no deployment of it any more."""
    ecs, name = _service(stage, number, deployed=2)
    ecs.history[name].clear()
    return _rolled_back(stage, ecs, name, number)


def _rolled_back(stage: Stage, ecs: EcsAccount, name: str, number: int) -> Play:
    def look() -> str:
        ecs.go_on()
        return str(ecs.services[name]["taskDefinition"]).rpartition(":")[2]

    effects = ("ecs.update_service", "ecs.stop_service_deployment")
    target = {**_target(name), "code_deploy": {"application": "shop", "deployment_group": "shop-nothing"}}
    return Play(number, "roll_back_service", target, look, "1", effects, more=_red(stage))


def scale_service(stage: Stage, number: int) -> Play:
    ecs, name = _service(stage, number)
    ecs.scale(name, 1, 3)
    done = {"desired": 4, "min": 4, "max": 4, "suspended": False}
    more = {**_red(stage), "options": {"desired": 4}}
    return _capacity(stage, number, "scale_service", done, more)


def stop_service(stage: Stage, number: int) -> Play:
    ecs, name = _service(stage, number)
    ecs.scale(name, 1, 3)
    done = {"desired": 0, "min": 0, "max": 0, "suspended": True}
    return _capacity(stage, number, "stop_service", done, stage.by_an_alarm)


def stop_service_behind_a_balancer(stage: Stage, number: int) -> Play:
    play = stop_service(stage, number)
    account_of(stage).services[f"web-{number}"]["loadBalancers"] = [{"targetGroupArn": "tg"}]
    return play


def _capacity(stage: Stage, number: int, action: str, done: Mapping[str, Any], more: Mapping[str, Any]) -> Play:
    ecs, name = account_of(stage), f"web-{number}"

    def look() -> dict[str, Any]:
        target = ecs.targets[f"service/shop/{name}"]
        return {
            "desired": ecs.services[name]["desiredCount"], "min": target["MinCapacity"], "max": target["MaxCapacity"],
            "suspended": all(target["SuspendedState"].values()),
        }  # fmt: skip

    effects = ("application-autoscaling.register_scalable_target", "ecs.update_service")
    return Play(number, action, _target(name), look, done, effects, 2, more=more)


def _target(name: str) -> dict[str, str]:
    return {"cluster": "shop", "service": name}


def _red(stage: Stage) -> dict[str, Any]:
    return {**stage.by_an_alarm, "origin": "ladder"}


PLAYS = (
    restart_service,
    restart_service_that_fails,
    roll_back_service,
    roll_back_service_in_flight,
    roll_back_service_without_history,
    scale_service,
    stop_service,
    stop_service_behind_a_balancer,
)
VARIANTS = {
    "roll_back_service_in_flight": "roll_back_service",
    "roll_back_service_without_history": "roll_back_service",
    "stop_service_behind_a_balancer": "stop_service",
}
