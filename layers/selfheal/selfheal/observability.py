"""One logger and one metrics namespace for every function; data goes into keys, never into the message.

The service is the stack's name (POWERTOOLS_SERVICE_NAME), so that two stacks in one account do not mix.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics(namespace="selfheal")


def measure(dimensions: Mapping[str, str], numbers: Mapping[str, tuple[MetricUnit, float]]) -> None:
    """Write metrics under these dimensions, at once: what comes next in this invocation has dimensions of its own.

    Metrics are lines of the log. One that can't be written must not make a failure of what was done.
    """
    for name, value in dimensions.items():
        metrics.add_dimension(name=name, value=value)
    for name, (unit, number) in numbers.items():
        metrics.add_metric(name=name, unit=unit, value=number)
    try:
        metrics.flush_metrics()
    except (OSError, ValueError) as error:
        metrics.clear_metrics()  # they would be counted again with the next ones
        logger.warning("metrics not written", cause=str(error))
