"""A log line in the embedded metric format becomes the metrics that it describes.

Stock ministack 1.5.33 stores such a line and nothing more: a metric that a function writes with Powertools does not
exist, and an alarm on it never sees a datapoint.

AWS extracts the metrics when the line reaches CloudWatch Logs
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html):
one metric for each set of dimensions, with the root members that the set names; a value is a number or a list of
numbers. A line that does not follow the specification is a log line like any other.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ministack.services import cloudwatch, cloudwatch_logs

from local.emulator.mends import hook


def extract(message: str) -> None:
    """Record the metrics of one log message, if it has any; the account's scope must be current."""
    if '"_aws"' not in message:
        return
    try:
        line = json.loads(message)
        moment = float(line["_aws"].get("Timestamp", time.time() * 1000)) / 1000
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for names in directive.get("Dimensions") or [[]]:
                dimensions = {name: str(line[name]) for name in names}
                for metric in directive["Metrics"]:
                    _record(directive["Namespace"], metric, dimensions, line[metric["Name"]], moment)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cloudwatch_logs.logger.warning("not the embedded metric format: %r", error)


def _record(namespace: str, metric: dict[str, Any], dimensions: dict[str, str], value: Any, moment: float) -> None:
    values = [float(each) for each in (value if isinstance(value, list) else [value])]
    unit = metric.get("Unit", "None")
    cloudwatch._store_datum(namespace, metric["Name"], dimensions, moment, unit, None, values, None, None)


def _append(stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
    _stock_append(stream, events)
    for event in events:
        extract(event["message"])
    cloudwatch._evaluate_all_alarms()


def apply() -> None:
    global _stock_append  # noqa: PLW0603
    _stock_append = hook(cloudwatch_logs, "_append_log_events", _append)


_stock_append: Any = None
