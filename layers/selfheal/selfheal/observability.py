"""One logger and one metrics namespace for every function; data goes into keys, never into the message.

The service is the stack's name (POWERTOOLS_SERVICE_NAME), so that two stacks in one account do not mix.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics(namespace="selfheal")
_measuring = Lock()
"""Powertools collects in one place for the whole process."""


def measure(dimensions: Mapping[str, str], numbers: Mapping[str, tuple[MetricUnit, float]]) -> None:
    """Write metrics under these dimensions, at once: what comes next in this invocation has dimensions of its own.

    Metrics are lines of the log. One that can't be written must not make a failure of what was done, and nothing of it
    is left for the next one.
    """
    if not numbers:
        return
    with _measuring:
        try:
            for name, value in dimensions.items():
                metrics.add_dimension(name=name, value=value)
            for name, (unit, number) in numbers.items():
                metrics.add_metric(name=name, unit=unit, value=number)
            metrics.flush_metrics()
        except (OSError, ValueError) as error:
            logger.warning("metrics not written", cause=str(error))
        finally:
            metrics.clear_metrics()
