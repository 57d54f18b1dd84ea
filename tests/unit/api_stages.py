"""What UpdateStage does to a stage, for tests: moto lacks it for HTTP APIs, and for REST APIs needs a package more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

FIELDS = {"rateLimit": ("throttlingRateLimit", float), "burstLimit": ("throttlingBurstLimit", int)}


class RestStages:
    """Stages of REST APIs, whose settings are patched one by one."""

    @staticmethod
    def entry(rate: float = 10_000.0, burst: int = 5_000, **more: Any) -> dict[str, Any]:
        """One of methodSettings, as AWS makes it when the first field of it is set."""
        return {
            "metricsEnabled": False, "loggingLevel": "OFF", "dataTraceEnabled": False, "cachingEnabled": False,
            "throttlingRateLimit": rate, "throttlingBurstLimit": burst, **more,
        }  # fmt: skip

    @classmethod
    def patch(cls, stage: dict[str, Any], operations: Iterable[Mapping[str, str]]) -> None:
        """`replace` makes what is missing; `remove` takes a whole entry away."""
        settings = stage.setdefault("methodSettings", {})
        for one in operations:
            resource, method, *rest = one["path"].removeprefix("/").split("/")
            key = f"{resource}/{method}"
            if one["op"] == "remove":
                assert not rest, f"only a whole entry can be removed: {one}"
                del settings[key]
                continue
            assert (one["op"], rest[0]) == ("replace", "throttling"), one
            name, kind = FIELDS[rest[1]]
            settings.setdefault(key, cls.entry())[name] = kind(one["value"])


def http_update(stage: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """Each part that is sent replaces the part that was there."""
    for part in ("DefaultRouteSettings", "RouteSettings"):
        sent = asked.get(part) or asked.get(part[0].lower() + part[1:])
        if sent is not None:
            stage[part] = _in_capitals(sent) if part == "DefaultRouteSettings" else _each(sent)


def _each(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _in_capitals(entry) for key, entry in sent.items()}


def _in_capitals(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name[0].upper() + name[1:]: value for name, value in entry.items()}
