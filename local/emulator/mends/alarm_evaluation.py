"""Alarms are evaluated as CloudWatch evaluates them: per metric, per period, M out of N, and again and again.

Stock ministack 1.5.33 evaluates an alarm when somebody calls PutMetricData, over all points of all dimensions of the
metric's name in one window; it knows neither DatapointsToAlarm nor TreatMissingData, leaves no StateReasonData, and
an alarm that fired stays in ALARM until the next PutMetricData.

AWS (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html) looks at the last N
datapoints of exactly the alarm's metric, fills gaps as ``TreatMissingData`` says (the tables of that page), moves to
ALARM when M of them breach, repeats that every period, and explains itself in StateReason and StateReasonData.
SetAlarmState lasts until the next evaluation.

The mend evaluates in a thread of its own, once a second and whenever datapoints arrive. Three liberties, to keep a
laptop's waits short: a datapoint of the running period counts at once where more data cannot undo its breach; AWS's
evaluation range, which reaches some periods further back when data are missing, is exactly N periods here; and a
state set by hand holds for one period, at most a minute.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch

from local.emulator.mends import hook

INTERVAL = 1.0  # seconds
SETTLE = 0.05  # seconds between the arrival of data and their evaluation
HOLD_LIMIT = 60.0  # seconds
POINTS_LIMIT = 20_000  # the newest points of a metric that are looked at
_wake = threading.Event()
_held: dict[str, float] = {}

_BREACHES = {
    "GreaterThanOrEqualToThreshold": (float.__ge__, "greater than or equal to"),
    "GreaterThanThreshold": (float.__gt__, "greater than"),
    "LessThanThreshold": (float.__lt__, "less than"),
    "LessThanOrEqualToThreshold": (float.__le__, "less than or equal to"),
}
_FINAL = {("Greater", "Sum"), ("Greater", "SampleCount"), ("Greater", "Maximum"), ("Less", "Minimum")}
"""Comparison and statistic for which a breach of the running period cannot be taken back by more data."""
_ACCUMULATING = {"Sum", "SampleCount"}


def evaluate(alarm: dict[str, Any], now: float) -> None:
    """Move one metric alarm to the state that its datapoints ask for at ``now``; its scope must be current."""
    if alarm.get("ComparisonOperator") not in _BREACHES or _held.get(alarm["AlarmArn"], 0) > now:
        return
    slots = _datapoints(alarm, now)
    state = _decide(alarm, slots)
    if state is None or state == alarm["StateValue"]:
        return
    reason, data = _explain(alarm, slots, state, now)
    old = alarm["StateValue"]
    moment = int(now * 1000) / 1000
    alarm.update(
        StateValue=state,
        StateReason=reason,
        StateReasonData=json.dumps(data),
        StateUpdatedTimestamp=moment,
        StateTransitionedTimestamp=moment,
    )
    cloudwatch._record_history(alarm["AlarmName"], old, state, reason, reason_data=data)
    cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _datapoints(alarm: dict[str, Any], now: float) -> list[tuple[float, float, float] | None]:
    """The last N periods, newest first: (start, value, sample count), or None where there is no data."""
    period, wanted = int(alarm["Period"]), int(alarm["EvaluationPeriods"])
    current = int(now // period) * period
    key = (
        alarm["Namespace"],
        alarm["MetricName"],
        cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or [])),
    )
    buckets: dict[int, list[dict[str, Any]]] = {}
    for point in list(cloudwatch._metrics.get(key) or [])[-POINTS_LIMIT:]:
        if point["Timestamp"] >= current - wanted * period and alarm.get("Unit") in {None, point.get("Unit")}:
            buckets.setdefault(int(point["Timestamp"] // period) * period, []).append(point)
    starts = [current - offset * period for offset in range(wanted + 1)]
    values = {start: _value(alarm, buckets[start], start) for start in starts if start in buckets}
    running = values.get(starts[0])
    if running is not None and _counts_already(alarm, running[1]):
        return [values.get(start) for start in starts[:-1]]
    return [values.get(start) for start in starts[1:]]


def _value(alarm: dict[str, Any], points: list[dict[str, Any]], start: float) -> tuple[float, float, float] | None:
    stats = cloudwatch._calc_stats(points)
    value = cloudwatch._stat_value(stats, _statistic(alarm), points) if stats else None
    return None if value is None else (start, float(value), float(stats["SampleCount"]))


def _counts_already(alarm: dict[str, Any], value: float) -> bool:
    comparison = "Greater" if alarm["ComparisonOperator"].startswith("Greater") else "Less"
    if _statistic(alarm) in _ACCUMULATING or (comparison, _statistic(alarm)) in _FINAL:
        return (comparison, _statistic(alarm)) in _FINAL and _is_breaching(alarm, value)
    return True


def _decide(alarm: dict[str, Any], slots: list[tuple[float, float, float] | None]) -> str | None:
    """ALARM, OK, INSUFFICIENT_DATA, or None: stay."""
    wanted = len(slots)
    needed = int(alarm.get("DatapointsToAlarm") or wanted)
    breaching = sum(1 for slot in slots if slot and _is_breaching(alarm, slot[1]))
    healthy = sum(1 for slot in slots if slot) - breaching
    missing = wanted - breaching - healthy
    treatment = alarm.get("TreatMissingData") or "missing"
    if treatment == "breaching":
        breaching, missing = breaching + missing, 0
    elif treatment == "notBreaching":
        healthy, missing = healthy + missing, 0
    if breaching >= needed:
        return "ALARM"
    if missing == 0 or healthy > wanted - needed:
        return "OK"
    if treatment == "ignore":
        return None
    if breaching + healthy == 0:
        return "INSUFFICIENT_DATA"
    return "OK" if healthy else "ALARM"


def _explain(
    alarm: dict[str, Any], slots: list[tuple[float, float, float] | None], state: str, now: float
) -> tuple[str, dict[str, Any]]:
    real = [slot for slot in slots if slot]
    wanted = len(slots)
    needed = int(alarm.get("DatapointsToAlarm") or wanted)
    threshold = float(alarm["Threshold"])
    period = int(alarm["Period"])
    relation = _BREACHES[alarm["ComparisonOperator"]][1]
    treatment = alarm.get("TreatMissingData") or "missing"
    if not real and state == "INSUFFICIENT_DATA":
        reason = f"Insufficient Data: {wanted} datapoint{'s were' if wanted > 1 else ' was'} unknown."
    elif not real:
        treated = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(treatment, treatment)
        reason = (
            f"Threshold Crossed: no datapoints were received for {wanted} period{'s' if wanted > 1 else ''} and "
            f"{wanted} missing datapoint{'s were' if wanted > 1 else ' was'} treated as [{treated}]."
        )
    else:
        named = [slot for slot in real if _is_breaching(alarm, slot[1]) == (state == "ALARM")] or real
        listed = ", ".join(f"{slot[1]} ({datetime.fromtimestamp(slot[0], UTC):%d/%m/%y %H:%M:%S})" for slot in named)
        minimum = needed if state == "ALARM" else wanted - needed + 1
        transition = "OK -> ALARM" if state == "ALARM" else "ALARM -> OK"
        verb = "was" if len(named) == 1 else "were"
        relation = f"{'' if state == 'ALARM' else 'not '}{relation}"
        reason = (
            f"Threshold Crossed: {len(named)} out of the last {wanted} datapoints [{listed}] {verb} {relation} "
            f"the threshold ({threshold}) (minimum {minimum} datapoint{'s' if minimum > 1 else ''} for "
            f"{transition} transition)."
        )
    data: dict[str, Any] = {"version": "1.0", "queryDate": aws_time(now)}
    if real:
        data["startDate"] = aws_time(real[-1][0])
    if alarm.get("Unit"):
        data["unit"] = alarm["Unit"]
    data |= {
        "statistic": _statistic(alarm),
        "period": period,
        "recentDatapoints": [slot[1] for slot in reversed(real)],
        "threshold": threshold,
        "evaluatedDatapoints": [
            {"timestamp": aws_time(slot[0]), "sampleCount": slot[2], "value": slot[1]} for slot in real
        ],
    }
    return reason, data


def aws_time(epoch: float) -> str:
    """CloudWatch's timestamp: milliseconds and ``+0000``."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(epoch * 1000) % 1000:03d}+0000"


