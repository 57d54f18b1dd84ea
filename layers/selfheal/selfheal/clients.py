"""The one place where AWS clients are made: one session, made on first use, timeouts and retries set once."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

SERVICES = (
    "cloudformation",
    "cloudwatch",
    "codedeploy",
    "dynamodb",
    "events",
    "iam",
    "lambda",
    "resourcegroupstaggingapi",
    "s3",
    "scheduler",
    "sns",
    "sqs",
    "ssm",
    "sts",
)
"""Every AWS service that a function talks to. The build ships botocore's data for these and no others."""

_PATIENT = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=2,
    read_timeout=10,
    user_agent_extra="selfheal",
)

_LEDGER = _PATIENT.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=1, read_timeout=3)
)
"""A ledger that hangs must not hold up a halt: it is given up after 6 s, and what is safe goes on without it."""

_ONCE = _PATIENT.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=60))


@cache
def _session() -> Any:  # any service by its name: the stubs know one overload per service
    return boto3.session.Session()


@cache
def client(service: str) -> Any:
    """The client of `service` with up to 3 attempts per call (botocore's `standard` retries), 2 for the ledger."""
    return _session().client(service, config=_LEDGER if service == "dynamodb" else _PATIENT)


@cache
def client_once(service: str, read_timeout_s: int = 60) -> Any:
    """The client for calls that AWS cannot deduplicate (Invoke, SendMessage): one attempt, then the truth is read.

    A repeated Invoke or SendMessage after a timeout may do its work twice (aws-semantics: at-least-once machinery).
    """
    return _session().client(service, config=_ONCE.merge(Config(read_timeout=read_timeout_s)))


def forget() -> None:
    """Drop every client (tests: moto and the Stubber need clients made under them)."""
    client.cache_clear()
    client_once.cache_clear()
    _session.cache_clear()
