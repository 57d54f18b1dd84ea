"""Every kind of check by name, with its fields. The one table that the runbook schema and the runner read.

A check is a mapping with one key, its kind: `{"queue": {"queue": "orders-dlq"}}`. A kind with a `main` field also takes
that field's value alone: `{"queue": "orders-dlq"}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfheal.errors import Refused
from selfheal.refusal import Refusal

MAX_CHECKS = 200
"""Of one request; more belong into several sweeps."""
MAX_NAMES = 100
"""Of one list; DescribeAlarms takes no more names in a call."""


@dataclass(frozen=True)
class Field:
    """One field of a check. A list holds texts. Allowed values are in `one_of` if it is not empty."""

    type: type
    default: Any = None
    required: bool = False
    one_of: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class CheckKind:
    """The fields of one kind. Of the fields in `either`, exactly one must be given."""

    name: str
    summary: str
    fields: Mapping[str, Field]
    main: str | None = None
    either: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One check, validated, with every default filled in."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def resource(self) -> str:
        """What it looks at, in one short text for a person."""
        given = (self.fields[name] for name in _NAMING if self.fields.get(name))
        return "/".join(value if isinstance(value, str) else ",".join(value) for value in given)[:256]


_NAMING = ("bus", "function", "alias", "prefix", "names", "group", "schedule", "queue", "name", "topic", "parameter")


def _name(text: str) -> Field:
    return Field(str, required=True, help=text)


CHECKS: Mapping[str, CheckKind] = {
    kind.name: kind
    for kind in (
        CheckKind(
            "alias",
            "the version behind a Lambda alias can run: active, updated, no left-over weights, not throttled to 0",
            {"function": _name("function name"), "alias": _name("alias name")},
        ),
        CheckKind(
            "alarms",
            "metric and composite alarms are OK, see data, and exist",
            {
                "prefix": Field(str, help="every alarm whose name starts so"),
                "names": Field(list, help="exact names, at most 100"),
                "stage": Field(str, help="with `prefix`: a dash-separated word that the name must contain (dev, prod)"),
                "at_least": Field(int, 1, help="with `prefix`: how many alarms must exist"),
                "may_lack_data": Field(bool, False, help="INSUFFICIENT_DATA is no finding (rare events)"),
            },
            either=("prefix", "names"),
        ),
        CheckKind(
            "schedule",
            "an EventBridge Scheduler schedule is in the expected state and its end is not past",
            {
                "schedule": _name("schedule name"),
                "group": Field(str, "default"),
                "state": Field(str, "ENABLED", one_of=("ENABLED", "DISABLED")),
            },
            main="schedule",
        ),
        CheckKind(
            "rules",
            "rules of one event bus are in the expected state and have a target",
            {
                "bus": _name("event bus name; `default` for the default bus"),
                "names": Field(list, required=True, help="rule names"),
                "state": Field(str, "ENABLED", one_of=("ENABLED", "DISABLED")),
            },
        ),
        CheckKind(
            "queue",
            "a dead-letter queue holds no message: visible, in flight and delayed together",
            {"queue": _name("queue name"), "at_most": Field(int, 0, help="messages that are no finding")},
            main="queue",
        ),
        CheckKind(
            "table",
            "a DynamoDB table is active and expires its items by the right attribute",
            {"name": _name("table name"), "ttl": Field(str, help="the TTL attribute; unset: not looked at")},
            main="name",
        ),
        CheckKind(
            "topic",
            "an SNS topic has confirmed subscriptions and none that waits for confirmation",
            {"topic": _name("topic ARN"), "at_least": Field(int, 1, help="confirmed subscriptions")},
            main="topic",
        ),
        CheckKind("bus", "an event bus exists", {"bus": _name("event bus name")}, main="bus"),
        CheckKind(
            "flag",
            "an SSM parameter is a flag and has the expected value",
            {
                "parameter": _name("parameter name"),
                "value": Field(str, "true", one_of=("true", "false", "any")),
            },
            main="parameter",
        ),
        CheckKind(
            "invocations",
            "a function was invoked lately and did not fail",
            {
                "function": _name("function name"),
                "alias": Field(str, help="count this alias only"),
                "minutes": Field(int, 60, help="look back this long, at most 1440"),
                "max_errors": Field(int, 0, help="errors that are no finding"),
                "may_rest": Field(bool, False, help="no invocation at all is no finding"),
            },
            main="function",
        ),
        CheckKind(
            "throttles",
            "a function was not throttled lately",
            {
                "function": _name("function name"),
                "alias": Field(str, help="count this alias only"),
                "minutes": Field(int, 15, help="look back this long, at most 1440"),
            },
            main="function",
        ),
        CheckKind(
            "permission",
            "the role of a function may do these actions on these resources",
            {
                "function": _name("function name"),
                "alias": Field(str, help="look at the role of the version behind this alias"),
                "actions": Field(list, required=True, help="IAM actions such as dynamodb:PutItem"),
                "resources": Field(list, required=True, help="ARNs"),
            },
        ),
    )
}
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
    ((name, value),) = document.items()
    kind = CHECKS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Refused(Refusal.BAD_OPTIONS, f"unknown check {name!r:.40}; known are {sorted(CHECKS)}")
    if kind.main and isinstance(value, str):
        value = {kind.main: value}
    if not isinstance(value, Mapping):
        raise Refused(Refusal.BAD_OPTIONS, f"check {name} must be a mapping with {sorted(kind.fields)}")
    return Check(kind.name, _fields(kind, value))


def _fields(kind: CheckKind, given: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(str(name) for name in given if name not in kind.fields):
        raise Refused(Refusal.BAD_OPTIONS, f"check {kind.name}: unknown {unknown[:5]}; known are {sorted(kind.fields)}")
    if missing := [name for name, spec in kind.fields.items() if spec.required and name not in given]:
        raise Refused(Refusal.BAD_OPTIONS, f"check {kind.name}: missing {missing}")
    if kind.either and len([name for name in kind.either if name in given]) != 1:
        raise Refused(Refusal.BAD_OPTIONS, f"check {kind.name}: give exactly one of {list(kind.either)}")
    for name, value in given.items():
        if not _fits(kind.fields[name], value):
            wanted = list(kind.fields[name].one_of) or kind.fields[name].type.__name__
            raise Refused(Refusal.BAD_OPTIONS, f"check {kind.name}: {name} must be {wanted}, got {value!r:.40}")
    return {name: given.get(name, spec.default) for name, spec in kind.fields.items()}


def _fits(spec: Field, value: object) -> bool:
    if spec.type is list:
        texts = isinstance(value, list | tuple) and all(isinstance(item, str) and item for item in value)
        return texts and 0 < len(value) <= MAX_NAMES  # type: ignore[arg-type]  # narrowed by `texts`
    if spec.type is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if spec.type is str:
        return isinstance(value, str) and bool(value) and (not spec.one_of or value in spec.one_of)
    return isinstance(value, spec.type)
