"""One logger and one metrics namespace for every function; data goes into keys, never into the message."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics

logger = Logger(service="selfheal")
metrics = Metrics(namespace="selfheal", service="selfheal")
