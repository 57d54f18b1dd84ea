"""What the shapes of an alarm have in common: times, dimensions, metrics, reason data, mutes.

Pure functions that answer with a plain value, or with "not known", for anything at all: the payloads come from a
topic on which others may publish. Names of fields differ by transport (`metricStat` in EventBridge and direct
payloads, `MetricStat` in SNS messages and DescribeAlarms), so each look-up takes all spellings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from selfheal.errors import Refused
from selfheal.refusal import Refusal

TEXT_MAX = 1024
"""CloudWatch allows 1024 characters for a description and 1023 for a reason; more would only fill the ledger."""

_NAME_MAX = 255
_DIMENSIONS_MAX = 150
_WHOLE_MAX = 10_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OTHER_SOURCES = ("SEARCH(", "INSIGHT_RULE_METRIC(", "DB_PERF_INSIGHTS(")


def pick(mapping: object, *names: str) -> Any:
    """The first of `names` that is in `mapping` and not null; None if there is none, or no mapping."""
    if isinstance(mapping, Mapping):
        for name in names:
            if mapping.get(name) is not None:
                return mapping[name]
    return None


def shown(value: object) -> str:
    """A value from outside in a refusal: short, and never rendered in depth."""
    if isinstance(value, str):
        return repr(value[:60]) + ("…" if len(value) > 60 else "")
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def text(value: object) -> str:
    """A text for people, or the empty string; at most TEXT_MAX characters, and always encodable."""
    return _encodable(value[:TEXT_MAX]) if isinstance(value, str) else ""


def required(mapping: object, name: str, where: str, limit: int = _NAME_MAX) -> str:
    """A name that must be there, of 1 to `limit` characters. Raises Refused: a name cut off is another name."""
    value = pick(mapping, name)
    if isinstance(value, str) and 0 < len(value) <= limit:
        return _encodable(value)
    if isinstance(value, str) and value:
        raise Refused(Refusal.NOT_AN_ALARM, f"{where}.{name} has {len(value)} characters; at most {limit} are right")
    raise Refused(Refusal.NOT_AN_ALARM, f"{where}.{name} is {shown(value)}; a text is right")


def _encodable(value: str) -> str:
    """JSON may carry half of a surrogate pair, which neither a hash nor DynamoDB accepts."""
    return value.encode("utf-8", "replace").decode()


def json_object(value: object) -> Mapping[str, Any] | None:
    """The object in a JSON text (or a mapping as it is); None for anything else, however deep or broken."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def whole(value: object) -> int:
    """A positive whole number such as a period in seconds; 0 for anything else (true, NaN, text, ten to the 99th)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 < value <= _WHOLE_MAX and value == value // 1 else 0


def epoch_ms(value: object) -> int | None:
    """Epoch milliseconds of `2026-11-20T09:00:00.123+0000`, `…Z`, or a datetime; without an offset it is UTC."""
    if isinstance(value, str) and "T" in value:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    at = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (at - _EPOCH) // timedelta(milliseconds=1)


def dimensions(value: object) -> dict[str, str]:
    """Dimensions from a map (EventBridge, direct) or a list of name and value (SNS lower case, DescribeAlarms upper).

    One that CloudWatch would not accept is left out: a value cut off would name another resource.
    """
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [(pick(item, "name", "Name"), pick(item, "value", "Value")) for item in value]
    kept = {
        _encodable(name): _encodable(content)
        for name, content in pairs
        if isinstance(name, str) and isinstance(content, str) and len(name) <= _NAME_MAX and len(content) <= TEXT_MAX
    }
    return kept if len(kept) <= _DIMENSIONS_MAX else {}


def common_dimensions(metrics: Sequence[object], account: str) -> dict[str, str]:
    """The dimensions that all metrics of a query list share: what the alarm is about, whatever it calculates.

    Nothing is shared once a metric comes from a search or a query, or from another account's metrics
    (cross-account observability): a resource of the same name over here is not the one that failed.
    `returnData` is not read: it arrives as true, as "True" and not at all, and says nothing about the resource.
    """
    shared: dict[str, str] | None = None
    for metric in metrics:
        metric_stat = pick(metric, "metricStat", "MetricStat")
        owner = pick(metric, "accountId", "AccountId")
        if metric_stat is None:
            if _brings_metrics(pick(metric, "expression", "Expression")):
                return {}
            continue
        if owner is not None and owner != account:
            return {}
        own = dimensions(pick(pick(metric_stat, "metric", "Metric"), "dimensions", "Dimensions"))
        shared = own if shared is None else {name: value for name, value in own.items() if shared.get(name) == value}
    return shared or {}


def _brings_metrics(expression: object) -> bool:
    formula = expression.upper() if isinstance(expression, str) else ""
    return formula.lstrip().startswith("SELECT") or any(source in formula for source in _OTHER_SOURCES)


def query_period_s(metrics: Sequence[object]) -> int:
    """The longest period in a query list, in seconds; 0 where none is given."""
    found = [pick(metric, "period", "Period") for metric in metrics]
    found += [pick(pick(metric, "metricStat", "MetricStat"), "period", "Period") for metric in metrics]
    return max(map(whole, found), default=0)


def expressions(metrics: Sequence[object]) -> list[str]:
    """The expressions in a query list; a single metric has none."""
    found = (pick(metric, "expression", "Expression") for metric in metrics)
    return [expression for expression in found if isinstance(expression, str)]


def last_datapoint_ms(reason_data: Mapping[str, Any]) -> int | None:
    """Epoch milliseconds of the newest datapoint that the evaluation saw; None if it saw none, or does not say.

    `evaluatedDatapoints` lists missing points too, without a value. `recentDatapoints` has values only and no
    times: counted on from `startDate`, which is too early where there were gaps, and never too late.
    """
    times = [epoch_ms(pick(point, "timestamp")) for point in _points(reason_data) if pick(point, "value") is not None]
    known = [at for at in times if at is not None]
    if known:
        return max(known)
    recent, start = pick(reason_data, "recentDatapoints"), epoch_ms(pick(reason_data, "startDate"))
    if not isinstance(recent, list) or not recent or start is None:
        return None
    return start + (len(recent) - 1) * whole(pick(reason_data, "period")) * 1000


def looked_back_s(reason_data: Mapping[str, Any]) -> int:
    """How far back the evaluation looked, in seconds: a lower bound of the window where EvaluationPeriods is not told.

    An alarm that turns OK lists only the newest of its evaluated datapoints, one without data no recent ones;
    so the longer list counts.
    """
    recent = pick(reason_data, "recentDatapoints")
    seen = max(len(recent) if isinstance(recent, list) else 0, len(_points(reason_data)))
    return seen * whole(pick(reason_data, "period"))


def _points(reason_data: Mapping[str, Any]) -> list[Any]:
    points = pick(reason_data, "evaluatedDatapoints")
    return points if isinstance(points, list) else []


def muted(state: object, detail: object) -> str:
    """Why CloudWatch withholds the actions of this state change, in words; empty if it does not.

    EventBridge delivers all the same, so this must be asked. That the field is there decides, not its value:
    documents name different ones. Only the new state counts; a previous one was suppressed when that has just ended.
    """
    by = pick(state, "actionsSuppressedBy", "ActionsSuppressedBy")
    if by is not None:
        why = text(pick(state, "actionsSuppressedReason", "ActionsSuppressedReason"))
        return text(f"suppressed by {text(by) or 'a suppressor'}" + (f": {why}" if why else ""))
    mute = pick(detail, "muteDetail", "MuteDetail")
    if mute is None:
        return ""
    rule = text(pick(mute, "mutedByArn")).partition(":alarm-mute-rule:")[2] or "a mute rule"
    until = text(pick(mute, "muteWindowEnd"))
    return text(f"muted by {rule}" + (f" until {until}" if until else ""))
