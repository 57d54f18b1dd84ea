"""Report: what happened in an incident, as Markdown and as a page of its own, for the ticket and the post-mortem.

It is written by itself when an incident is closed, and by hand at any time: `{"incident": "…"}`; without an incident
it lists those that are open, and what was closed today and yesterday (UTC). It reads the ledger and changes no
resource; the reports go to the archive, `reports/<system>/<incident>.md` and `.html`. When an incident is closed, its
times become metrics.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from selfheal import closed, incident_store, outcome, story
from selfheal import ledger as table
from selfheal.errors import LedgerUnavailable, SelfhealError
from selfheal.incident import Incident
from selfheal.links import Console
from selfheal.observability import logger, measure
from selfheal.report import facts, markdown, store
from selfheal.world import ledger

PERMISSIONS = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "s3:PutObject")
KNOWN = ("incident",)
MOST_CLOSED = 50
"""Of each day."""


@logger.inject_lambda_context
def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer the report and where it lies, the open incidents, or what is wrong with the event.

    Raises LedgerUnavailable; for an incident that was closed also what S3 answers: Lambda tries again.
    """
    if _is_closing(event):
        return _of_closed(event["detail"], context)
    asked: Mapping[str, Any] = event if isinstance(event, Mapping) else {}
    if not isinstance(event, Mapping) or (unknown := sorted(set(asked) - set(KNOWN))):
        return {"error": f"the event is an object with {list(KNOWN)}; got {unknown if asked else event!r:.80}"}
    if not asked.get("incident"):
        return {"open": [_line(one) for one in incident_store.all_open(ledger())], "closed": _closed_lately()}
    name = asked["incident"]
    incident = incident_store.find(ledger(), name) if isinstance(name, str) and name.isascii() else None
    if incident is None:
        return {
            "error": f"there is no incident {name!r:.120}; its id is in every message, and {{}} lists the open ones"
        }
    found = _gather(incident, context)
    answer = {**_line(incident), "verdict": markdown.verdict(incident), "markdown": markdown.write(found)}
    answer["commands"] = [{"what": what, "line": line} for what, line in found.commands]
    answer["moments"] = [asdict(moment) for moment in found.moments]
    try:
        return {**answer, "kept": store.keep(found)}
    except SelfhealError as error:
        return {**answer, "not_kept": str(error)}


def _is_closing(event: Any) -> bool:
    match event:
        case {"source": outcome.SOURCE, "detail-type": outcome.INCIDENT_UPDATE, "detail": {"what": "closed"}}:
            return True
    return False


def _of_closed(detail: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    incident = incident_store.find(ledger(), str(detail.get("incident", "")))
    if incident is None:
        raise LedgerUnavailable(f"incident {detail.get('incident')!r:.120} was told as closed and is not in the ledger")
    kept = store.keep(_gather(incident, context))
    _measure(incident)
    logger.info("reported", incident=incident.id, kept=kept)
    return {"incident": incident.id, "kept": kept}


def _gather(incident: Incident, context: LambdaContext) -> facts.Facts:
    stack = os.environ.get("POWERTOOLS_SERVICE_NAME") or "selfheal"
    console = Console.of(str(context.invoked_function_arn))
    return facts.gather(ledger(), incident, time.time(), console, stack)


def _measure(incident: Incident) -> None:
    """Alarm to contained, to green, to closed; a rollout has no alarm."""
    if incident.rollout:
        return
    times = story.times(incident)
    told = {"TimeToContained": times.contained_s, "TimeToGreen": times.green_s, "TimeToClosed": times.closed_s}
    numbers = {name: (MetricUnit.Seconds, round(value, 1)) for name, value in told.items() if value is not None}
    measure({"System": incident.system}, numbers)


def _closed_lately() -> list[dict[str, Any]]:
    """The last one first. `waits`: a step of it waits for a person."""
    now = time.time()
    days = (datetime.fromtimestamp(now - back * table.DAY_S, UTC).strftime("%Y-%m-%d") for back in (0, 1))
    lately = [one for day in days for one in [*islice(closed.on(ledger(), day), MOST_CLOSED)][::-1]]
    return [
        {
            "incident": one["id"],
            **{name: one[name] for name in ("system", "response", "severity", "verdict", "waits")},
            "red_at": markdown.utc(one["red_at"]),
            "red_at_s": one["red_at"],
        }
        for one in lately
    ]


def _line(incident: Incident) -> dict[str, Any]:
    return {
        "incident": incident.id,
        "system": incident.system,
        "response": incident.response,
        "severity": incident.severity,
        "phase": incident.phase.value,
        "red_at": markdown.utc(incident.red_at_ms / 1000),
        "red_at_s": incident.red_at_ms / 1000,
    }
