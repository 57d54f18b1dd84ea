"""The words that people get: of each event of the bus one message, or none. Mail gets text, chat gets a card.

The first five lines say what went red, what was done and why, what was not done and why, what it looks like now, and
what to do next. All that is told of one incident, and of those that follow it closely, has the same thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal import outcome
from selfheal.links import Console
from selfheal.message import incidents, others
from selfheal.message.text import MAX_BODY, MAX_COMMAND, MAX_LINE, Message
from selfheal.plain import MAX_SUBJECT
from selfheal.summary import HEADLINES

__all__ = ["MAX_BODY", "MAX_COMMAND", "MAX_LINE", "MAX_SUBJECT", "Message", "of"]


def of(event: Mapping[str, Any], console: Console | None = None) -> Message | None:
    """The message for an event of the bus; None if people need not hear of it, or it is none of selfheal's.

    `console` is where links lead that no alarm tells of; without it there are none of these.
    """
    detail = event.get("detail")
    if not isinstance(detail, Mapping):
        return None
    kind = event.get("detail-type")
    if kind == outcome.ACTION_OUTCOME:
        return others.by_hand(detail, console)
    if kind == outcome.NOTICE:
        return others.of_notice(detail)
    if kind != outcome.INCIDENT_UPDATE:
        return None
    if "state" in detail:
        return incidents.of(detail, console) if detail.get("what") in HEADLINES else None
    return others.of_refusal(detail) if detail.get("what") == "escalated" else None
