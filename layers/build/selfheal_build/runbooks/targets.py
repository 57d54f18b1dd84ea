"""The models of targets, one for each kind in `selfheal.target.KINDS` that a runbook may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field, create_model
from selfheal.target import KINDS, Kind

from .parts import Part, choice
from .problems import nearest
from .values import Label, Resource, shown, wrong

NOT_A_RESOURCE = {"system", "incident", "pause"}
"""Kinds that only a person or selfheal itself names."""

NESTED: Mapping[str, tuple[str, ...]] = {
    "code_deploy": ("application", "deployment_group"),
    "replay_to": ("function", "alias"),
}
"""The fields of the nested mappings, all of them required."""

_HELP = {
    "parameter": "name of an SSM parameter that holds exactly true or false",
    "schedule": "name of an EventBridge Scheduler schedule",
    "group": "schedule group; `default` if it is left out",
    "schedule_group": "name of a schedule group: every schedule in it",
    "bus": "name of an event bus; `default` for the default one",
    "rule": "name of a rule on that bus",
    "rule_prefix": "how the names of the rules begin: every rule of the bus with it",
    "function": "function name, without version or ARN",
    "alias": "alias name, such as live",
    "queue": "queue name, not its URL",
    "source": "the queue whose dead-letter queue this is",
    "code_deploy": "the CodeDeploy deployment group that shifts this alias",
    "replay_to": "the function that these messages were meant for",
    "event_source": "UUID of an event source mapping",
    "rest_api": "id of an API Gateway REST API",
    "http_api": "id of an API Gateway HTTP API",
    "stage": "stage of the API, such as prod",
    "cluster": "name of an ECS cluster",
    "service": "name of an ECS service",
    "archive": "name of an archive of that bus",
    "secret": "name of a Secrets Manager secret, not its ARN",
    "database": "identifier of an RDS instance",
    "database_cluster": "identifier of an Aurora cluster",
    "database_name": "name of the database in the cluster",
    "log_group": "name of a CloudWatch log group",
    "repository": "GitHub repository, owner/name",
    "workflow": "file name of the workflow, such as rollback.yml",
    "token": "name of the secret that holds GitHub's token",
    "bucket": "name of an S3 bucket",
    "prefix": "where the backups are; the date follows it",
    "system": "name of the runbook's own system",
}


class TargetPart(Part):
    """A target of one kind; `written()` is what stands in a request."""


def _nested(name: str) -> Any:
    if name not in NESTED:
        return dict[str, Resource]
    fields: dict[str, Any] = {key: (Resource, Field(description=_HELP.get(key, key))) for key in NESTED[name]}
    return create_model(title(name), __base__=Part, **fields)


def title(name: str) -> str:
    """The name of a model: `halt_trading` → `HaltTrading`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _model(kind: Kind) -> type[TargetPart]:
    fields: dict[str, Any] = {key: (Resource, Field(description=_HELP.get(key, key))) for key in kind.required}
    for key, default in kind.optional.items():
        type_ = _nested(key) if isinstance(default, Mapping) else Resource
        # The default is never compiled: `written()` leaves it out, and `selfheal.target` knows the rest.
        fields[key] = (type_, Field(default=None, description=_HELP.get(key, key)))
    return create_model(f"{title(kind.name)}Target", __base__=TargetPart, **fields)


USABLE: Mapping[str, Kind] = {name: kind for name, kind in KINDS.items() if name not in NOT_A_RESOURCE}
IN_STEPS: Mapping[str, Kind] = {**USABLE, "system": KINDS["system"]}
"""A step may look at the runbook's own system; nobody needs a short name for that."""


def kind_of(value: Mapping[str, Any], kinds: Mapping[str, Kind] = IN_STEPS) -> str | None:
    """The kind that a raw mapping is meant to be: the one with the most of its required fields in it; of those the one
    that knows the most of the others; of those the one for which every unknown field may be a missing one misspelt."""

    def score(kind: Kind) -> tuple[int, int, int, bool]:
        missing = sum(part not in value for part in kind.required)
        unknown = sum(key not in kind.required and key not in kind.optional for key in value)
        return len(kind.required) - missing, -unknown, -abs(missing - unknown), not missing

    best = max(kinds, key=lambda name: score(kinds[name]))
    return best if score(kinds[best])[0] else None


def _picker(kinds: Mapping[str, Kind]) -> Callable[[Any], str]:
    expected = ", ".join("{" + ", ".join(f"{part}: …" for part in kind.required) + "}" for kind in kinds.values())
    identifying = {part for kind in kinds.values() for part in kind.required}

    def pick(value: Any) -> str:
        if not isinstance(value, dict):
            raise wrong(f"{shown(value)} is no target; write one of {expected}")
        found = kind_of(value, kinds)
        if found is None:
            near = [hint for key in value if (hint := nearest(key, identifying)).startswith("did")]
            raise wrong(f"no kind of target has {sorted(value)}; {near[0] if near else 'write one of ' + expected}")
        return found

    return pick


_MODELS = {name: _model(kind) for name, kind in IN_STEPS.items()}

TargetSpec: Any = choice({name: _MODELS[name] for name in USABLE}, _picker(USABLE))
"""A target that is written out."""


def _pick_reference(value: Any) -> str:
    if isinstance(value, str | dict):
        return "name" if isinstance(value, str) else "inline"
    raise wrong(f"{shown(value)} is no target; write the name of one of `targets`, or the target itself")


TargetReference: Any = choice({"name": Label, "inline": TargetSpec}, _pick_reference)
"""The name of one of `targets`, or a target that is written out."""

StepReference: Any = choice({"name": Label, "inline": choice(_MODELS, _picker(IN_STEPS))}, _pick_reference)
"""The same, or the system itself: `{system: …}`."""
