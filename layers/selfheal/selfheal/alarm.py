"""The alarm: one value for what SNS, EventBridge, a direct alarm action and DescribeAlarms say about a state change.

Shapes as in the CloudWatch user guide ("Notifying users on alarm changes", "Alarm events and EventBridge",
"Invoke a Lambda function from an alarm"). What is not one of them is refused by name: never an exception,
never silence. Imports nothing beyond the standard library: every alarm waits for this file to load.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from selfheal.alarm_shapes import (
    common_dimensions,
    dimensions,
    epoch_ms,
    expressions,
    json_object,
    last_datapoint_ms,
    looked_back_s,
    muted,
    pick,
    query_period_s,
    required,
    shown,
    text,
    whole,
)
from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.refusal import Refusal

if TYPE_CHECKING:
    from selfheal.arns import Home

STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
STATE_CHANGE = "CloudWatch Alarm State Change"
CONTRIBUTOR_CHANGE = "CloudWatch Alarm Contributor State Change"
CHANGES = (STATE_CHANGE, CONTRIBUTOR_CHANGE)
TARGET_TRACKING = "TargetTracking-"
"""Alarms under this name belong to Application Auto Scaling, which acts on them itself."""
_ARN_MAX = 1600


@dataclass(frozen=True)
class Alarm:
    """One state change of one alarm, or of one of its contributors.

    `account` and `region` are those of the ARN. `dimensions` are those of the single metric, or those that all
    metrics of a calculation share, with the attributes of the contributor. `window_s` is period times evaluation
    periods; EventBridge and direct payloads don't tell the latter, so there it is as far as the evaluation is known
    to have looked back, a lower bound. `last_datapoint_at` is None both without data and where nothing is said about
    data: SNS messages carry no reason data, and nor do SetAlarmState and composite alarms.
    """

    name: str
    arn: str
    account: str
    region: str
    state: str  # OK, ALARM or INSUFFICIENT_DATA
    state_at: int  # epoch milliseconds of the state change
    reason: str
    transport: str  # sns, eventbridge, direct or sweep
    kind: str  # metric, math, anomaly or composite
    previous_state: str | None
    dimensions: Mapping[str, str]
    period_s: int  # 0 where unknown
    window_s: int  # 0 where unknown
    last_datapoint_at: int | None  # epoch milliseconds
    contributor: str | None
    muted: str  # empty, or why CloudWatch withholds the actions
    description: str

    @property
    def delivery_key(self) -> str:
        """The same for each delivery of a state change by whichever transport; hex.

        Neither a message id nor the previous state is in it: the first differs by publication, and ALARM may follow
        ALARM when a suppression ends. Nor is `muted`: an action withheld by a mute comes when the mute ends, probably
        with this very time of state change, so what was held back must not be recorded as handled.
        """
        key = f"{self.arn}|{self.contributor or ''}|{self.state}|{self.state_at}"
        return hashlib.sha256(key.encode()).hexdigest()

    @property
    def has_data(self) -> bool:
        """Whether the evaluation is known to have seen a datapoint."""
        return self.last_datapoint_at is not None


def read(event: object, home: Home) -> list[Alarm | Refused]:
    """The alarms in a Lambda event, one entry for each record, in their order. Never raises, whatever `event` is.

    Refused (returned, not raised) is NOT_AN_ALARM, with what was found and what would be right; FOREIGN_ALARM, if the
    ARN names another account or region than `home`; OWN_ALARM, if the name begins with the environment variable
    SELFHEAL_ALARM_PREFIX (unset or empty: no such alarms) or with `TargetTracking-`.
    """
    records = pick(event, "Records")
    if records is None:
        return [_judged(event, home)]
    if not isinstance(records, list) or not records:
        return [_not_an_alarm(f"Records is {shown(records) if records else 'empty'}; a list of SNS records is right")]
    return [_judged(record, home) for record in records]


def _judged(entry: object, home: Home) -> Alarm | Refused:
    """One record or event, judged by itself: a bad one does not take its neighbours along."""
    try:
        return _admitted(_from_any(entry), home)
    except Refused as refused:
        return refused


def _from_any(entry: object) -> Alarm:
    if pick(entry, "Sns") is not None:
        return _from_sns(pick(entry, "Sns"))
    if pick(entry, "detail-type") is not None:
        return _from_eventbridge(entry)
    if pick(entry, "alarmData") is not None:
        arn = required(entry, "alarmArn", "event", _ARN_MAX)
        return _from_state_change(pick(entry, "alarmData"), entry, arn, "direct")
    source = pick(entry, "eventSource", "EventSource")
    if source is not None:
        raise _not_an_alarm(f"a record of {shown(source)}; subscribe the function itself to the alarm topic")
    if pick(entry, "AlarmName", "Message") is not None:
        raise _not_an_alarm("an SNS message without its envelope; Records[].Sns.Message is right")
    raise _not_an_alarm(
        f"{'an object without' if isinstance(entry, Mapping) else shown(entry) + ' in place of'} "
        "Records[].Sns (SNS), detail-type (EventBridge) or alarmData (direct alarm action)"
    )


def _admitted(alarm: Alarm, home: Home) -> Alarm:
    """Home alone is healed; what selfheal's own health is judged by goes to people. Raises Refused."""
    if (alarm.account, alarm.region) != (home.account, home.region):
        raise Refused(
            Refusal.FOREIGN_ALARM,
            f"alarm {alarm.name} is of account {alarm.account}, region {alarm.region}; "
            f"from here, account {home.account} is healed in region {home.region}",
        )
    refuse_own(alarm)
    return alarm


