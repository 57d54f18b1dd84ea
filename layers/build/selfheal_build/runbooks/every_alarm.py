"""Each alarm of some runbooks, red once: what a runbook can be tried on that has no history yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

RED_FOR = timedelta(minutes=40)
"""Long enough for each rung of a ladder to be tried and to settle."""
BEGINS = datetime(2026, 1, 14, 12, 0, tzinfo=UTC)
"""A Wednesday; runbooks with maintenance at this time show their decisions in it."""
_ACCOUNT, _REGION = "111111111111", "us-east-1"
_DIMENSION = re.compile(r"\{alarm\.([^{}]+)\}")


def events(compiled: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Alarm name → the two events of its going red and green, for every pattern of the compiled runbooks.

    A `*` or `?` of a pattern becomes `x`; every dimension that a target is taken from is there.
    """
    found = {}
    for runbooks in compiled:
        dimensions = sorted(set(_DIMENSION.findall(repr(runbooks))))
        for system in runbooks["systems"]:
            for response in system["responses"]:
                for pattern in response["alarms"]:
                    name = re.sub(r"[*?]", "x", pattern)
                    found[name] = [
                        _event(name, "ALARM", BEGINS, dimensions),
                        _event(name, "OK", BEGINS + RED_FOR, dimensions),
                    ]
    return dict(sorted(found.items()))


def _event(name: str, state: str, at: datetime, dimensions: Iterable[str]) -> dict[str, Any]:
    arn = f"arn:aws:cloudwatch:{_REGION}:{_ACCOUNT}:alarm:{name}"
    metric = {"namespace": "Example", "name": "Red", "dimensions": dict.fromkeys(dimensions, "example")}
    data = {"version": "1.0", "period": 60, "evaluatedDatapoints": [{"timestamp": _text(at - timedelta(minutes=1))}]}
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "account": _ACCOUNT,
        "region": _REGION,
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "resources": [arn],
        "detail": {
            "alarmName": name,
            "state": {"value": state, "reason": "made up", "reasonData": json.dumps(data), "timestamp": _text(at)},
            "configuration": {
                "metrics": [
                    {
                        "id": "m1",
                        "metricStat": {"metric": metric, "period": 60, "stat": "Sum"},
                        "returnData": True,
                    }
                ]
            },
        },
    }


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.000+0000}"
