"""The one place where AWS clients are made: one session, made on first use, timeouts and retries set once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import botocore
import botocore.session
from botocore.config import Config

from selfheal import certificates, pace

SERVICES = (
    "apigateway",
    "apigatewayv2",
    "application-autoscaling",
    "cloudformation",
    "cloudtrail",
    "cloudwatch",
    "codedeploy",
    "dynamodb",
    "ec2",
    "ecs",
    "elasticache",
    "elbv2",
    "events",
    "iam",
    "lambda",
    "logs",
    "rds",
    "rds-data",
    "resourcegroupstaggingapi",
    "s3",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "timestream-write",
    "xray",
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


_BULK = Config(
    max_pool_connections=16,
    parameter_validation=False,
    user_agent=f"Botocore/{botocore.__version__}",
)
"""For the few calls that are made by the ten thousand: botocore checks every parameter against its model, and writes
its name anew, in each of them, which is a fifth of their CPU. Code that calls so often gives what its tests have
validated; AWS refuses the rest as well."""


@cache
def _session() -> Any:
    """botocore's own: boto3 makes the same clients, for some 20 ms of CPU more at each cold start."""
    return botocore.session.get_session()


def hooks() -> Any:
    """botocore's events of every client that is made from now on (tests, the bench)."""
    return _session().get_component("event_emitter")


_stand_in: ContextVar[Callable[[str], Any] | None] = ContextVar("stand_in", default=None)


def client(service: str) -> Any:
    """The client of `service` with up to 3 attempts per call (botocore's `standard` retries), 2 for the ledger."""
    stand_in = _stand_in.get()
    return _client(service) if stand_in is None else stand_in(service)


def client_once(service: str, read_timeout_s: int = 60) -> Any:
    """The client for calls that AWS cannot deduplicate (Invoke, SendMessage): one attempt, then the truth is read.

    A repeated Invoke or SendMessage after a timeout may do its work twice (aws-semantics: at-least-once machinery).
    """
    stand_in = _stand_in.get()
    return _client_once(service, read_timeout_s) if stand_in is None else stand_in(service)


def client_bulk(service: str) -> Any:
    """As `client`, for calls that threads make by the ten thousand."""
    stand_in = _stand_in.get()
    return _client_bulk(service, once=False) if stand_in is None else stand_in(service)


def client_bulk_once(service: str) -> Any:
    """As `client_once`, for calls that threads make by the ten thousand."""
    stand_in = _stand_in.get()
    return _client_bulk(service, once=True) if stand_in is None else stand_in(service)


@cache
def _client_bulk(service: str, *, once: bool) -> Any:
    return _made(service, (_ONCE if once else _PATIENT).merge(_BULK))


@cache
def _client(service: str) -> Any:
    return _made(service, _LEDGER if service == "dynamodb" else _PATIENT)


@cache
def _client_once(service: str, read_timeout_s: int) -> Any:
    return _made(service, _ONCE.merge(Config(read_timeout=read_timeout_s)))


def _made(service: str, config: Config) -> Any:
    few = certificates.bundle()
    made = _session().create_client(service, config=config, verify=few)
    if few is not None:
        certificates.watch(made)
    if service == "lambda":
        pace.on(made)
    return made


@contextmanager
def instead(stand_in: Callable[[str], Any]) -> Iterator[None]:
    """Within the block, in this thread, every client comes from `stand_in`: a replay works in a world of its own."""
    token = _stand_in.set(stand_in)
    try:
        yield
    finally:
        _stand_in.reset(token)


def forget(*, session: bool = True) -> None:
    """Drop every client (tests: moto and the Stubber need clients made under them), and the session unless told not."""
    _client.cache_clear()
    _client_once.cache_clear()
    _client_bulk.cache_clear()
    if session:
        _session.cache_clear()