def refuse_own(alarm: Alarm) -> None:
    """Raises Refused(OWN_ALARM) for what watches selfheal itself, and for what belongs to somebody who acts on it."""
    names = (alarm.name, alarm.arn.split(":", 6)[-1])
    own = os.environ.get("SELFHEAL_ALARM_PREFIX", "")
    if own and any(name.startswith(own) for name in names):
        raise Refused(Refusal.OWN_ALARM, f"alarm {alarm.name} begins with {own}: it watches selfheal itself")
    if any(name.startswith(TARGET_TRACKING) for name in names):
        raise Refused(Refusal.OWN_ALARM, f"alarm {alarm.name} belongs to Application Auto Scaling, which acts on it")


def _from_sns(envelope: object) -> Alarm:
    """`Records[].Sns`; the alarm is a JSON text in `Message`. All but name, ARN and new state may be missing."""
    kind = pick(envelope, "Type")
    if kind is not None and kind != "Notification":
        raise _not_an_alarm(f"an SNS message of type {shown(kind)}; Notification is right")
    content = pick(envelope, "Message")
    message = json_object(content) if isinstance(content, str) else None
    if message is None:
        raise _not_an_alarm(f"the SNS message is {shown(content)}; a JSON object with AlarmName is right")
    name = required(message, "AlarmName", "Message")
    arn, region, account = _arn(required(message, "AlarmArn", "Message", _ARN_MAX))
    trigger = pick(message, "Trigger")
    metrics = _list(pick(trigger, "Metrics"))
    period = whole(pick(trigger, "Period")) or query_period_s(metrics)
    contributor, attributes = _contributor(message)
    return Alarm(
        name=name,
        arn=arn,
        account=account,
        region=region,
        state=_state(pick(message, "NewStateValue"), "Message.NewStateValue"),
        state_at=_state_at(pick(message, "StateChangeTime"), pick(envelope, "Timestamp"), "Message.StateChangeTime"),
        reason=text(pick(message, "NewStateReason")),
        transport="sns",
        kind=_kind(message, trigger, metrics, contributor, {}),
        previous_state=_previous(pick(message, "OldStateValue")),
        dimensions=_dimensions(pick(trigger, "Dimensions"), metrics, account, attributes),
        period_s=period,
        window_s=period * whole(pick(trigger, "EvaluationPeriods")),
        last_datapoint_at=None,
        contributor=contributor,
        muted=muted(message, message),
        description=text(pick(message, "AlarmDescription")),
    )


def _from_eventbridge(event: object) -> Alarm:
    """An event of the default bus. PutEvents can't write a source that begins with `aws.`, so the source is proof."""
    kind, source = pick(event, "detail-type"), pick(event, "source")
    if kind not in CHANGES:
        raise _not_an_alarm(f"detail-type is {shown(kind)}; {STATE_CHANGE!r} or {CONTRIBUTOR_CHANGE!r} is right")
    if source != "aws.cloudwatch":
        raise _not_an_alarm(f"source is {shown(source)}; 'aws.cloudwatch' is right")
    detail = pick(event, "detail")
    if kind == CONTRIBUTOR_CHANGE:
        required(pick(detail, "alarmContributor"), "id", "detail.alarmContributor", 1024)
    resources = _list(pick(event, "resources"))
    arn = required({"resources[0]": resources[0] if resources else None}, "resources[0]", "event", _ARN_MAX)
    return _from_state_change(detail, event, arn, "eventbridge")


def _from_state_change(detail: object, event: object, arn: str, transport: str) -> Alarm:
    """EventBridge `detail` and the `alarmData` of a direct action have the same fields."""
    where = "detail" if transport == "eventbridge" else "alarmData"
    name = required(detail, "alarmName", where)
    arn, region, account = _arn(arn)
    state, configuration = pick(detail, "state"), pick(detail, "configuration")
    metrics = _list(pick(configuration, "metrics"))
    reason_data = json_object(pick(state, "reasonData")) or {}
    contributor, attributes = _contributor(detail)
    return Alarm(
        name=name,
        arn=arn,
        account=account,
        region=region,
        state=_state(pick(state, "value"), f"{where}.state.value"),
        state_at=_state_at(pick(state, "timestamp"), pick(event, "time"), f"{where}.state.timestamp"),
        reason=text(pick(state, "reason")),
        transport=transport,
        kind=_kind(configuration, configuration, metrics, contributor, reason_data),
        previous_state=_previous(pick(pick(detail, "previousState"), "value")),
        dimensions=_dimensions(None, metrics, account, attributes),
        period_s=query_period_s(metrics) or whole(pick(reason_data, "period")),
        window_s=looked_back_s(reason_data),
        last_datapoint_at=last_datapoint_ms(reason_data),
        contributor=contributor,
        muted=muted(state, detail),
        description=text(pick(configuration, "description")),
    )


