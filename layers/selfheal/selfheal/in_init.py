"""What is known to be used is made in INIT, where Lambda gives a whole processor; an event of 512 MB has a third.

Clients of the engine's services and of those that a function's permissions name, the runbooks, and one read of the
ledger: it opens the connection, and everything that botocore does for the first time is done. Connecting alone would
not do: over TLS 1.3 the server's first tickets make urllib3 take an idle connection for a lost one.

Nothing here can fail a function or hold it up: what goes wrong goes wrong again, and is told, where it is needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from selfheal import runbook, world
from selfheal.clients import client
from selfheal.observability import logger

SWITCH = "PREPARE_IN_INIT"
"""The template sets it to 1; tests, the laptop and the build do not."""
WITHIN_S = 0.5
"""A ledger that hangs costs INIT this much and no more; its thread ends by the ledger client's own timeouts."""
SERVICE = {"elasticloadbalancing": "elbv2", "tag": "resourcegroupstaggingapi", "timestream": "timestream-write"}
"""IAM's prefix → botocore's name, where they differ."""
ENGINE = ("dynamodb", "events", "cloudwatch", "resourcegroupstaggingapi")
"""What the engine asks for whatever action: the ledger, the bus, the guards' alarm and tags."""
MOST = 8
"""A function that may ask more services than this (health checks, evidence) asks few of them at one event."""
READ = ("init", "init")
"""The key that is read; nothing is ever written there."""


def prepare(permissions: Iterable[str], engine: Iterable[str] = ENGINE) -> None:
    """Make ready what a function with these IAM permissions needs, if it starts inside Lambda."""
    if os.environ.get(SWITCH) != "1":
        return
    for step in (lambda: _clients([*engine, *services(permissions)]), runbook.load, _read_ledger):
        _try(step)


def services(permissions: Iterable[str]) -> list[str]:
    """botocore's names of the services of these permissions; none if they are many."""
    prefixes = dict.fromkeys(permission.partition(":")[0] for permission in permissions)
    found = [SERVICE.get(prefix, prefix) for prefix in prefixes]
    return found if len(found) <= MOST else []


def _clients(names: Iterable[str]) -> None:
    for name in dict.fromkeys(names):
        client(name)


def _read_ledger() -> None:
    ledger = world.ledger()
    reading = threading.Thread(target=_try, args=(lambda: ledger.get(*READ),), daemon=True, name="ledger in INIT")
    reading.start()
    reading.join(WITHIN_S)


def _try(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - INIT must not fail for what an event may never need
        logger.info("not prepared in INIT", cause=repr(error))
