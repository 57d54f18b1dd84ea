"""X-Ray traces of requests that failed."""

from __future__ import annotations

import json
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.dead_letter import preview
from selfheal.evidence.found import Found, Look, only

PERMISSIONS = ("xray:BatchGetTraces", "xray:GetTraceSummaries")
MAX_SUMMARIES = 100
WHOLE = 5
"""Traces that are kept whole: as many as one BatchGetTraces takes."""
LONGEST_S = 6 * 3600.0
"""GetTraceSummaries takes no longer time than this."""
_SUMMARY = ("Id", "StartTime", "Duration", "ResponseTime", "HasFault", "HasError", "HasThrottle", "Http", "ServiceIds")


def failed(look: Look) -> Found:
    """Summaries of the traces with an error, a fault or a throttle that passed by the target; a few of them whole."""
    name = look.target.fields.get("function") or look.target.fields.get("service")
    passed_by = f'service("{name}") AND ' if name and '"' not in name else ""
    _, until = look.times
    since = max(look.since, look.until - LONGEST_S)
    summaries: list[dict[str, Any]] = []
    try:
        pages = (
            client("xray")
            .get_paginator("get_trace_summaries")
            .paginate(
                StartTime=since,
                EndTime=until,
                FilterExpression=f"{passed_by}(error = true OR fault = true OR throttle = true)",
                PaginationConfig={"MaxItems": MAX_SUMMARIES},
            )
        )
        summaries = [only(one, *_SUMMARY) for page in pages for one in page["TraceSummaries"]]
        ids = [one["Id"] for one in summaries[:WHOLE]]
        whole = client("xray").batch_get_traces(TraceIds=ids)["Traces"] if ids else []
    except AwsError as error:
        translate(error, "traces")
    for trace in whole:
        for segment in trace.get("Segments", ()):
            segment["Document"] = preview(segment.get("Document", ""), 20_000)
    content = json.loads(json.dumps({"summaries": summaries, "traces": whole}, default=str))
    return Found(f"{len(summaries)} traces with errors, {len(whole)} of them whole", content)
