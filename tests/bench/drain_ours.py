"""One drain through the function's own handler, engine, guards and ledger: `python -m tests.bench.drain_ours EVENT
SECONDS`. A run gets so many seconds and is resumed until it is over, as the clock does it; prints the last result."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from functions.drain_dlq.app import lambda_handler

ARN = "arn:aws:lambda:us-east-1:123456789012:function:selfheal-DrainDlq"


class Context:
    """What the runtime tells."""

    function_name = "selfheal-DrainDlq"
    function_version = "1"
    memory_limit_in_mb = 1769
    invoked_function_arn = ARN
    aws_request_id = "bench"

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return round((self._end - time.monotonic()) * 1000)


def main(event: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The last result, with the number of runs."""
    runs, result = 0, {"outcome": "in_progress"}
    while result["outcome"] == "in_progress":
        mode = "act" if not runs else "resume"
        result = lambda_handler({**event, "mode": mode}, Context(seconds))  # type: ignore[arg-type]  # as far as it asks
        runs += 1
    return {**result, "runs": runs}


if __name__ == "__main__":
    answer = main(json.loads(sys.argv[1]), float(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(answer))
