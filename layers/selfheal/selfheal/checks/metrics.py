"""Metrics for all checks of a sweep, in as few GetMetricData calls as AWS allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.kind import Check
from selfheal.checks.patience import patiently
from selfheal.clients import client
from selfheal.errors import Unreadable
from selfheal.frozen import dataclass

MAX_QUERIES = 500
MAX_POINTS = 100_000
"""Of one call; AWS allows 100 800."""
MAX_MINUTES = 1440


FOLDS: Mapping[str, Callable[[Sequence[float]], float]] = {"sum": sum, "max": max, "min": min}


@dataclass(frozen=True)
class Wanted:
    """One metric over the last `minutes`: `stat` of each period, and one number made of them by `fold`."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    minutes: int
    stat: str = "Sum"
    fold: str = "sum"

    @classmethod
    def of(cls, check: Check, metric: str, stat: str = "Sum", fold: str = "sum") -> Wanted:
        """One of Lambda's, for a check with a function. An alias is a dimension of its own beside the name."""
        function, alias = check["function"], check["alias"]
        dimensions = [("FunctionName", function)]
        if alias:
            dimensions.append(("Resource", f"{function}:{alias}"))
        return cls("AWS/Lambda", metric, tuple(dimensions), window_of(check), stat, fold)

    @property
    def period_s(self) -> int:
        """Fine enough to start where the window starts, coarse enough for a day."""
        return 60 if self.minutes <= 60 else 300

    @property
    def points(self) -> int:
        """How many the answer may have."""
        return self.minutes * 60 // self.period_s + 1

    def query(self, name: str) -> dict[str, Any]:
        """For GetMetricData."""
        dimensions = [{"Name": each, "Value": value} for each, value in self.dimensions]
        metric = {"Namespace": self.namespace, "MetricName": self.metric, "Dimensions": dimensions}
        return {"Id": name, "MetricStat": {"Metric": metric, "Period": self.period_s, "Stat": self.stat}}


def window_of(check: Check) -> int:
    """The minutes of a check, within what is read at once."""
    return max(1, min(int(check["minutes"]), MAX_MINUTES))


Sums = Mapping[Wanted, float | None]
"""None: no data at all, which is not zero."""


def read_sums(wanted: Sequence[Wanted]) -> Sums:
    """Raises Unreadable, TargetForbidden; an answer that is not complete is no answer."""
    sums: dict[Wanted, float | None] = {}
    for minutes in sorted({each.minutes for each in wanted}):
        of_window = [each for each in dict.fromkeys(wanted) if each.minutes == minutes]
        for chunk in _chunks(of_window):
            sums.update(patiently(partial(_read, chunk, minutes)))
    return sums


def _chunks(wanted: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
    size = min(MAX_QUERIES, MAX_POINTS // wanted[0].points)
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def _read(wanted: Sequence[Wanted], minutes: int) -> dict[Wanted, float | None]:
    names = {f"m{place}": each for place, each in enumerate(wanted)}
    end = time.time() // 60 * 60 + 60  # exclusive, so the minute that runs counts
    values: dict[str, list[float]] = {name: [] for name in names}
    try:
        pages = (
            client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(
                MetricDataQueries=[each.query(name) for name, each in names.items()],
                StartTime=datetime.fromtimestamp(end - minutes * 60, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
            )
        )
        status: dict[str, str] = {}
        for page in pages:
            for result in page["MetricDataResults"]:
                status[result["Id"]] = result.get("StatusCode", "Complete")
                values[result["Id"]] += result["Values"]
    except AwsError as error:
        translate(error, "metrics")
    if bad := sorted({state for state in status.values() if state != "Complete"}):
        raise Unreadable("metrics", f"CloudWatch answered {', '.join(bad)}")
    return {each: FOLDS[each.fold](values[name]) if values[name] else None for name, each in names.items()}


def must_exist(function: str) -> None:
    """No data may also mean that nobody has such a function. Raises TargetNotFound."""
    try:
        client("lambda").get_function_configuration(FunctionName=function)
    except AwsError as error:
        translate(error, f"function {function}")
