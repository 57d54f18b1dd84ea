"""Contract of ``lambda_workers``: functions run as AWS's managed runtime runs them."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.local.emulator.account import Account, Function

pytestmark = pytest.mark.local

CODE = """
import os, signal, time

def handler(event, context):
    print("said", event["do"])
    if event["do"] == "raise":
        raise KeyError("nothing there")
    if event["do"] == "exit":
        os._exit(3)
    if event["do"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if event["do"] == "import":
        import boto3
    if event["do"] == "sleep":
        time.sleep(event["seconds"])
    return {"pid": os.getpid(), "environment": dict(os.environ), "left": context.get_remaining_time_in_millis()}
"""


def invoke(account: Account, function: Function, **event: Any) -> tuple[str | None, Any]:
    answer = account.client("lambda").invoke(FunctionName=function.name, Payload=json.dumps(event))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_environment_holds_the_variables_of_aws_and_none_of_the_host(account: Account) -> None:
    function = account.function(CODE, MemorySize=256)

    failed, result = invoke(account, function, do="tell")

    environment = result["environment"]
    assert failed is None
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == function.name
    assert environment["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{function.name}"
    assert environment["_HANDLER"] == "app.handler"
    assert environment["AWS_ENDPOINT_URL"] == account.emulator.endpoint
    assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert not {"HOME", "GATEWAY_PORT", "AUTH", "USER", "VIRTUAL_ENV"} & set(environment)


def test_packages_come_from_layers_alone(account: Account) -> None:
    failed, result = invoke(account, account.function(CODE), do="import")

    assert (failed, result["errorType"]) == ("Unhandled", "ModuleNotFoundError")


def test_handler_error_keeps_the_environment_and_its_type(account: Account) -> None:
    function = account.function(CODE)

    _, before = invoke(account, function, do="tell")
    failed, error = invoke(account, function, do="raise")
    _, after = invoke(account, function, do="tell")

    assert (failed, error["errorType"], error["errorMessage"]) == ("Unhandled", "KeyError", "'nothing there'")
    assert error["stackTrace"]
    assert before["pid"] == after["pid"]


@pytest.mark.parametrize(("do", "reason"), [("exit", "exit status 3"), ("kill", "signal: killed")])
def test_crash_is_the_error_of_its_invocation(account: Account, do: str, reason: str) -> None:
    function = account.function(CODE)

    failed, error = invoke(account, function, do=do)
    again, _ = invoke(account, function, do="tell")

    assert (failed, error["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert error["errorMessage"].endswith(f"Runtime exited with error: {reason}")
    assert again is None


def test_timeout_kills(account: Account) -> None:
    function = account.function(CODE, Timeout=1)
    _, before = invoke(account, function, do="tell")

    began = time.monotonic()
    failed, error = invoke(account, function, do="sleep", seconds=30)

    assert time.monotonic() - began < 5
    assert (failed, error["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert "Task timed out after 1.00 seconds" in error["errorMessage"]
    with pytest.raises(ProcessLookupError):
        os.kill(before["pid"], 0)


def test_concurrent_invocations_have_environments_of_their_own(account: Account) -> None:
    function = account.function(CODE)

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(invoke, account, function, do="sleep", seconds=0.5) for _ in range(3)]
        processes = {call.result()[1]["pid"] for call in calls}

    assert len(processes) == 3


def test_failing_import_is_reported_by_its_name(account: Account) -> None:
    failed, error = invoke(account, account.function("import nowhere_to_be_found"), do="tell")

    assert (failed, error["errorType"]) == ("Unhandled", "Runtime.ImportModuleError")


def test_output_goes_to_the_function_s_log_group(account: Account) -> None:
    function = account.function(CODE)
    invoke(account, function, do="raise")

    def messages() -> str:
        events = account.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function.name}")["events"]
        return "\n".join(event["message"] for event in events)

    text = account.wait(messages, "the log")
    assert "said raise" in text
    assert "KeyError" in text
    assert "REPORT RequestId" in text
