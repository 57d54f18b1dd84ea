"""Scorecard: how often each response would have acted, how often that was needed, and whether it has earned `auto`.

Reads the ledger and changes nothing. The event may name a `system`, and how many suggestions are enough (`at_least`,
10). The answer has `responses` for programs and `table` for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import runbook, scores
from selfheal.observability import logger
from selfheal.world import ledger

PERMISSIONS = ("dynamodb:Query",)


@logger.inject_lambda_context
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer the scores, or what is wrong with the event. Raises LedgerUnavailable."""
    asked = event if isinstance(event, Mapping) else {}
    system, at_least = asked.get("system"), asked.get("at_least", scores.EARNED_AFTER)
    if isinstance(at_least, bool) or not isinstance(at_least, int) or at_least < 1:
        return {"error": "at_least must be a whole number from 1"}
    books = runbook.load().runbooks
    if system is not None and system not in [book.system for book in books]:
        return {"error": f"there is no system {system!r:.80}; there are {sorted(book.system for book in books)}"}
    responses = [one for book in books if system in (None, book.system) for one in book.responses]
    found = scores.read(ledger(), responses)
    return {
        "at_least": at_least,
        "responses": [one.as_dict(at_least) for one in found],
        "table": scores.text_table(found, at_least),
    }
