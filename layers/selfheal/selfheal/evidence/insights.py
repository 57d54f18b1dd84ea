"""A Logs Insights query over the target's log groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.dead_letter import preview
from selfheal.errors import Unreadable
from selfheal.evidence.found import Found, Look

PERMISSIONS = ("logs:GetQueryResults", "logs:StartQuery")
POLL_S = 0.5
MAX_ROWS = 1_000
ENDS = ("Cancelled", "Failed", "Timeout", "Unknown")


def answer_of(groups: Sequence[str], look: Look, sleep: Callable[[float], None] = time.sleep) -> Found:
    """The rows of the query, masked. StartQuery takes seconds, not milliseconds, and at most 50 groups.

    A query that is too slow is left alone; it ends by itself in AWS.
    """
    what = f"query over {', '.join(groups)}"
    try:
        query = client("logs").start_query(
            logGroupNames=list(groups),
            startTime=int(look.since),
            endTime=int(look.until),
            queryString=look.options["query"],
            limit=MAX_ROWS,
        )["queryId"]
        while (answer := client("logs").get_query_results(queryId=query))["status"] != "Complete":
            if answer["status"] in ENDS or look.is_over:
                raise Unreadable(what, f"it was {answer['status']} when its time was over")
            sleep(POLL_S)
    except AwsError as error:
        translate(error, what)
    rows = [{cell["field"]: preview(cell.get("value", ""), 4_096) for cell in row} for row in answer["results"]]
    return Found(f"{len(rows)} rows of a query over {len(groups)} log groups", {"groups": list(groups), "rows": rows})
