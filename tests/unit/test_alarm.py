"""Every shape of an alarm is read, everything else is refused by name, and nothing at all raises."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.alarm import Alarm, from_description, read
from selfheal.arns import Home
from selfheal.errors import Refused
from selfheal.refusal import Refusal

EVENTS = Path("events/alarms")
EXPECTED: dict[str, Any] = json.loads((EVENTS / "expected.json").read_text())
HOME = Home("aws", "us-east-1", "111111111111")
ARN = "arn:aws:cloudwatch:us-east-1:111111111111:alarm:the-alchemiser-v2-dev-errors"
TRANSPORTS = ("sns", "eventbridge", "direct")


@pytest.fixture(autouse=True)
def _own_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFHEAL_ALARM_PREFIX", "selfheal-dev-")


def load(name: str) -> Any:
    return json.loads((EVENTS / name).read_text())


def one(event: object) -> Alarm | Refused:
    (entry,) = read(event, HOME)
    return entry


def alarm_in(name: str) -> Alarm:
    entry = one(load(name))
    assert isinstance(entry, Alarm)
    return entry


def with_message(change: Mapping[str, Any], name: str = "sns-metric-alarm.json") -> Any:
    """The event of a file with some fields of its SNS message replaced."""
    event = load(name)
    sns = event["Records"][0]["Sns"]
    sns["Message"] = json.dumps({**json.loads(sns["Message"]), **change})
    return event


def with_reason_data(data: object) -> Any:
    event = load("eventbridge-metric-alarm.json")
    event["detail"]["state"]["reasonData"] = data
    return event


# --- the files


def test_each_file_has_an_expectation_and_each_expectation_a_file() -> None:
    assert {path.name for path in EVENTS.glob("*.json")} - {"expected.json"} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_file_reads_as_expected(name: str) -> None:
    wanted = EXPECTED[name] if isinstance(EXPECTED[name], list) else [EXPECTED[name]]

    entries = read(load(name), HOME)

    assert len(entries) == len(wanted)
    for entry, want in zip(entries, wanted, strict=True):
        if "refusal" in want:
            assert isinstance(entry, Refused), entry
            assert entry.refusal.value == want["refusal"]
            assert want["says"] in entry.detail
        else:
            assert isinstance(entry, Alarm), entry
            assert asdict(entry) == want


def test_every_transport_has_every_kind_and_state() -> None:
    seen = {
        (want["transport"], "contributor" if want["contributor"] else want["kind"], want["state"])
        for wants in EXPECTED.values()
        for want in (wants if isinstance(wants, list) else [wants])
        if "refusal" not in want
    }
    kinds = {(kind, "ALARM") for kind in ("metric", "math", "anomaly", "composite", "contributor")}
    states = {("metric", state) for state in ("OK", "ALARM", "INSUFFICIENT_DATA")}
    assert {(transport, *shape) for transport in TRANSPORTS for shape in kinds | states} <= seen


# --- one state change, one key


@pytest.mark.parametrize(
    "shape",
    [
        "metric-alarm",
        "metric-ok",
        "metric-insufficient_data",
        "math-alarm",
        "anomaly-alarm",
        "composite-alarm",
        "contributor-alarm",
    ],
)
def test_delivery_key_is_the_same_by_every_transport(shape: str) -> None:
    assert len({alarm_in(f"{transport}-{shape}.json").delivery_key for transport in TRANSPORTS}) == 1


def test_delivery_key_is_of_alarm_contributor_state_and_millisecond_and_of_nothing_else() -> None:
    alarm = alarm_in("eventbridge-contributor-alarm.json")
    others: dict[str, Any] = {"arn": ARN, "contributor": None, "state": "OK", "state_at": alarm.state_at + 1}
    same: dict[str, Any] = {
        "transport": "sns",
        "muted": "muted by x",
        "previous_state": "ALARM",
        "reason": "",
        "last_datapoint_at": 1,
    }

    assert (
        len({alarm.delivery_key} | {replace(alarm, **{field: value}).delivery_key for field, value in others.items()})
        == 5
    )
    assert {replace(alarm, **{field: value}).delivery_key for field, value in same.items()} == {alarm.delivery_key}
    assert len(alarm.delivery_key) == 64


def test_alarm_that_follows_alarm_when_a_suppression_ends_is_another_delivery() -> None:
    held, later = (
        alarm_in("eventbridge-composite-alarm-suppressed.json"),
        alarm_in("direct-composite-alarm-after-suppression.json"),
    )
    assert (later.previous_state, later.state) == ("ALARM", "ALARM")
    assert held.muted
    assert not later.muted
    assert held.delivery_key != later.delivery_key


def test_a_millisecond_is_a_difference() -> None:
    times = [f"2026-11-20T09:00:12.{ms:03}+0000" for ms in range(1000)]
    entries = [one(with_message({"StateChangeTime": at})) for at in times]
    assert [entry.state_at - 1795165212000 for entry in entries if isinstance(entry, Alarm)] == list(range(1000))


@pytest.mark.parametrize(
    "spelling", ["2026-11-20T09:00:12.345Z", "2026-11-20T10:00:12.345+01:00", "2026-11-20T09:00:12.345"]
)
def test_time_may_be_spelt_otherwise(spelling: str) -> None:
    assert one(with_message({"StateChangeTime": spelling})) == alarm_in("sns-metric-alarm.json")


@pytest.mark.parametrize("value", ["2026-11-20", "09:00:12", "", 1795165212345, {}, False])
def test_what_is_no_time_is_refused(value: object) -> None:
    entry = one(with_message({"StateChangeTime": value}))
    assert isinstance(entry, Refused)
    assert "a time such as" in entry.detail


# --- who is refused


@pytest.mark.parametrize(
    "event", [None, True, 7, "ALARM", [], {}, {"Records": []}, {"Records": {}}, {"Records": "x"}, {"Records": [None]}]
)
def test_what_is_no_event_is_refused_once(event: object) -> None:
    entry = one(event)
    assert isinstance(entry, Refused)
    assert entry.refusal is Refusal.NOT_AN_ALARM


def test_bare_message_is_refused_with_the_right_shape() -> None:
    message = json.loads(load("sns-metric-alarm.json")["Records"][0]["Sns"]["Message"])
    assert "Records[].Sns.Message is right" in str(one(message))


@pytest.mark.parametrize("value", ["alarm", "", "ALARM ", "BROKEN", 1, None, True, ["ALARM"], {}])
def test_state_is_one_of_three(value: object) -> None:
    entry = one(with_message({"NewStateValue": value}))
    assert isinstance(entry, Refused)
    assert "one of OK, ALARM, INSUFFICIENT_DATA is right" in entry.detail


@pytest.mark.parametrize(
    "arn", ["", "arn", "arn:aws:cloudwatch:us-east-1:111111111111:alarm:", ARN.replace(":alarm:", ":dashboard:"), 7, []]
)
def test_arn_of_anything_else_is_no_alarm(arn: object) -> None:
    entry = one(with_message({"AlarmArn": arn}))
    assert isinstance(entry, Refused)
    assert entry.refusal is Refusal.NOT_AN_ALARM


def test_display_name_of_the_region_and_account_beside_the_arn_do_not_count() -> None:
    entry = one(with_message({"Region": "Europe (Frankfurt)", "AWSAccountId": "123456789012"}))
    assert isinstance(entry, Alarm)
    assert (entry.region, entry.account) == ("us-east-1", "111111111111")


@pytest.mark.parametrize("shape", ["eventbridge", "direct"])
def test_what_stands_beside_the_arn_makes_no_alarm_foreign_and_none_ours(shape: str) -> None:
    event = load(f"{shape}-metric-alarm.json")
    beside = {"account": "210987654321", "accountId": "210987654321", "region": "eu-west-1"}

    assert isinstance(one({**event, **beside}), Alarm)
    text = json.dumps(event).replace(":us-east-1:111111111111:", ":eu-west-1:210987654321:")
    foreign = one({**json.loads(text), "account": "111111111111", "accountId": "111111111111", "region": "us-east-1"})
    assert isinstance(foreign, Refused)
    assert foreign.refusal is Refusal.FOREIGN_ALARM


def test_own_alarm_is_known_by_its_arn_too() -> None:
    entry = one(with_message({"AlarmArn": ARN.replace("the-alchemiser-v2-dev-errors", "selfheal-dev-heartbeat")}))
    assert isinstance(entry, Refused)
    assert entry.refusal is Refusal.OWN_ALARM


def test_without_a_prefix_no_alarm_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", None):
        monkeypatch.delenv("SELFHEAL_ALARM_PREFIX", raising=False)
        if value is not None:
            monkeypatch.setenv("SELFHEAL_ALARM_PREFIX", value)
        assert isinstance(one(load("direct-refused-own.json")), Alarm)
        assert isinstance(one(load("sns-refused-target-tracking.json")), Refused)


def test_name_longer_than_cloudwatch_allows_is_refused_and_not_cut() -> None:
    assert isinstance(one(with_message({"AlarmName": "n" * 255})), Alarm)
    entry = one(with_message({"AlarmName": "n" * 256}))
    assert isinstance(entry, Refused)
    assert "256 characters" in entry.detail


# --- details that decide something


def test_name_may_contain_colons() -> None:
    entry = one(with_message({"AlarmName": "a:b", "AlarmArn": "arn:aws:cloudwatch:us-east-1:111111111111:alarm:a:b"}))
    assert isinstance(entry, Alarm)


@pytest.mark.parametrize(
    "data", [None, "", "{", "[]", "7", "null", 7, [], True, "[" * 100_000, '{"evaluatedDatapoints": 7}']
)
def test_broken_reason_data_is_no_data(data: object) -> None:
    entry = one(with_reason_data(data))
    assert isinstance(entry, Alarm)
    assert not entry.has_data
    assert entry.window_s == 0
    assert entry.period_s == 60


def test_newest_datapoint_with_a_value_counts() -> None:
    points = [
        {"timestamp": "2026-11-20T08:59:00.000+0000"},
        {"timestamp": "2026-11-20T08:56:00.000+0000", "value": 2.0},
        {"timestamp": "2026-11-20T08:58:00.000+0000", "value": None},
        {"timestamp": "2026-11-20T08:57:00.000+0000", "value": 0.0},
        {"timestamp": "soon", "value": 2.0},
    ]
    entry = one(with_reason_data(json.dumps({"period": 60, "evaluatedDatapoints": points})))
    assert isinstance(entry, Alarm)
    assert entry.last_datapoint_at == 1795165020000
    assert entry.has_data


def test_datapoints_without_times_are_counted_from_the_start() -> None:
    data = {"startDate": "2026-11-20T08:50:00.000+0000", "period": 60, "recentDatapoints": [1.0, 2.0, 3.0]}
    entry = one(with_reason_data(data))
    assert isinstance(entry, Alarm)
    assert entry.last_datapoint_at == 1795164720000
    assert entry.window_s == 180


@pytest.mark.parametrize("period", [True, -60, 0, 1.5, float("nan"), float("inf"), 10**400, "60", None, [60]])
def test_period_that_is_none_is_unknown(period: object) -> None:
    event = load("direct-metric-alarm.json")
    event["alarmData"]["configuration"]["metrics"][0]["metricStat"]["period"] = period
    del event["alarmData"]["state"]["reasonData"]
    entry = one(event)
    assert isinstance(entry, Alarm)
    assert (entry.period_s, entry.window_s) == (0, 0)


@pytest.mark.parametrize(
    "expression", ["SEARCH('{AWS/Lambda,FunctionName} Errors', 'Sum')", " select SUM(Errors) FROM x"]
)
def test_metrics_that_a_search_brings_share_no_dimensions(expression: str) -> None:
    event = load("eventbridge-math-alarm.json")
    assert alarm_in("eventbridge-math-alarm.json").dimensions
    event["detail"]["configuration"]["metrics"][0]["expression"] = expression
    entry = one(event)
    assert isinstance(entry, Alarm)
    assert entry.dimensions == {}


def test_dimensions_that_cloudwatch_would_not_accept_are_left_out() -> None:
    long = [
        {"name": "FunctionName", "value": "f" * 1025},
        {"name": "Resource", "value": "f:live"},
        {"name": 3, "value": "x"},
    ]
    trigger = {"MetricName": "Errors", "Dimensions": [*long, "x", None, {"name": "Alone"}]}
    entry = one(with_message({"Trigger": trigger}))
    assert isinstance(entry, Alarm)
    assert entry.dimensions == {"Resource": "f:live"}


def test_hundreds_of_dimensions_name_nothing() -> None:
    for count, kept in ((150, 150), (151, 0)):
        entry = one(with_message({"Trigger": {"Dimensions": [{"name": f"D{n}", "value": "v"} for n in range(count)]}}))
        assert isinstance(entry, Alarm)
        assert len(entry.dimensions) == kept


@pytest.mark.parametrize(
    ("reason_data", "contributor", "kind"),
    [
        ({"triggeringAlarms": []}, None, "composite"),
        ({"recentLowerThresholds": [0.0]}, None, "anomaly"),
        ({"recentUpperThresholds": [9.0]}, None, "anomaly"),
        ({}, {"id": "9f2c41d07ab3e6d5"}, "math"),
        ({}, None, "metric"),
    ],
)
def test_kind_without_a_configuration(reason_data: object, contributor: object, kind: str) -> None:
    event = with_reason_data(json.dumps(reason_data))
    del event["detail"]["configuration"]
    event["detail"]["alarmContributor"] = contributor
    entry = one(event)
    assert isinstance(entry, Alarm)
    assert entry.kind == kind


@pytest.mark.parametrize("mute", [{}, "yes", True, {"mutedByArn": 7}])
def test_mute_without_details_is_a_mute(mute: object) -> None:
    event = load("eventbridge-metric-alarm.json")
    event["detail"]["muteDetail"] = mute
    entry = one(event)
    assert isinstance(entry, Alarm)
    assert entry.muted == "muted by a mute rule"


def test_suppressor_of_an_unknown_kind_suppresses() -> None:
    event = load("eventbridge-composite-alarm.json")
    for value in ("AlarmSuppressor", {"new": "shape"}, ""):
        event["detail"]["state"]["actionsSuppressedBy"] = value
        entry = one(event)
        assert isinstance(entry, Alarm)
        assert entry.muted.startswith("suppressed by")


def test_megabyte_of_text_is_cut_to_what_cloudwatch_allows() -> None:
    entry = one(with_message({"NewStateReason": "r" * 2_000_000, "AlarmDescription": "d" * 2_000_000}))
    assert isinstance(entry, Alarm)
    assert (len(entry.reason), len(entry.description)) == (1024, 1024)
    refused = one({"Records": [{"Sns": {"Message": "m" * 2_000_000}}]})
    assert isinstance(refused, Refused)
    assert len(refused.detail) < 200


def test_deep_nesting_is_refused() -> None:
    for depth in ("[" * 200_000, '{"a":' * 200_000):
        assert isinstance(one({"Records": [{"Sns": {"Message": depth}}]}), Refused)
    nested: list[Any] = []
    for _ in range(200_000):
        nested = [nested]
    assert isinstance(one({"detail-type": nested}), Refused)
    while nested:  # taken apart by hand: the interpreter's own way down is recursive
        nested = nested.pop()


def test_half_a_surrogate_pair_can_be_hashed_and_stored() -> None:
    entry = one(with_message({"AlarmName": "n\ud800", "NewStateReason": "\udfff", "AlarmArn": ARN + "\ud800"}))
    assert isinstance(entry, Alarm)
    assert entry.delivery_key
    json.dumps(asdict(entry), ensure_ascii=False).encode()


# --- DescribeAlarms

DESCRIBED: dict[str, Any] = {
    "AlarmName": "the-alchemiser-v2-dev-errors",
    "AlarmArn": ARN,
    "AlarmDescription": "Errors of the trading Lambda, alias live",
    "ActionsEnabled": True,
    "StateValue": "ALARM",
    "StateReason": "Threshold Crossed",
    "StateReasonData": json.loads((EVENTS / "eventbridge-metric-alarm.json").read_text())["detail"]["state"][
        "reasonData"
    ],
    "StateUpdatedTimestamp": datetime(2026, 11, 20, 9, 5, 0, 1000, tzinfo=UTC),
    "StateTransitionedTimestamp": datetime(2026, 11, 20, 9, 0, 12, 345000, tzinfo=UTC),
    "MetricName": "Errors",
    "Namespace": "AWS/Lambda",
    "Dimensions": [
        {"Name": "FunctionName", "Value": "the-alchemiser-v2-lambda-dev"},
        {"Name": "Resource", "Value": "the-alchemiser-v2-lambda-dev:live"},
    ],
    "Period": 60,
    "EvaluationPeriods": 5,
    "Threshold": 1.0,
}


def test_described_alarm_is_the_same_delivery_as_its_event() -> None:
    found, sent = from_description(DESCRIBED), alarm_in("eventbridge-metric-alarm.json")

    assert found.delivery_key == sent.delivery_key
    assert (found.transport, found.kind, found.previous_state, found.muted) == ("sweep", "metric", None, "")
    assert (found.period_s, found.window_s) == (60, 300)
    assert found.dimensions == sent.dimensions
    assert found.last_datapoint_at == sent.last_datapoint_at


def test_described_time_zone_does_not_matter() -> None:
    local = DESCRIBED["StateTransitionedTimestamp"].astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert from_description({**DESCRIBED, "StateTransitionedTimestamp": local}) == from_description(DESCRIBED)


def test_described_without_a_transition_has_the_time_of_its_update() -> None:
    older = {name: value for name, value in DESCRIBED.items() if name != "StateTransitionedTimestamp"}
    assert from_description(older).state_at == 1795165500001


def test_described_without_evaluation_periods_is_known_by_what_it_looked_at() -> None:
    assert from_description({**DESCRIBED, "EvaluationPeriods": None}).window_s == 120


def test_described_composite() -> None:
    composite = {
        **{name: DESCRIBED[name] for name in ("AlarmName", "AlarmArn", "StateValue", "StateTransitionedTimestamp")},
        "AlarmRule": "ALARM(a) OR ALARM(b)",
        "ActionsSuppressedBy": "ExtensionPeriod",
        "ActionsSuppressedReason": "the deployment has just ended",
    }
    found = from_description(composite)
    assert (found.kind, found.period_s, found.window_s, found.dimensions) == ("composite", 0, 0, {})
    assert found.muted == "suppressed by ExtensionPeriod: the deployment has just ended"


def test_described_math_and_anomaly() -> None:
    stat = {
        "Metric": {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": DESCRIBED["Dimensions"]},
        "Period": 120,
    }
    base = {name: value for name, value in DESCRIBED.items() if name not in ("Dimensions", "Period", "MetricName")}
    queries = [
        {"Id": "m1", "MetricStat": stat, "ReturnData": False},
        {"Id": "e", "Expression": "m1 * 2", "ReturnData": True},
    ]

    math = from_description({**base, "Metrics": queries})
    anomaly = from_description({**base, "Metrics": queries, "ThresholdMetricId": "e"})
    band = from_description({**base, "Metrics": [queries[0], {"Expression": "anomaly_detection_band(m1)"}]})

    assert (math.kind, anomaly.kind, band.kind) == ("math", "anomaly", "anomaly")
    assert math.dimensions == from_description(DESCRIBED).dimensions
    assert (math.period_s, math.window_s) == (120, 600)


def test_described_alarm_whose_actions_are_switched_off_is_muted() -> None:
    assert from_description({**DESCRIBED, "ActionsEnabled": False}).muted == "its actions are switched off"


@pytest.mark.parametrize("name", ["AlarmName", "AlarmArn", "StateValue"])
def test_described_without_what_is_always_there_raises(name: str) -> None:
    with pytest.raises(Refused, match="not_an_alarm"):
        from_description({key: value for key, value in DESCRIBED.items() if key != name})


# --- whatever comes in

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["ALARM", ARN, "Notification"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
REAL = {name: load(name) for name in sorted(EXPECTED)}


def assert_only_alarms_or_refusals(event: object) -> None:
    entries = read(event, HOME)
    assert entries
    for entry in entries:
        assert isinstance(entry, Alarm | Refused)
        if isinstance(entry, Refused):
            assert entry.refusal in {Refusal.NOT_AN_ALARM, Refusal.FOREIGN_ALARM, Refusal.OWN_ALARM}
            assert 0 < len(entry.detail) < 1000
        else:
            assert (entry.account, entry.region) == (HOME.account, HOME.region)
            assert entry.state in {"OK", "ALARM", "INSUFFICIENT_DATA"}
            assert len(entry.delivery_key) == 64
            json.dumps(asdict(entry), allow_nan=False, ensure_ascii=False).encode()


@given(JSON)
def test_any_json_is_read_or_refused(event: object) -> None:
    assert_only_alarms_or_refusals(event)
    assert_only_alarms_or_refusals({"Records": [{"Sns": event}, {"Sns": {"Message": json.dumps(event)}}]})
    assert_only_alarms_or_refusals(
        {"detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch", "detail": event}
    )
    assert_only_alarms_or_refusals({"alarmArn": ARN, "alarmData": event})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in a JSON value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@given(st.data())
def test_real_payload_with_anything_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    event = copy.deepcopy(REAL[data.draw(st.sampled_from(sorted(REAL)))])
    message: Any = None
    if "Records" in event and "Sns" in event["Records"][0] and event["Records"][0]["Sns"]["Message"].endswith("}"):
        message = json.loads(event["Records"][0]["Sns"]["Message"])
    for _ in range(data.draw(st.integers(1, 3))):
        found = list(places(event if message is None else message))
        if not found:
            break
        container, key = data.draw(st.sampled_from(found))
        if isinstance(container, dict) and data.draw(st.booleans()):
            container.pop(key)
        else:
            container[key] = data.draw(JSON)
    if message is not None:
        event["Records"][0]["Sns"]["Message"] = json.dumps(message)

    assert_only_alarms_or_refusals(event)


# --- how fast it loads


def test_nothing_but_the_standard_library_is_loaded() -> None:
    code = (
        "import sys; before = set(sys.modules); import selfheal.alarm; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": "layers/selfheal"}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["selfheal"]
