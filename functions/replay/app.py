"""Replay: what would selfheal have done about the alarms of the last days? It answers a table and changes nothing.

Its role reads CloudWatch's alarms and their history, and is denied everything else. So it looks at no resource: for
that (`observe`), run `make replay`, which has the code of the actions at hand and reads with your own credentials.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import runbook, settings
from selfheal.arns import Home
from selfheal.clients import instead
from selfheal.errors import Refused, Unreadable
from selfheal.observability import logger
from selfheal.replay import asked, table
from selfheal.replay.readonly import reader

PERMISSIONS = ("cloudwatch:DescribeAlarmHistory", "cloudwatch:DescribeAlarms")
MAX_ROWS = 5_000
"""An answer of Lambda holds 6 MB."""
LEFT_FOR_THE_ANSWER_MS = 15_000
"""An alarm that is red for weeks keeps an incident open, which the clock looks at every five minutes."""


@logger.inject_lambda_context
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer assumptions, decisions and incidents, and all of it as a table; or by which reason it was refused."""
    home, max_mode = Home.of(context.invoked_function_arn), settings.max_mode()
    try:
        question = asked.read_asked(event, may_observe=False)
        with instead(reader):
            story = asked.carry_out(
                question, runbook.load(), home, max_mode, datetime.now(UTC), out_of_time=lambda: _is_late(context)
            )
    except Refused as error:
        return {"outcome": "refused", "reason": error.refusal.value, "detail": error.detail}
    except Unreadable as error:
        return {"outcome": "failed", "reason": "unreadable", "detail": str(error)}
    left_out = max(0, len(story.rows) - MAX_ROWS)
    story.rows = story.rows[:MAX_ROWS]
    assumed = asked.assumptions(question, max_mode)
    logger.info("replayed", alarms=story.alarms, incidents=len(story.incidents), rows=len(story.rows))
    return {
        "outcome": "replayed",
        "assumptions": assumed,
        "decisions": [asdict(row) for row in story.rows],
        "decisions_left_out": left_out,
        "table": [text for _, text in table.lines(story, assumed)],
    }


def _is_late(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() < LEFT_FOR_THE_ANSWER_MS