def _statistic(alarm: dict[str, Any]) -> str:
    return str(alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average")


def _is_breaching(alarm: dict[str, Any], value: float) -> bool:
    return bool(_BREACHES[alarm["ComparisonOperator"]][0](float(value), float(alarm["Threshold"])))


def _watch() -> None:
    while True:
        _wake.wait(INTERVAL)
        time.sleep(SETTLE)
        _wake.clear()
        for (account, region, _), alarm in cloudwatch._alarms.all_items():
            with request_scope(account, region):
                try:
                    evaluate(alarm, time.time())
                except Exception:  # noqa: BLE001 - one alarm's defect must not stop the evaluation of all others
                    cloudwatch.logger.exception("evaluation of %s failed", alarm.get("AlarmName"))


def _later(*_: Any) -> None:
    _wake.set()


def _record_metric(*args: Any, **kwargs: Any) -> None:
    _stock_record_metric(*args, **kwargs)
    _wake.set()


def _set_alarm_state(params: dict[str, Any], data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
    name = data.get("AlarmName") if is_cbor or is_json else cloudwatch._p(params, "AlarmName")
    alarm = cloudwatch._alarms.get(name)
    if alarm is not None:
        _held[alarm["AlarmArn"]] = time.time() + min(HOLD_LIMIT, float(alarm["Period"]))
    return _stock_set_alarm_state(params, data, is_cbor, is_json)


def reset() -> None:
    _held.clear()


def apply() -> None:
    global _stock_record_metric, _stock_set_alarm_state  # noqa: PLW0603
    hook(cloudwatch, "_evaluate_alarm", _later)
    hook(cloudwatch, "_evaluate_all_alarms", _later)
    _stock_record_metric = hook(cloudwatch, "record_metric", _record_metric)
    _stock_set_alarm_state = hook(cloudwatch, "_set_alarm_state", _set_alarm_state)
    threading.Thread(target=_watch, daemon=True, name="alarm-evaluation").start()


_stock_record_metric: Any = None
_stock_set_alarm_state: Any = None
