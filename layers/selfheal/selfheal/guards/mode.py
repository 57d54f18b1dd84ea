"""How far the response may go by itself; the stack's MaxMode bounds what is risky."""

from __future__ import annotations

from selfheal.action import Decline
from selfheal.guards.context import GuardContext
from selfheal.refusal import Refusal
from selfheal.words import Direction, ResponseMode

_ORDER = (ResponseMode.OFF, ResponseMode.SUGGEST, ResponseMode.AUTO)


def check(context: GuardContext) -> Decline | None:
    """Safe actions act unless their response says otherwise; risky ones also need MaxMode `auto`."""
    asked = context.request.response_mode
    mode = asked
    if context.direction is Direction.RISKY:
        mode = min(asked, context.max_mode, key=_ORDER.index)
    if mode is ResponseMode.OFF:
        return Decline(Refusal.RESPONSE_OFF)
    if mode is ResponseMode.SUGGEST:
        why = "the response's mode" if asked is mode else "the stack's MaxMode"
        return Decline(Refusal.SUGGEST_ONLY, f"{why} is suggest; a person decides")
    return None
