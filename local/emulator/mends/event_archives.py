"""An archive owns a rule on its bus, and can be made older than it is, so that nobody has to wait for its lag.

Stock ministack 1.5.33 has no such rule, and lets anybody switch one that a service manages.

AWS: every archive has the rule ``Events-Archive-NAME`` on its bus, managed by ``prod.vhs.events.aws.internal``; whoever
is not that service gets a ``ManagedRuleException`` for it (https://docs.aws.amazon.com/eventbridge/latest/
APIReference/API_DisableRule.html, …/API_EnableRule.html, …/API_PutRule.html, …/API_DeleteRule.html).

``POST /_ministack/events/archives {"name": …, "made_at": epoch seconds}`` moves the creation time of an archive. AWS
has nothing like it; it is for tests, by :meth:`local.emulator.control.Emulator.archive_made_at`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core.responses import error_response_json
from ministack.services import eventbridge

from local.emulator.mends import hook

CONTROL = "/_ministack/events/archives"
SERVICE = "prod.vhs.events.aws.internal"
PATTERN = '{"replay-name": [{"exists": false}]}'
JSON = {"Content-Type": "application/json"}


def _create_archive(data: dict[str, Any]) -> Any:
    answer = _stock["_create_archive"](data)
    archive = eventbridge._archives.get(data.get("ArchiveName"))
    if answer[0] == 200 and archive is not None:
        bus = archive["EventSourceArn"].rpartition(":event-bus/")[2]
        rule = {"Name": _rule_of(archive), "EventBusName": bus, "EventPattern": PATTERN}
        _stock["_put_rule"](rule)
        if (made := eventbridge._rules.get(eventbridge._rule_key(rule["Name"], bus))) is not None:
            made["ManagedBy"] = SERVICE
    return answer


def _delete_archive(data: dict[str, Any]) -> Any:
    archive = eventbridge._archives.get(data.get("ArchiveName"))
    answer = _stock["_delete_archive"](data)
    if answer[0] == 200 and archive is not None:
        bus = archive["EventSourceArn"].rpartition(":event-bus/")[2]
        _stock["_delete_rule"]({"Name": _rule_of(archive), "EventBusName": bus})
    return answer


def _rule_of(archive: dict[str, Any]) -> str:
    return f"Events-Archive-{archive['ArchiveName']}"


def _unless_managed(name: str, member: str) -> Callable[[dict[str, Any]], Any]:
    """The stock operation, but for a rule that a service manages; ``member`` of the request names the rule."""

    def guarded(data: dict[str, Any]) -> Any:
        key = eventbridge._rule_key(str(data.get(member)), data.get("EventBusName", "default"))
        owner = eventbridge._rules.get(key, {}).get("ManagedBy")
        if owner:
            return error_response_json("ManagedRuleException", f"Rule {data[member]} is managed by {owner}.", 400)
        return _stock[name](data)

    return guarded


async def _control(path: str, method: str, body: bytes) -> Any:
    if (path, method) != (CONTROL, "POST"):
        return await _stock["_handle_admin_config_request"](path, method, body)
    asked = json.loads(body)
    archive = eventbridge._archives.get(asked["name"])
    if archive is None:
        return 404, JSON, b'{"message": "no such archive"}'
    archive["CreationTime"] = float(asked["made_at"])
    return 200, JSON, b"{}"


def apply() -> None:
    _stock["_handle_admin_config_request"] = hook(app, "_handle_admin_config_request", _control)
    _stock["_create_archive"] = hook(eventbridge, "_create_archive", _create_archive)
    _stock["_delete_archive"] = hook(eventbridge, "_delete_archive", _delete_archive)
    operations = {"_put_rule": "Name", "_delete_rule": "Name", "_enable_rule": "Name", "_disable_rule": "Name"}
    for name, member in {**operations, "_put_targets": "Rule", "_remove_targets": "Rule"}.items():
        _stock[name] = hook(eventbridge, name, _unless_managed(name, member))


_stock: dict[str, Any] = {}
"""What stood there before, by its name."""
