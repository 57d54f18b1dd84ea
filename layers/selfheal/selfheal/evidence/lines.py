"""The last lines of log groups, masked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.dead_letter import preview
from selfheal.evidence.found import Found, Look

PERMISSIONS = ("logs:FilterLogEvents",)
MAX_BYTES = 1_000_000
MAX_LINE = 4_096


def lines_of(group: str, look: Look) -> Found:
    """The newest lines of the look's time, at most MAX_BYTES of them; secrets are masked (see `dead_letter.preview`).

    A page may be empty while there are more: the end is where no token comes (FilterLogEvents, API reference).
    """
    lines: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    used, more = 0, True
    try:
        while more and used < MAX_BYTES and not (lines and look.is_over):
            page = client("logs").filter_log_events(
                logGroupName=group,
                startTime=round(look.since * 1000),
                endTime=round(look.until * 1000),
                startFromHead=False,
                **token,
            )
            for event in sorted(page.get("events", ()), key=lambda one: -int(one.get("timestamp", 0))):
                if used < MAX_BYTES:
                    lines.append(_line(event))
                    used += len(lines[-1]["text"].encode())
            more = bool(page.get("nextToken"))
            token = {"nextToken": page["nextToken"]} if more else {}
    except AwsError as error:
        translate(error, f"lines of log group {group}")
    whole = not more and used < MAX_BYTES
    content = {"group": group, "whole": whole, "lines": lines[::-1]}
    return Found(f"{len(lines)} lines of {group}" + ("" if whole else "; older ones are left out"), content)


def _line(event: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromtimestamp(event.get("timestamp", 0) / 1000, UTC).isoformat(timespec="milliseconds")
    return {"at": at, "stream": event.get("logStreamName", ""), "text": preview(event.get("message", ""), MAX_LINE)}
