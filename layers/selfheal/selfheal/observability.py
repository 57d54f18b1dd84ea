"""One logger and one metrics namespace for every function; data goes into keys, never into the message.

The service is the stack's name (POWERTOOLS_SERVICE_NAME), so that two stacks in one account do not mix.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics

logger = Logger()
metrics = Metrics(namespace="selfheal")
