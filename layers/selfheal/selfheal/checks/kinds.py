"""Every kind of check by name. The one table that the runbook schema and the runner read.

A check is a mapping with one key, its kind: `{"queue": {"queue": "orders-dlq"}}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

from selfheal.checks import (
    alarms,
    alias,
    api,
    api_errors,
    archive,
    backup,
    bus,
    cache,
    changes,
    database,
    deployment,
    event_source,
    flag,
    function,
    incidents,
    invocations,
    limits,
    logs,
    metric,
    permission,
    queue,
    rules,
    schedule,
    secrets,
    security_group,
    service,
    stack,
    table,
    targets,
    throttles,
    timestream,
    topic,
    url,
)
from selfheal.checks.kind import Check, CheckKind
from selfheal.errors import Refused
from selfheal.refusal import Refusal

MAX_CHECKS = 5_000
"""Of one request; more belong into several sweeps."""

MODULES: Mapping[str, ModuleType] = {
    module.KIND.name: module
    for module in (
        alias,
        alarms,
        schedule,
        rules,
        queue,
        table,
        topic,
        bus,
        flag,
        invocations,
        throttles,
        permission,
        function,
        event_source,
        service,
        targets,
        database,
        cache,
        timestream,
        api,
        stack,
        url,
        security_group,
        secrets,
        logs,
        metric,
        limits,
        api_errors,
        archive,
        backup,
        deployment,
        incidents,
        changes,
    )
}
"""Kind → the module that knows how to look."""

PERMISSIONS = tuple(sorted({permission for module in MODULES.values() for permission in module.PERMISSIONS}))
"""What all of them together ask AWS for."""
CHECKS: Mapping[str, CheckKind] = {name: module.KIND for name, module in MODULES.items()}
"""Kind → its fields."""


def read_checks(documents: object) -> tuple[Check, ...]:
    """The checks in a list of mappings. Raises `Refused(BAD_OPTIONS)` that names the first wrong one."""
    if isinstance(documents, str | bytes) or not isinstance(documents, Sequence):
        raise Refused(Refusal.BAD_OPTIONS, "checks must be a list of mappings such as {queue: orders-dlq}")
    if len(documents) > MAX_CHECKS:
        raise Refused(Refusal.BAD_OPTIONS, f"{len(documents)} checks; at most {MAX_CHECKS} in one request")
    return tuple(map(read_check, documents))


def read_check(document: object) -> Check:
    """One check. Raises `Refused(BAD_OPTIONS)` that says what is wrong and what would be right."""
    if not isinstance(document, Mapping) or len(document) != 1:
        raise Refused(Refusal.BAD_OPTIONS, f"a check is a mapping with one key of {sorted(CHECKS)}")
    ((name, given),) = document.items()
    kind = CHECKS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Refused(Refusal.BAD_OPTIONS, f"unknown check {name!r:.40}; known are {sorted(CHECKS)}")
    return kind.read(given)