def from_description(description: Mapping[str, Any]) -> Alarm:
    """One element of DescribeAlarms' MetricAlarms or CompositeAlarms, with the datetimes of boto3.

    The time is StateTransitionedTimestamp: StateUpdatedTimestamp also moves with the reason. Actions that are switched
    off count as muted; mute rules are not part of the answer. Raises Refused for what DescribeAlarms never answers.
    """
    arn, region, account = _arn(required(description, "AlarmArn", "alarm", _ARN_MAX))
    metrics = _list(pick(description, "Metrics"))
    reason_data = json_object(pick(description, "StateReasonData")) or {}
    period = whole(pick(description, "Period")) or query_period_s(metrics) or whole(pick(reason_data, "period"))
    switched_off = "its actions are switched off" if pick(description, "ActionsEnabled") is False else ""
    return Alarm(
        name=required(description, "AlarmName", "alarm"),
        arn=arn,
        account=account,
        region=region,
        state=_state(pick(description, "StateValue"), "StateValue"),
        state_at=_state_at(
            pick(description, "StateTransitionedTimestamp"),
            pick(description, "StateUpdatedTimestamp"),
            "StateTransitionedTimestamp",
        ),
        reason=text(pick(description, "StateReason")),
        transport="sweep",
        kind=_kind(description, description, metrics, None, reason_data),
        previous_state=None,
        dimensions=_dimensions(pick(description, "Dimensions"), metrics, account, {}),
        period_s=period,
        window_s=period * whole(pick(description, "EvaluationPeriods")) or looked_back_s(reason_data),
        last_datapoint_at=last_datapoint_ms(reason_data),
        contributor=None,
        muted=muted(description, description) or switched_off,
        description=text(pick(description, "AlarmDescription")),
    )


def _not_an_alarm(detail: str) -> Refused:
    return Refused(Refusal.NOT_AN_ALARM, detail)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _arn(arn: str) -> tuple[str, str, str]:
    """The ARN with its region and account, which are told nowhere else: `Region` in SNS is "US East (N. Virginia)"."""
    parts = arn.split(":", 6)
    if len(parts) == 7 and parts[0] == "arn" and parts[2] == "cloudwatch" and parts[5] == "alarm" and all(parts):
        return arn, parts[3], parts[4]
    raise _not_an_alarm(f"{shown(arn)} is no alarm's ARN; arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME is right")


def _state(value: object, where: str) -> str:
    if isinstance(value, str) and value in STATES:
        return value
    raise _not_an_alarm(f"{where} is {shown(value)}; one of {', '.join(STATES)} is right")


def _previous(value: object) -> str | None:
    return value if isinstance(value, str) and value in STATES else None


def _state_at(value: object, sent: object, where: str) -> int:
    """Epoch milliseconds of the state change; where older messages don't tell it, of when this was sent."""
    at = epoch_ms(sent if value is None else value)
    if at is None:
        raise _not_an_alarm(f"{where} is {shown(value)}; a time such as 2026-11-20T09:00:00.000+0000 is right")
    return at


def _contributor(detail: object) -> tuple[str | None, dict[str, str]]:
    """The id and the attributes of the time series. How SNS spells them is not documented, so both cases are taken."""
    contributor = pick(detail, "alarmContributor", "AlarmContributor")
    if contributor is None:
        return None, {}
    name = "Id" if pick(contributor, "id") is None and pick(contributor, "Id") is not None else "id"
    found = required(contributor, name, "alarmContributor", 1024)
    return found, dimensions(pick(contributor, "attributes", "Attributes"))


def _dimensions(single: object, metrics: list[Any], account: str, attributes: dict[str, str]) -> dict[str, str]:
    return {**(common_dimensions(metrics, account) if metrics else dimensions(single)), **attributes}


def _kind(
    rule: object, trigger: object, metrics: list[Any], contributor: str | None, reason_data: Mapping[str, Any]
) -> str:
    """The kind as the configuration has it; where that is missing, as the reason data gives it away."""
    if pick(rule, "alarmRule", "AlarmRule") is not None or "triggeringAlarms" in reason_data:
        return "composite"
    formulas = expressions(metrics)
    band = any("ANOMALY_DETECTION_BAND" in formula.upper() for formula in formulas)
    if band or pick(trigger, "ThresholdMetricId", "thresholdMetricId") is not None:
        return "anomaly"
    if "recentLowerThresholds" in reason_data or "recentUpperThresholds" in reason_data:
        return "anomaly"
    return "math" if formulas or contributor or len(metrics) > 1 else "metric"
