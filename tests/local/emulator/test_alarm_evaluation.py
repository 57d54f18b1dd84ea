"""Contract of ``alarm_evaluation``: when an alarm changes its state, and how it explains that."""

from __future__ import annotations

import json
import time

import pytest

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def test_alarm_fires_on_its_own_dimensions_and_explains_itself(account: Account) -> None:
    alarm = account.alarm(Dimensions=[{"Name": "Stage", "Value": "prod"}])
    account.datum(alarm, 9, {"Stage": "test"})
    account.datum(alarm, 9)
    account.wait(lambda: account.state(alarm)["StateValue"] == "OK", "OK")

    account.datum(alarm, 2, {"Stage": "prod"})

    account.wait(lambda: account.state(alarm)["StateValue"] == "ALARM", "ALARM")
    state = account.state(alarm)
    data = json.loads(state["StateReasonData"])
    assert state["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [2.0 (")
    assert (data["threshold"], data["recentDatapoints"], data["period"]) == (1.0, [2.0], 10)
    assert data["evaluatedDatapoints"][0]["value"] == 2.0
    assert state["StateTransitionedTimestamp"] == state["StateUpdatedTimestamp"]


def test_alarm_recovers_when_data_stop_and_so_does_one_set_by_hand(account: Account) -> None:
    alarm, drill = account.alarm(), account.alarm()
    account.wait(lambda: account.state(drill)["StateValue"] == "OK", "OK")
    account.client("cloudwatch").set_alarm_state(AlarmName=drill, StateValue="ALARM", StateReason="drill")

    def breach() -> bool:
        """Again and again: a datapoint put at the very end of a period is out of the alarm's sight when it looks."""
        over = time.time() // 10 * 10 - 5  # in the period that is over
        account.client("cloudwatch").put_metric_data(
            Namespace="Test", MetricData=[{"MetricName": alarm, "Value": 1, "Timestamp": over}]
        )
        return bool(account.state(alarm)["StateValue"] == "ALARM")

    account.wait(breach, "ALARM")
    assert account.state(drill)["StateValue"] == "ALARM"

    for name in (alarm, drill):
        account.wait(lambda name=name: account.state(name)["StateValue"] == "OK", "OK")  # type: ignore[misc]

    assert "was treated as [NonBreaching]" in account.state(alarm)["StateReason"]


def test_m_of_n_needs_m(account: Account) -> None:
    """Datapoints with the time stamps of three periods that are over: 1 of 3 is not 2 of 3."""
    single = account.alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    double = account.alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    start = int(time.time() // 10) * 10
    for alarm, offsets in ((single, [10]), (double, [10, 20])):
        account.client("cloudwatch").put_metric_data(
            Namespace="Test",
            MetricData=[{"MetricName": alarm, "Value": 5, "Timestamp": start - offset} for offset in offsets],
        )

    account.wait(lambda: account.state(double)["StateValue"] == "ALARM", "ALARM with two of three")
    assert account.state(single)["StateValue"] == "OK"


@pytest.mark.parametrize(
    ("treatment", "state"),
    [("missing", "INSUFFICIENT_DATA"), ("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", "INSUFFICIENT_DATA")],
)
def test_missing_data_are_treated_as_told(account: Account, treatment: str, state: str) -> None:
    alarm = account.alarm(TreatMissingData=treatment)
    if state == "INSUFFICIENT_DATA":
        witness = account.alarm(TreatMissingData="breaching")  # evaluated after it, in the same round
        account.wait(lambda: account.state(witness)["StateValue"] == "ALARM", "an evaluation")

    account.wait(lambda: account.state(alarm)["StateValue"] == state, state)


def test_errors_of_a_function_turn_its_alarm_red(account: Account) -> None:
    function = account.function(environment={"FAIL": "no luck"})
    account.alias(function)
    alarm = account.alarm(
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Dimensions=[
            {"Name": "FunctionName", "Value": function.name},
            {"Name": "Resource", "Value": f"{function.name}:live"},
        ],
    )

    account.client("lambda").invoke(FunctionName=function.name, Qualifier="live")

    account.wait(lambda: account.state(alarm)["StateValue"] == "ALARM", "ALARM")
    found = account.client("cloudwatch").describe_alarms(AlarmNamePrefix=alarm[:-2], StateValue="ALARM")
    assert [entry["AlarmName"] for entry in found["MetricAlarms"]] == [alarm]
