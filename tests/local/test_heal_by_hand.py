"""After the healing: what a person may do by hand, what is refused by name, and a run that is killed."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from selfheal.catalogue import functions

from local import sam, system
from local.emulator.environments import REPOSITORY
from tests.local.conftest import Healed
from tests.local.killing import finished, kill, let_the_claim_end

pytestmark = pytest.mark.local

EVENTS = {path.stem: path for path in (REPOSITORY / "events").glob("*.json")}
FORBIDDEN = ("refused", "target_forbidden")
PLANNED = {
    "switch_trading": ("already_done", ""),
    "switch_schedule": ("already_done", ""),
    "switch_rules": ("refused", "target_not_found"),
    "roll_back_alias": ("planned", ""),
    "stop_deployment": ("refused", "target_not_found"),
    "inspect_dlq": ("planned", ""),
    "drain_dlq": ("already_done", ""),
    "invoke_target": ("planned", ""),
    "preserve_evidence": ("planned", ""),
    "check_health": ("planned", ""),
    "check_gate": ("planned", ""),
    "throttle_function": ("planned", ""),
    "replay_events": ("refused", "target_not_found"),
    "undo": ("refused", "no_such_incident"),
    "approve": ("refused", "no_such_approval"),
}
"""Outcome and reason of a function's event on a healed stack. Of all others it is FORBIDDEN: the demo has no such
resource, so no parameter names one. What two of them name as an incident, or one as rules, is not there."""
WITHOUT_PLAN = {"respond", "notify", "rollout", "procedure", "deployment"}


def logical_id(folder: str) -> str:
    return "".join(word.title() for word in folder.split("_"))


def everything(healed: Healed) -> Any:
    """What an action could have changed, and what the ledger holds of changes. A drill leaves records of its own."""
    names = [item["pk"]["S"] for item in healed.watcher.items()]
    ledger = sorted(
        one for one in names if one.startswith(("CHANGE", "ACTION")) and not one.startswith("ACTION#drill.")
    )
    alias = healed.client("lambda").get_alias(FunctionName=system.FUNCTION, Name=system.ALIAS)
    flag = healed.client("ssm").get_parameter(Name=system.FLAG)["Parameter"]["Version"]
    return healed.stack.system.state(), healed.stack.system.schedule(), alias["RevisionId"], flag, ledger


def remote_invoke(healed: Healed, folder: str) -> dict[str, Any]:
    """By the real sam, as a person does it."""
    arguments = [
        "remote",
        "invoke",
        logical_id(folder),
        "--stack-name",
        "selfheal",
        "--event-file",
        str(EVENTS[folder]),
    ]
    done = subprocess.run(
        sam.command(arguments),
        env=sam.clean_environment() | healed.stack.emulator.environment(),
        cwd=REPOSITORY,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_action_s_event_is_answered_by_sam_remote_invoke_and_changes_nothing(healed: Healed) -> None:
    before = everything(healed)
    with ThreadPoolExecutor(max_workers=2) as pool:
        folders = sorted(EVENTS.keys() - WITHOUT_PLAN)
        answers = dict(zip(folders, pool.map(lambda folder: remote_invoke(healed, folder), folders), strict=True))

    given = {folder: (answers[folder]["outcome"], answers[folder]["reason"]) for folder in functions()}
    assert given == {folder: PLANNED.get(folder, FORBIDDEN) for folder in functions()}
    assert everything(healed) == before


def test_a_plan_says_what_would_change(healed: Healed) -> None:
    answer = healed.invoke("RollBackAlias", json.loads(EVENTS["roll_back_alias"].read_text()))

    assert answer["before"] == {"version": "3", "weights": {}}
    assert answer["after"] == {"version": "2", "weights": {}}


def test_undo_by_hand_restores_the_schedule_with_its_every_field(healed: Healed) -> None:
    before, incident = healed.stack.system.schedule(), healed.incident["id"]
    disabled = next(step for step in healed.incident["steps"] if step["action"] == "disable_schedule")
    target = {"incident": incident, "action_id": f"{incident}.{disabled['number']}.{disabled['tries']}"}
    by_hand = {"mode": "act", "requested_by": "tester", "reason": "a test"}

    answer = healed.invoke("Undo", {**by_hand, "action": "undo", "target": target})

    assert answer["outcome"] == "acted", answer
    healed.wait(lambda: healed.stack.system.schedule()["State"] == "ENABLED", "the schedule")
    assert healed.stack.system.schedule() == {**before, "State": "ENABLED"}
    again = healed.invoke("Undo", {**by_hand, "action": "undo", "target": target})
    assert (again["outcome"], again["reason"]) == ("refused", "nothing_to_undo")

    back = {**by_hand, "action": "disable_schedule", "target": {"schedule": system.SCHEDULE}}
    assert healed.invoke("SwitchSchedule", back)["outcome"] == "acted"
    assert healed.stack.system.schedule() == before


def test_trading_resumes_when_a_person_approves_and_not_before(healed: Healed) -> None:
    incident = healed.incident
    step = next(one for one in incident["steps"] if one["action"] == "resume_trading")
    assert healed.stack.system.trade("momentum", "2026-11-23")["status"] == "halted"
    alone = {"action": "resume_trading", "target": {"parameter": system.FLAG}, "mode": "act"}
    assert healed.invoke("SwitchTrading", alone)["reason"] == "person_required"

    approval = {"incident": incident["id"], "action_id": f"{incident['id']}.{step['number']}"}
    by_hand = {"mode": "act", "requested_by": "tester", "reason": "a test"}
    answer = healed.invoke("Approve", {**by_hand, "action": "approve", "target": approval})

    assert answer["outcome"] == "acted", answer
    healed.wait(lambda: healed.stack.system.state().flag == "true", "the flag")
    assert healed.stack.system.trade("momentum", "2026-11-23")["traded"] is True

    halt = {**by_hand, "action": "halt_trading", "target": {"parameter": system.FLAG}}
    assert healed.invoke("SwitchTrading", halt)["outcome"] == "acted"


def test_a_target_outside_of_the_stack_s_parameters_is_forbidden_by_iam(healed: Healed) -> None:
    name = f"/elsewhere/{uuid.uuid4().hex}"
    healed.client("ssm").put_parameter(Name=name, Value="true", Type="String")
    by_hand = {"mode": "act", "requested_by": "tester", "reason": "a test"}

    answer = healed.invoke("SwitchTrading", {**by_hand, "action": "halt_trading", "target": {"parameter": name}})

    assert (answer["outcome"], answer["reason"]) == ("refused", "target_forbidden")
    assert healed.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == "true"


def test_what_is_no_alarm_is_refused_by_name_and_recorded(healed: Healed) -> None:
    mark = uuid.uuid4().hex

    answer = healed.invoke("Respond", {"what": mark})

    assert answer["decisions"][0]["reason"] == "not_an_alarm"
    records = healed.watcher.view(time.time()).records.values()
    assert [one["reason"] for one in records if mark in one["event"]] == ["not_an_alarm"]


def test_an_alarm_without_a_runbook_is_refused_by_name_and_people_are_told(healed: Healed) -> None:
    cloudwatch, name = healed.client("cloudwatch"), f"stranger-{uuid.uuid4().hex[:8]}"
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Test",
        MetricName=name,
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")

    def recorded() -> list[Any]:
        records = healed.watcher.view(time.time()).records.values()
        return [one for one in records if name in one["detail"] and one["reason"] == "no_runbook"]

    assert healed.wait(recorded, "the record")[0]["escalated"] is True
    healed.wait(lambda: "no_runbook" in " ".join(healed.watcher.view(time.time()).told), "the message")


def test_a_drain_that_is_killed_is_finished_by_the_next_run_and_sends_nothing_twice(healed: Healed) -> None:
    """Killed while it watches its canary: one letter is sent, the other is not."""
    ran_before = len(healed.stack.system.halted_runs())
    action_id = f"killed-{uuid.uuid4().hex}"
    for strategy in ("momentum", "hedge"):
        healed.client("lambda").invoke(
            FunctionName=system.FUNCTION,
            Qualifier=system.FAULTY,
            InvocationType="Event",
            Payload=json.dumps({"strategy": strategy, "day": action_id}),
        )
    healed.wait(lambda: healed.stack.system.state().dead_letters == 2, "the dead letters")
    event = {**json.loads(EVENTS["drain_dlq"].read_text()), "action_id": action_id, "mode": "act"}
    function = healed.function("DrainDlq")
    healed.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
    healed.wait(lambda: healed.stack.system.state().dead_letters == 1, "the canary")

    kill(healed, function)

    let_the_claim_end(healed, action_id)
    # Lambda itself tries the event once more as well: one of the two runs goes on, the other learns of it
    answer = healed.wait(lambda: finished(healed.invoke("DrainDlq", {**event, "mode": "resume"})), "the end", 60)
    assert answer is not None
    assert (answer["outcome"], answer["evidence"]["taken"]) == ("acted", 2), answer
    assert answer["evidence"]["resumed"] == "attempt 1 was left unfinished"
    assert healed.stack.system.state().dead_letters == 0
    healed.wait(lambda: len(healed.stack.system.halted_runs()) >= ran_before + 2, "the replayed runs")
    assert sorted(healed.stack.system.halted_runs()[ran_before:]) == ["hedge", "momentum"]


def test_a_red_that_is_over_changes_nothing_and_people_hear_of_it(healed: Healed) -> None:
    """Two functions know no plan. The alarm in the event of Respond was red long ago."""
    before = healed.stack.system.state(), healed.stack.system.schedule()

    (decision,) = remote_invoke(healed, "respond")["decisions"]
    told = remote_invoke(healed, "notify")

    assert (decision["decision"], told["told"]) == ("opened", True)

    def rollback() -> Any:
        incident = healed.watcher.view(time.time()).incident
        assert incident is not None
        assert incident["id"] == decision["incident"]
        (step,) = [one for one in incident["steps"] if one["action"] == "roll_back_alias"]
        return step if incident["phase"] not in {"contain", "remediate"} else None

    step = healed.wait(rollback, "the decision on the rollback")
    assert step["status"] not in {"done", "asked"}, step
    assert (healed.stack.system.state(), healed.stack.system.schedule()) == before
