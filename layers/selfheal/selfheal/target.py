"""What an action touches: its kind, its fields, and one key for locks, cooldowns and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from selfheal.errors import Refused
from selfheal.frozen import dataclass
from selfheal.refusal import Refusal

EVERYTHING = ("pause", "*")
"""The one field that may name more than one thing: the pause of all systems."""
MAX_FIELD_LENGTH = 512
"""In bytes: a key of the ledger holds 1024, and has a target's and an action's name in it."""


@dataclass(frozen=True)
class Kind:
    """The fields that describe one kind of target; `key` makes the name under which it is locked."""

    name: str
    required: tuple[str, ...]
    key: str
    optional: Mapping[str, Any] = field(default_factory=dict)
    """Optional fields with their defaults; a default of `{}` allows a nested mapping."""
    not_in_names: str = ""
    """What would make it an ARN, a URL or a qualified name: a second name for the same resource has a key of its own,
    and two actions could get the resource at once."""


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("parameter", ("parameter",), "parameter:{parameter}"),
        Kind("schedule", ("schedule",), "schedule:{group}/{schedule}", {"group": "default"}, ":/"),
        Kind("schedule_group", ("schedule_group",), "schedule:{schedule_group}/*", not_in_names=":/"),
        Kind("rule", ("bus", "rule"), "rule:{bus}/{rule}", not_in_names=":"),
        Kind("rules", ("bus", "rule_prefix"), "rule:{bus}/{rule_prefix}*", not_in_names=":"),
        Kind("alias", ("function", "alias"), "function:{function}:{alias}", {"code_deploy": {}}, ":/"),
        Kind("queue", ("queue",), "queue:{queue}", {"replay_to": {}, "source": ""}, ":/"),
        Kind("function", ("function",), "function:{function}", not_in_names=":/"),
        Kind("event_source", ("event_source",), "event-source:{event_source}", not_in_names=":/"),
        Kind("rest_api", ("rest_api", "stage"), "rest-api:{rest_api}/{stage}", not_in_names=":/"),
        Kind("http_api", ("http_api", "stage"), "http-api:{http_api}/{stage}", not_in_names=":/"),
        Kind("service", ("cluster", "service"), "service:{cluster}/{service}", {"code_deploy": {}}, ":/"),
        Kind("archive", ("bus", "archive"), "archive:{bus}/{archive}", not_in_names=":"),
        Kind("secret", ("secret",), "secret:{secret}", not_in_names=":"),
        Kind("database", ("database",), "database:{database}", not_in_names=":/"),
        Kind("database_cluster", ("database_cluster",), "database-cluster:{database_cluster}", not_in_names=":/"),
        Kind(
            "sessions",
            ("database_cluster", "database_name", "secret"),
            "sessions:{database_cluster}/{database_name}",
            not_in_names=":",
        ),
        Kind("log_group", ("log_group",), "log-group:{log_group}", not_in_names=":"),
        Kind("workflow", ("repository", "workflow", "token"), "workflow:{repository}/{workflow}", not_in_names=":"),
        Kind("backup", ("bucket", "prefix"), "backup:{bucket}/{prefix}", not_in_names=":"),
        Kind("system", ("system",), "system:{system}"),
        Kind("incident", ("incident",), "incident:{incident}", {"action_id": ""}),
        Kind("pause", ("pause",), "pause:{pause}"),
    )
}
"""`code_deploy: {application, deployment_group}`; `replay_to: {function, alias}`; `source`: the queue whose
dead-letter queue this is; `pause`: `*` or a system; `repository`: owner/name; `token`: the secret that
holds GitHub's token; `prefix`: what the dates of the backups follow."""


@dataclass(frozen=True)
class Target:
    """One target. `fields` are strings, or a mapping of strings for the nested ones."""

    kind: str
    fields: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name under which this target is leased, owned and cooled down: the resource, not the action."""
        return KINDS[self.kind].key.format(**self.fields)

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as it stands in a request."""
        return {name: value for name, value in self.fields.items() if value not in ("", {})}


def read_target(document: object, kinds: tuple[str, ...]) -> Target:
    """The target in `document`, which must be of one of `kinds`.

    Raises `Refused(BAD_TARGET)` that names what is missing, unknown or of the wrong type.
    """
    if not isinstance(document, Mapping):
        raise Refused(Refusal.BAD_TARGET, f"target must be an object with {_expected(kinds)}")
    for name in kinds:
        kind = KINDS[name]
        if all(part in document for part in kind.required):
            return Target(name, _fields(kind, document))
    raise Refused(Refusal.BAD_TARGET, f"target has {sorted(map(str, document))}; expected {_expected(kinds)}")


def _fields(kind: Kind, document: Mapping[str, Any]) -> dict[str, Any]:
    known = {*kind.required, *kind.optional}
    if unknown := sorted(str(name) for name in document if name not in known):
        raise Refused(Refusal.BAD_TARGET, f"unknown {unknown} in target; a {kind.name} has {sorted(known)}")
    fields = {**kind.optional, **document}
    for name, value in fields.items():
        if (name, value) == EVERYTHING:
            continue
        nested = isinstance(kind.optional.get(name), Mapping)
        if nested and not (isinstance(value, Mapping) and all(map(_is_name, value.values()))):
            raise Refused(Refusal.BAD_TARGET, f"{name} must be an object of names")
        if not nested and not (_is_name(value) or (name in kind.optional and value == "")):
            raise Refused(Refusal.BAD_TARGET, f"{name} must be the exact name of one resource, got {value!r:.80}")
        if not nested and set(value) & set(kind.not_in_names):
            raise Refused(Refusal.BAD_TARGET, f"{name} must be a plain name, no ARN, URL or version: {value!r:.80}")
    return fields


def _is_name(value: object) -> bool:
    """A name, never a pattern: a wildcard would make one action touch many resources."""
    if not isinstance(value, str) or not value.isprintable() or set(value) & set("*?"):
        return False
    return 0 < len(value.encode()) <= MAX_FIELD_LENGTH


def _expected(kinds: tuple[str, ...]) -> str:
    return " or ".join("{" + ", ".join(KINDS[kind].required) + "}" for kind in kinds)
