"""AWS for reading only: a call that is no read never leaves the process, whatever the credentials would allow."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_READS = re.compile(r"(BatchGet|Describe|Get|Head|List|Query|Simulate)([A-Z]|$)")
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=2, read_timeout=10)


class WriteInReplay(BaseException):
    """A replay was about to change something. A defect, which nothing that expects failures of AWS may catch."""


def is_read(operation: str) -> bool:
    """`GetAlias` and the like; every operation that is not known to read counts as one that writes."""
    return _READS.match(operation) is not None


@cache
def reader(service: str) -> Any:
    """The client of `service`, with the caller's own credentials. Its calls raise WriteInReplay unless they read."""
    session: Any = boto3.session.Session()  # any service by its name: the stubs know one overload per service
    return guarded(session.client(service, config=_CONFIG))


def guarded(client: Any) -> Any:
    """The client, which from now on refuses whatever is no read."""
    client.meta.events.register_first("provide-client-params", _refuse_writes)
    return client


def _refuse_writes(model: Any, **_: Any) -> None:
    if not is_read(model.name):
        raise WriteInReplay(f"{model.service_model.service_name}:{model.name} is no read; a replay changes nothing")
