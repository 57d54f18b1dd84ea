import json
import os

from shared import greeting


def handler(event, context):
    """Fails on demand, else answers with what it knows; the log tells what came."""
    print("CAME " + json.dumps(event))
    if "fail" in json.dumps(event):
        raise RuntimeError("told to")
    return {"greeting": greeting(os.environ["WORD"]), "arn": context.invoked_function_arn, "event": event}
