"""ECS services: restarted once, scaled so that it lasts, rolled back to what ran well, stopped so that it stays so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from selfheal import ecs, ecs_history
from selfheal.action import DEPLOYED_AT, Action, AlreadyDone, Change, Decline
from selfheal.clients import client
from selfheal.ecs_scaling import ALL_SUSPENDED, limits_for, set_scaling
from selfheal.errors import ChangedMeanwhile, NotApplied, Refused, TargetForbidden, TargetNotFound, Unreadable
from selfheal.refusal import Refusal
from selfheal.request import Request
from selfheal.step_outcome import DOES_NOT_APPLY
from selfheal.target import read_target
from selfheal.words import Direction, Verdict

from functions.manage_service.app import RestartService, RollBackService, ScaleService, StopService
from tests.unit.aws import ask, event, planned, script
from tests.unit.doubles import Clock
from tests.unit.ecs_account import ARN, EcsAccount
from tests.unit.ecs_account import refused as refused_by_ecs
from tests.unit.play import Play
from tests.unit.plays.manage_service import account_of
from tests.unit.stage import Stage, stage
from tests.unit.wire import CAPTURE, Wire, denied

WEB = {"cluster": "shop", "service": "web"}
CODE_DEPLOY = {"application": "shop", "deployment_group": "web"}
RESTART = ask("restart_service", WEB)
BACK = ask("roll_back_service", WEB)
STOP = ask("stop_service", WEB)
ACTIONS = (RestartService, ScaleService, RollBackService, StopService)


def scale_to(desired: int, **more: Any) -> Request:
    return ask("scale_service", WEB, options={"desired": desired, **more})


@pytest.fixture
def wire() -> Iterator[Wire]:
    with mock_aws(), Wire().connected() as wire:
        yield wire


@pytest.fixture
def shop(wire: Wire) -> EcsAccount:
    """An account with nothing in it; every call of the code under test goes there."""
    account = EcsAccount(Clock())
    wire.answers, wire.listening = account.answers(), True
    return account


def deployed(shop: EcsAccount, times: int, **more: Any) -> list[str]:
    """The service `web`, deployed so often; answers its task definitions."""
    definitions = [shop.register("web") for _ in range(times)]
    shop.create("web", definitions[0], **more)
    for one in definitions[1:]:
        deploy(shop, one)
    return definitions


def deploy(shop: EcsAccount, definition: str) -> None:
    shop.clock.advance(60)
    shop.deploy("web", definition)
    shop.settle()


def declined(action: Action, request: Request) -> Decline:
    decision = action.decide(action.observe(request), request)
    assert isinstance(decision, Decline), decision
    return decision


def already(action: Action, request: Request) -> AlreadyDone:
    decision = action.decide(action.observe(request), request)
    assert isinstance(decision, AlreadyDone), decision
    return decision


def carried_out(shop: EcsAccount, action: Action, request: Request) -> Change:
    """Planned, applied, and verified once time has passed."""
    change = planned(action, request)
    action.apply(request, change)
    shop.settle()
    seen = action.verify(request, change)
    assert seen.verdict is Verdict.HOLDS, seen
    return change


# -- the service -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_a_service_that_is_missing_or_being_deleted_is_not_found(shop: EcsAccount, action: type[Action]) -> None:
    """DescribeServices does not fail for them: it says so under `failures`, or in the status."""
    request = ask(action.name, WEB, **({"options": {"desired": 1}} if action is ScaleService else {}))
    with pytest.raises(TargetNotFound, match="MISSING"):
        action().observe(request)

    deployed(shop, 1, status="DRAINING")
    with pytest.raises(TargetNotFound, match="DRAINING"):
        action().observe(request)

    elsewhere = ask(action.name, {**WEB, "cluster": "other"}, options=dict(request.options))
    with pytest.raises(TargetNotFound):
        action().observe(elsewhere)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", TargetForbidden),
        ("ServiceNotActiveException", TargetNotFound),
        ("InvalidParameterException", NotApplied),
        ("ThrottlingException", Unreadable),
    ],
)
def test_errors_of_ecs_are_translated(shop: EcsAccount, wire: Wire, code: str, error: type[Exception]) -> None:
    deployed(shop, 1)
    action = RestartService()
    change = planned(action, RESTART)
    wire.names, wire.error = ("ecs.update_service",), lambda: refused_by_ecs(code)

    with pytest.raises(error):
        action.apply(RESTART, change)


def test_what_replaces_or_ends_tasks_has_its_evidence_captured_first() -> None:
    for action in (RestartService, RollBackService, StopService):
        assert action.captures
    assert RestartService.destroys
    assert RollBackService.destroys
    assert not StopService.destroys, "an emergency stop waits for nothing"


def test_the_event_file_is_a_request_that_plans(shop: EcsAccount) -> None:
    request = ask(**{name: event("manage_service")[name] for name in ("action", "target")})
    assert request.target["service"] == "algo-trading-prod-trading"


# -- restart -----------------------------------------------------------------------------------------------------


def test_a_restart_keeps_the_task_definition_and_holds_once_its_deployment_is_over(shop: EcsAccount) -> None:
    (definition,) = deployed(shop, 1)
    action = RestartService()
    change = planned(action, RESTART)
    action.apply(RESTART, change)

    assert shop.updates == [{"cluster": "shop", "service": "web", "forceNewDeployment": True}]
    assert action.verify(RESTART, change).verdict is Verdict.NOT_YET
    shop.settle()
    assert action.verify(RESTART, change).verdict is Verdict.HOLDS
    assert shop.services["web"]["taskDefinition"] == definition
    assert change.direction is Direction.RISKY


def test_a_killed_restart_is_not_repeated_if_its_deployment_is_there(shop: EcsAccount) -> None:
    deployed(shop, 1)
    change = planned(RestartService(), RESTART)
    RestartService().apply(RESTART, change)

    later = RestartService()
    assert later.verify(RESTART, change).verdict is Verdict.NOT_YET
    assert "started_before" in later.apply(RESTART, change)

    assert len(shop.updates) == 1


def test_a_restart_that_was_killed_before_its_call_is_made_up_for(shop: EcsAccount) -> None:
    deployed(shop, 1)
    change = planned(RestartService(), RESTART)

    later = RestartService()
    assert later.verify(RESTART, change).verdict is Verdict.DOES_NOT_HOLD
    later.apply(RESTART, change)

    assert len(shop.updates) == 1


def test_a_restart_that_ecs_takes_back_does_not_hold_and_says_why_tasks_stopped(shop: EcsAccount) -> None:
    (definition,) = deployed(shop, 1)
    shop.broken.add(definition)
    action = RestartService()
    change = planned(action, RESTART)
    action.apply(RESTART, change)
    shop.settle()

    seen = action.verify(RESTART, change)

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert seen.evidence["stop_reasons"] == ["Essential container in task exited; c0: exit code 1"]
    assert "Essential container" in seen.detail
    assert "started_before" in RestartService().apply(RESTART, change), "and is not tried once more"


def test_what_was_taken_back_before_does_not_count_against_a_restart(shop: EcsAccount) -> None:
    deployed(shop, 1)
    bad = shop.register("web")
    shop.broken.add(bad)
    deploy(shop, bad)
    shop.clock.advance(60)
    carried_out(shop, RestartService(), RESTART)


def test_reasons_that_cannot_be_read_do_not_hide_the_failure(shop: EcsAccount, wire: Wire) -> None:
    (definition,) = deployed(shop, 1)
    shop.broken.add(definition)
    action = RestartService()
    change = planned(action, RESTART)
    action.apply(RESTART, change)
    shop.settle()
    wire.names, wire.error = ("ecs.list_tasks",), lambda: refused_by_ecs("AccessDeniedException")

    seen = action.verify(RESTART, change)

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert "AccessDeniedException" in seen.detail


def test_no_restart_while_a_deployment_is_in_progress_and_its_name_is_told(shop: EcsAccount) -> None:
    deployed(shop, 1)
    made = shop.deploy("web", shop.register("web"), stuck=True)

    decision = declined(RestartService(), RESTART)

    assert decision.refusal is Refusal.SERVICE_DEPLOYING
    assert ecs_history.name_of(made["serviceDeploymentArn"]) in decision.detail

    shop.history["web"].clear()  # it is in the service as well
    assert made["deployment"] in declined(RestartService(), RESTART).detail


def test_a_service_of_no_task_is_not_restarted_but_a_daemon_is(shop: EcsAccount) -> None:
    deployed(shop, 1, desired=0)
    assert declined(RestartService(), RESTART).refusal is Refusal.SERVICE_STOPPED

    shop.services["web"]["schedulingStrategy"] = "DAEMON"
    assert isinstance(RestartService().decide(RestartService().observe(RESTART), RESTART), Change)


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
@pytest.mark.parametrize("action", [RestartService, RollBackService])
def test_what_ecs_does_not_deploy_itself_is_refused_by_name(
    shop: EcsAccount, action: type[Action], controller: str
) -> None:
    """UpdateService takes neither a task definition nor a forced deployment then."""
    deployed(shop, 1)
    shop.services["web"]["deploymentController"] = {"type": controller}

    decision = declined(action(), ask(action.name, WEB))

    assert decision.refusal is Refusal.OTHER_CONTROLLER
    assert controller.replace("CODE_DEPLOY", "CodeDeploy" if action is RollBackService else controller) in (
        decision.detail
    )


def test_a_plan_says_that_a_mutable_tag_may_be_another_image(shop: EcsAccount) -> None:
    shop.create("web", shop.register("web", "shop:latest", "side@sha256:1"))
    assert "another image" in (told := planned(RestartService(), RESTART).summary)
    assert "shop:latest" in told
    assert "side" not in told

    shop.create("web", shop.register("web", "shop@sha256:2"))
    assert "image" not in planned(RestartService(), RESTART).summary


def test_a_plan_says_that_the_platform_may_be_a_newer_one(shop: EcsAccount) -> None:
    deployed(shop, 1, platformVersion="LATEST")
    assert "LATEST" in planned(RestartService(), RESTART).summary


@pytest.mark.parametrize(
    ("deployments", "running", "verdict"),
    [(1, 2, Verdict.HOLDS), (2, 2, Verdict.NOT_YET), (1, 1, Verdict.NOT_YET)],
)
def test_behind_a_classic_load_balancer_a_stable_service_is_the_sign(
    deployments: int, running: int, verdict: Verdict
) -> None:
    """ECS tells no rolloutState there."""
    service = {"deployments": [{}] * deployments, "running": running, "desired": 2}
    assert ecs.rollout({"rollout": ""}, service) is verdict


# -- scale -------------------------------------------------------------------------------------------------------


def counts(shop: EcsAccount) -> tuple[int, int, int]:
    target = shop.targets["service/shop/web"]
    return shop.services["web"]["desiredCount"], target["MinCapacity"], target["MaxCapacity"]


@pytest.mark.parametrize(("wanted", "expected"), [(4, (4, 4, 4)), (3, (3, 3, 3)), (1, (1, 1, 1)), (0, (0, 0, 0))])
def test_limits_are_moved_along_and_an_undo_brings_all_back(
    shop: EcsAccount, wanted: int, expected: tuple[int, int, int]
) -> None:
    deployed(shop, 1)
    shop.scale("web", 1, 3)
    action, request = ScaleService(), scale_to(wanted)

    change = carried_out(shop, action, request)
    assert counts(shop) == expected
    assert change.direction is Direction.RISKY

    undo = ScaleService()
    carried_out(shop, undo, ask("scale_service", WEB, wanted=change.before))
    assert counts(shop) == (2, 1, 3)


def test_limits_come_first_and_go_back_last(shop: EcsAccount, wire: Wire) -> None:
    deployed(shop, 1)
    shop.scale("web", 1, 3)
    change = planned(ScaleService(), scale_to(5))

    def writes() -> list[str]:
        kinds = {"ecs.update_service", "application-autoscaling.register_scalable_target"}
        return [name for name, _ in wire.reached if name in kinds]

    ScaleService().apply(scale_to(5), change)
    assert writes() == ["application-autoscaling.register_scalable_target"], "which has forced the count already"
    undo = ask("scale_service", WEB, wanted=change.before)
    back = planned(ScaleService(), undo)
    ScaleService().apply(undo, back)
    assert writes()[1:] == ["ecs.update_service", "application-autoscaling.register_scalable_target"]


def test_without_a_scalable_target_only_the_count_is_set(shop: EcsAccount, wire: Wire) -> None:
    deployed(shop, 1)
    change = carried_out(shop, ScaleService(), scale_to(4))

    assert change.before == {"desired": 2}
    assert change.after == {"desired": 4}
    assert not wire.sent("application-autoscaling.register_scalable_target")


@given(low=st.integers(0, 9), more=st.integers(0, 9), desired=st.integers(0, 20), wanted=st.integers(0, 20))
def test_limits_hold_what_is_wanted_and_force_it(low: int, more: int, desired: int, wanted: int) -> None:
    """RegisterScalableTarget forces the count into the limits, and they must be in order."""
    limits = limits_for(wanted, desired, {"min": low, "max": low + more})
    assert limits["min"] <= wanted <= limits["max"]
    if wanted != desired:
        assert min(max(desired, limits["min"]), limits["max"]) == wanted


def test_scaling_beyond_most_is_refused_and_so_is_a_daemon(shop: EcsAccount) -> None:
    deployed(shop, 1)
    assert declined(ScaleService(), scale_to(11)).refusal is Refusal.BEYOND_MOST
    assert declined(ScaleService(), scale_to(4, most=3)).refusal is Refusal.BEYOND_MOST
    assert isinstance(planned(ScaleService(), scale_to(11, most=11)), Change)

    shop.services["web"]["schedulingStrategy"] = "DAEMON"
    for action, request in ((ScaleService(), scale_to(3)), (StopService(), STOP)):
        assert declined(action, request).refusal is Refusal.DAEMON_SERVICE


def test_the_number_must_be_said_and_the_same_number_is_done_already(shop: EcsAccount) -> None:
    deployed(shop, 1)
    with pytest.raises(Refused, match="desired is missing"):
        ScaleService().observe(ask("scale_service", WEB))
    assert "2 already" in already(ScaleService(), scale_to(2)).detail


def test_scheduled_actions_are_told(shop: EcsAccount) -> None:
    deployed(shop, 1)
    shop.scale("web", 1, 3)
    shop.scheduled["web"] = ["night"]

    assert "limits anew: night" in planned(ScaleService(), scale_to(3)).summary
    assert "do not run meanwhile: night" in planned(StopService(), STOP).summary

    shop.scale("web", 1, 3, ScheduledScalingSuspended=True)
    assert "night" not in planned(ScaleService(), scale_to(3)).summary


def test_a_count_that_scaling_has_moved_within_the_limits_holds(shop: EcsAccount) -> None:
    deployed(shop, 1)
    shop.scale("web", 1, 8)
    action, request = ScaleService(), scale_to(4)
    change = planned(action, request)
    action.apply(request, change)
    shop.services["web"].update(desiredCount=6, runningCount=6)

    assert action.verify(request, change).verdict is Verdict.HOLDS


def test_somebody_else_s_numbers_do_not_hold(shop: EcsAccount) -> None:
    deployed(shop, 1)
    action, request = ScaleService(), scale_to(4)
    change = planned(action, request)
    action.apply(request, change)
    shop.services["web"].update(desiredCount=7, runningCount=7)

    seen = action.verify(request, change)

    assert (seen.verdict, seen.after) == (Verdict.DOES_NOT_HOLD, {"desired": 7})
    assert "somebody changed" in seen.detail


@pytest.mark.parametrize(("state", "verdict"), [("IN_PROGRESS", Verdict.NOT_YET), ("FAILED", Verdict.DOES_NOT_HOLD)])
def test_tasks_that_do_not_run_yet_are_waited_for_and_failed_ones_are_not(
    shop: EcsAccount, state: str, verdict: Verdict
) -> None:
    deployed(shop, 1)
    action, request = ScaleService(), scale_to(4)
    change = planned(action, request)
    action.apply(request, change)
    shop.services["web"]["runningCount"] = 3
    shop.services["web"]["deployments"][0]["rolloutState"] = state

    seen = action.verify(request, change)

    assert seen.verdict is verdict
    assert "3 of 4" in seen.detail


def test_a_second_part_that_lost_is_gone_on_with_and_the_image_stays_that_of_the_world_before(
    shop: EcsAccount, wire: Wire
) -> None:
    """ "Nothing of ours took effect" would have it planned again, with limits that are ours as the image before."""
    deployed(shop, 1)
    shop.scale("web", 1, 3)
    change = planned(ScaleService(), scale_to(5))
    ScaleService().apply(scale_to(5), change)
    undo = ask("scale_service", WEB, wanted=change.before)
    action = ScaleService()
    back = planned(action, undo)
    wire.names = ("application-autoscaling.register_scalable_target",)
    wire.error = lambda: refused_by_ecs("ConcurrentUpdateException")
    with pytest.raises(Unreadable):
        action.apply(undo, back)

    wire.names = ()
    later = ScaleService()
    assert later.verify(undo, back).verdict is Verdict.NOT_YET
    later.apply(undo, back)
    assert later.verify(undo, back).verdict is Verdict.HOLDS
    assert counts(shop) == (2, 1, 3)


def test_a_first_part_that_lost_is_planned_again(shop: EcsAccount, wire: Wire) -> None:
    deployed(shop, 1)
    shop.scale("web", 1, 3)
    change = planned(ScaleService(), scale_to(5))
    wire.names = ("application-autoscaling.register_scalable_target",)
    wire.error = lambda: refused_by_ecs("ConcurrentUpdateException")
    with pytest.raises(ChangedMeanwhile):
        ScaleService().apply(scale_to(5), change)


# -- stop --------------------------------------------------------------------------------------------------------


def test_a_stop_is_one_call_for_limits_and_suspension_before_the_count(shop: EcsAccount, wire: Wire) -> None:
    """To suspend after the count is 0 would bring the service back to its minimum."""
    deployed(shop, 1)
    shop.scale("web", 1, 3)
    registered: list[Mapping[str, Any]] = []
    call = "application-autoscaling.register_scalable_target"
    answer = wire.answers[call]

    def register(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        registered.append(asked)
        return answer(asked)

    wire.answers[call] = register

    change = carried_out(shop, StopService(), STOP)

    assert len(registered) == 1
    assert [registered[0][name] for name in ("MinCapacity", "MaxCapacity", "SuspendedState")] == [0, 0, ALL_SUSPENDED]
    assert counts(shop) == (0, 0, 0)
    assert change.direction is Direction.SAFE

    carried_out(shop, StopService(), ask("stop_service", WEB, wanted=change.before))
    assert counts(shop) == (2, 1, 3)
    assert not any(shop.targets["service/shop/web"]["SuspendedState"].values())


@pytest.mark.parametrize(
    "more",
    [
        {"loadBalancers": [{"targetGroupArn": "tg"}]},
        {"serviceRegistries": [{"registryArn": "r"}]},
    ],
)
def test_where_requests_arrive_to_stop_is_risky_and_says_so(shop: EcsAccount, more: Mapping[str, Any]) -> None:
    deployed(shop, 1, **more)
    change = planned(StopService(), STOP)
    assert change.direction is Direction.RISKY
    assert "requests are lost" in change.summary


def test_service_connect_counts_for_those_who_serve_and_not_for_clients(shop: EcsAccount) -> None:
    deployed(shop, 1)
    primary = shop.services["web"]["deployments"][0]
    primary["serviceConnectConfiguration"] = {"enabled": True}
    assert planned(StopService(), STOP).direction is Direction.SAFE
    primary["serviceConnectConfiguration"] = {"enabled": True, "services": [{"portName": "http"}]}
    assert planned(StopService(), STOP).direction is Direction.RISKY


def test_a_stopped_service_whose_scaling_would_bring_it_back_is_not_stopped_yet(shop: EcsAccount) -> None:
    deployed(shop, 1, desired=0)
    assert "stopped already" in already(StopService(), STOP).detail

    shop.scale("web", 1, 3)
    carried_out(shop, StopService(), STOP)
    assert counts(shop) == (0, 0, 0)


def test_tasks_that_are_ending_are_waited_for(shop: EcsAccount) -> None:
    deployed(shop, 1)
    action = StopService()
    change = planned(action, STOP)
    action.apply(STOP, change)
    shop.services["web"]["runningCount"] = 1

    assert action.verify(STOP, change).verdict is Verdict.NOT_YET
    assert "still ending" in already(StopService(), STOP).detail
    shop.services["web"]["runningCount"] = 0
    assert action.verify(STOP, change).verdict is Verdict.HOLDS


def test_an_undo_of_what_is_back_already_is_done(shop: EcsAccount) -> None:
    deployed(shop, 1)
    assert isinstance(already(StopService(), ask("stop_service", WEB, wanted={"desired": 2})), AlreadyDone)


def test_scale_and_stop_on_moto(aws: None) -> None:
    """What moto has: the calls are such as ECS and Application Auto Scaling take."""
    service = client("ecs")
    service.create_cluster(clusterName="shop")
    service.register_task_definition(family="web", containerDefinitions=[{"name": "a", "image": "b", "memory": 64}])
    service.create_service(cluster="shop", serviceName="web", taskDefinition="web", desiredCount=2)
    set_scaling(read_target(WEB, ("service",)), {"min": 1, "max": 3})

    def look() -> list[Any]:
        (found,) = client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")[
            "ScalableTargets"
        ]
        (now,) = service.describe_services(cluster="shop", services=["web"])["services"]
        return [now["desiredCount"], found["MinCapacity"], found["MaxCapacity"], found.get("SuspendedState")]

    for action, request, done in (
        (ScaleService, scale_to(5), [5, 5, 5, None]),
        (StopService, STOP, [0, 0, 0, ALL_SUSPENDED]),
    ):
        before = look()
        one = action()
        change = planned(one, request)
        one.apply(request, change)
        assert look() == done
        assert one.verify(request, change).verdict is Verdict.HOLDS
        undo = ask(action.name, WEB, wanted=change.before)
        one.apply(undo, planned(action(), undo))
        assert look()[:3] == before[:3]


# -- roll back ---------------------------------------------------------------------------------------------------


def test_a_finished_deployment_is_rolled_back_to_the_exact_revision_before_and_forth_again(shop: EcsAccount) -> None:
    one, two = deployed(shop, 2)
    shop.register("web")  # without a revision, ECS would take this one

    change = carried_out(shop, RollBackService(), BACK)
    assert shop.updates == [{"cluster": "shop", "service": "web", "taskDefinition": "web:1"}]
    assert (change.before, change.after) == ({"task_definition": two}, {"task_definition": one})

    carried_out(shop, RollBackService(), ask("roll_back_service", WEB, wanted=change.before))
    assert shop.services["web"]["taskDefinition"] == two


def test_a_deployment_in_flight_is_stopped_with_rollback(shop: EcsAccount) -> None:
    one, _ = definitions = [*deployed(shop, 1), shop.register("web")]
    made = shop.deploy("web", definitions[1], stuck=True)
    action = RollBackService()
    change = planned(action, BACK)
    evidence = action.apply(BACK, change)

    assert evidence["stopped"] == ecs_history.name_of(made["serviceDeploymentArn"])
    assert not shop.updates
    assert action.verify(BACK, change).verdict is Verdict.NOT_YET
    shop.settle()
    seen = action.verify(BACK, change)
    assert (seen.verdict, seen.after) == (Verdict.HOLDS, {"task_definition": one})


def test_a_rollback_under_way_is_left_alone(shop: EcsAccount) -> None:
    """A second one would start another deployment."""
    deployed(shop, 1)
    made = shop.deploy("web", shop.register("web"), stuck=True)
    for status in ("STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"):
        made.update(status=status, since=shop.clock.now())
        assert "rolled back already" in already(RollBackService(), BACK).detail


def test_what_leads_back_by_itself_is_not_stopped(shop: EcsAccount) -> None:
    """Somebody deploys the revision before: to stop that with rollback would lead forward again."""
    one, _ = deployed(shop, 2)
    shop.deploy("web", one, stuck=True)
    assert "on its way back from web:2 to web:1" in already(RollBackService(), BACK).detail


def test_a_restart_in_flight_is_replaced_by_the_rollback(shop: EcsAccount) -> None:
    """The rung before: tasks that never come up keep it in progress, and its rollback would lead to the same code."""
    _, two = deployed(shop, 2)
    shop.deploy("web", two, stuck=True)

    change = planned(RollBackService(), BACK)

    assert "stop" not in change.plan
    assert change.after["task_definition"].endswith("web:1")
    assert "in place of deployment" in change.summary


def test_a_restart_is_not_the_deployment_that_an_alarm_may_be_older_than(shop: EcsAccount) -> None:
    _, two = deployed(shop, 2)
    came = shop.history["web"][-1]["createdAt"].timestamp()
    deploy(shop, two)
    assert planned(RollBackService(), BACK).facts[DEPLOYED_AT] == came


def test_a_deployment_that_was_taken_back_did_not_change_what_runs(shop: EcsAccount) -> None:
    _, two = deployed(shop, 2)
    came = shop.history["web"][-1]["createdAt"].timestamp()
    three = shop.register("web")
    shop.broken.add(three)
    deploy(shop, three)
    assert shop.services["web"]["taskDefinition"] == two
    change = planned(RollBackService(), BACK)
    assert change.facts[DEPLOYED_AT] == came
    assert change.after["task_definition"].endswith("web:1")


def test_the_deployment_in_flight_is_what_an_alarm_may_be_older_than(shop: EcsAccount) -> None:
    deployed(shop, 1)
    shop.clock.advance(500)
    made = shop.deploy("web", shop.register("web"), stuck=True)
    assert planned(RollBackService(), BACK).facts[DEPLOYED_AT] == made["createdAt"].timestamp()


def test_a_deployment_that_ends_before_it_can_be_stopped_is_planned_again(shop: EcsAccount, wire: Wire) -> None:
    deployed(shop, 1)
    made = shop.deploy("web", shop.register("web"), stuck=True)
    change = planned(RollBackService(), BACK)
    made["stuck"] = False
    shop.settle()

    with pytest.raises(ChangedMeanwhile):
        RollBackService().apply(BACK, change)
    assert RollBackService().verify(BACK, change).verdict is Verdict.DOES_NOT_HOLD
    assert "stop" not in planned(RollBackService(), BACK).plan


def test_what_was_rolled_back_from_is_never_gone_to(shop: EcsAccount) -> None:
    one, two = deployed(shop, 2)
    deploy(shop, one)  # somebody rolled 2 back
    decision = declined(RollBackService(), BACK)
    assert decision.refusal is Refusal.NO_EARLIER_REVISION
    assert "web:2" in decision.detail

    deploy(shop, shop.register("web"))
    assert planned(RollBackService(), BACK).after == {"task_definition": one}
    assert two not in str(planned(RollBackService(), BACK).after)


def test_a_revision_that_did_not_come_up_is_not_tried_twice(shop: EcsAccount) -> None:
    """ECS took our rollback back: the same call a minute later would do the same again."""
    one, _ = deployed(shop, 2)
    shop.broken.add(one)
    action = RollBackService()
    change = planned(action, BACK)
    action.apply(BACK, change)
    shop.settle()

    seen = action.verify(BACK, change)
    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert seen.evidence["stop_reasons"]
    decision = declined(RollBackService(), BACK)
    assert decision.refusal is Refusal.REVISION_UNFIT
    assert "did not come up" in decision.detail


def test_a_restart_between_is_no_earlier_revision(shop: EcsAccount) -> None:
    one, two = deployed(shop, 2)
    deploy(shop, two)
    deploy(shop, two)
    assert planned(RollBackService(), BACK).after == {"task_definition": one}


def test_an_inactive_revision_is_refused_by_name(shop: EcsAccount) -> None:
    one, _ = deployed(shop, 2)
    shop.definitions[one]["status"] = "INACTIVE"
    decision = declined(RollBackService(), BACK)
    assert decision.refusal is Refusal.REVISION_UNFIT
    assert "web:1 is INACTIVE" in decision.detail

    named = ask("roll_back_service", WEB, options={"to_revision": "web:1"})
    assert "web:1 is INACTIVE" in declined(RollBackService(), named).detail

    del shop.definitions[one]
    assert "web:1 is gone" in declined(RollBackService(), BACK).detail


def test_images_are_compared_by_digest_and_mutable_tags_named(shop: EcsAccount) -> None:
    deployed(shop, 2)
    summary = planned(RollBackService(), BACK).summary
    assert "other images in c0" in summary
    assert "shop:1" in summary

    shop.create("web", shop.register("web", "a@sha256:1"))
    deploy(shop, shop.register("web", "a@sha256:1"))
    summary = planned(RollBackService(), BACK).summary
    assert "the same images" in summary
    assert "may pull" not in summary


def test_without_a_history_what_was_registered_before_is_taken_and_it_is_said(shop: EcsAccount) -> None:
    one, two = deployed(shop, 2)
    shop.register("web")
    shop.register("web-other")  # the call takes a prefix for a family
    shop.history["web"].clear()

    change = planned(RollBackService(), BACK)

    assert change.after == {"task_definition": one}
    assert "not known" in change.summary
    assert change.facts[DEPLOYED_AT] == shop.definitions[two]["registeredAt"].timestamp()

    shop.definitions[one]["status"] = "INACTIVE"
    assert declined(RollBackService(), BACK).refusal is Refusal.NO_EARLIER_REVISION
    assert Refusal.NO_EARLIER_REVISION in DOES_NOT_APPLY


def test_revisions_that_ecs_has_forgotten_are_passed_over(shop: EcsAccount) -> None:
    deployed(shop, 3)
    del shop.revisions[shop.history["web"][1]["targetServiceRevisionArn"]]
    assert planned(RollBackService(), BACK).after["task_definition"].endswith("web:1")


def test_more_deployments_than_one_call_takes(shop: EcsAccount) -> None:
    definitions = deployed(shop, 45)
    assert planned(RollBackService(), BACK).after == {"task_definition": definitions[-2]}


@pytest.mark.parametrize(
    ("asked", "why"), [("web:9", "does not exist"), ("web:2", "current one"), ("db:1", "families")]
)
def test_a_named_revision_must_serve(shop: EcsAccount, asked: str, why: str) -> None:
    deployed(shop, 2)
    shop.register("db")
    decision = declined(RollBackService(), ask("roll_back_service", WEB, options={"to_revision": asked}))
    assert decision.refusal is Refusal.REVISION_UNFIT
    assert why in decision.detail


@pytest.mark.parametrize("asked", ["web", "web:latest", "web:0", "arn:aws:ecs:::x", "web:1\n", ""])
def test_a_named_revision_is_exact(shop: EcsAccount, asked: str) -> None:
    deployed(shop, 2)
    with pytest.raises(Refused, match="family:revision"):
        RollBackService().observe(ask("roll_back_service", WEB, options={"to_revision": asked}))


def test_a_named_revision_is_gone_to(shop: EcsAccount) -> None:
    one, _, _ = deployed(shop, 3)
    carried_out(shop, RollBackService(), ask("roll_back_service", WEB, options={"to_revision": "web:1"}))
    assert shop.services["web"]["taskDefinition"] == one


def test_what_code_deploy_has_in_flight_is_named_with_its_command(shop: EcsAccount, wire: Wire) -> None:
    deployed(shop, 1)
    shop.services["web"]["deploymentController"] = {"type": "CODE_DEPLOY"}
    request = ask("roll_back_service", {**WEB, "code_deploy": CODE_DEPLOY})
    wire.answers["codedeploy.list_deployments"] = lambda asked: {"deployments": ["d-1"]}
    told = declined(RollBackService(), request).detail
    assert "aws deploy stop-deployment --deployment-id d-1 --auto-rollback-enabled" in told

    wire.answers["codedeploy.list_deployments"] = lambda asked: {"deployments": []}
    told = declined(RollBackService(), request).detail
    assert "create-deployment --application-name shop --deployment-group-name web" in told
    assert not shop.updates


def test_an_undo_waits_for_somebody_else_s_deployment(shop: EcsAccount) -> None:
    one, _ = deployed(shop, 2)
    shop.deploy("web", shop.register("web"), stuck=True)
    undo = ask("roll_back_service", WEB, wanted={"task_definition": one})
    assert declined(RollBackService(), undo).refusal is Refusal.SERVICE_DEPLOYING
    back = ask("roll_back_service", WEB, wanted={"task_definition": shop.services["web"]["taskDefinition"]})
    shop.history["web"][-1]["stuck"] = False
    shop.settle()
    assert "already" in already(RollBackService(), back).detail


def test_what_somebody_else_deployed_meanwhile_does_not_hold(shop: EcsAccount) -> None:
    deployed(shop, 2)
    action = RollBackService()
    change = planned(action, BACK)
    action.apply(BACK, change)
    deploy(shop, shop.register("web"))

    seen = action.verify(BACK, change)

    assert seen.verdict is Verdict.DOES_NOT_HOLD
    assert "it runs web:3" in seen.detail


def test_before_its_call_a_rollback_does_not_hold_and_right_after_it_is_waited_for(shop: EcsAccount) -> None:
    deployed(shop, 2)
    change = planned(RollBackService(), BACK)
    assert RollBackService().verify(BACK, change).verdict is Verdict.DOES_NOT_HOLD
    action = RollBackService()
    action._called = True
    assert action.verify(BACK, change).verdict is Verdict.NOT_YET


def test_a_deployment_whose_rollback_fails_does_not_hold(shop: EcsAccount) -> None:
    deployed(shop, 1)
    made = shop.deploy("web", shop.register("web"), stuck=True)
    change = planned(RollBackService(), BACK)
    for status in ("ROLLBACK_FAILED", "STOPPED", "SUCCESSFUL"):
        made["status"] = status
        assert RollBackService().verify(BACK, change).verdict is Verdict.DOES_NOT_HOLD


def test_the_history_is_paged_and_sorted_whatever_its_order() -> None:
    first = {"cluster": "shop", "service": "web"}
    with script("ecs") as aws:
        for token, at in (("a", 3.0), (None, 1.0)):
            one = {
                "serviceDeploymentArn": f"{ARN}:service-deployment/shop/web/d",
                "status": "SUCCESSFUL",
                "createdAt": datetime.fromtimestamp(at, UTC),
            }
            answer = {"serviceDeployments": [one], **({"nextToken": token} if token else {})}
            aws.add_response("list_service_deployments", answer, first if token else {**first, "nextToken": "a"})
        found = ecs.service_deployments(read_target(WEB, ("service",)))
    assert [one["created"] for one in found] == [1.0, 3.0]


# -- the history, for any history --------------------------------------------------------------------------------

histories = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["SUCCESSFUL", "SUCCESSFUL", "ROLLBACK_SUCCESSFUL"])), max_size=12
)


@given(made=histories, current=st.integers(1, 6))
def test_never_forward_never_to_what_was_rolled_back_from(made: list[tuple[int, str]], current: int) -> None:
    history = [
        {"status": status, "task_definition": f"web:{number}", "created": float(at)}
        for at, (number, status) in enumerate(made)
    ]
    choice = ecs_history.before(f"web:{current}", history)
    assert json.dumps(sorted(choice.bad))
    if choice.deployment is not None:
        assert choice.deployment["status"] == "SUCCESSFUL"
        assert ecs_history.revision_of(choice.deployment["task_definition"]) < current
        assert choice.deployment["task_definition"] not in choice.bad


# -- through the engine ------------------------------------------------------------------------------------------


@pytest.fixture
def on_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stage]:
    with stage(monkeypatch, tmp_path) as made:
        yield made


def killed_after_its_update(on_stage: Stage, play: Play) -> None:
    """The run dies as soon as ECS has carried the call out."""
    on_stage.wire.again(names=("ecs.update_service",), after=True)
    assert on_stage.run(play) is None
    on_stage.wire.again()


def test_a_killed_restart_is_carried_on_and_made_once(on_stage: Stage) -> None:
    play = on_stage.play("restart_service")
    killed_after_its_update(on_stage, play)

    end = on_stage.to_the_end(play)

    assert (end["outcome"], play.look()) == ("acted", "fresh")
    assert not on_stage.wire.sent("ecs.update_service")
    assert on_stage.run(play)["outcome"] == "acted"  # type: ignore[index]
    assert not on_stage.wire.sent("ecs.update_service")


def test_a_rollback_that_ecs_took_back_while_nobody_looked_is_not_made_again(on_stage: Stage) -> None:
    """The image is as before then, which looks like a call that was never made."""
    play = on_stage.play("roll_back_service")
    account = account_of(on_stage)
    account.broken |= {arn for arn in account.definitions if arn.endswith(f"web-{play.number}:1")}
    killed_after_its_update(on_stage, play)

    end = on_stage.to_the_end(play)

    assert (end["outcome"], end["reason"]) == ("refused", "revision_unfit")
    assert not on_stage.wire.sent("ecs.update_service")
    assert play.look() == "2"


def test_an_emergency_stop_waits_for_no_evidence(on_stage: Stage) -> None:
    play = on_stage.play("stop_service")
    on_stage.wire.again(names=(CAPTURE,), error=denied)

    result = on_stage.run(play)

    assert result is not None
    assert (result["outcome"], play.look()) == ("acted", play.done)


@pytest.mark.parametrize("name", ["restart_service", "roll_back_service"])
def test_without_its_evidence_nothing_is_replaced(on_stage: Stage, name: str) -> None:
    play = on_stage.play(name)
    on_stage.wire.again(names=(CAPTURE,), error=denied)

    result = on_stage.run(play)

    assert result is not None
    assert (result["outcome"], result["reason"]) == ("refused", "evidence_missing")
    assert play.look() == play.before


def test_an_alarm_older_than_the_deployment_rolls_nothing_back(on_stage: Stage) -> None:
    play = on_stage.play("roll_back_service")
    account_of(on_stage).backdate(f"web-{play.number}", on_stage.red_at_ms / 1000 + 600)

    result = on_stage.run(play)

    assert result is not None
    assert (result["outcome"], result["reason"]) == ("refused", "older_than_deployment")
