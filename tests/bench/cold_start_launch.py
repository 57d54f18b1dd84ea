"""Starts AWS's runtime interface client and notes the CPU (ms) of this process each time it asks for an event.

Runs in the measured process in place of `python -m awslambdaric`, the same for all: the first note is the end of INIT.
"""

import os
import sys
import time

sys.path[0] = os.getcwd()  # as `python -m` has it

from awslambdaric import __main__ as client  # noqa: E402
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient  # noqa: E402

ask = LambdaRuntimeClient.wait_next_invocation
notes = os.open(os.environ.pop("BENCH_NOTES"), os.O_WRONLY | os.O_APPEND)


def noted(self: LambdaRuntimeClient) -> object:
    os.write(notes, b"%.3f %.3f\n" % (time.process_time() * 1000, time.monotonic() * 1000))
    return ask(self)


LambdaRuntimeClient.wait_next_invocation = noted
client.main(sys.argv)
