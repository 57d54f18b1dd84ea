"""Did the response act for several incidents in a row and heal none of them?

Respond counts when an incident is closed (`selfheal.usefulness`), and stops the response by a pause of its own, which
only a person ends.
"""

from __future__ import annotations

from selfheal.action import Decline
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal


def check(context: GuardContext) -> Decline | None:
    """Refuses while the response is stopped."""
    item = context.item("PAUSE", context.response_key)
    if item is None or item["paused_until"] <= context.now:
        return None
    detail = f"{item['doc']['reason']}; to let it act again, resume {context.response_key!r}"
    return Decline(Refusal.DOES_NOT_HELP, detail)
