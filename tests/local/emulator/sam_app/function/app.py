import json
import os
from typing import Any

from shared import greeting  # type: ignore[import-not-found]  # comes with the layer


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Fails on demand, else answers with what it knows; the log tells what came."""
    print("CAME " + json.dumps(event))  # noqa: T201
    if "fail" in json.dumps(event):
        raise RuntimeError("told to")
    return {"greeting": greeting(os.environ["WORD"]), "arn": context.invoked_function_arn, "event": event}
