"""Control room: a custom widget of a CloudWatch dashboard, which shows what stands in the ledger.

It answers HTML with inline SVG, and with `{"describe": true}` what it is, in Markdown. It reads the ledger and changes
nothing: its buttons let CloudWatch invoke Approve and Undo with the rights of the person who presses them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import runbook, widget
from selfheal.control_room import durations, page, room
from selfheal.control_room.parts import View
from selfheal.errors import LedgerUnavailable
from selfheal.observability import logger
from selfheal.world import ledger

PERMISSIONS = room.PERMISSIONS

DESCRIPTION = """## selfheal: the control room

Open incidents with their timelines and what each waits for, what was decided in the last 24 hours, what is halted or
disabled, pauses, sweeps and the scorecard, read from the ledger.

Its buttons invoke the functions Approve and Undo with *your* rights: without `lambda:InvokeFunction` on them you can
look and not decide. Your name is recorded as you give it.

### Widget parameters
Param | Description
---|---
**buttons** | `false` leaves the buttons out, for a screen on the wall
"""
_WIDTH = 1_200


@logger.inject_lambda_context
def lambda_handler(event: Any, context: LambdaContext) -> str:
    """The widget as HTML, also when the ledger does not answer; or its description as Markdown."""
    asked = event if isinstance(event, Mapping) else {}
    if asked.get("describe"):
        return DESCRIPTION
    around = asked.get("widgetContext")
    around = around if isinstance(around, Mapping) else {}
    view, dark = _view(asked, around), around.get("theme") == "dark"
    responses = [one for book in runbook.load().runbooks for one in book.responses]
    try:
        found = room.read(ledger(), responses, view.now)
    except LedgerUnavailable as error:
        logger.error("control room not read", cause=str(error))
        return page.not_known(view, str(error), dark=dark)
    filled_in = widget.fields(asked) if widget.is_pressed(asked) else {}
    return page.page(found, view, dark=dark, filled_in=filled_in)


def _view(asked: Mapping[str, Any], around: Mapping[str, Any]) -> View:
    """For whom it is made. What CloudWatch does not say, or says in another form one day, has a default."""
    zone = around.get("timezone")
    width = around.get("width")
    decides = asked.get("buttons") is not False
    return View(
        now=time.time(),
        zone=durations.zone_of(zone.get("offsetISO")) if isinstance(zone, Mapping) else durations.zone_of(None),
        width=min(max(width, 320), 4_000) if isinstance(width, int) and not isinstance(width, bool) else _WIDTH,
        approve=os.environ.get("APPROVE_FUNCTION", "") if decides else "",
        undo=os.environ.get("UNDO_FUNCTION", "") if decides else "",
    )
