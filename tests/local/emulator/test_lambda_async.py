"""Contract of ``lambda_async``: what becomes of an event that nobody waits for."""

from __future__ import annotations

import json

import pytest

from tests.local.emulator.account import Account, Function
from tests.local.emulator.test_lambda_invocation import total

pytestmark = pytest.mark.local


def sending(queue: str) -> list[dict[str, str]]:
    return [{"Action": "sqs:SendMessage", "Resource": queue}]


def configured(account: Account, function: Function, qualifier: str, **settings: object) -> None:
    account.client("lambda").put_function_event_invoke_config(
        FunctionName=function.name, Qualifier=qualifier, **settings
    )


def test_alias_s_configuration_decides_on_retries_and_destination(account: Account) -> None:
    url, queue = account.queue()
    function = account.function(environment={"FAIL": "no luck"}, statements=sending(queue))
    alias = account.alias(function)
    configured(
        account, function, "live", MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queue}}
    )

    account.client("lambda").invoke(FunctionName=alias, InvocationType="Event", Payload=b'{"a": 1}')

    record = json.loads(account.message(url)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["functionArn"] == alias
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestPayload"] == {"a": 1}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "no luck"
    assert [call["id"] for call in function.calls()] == [record["requestContext"]["requestId"]] * 2


def test_failure_queue_gets_the_event_as_it_was(account: Account) -> None:
    url, queue = account.queue()
    function = account.function(
        environment={"FAIL": "no luck"}, statements=sending(queue), DeadLetterConfig={"TargetArn": queue}
    )
    configured(account, function, "$LATEST", MaximumRetryAttempts=0)

    account.client("lambda").invoke(
        FunctionName=f"{function.name}:$LATEST", InvocationType="Event", Payload=b'{"a": 1}'
    )

    message = account.message(url)
    assert json.loads(message["Body"]) == {"a": 1}
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert told == {"RequestID": function.calls()[0]["id"], "ErrorCode": "200", "ErrorMessage": "no luck"}
    assert message["MessageAttributes"]["ErrorCode"]["DataType"] == "Number"


def test_crash_is_retried(account: Account) -> None:
    code = "import os\ndef handler(event, context):\n    open(os.environ['OUT'], 'a').write('{}\\n')\n    os._exit(1)\n"
    function = account.function(code)
    configured(account, function, "$LATEST", MaximumRetryAttempts=1)

    account.client("lambda").invoke(FunctionName=f"{function.name}:$LATEST", InvocationType="Event", Payload=b"{}")

    account.wait(lambda: len(function.calls()) == 2, "the second attempt")
    account.wait(lambda: total(account, "Errors", FunctionName=function.name) == 2, "both errors counted")


def test_stopped_function_sends_its_events_to_the_destination_at_once(account: Account) -> None:
    url, queue = account.queue()
    function = account.function(statements=sending(queue))
    alias = account.alias(function)
    configured(account, function, "live", DestinationConfig={"OnFailure": {"Destination": queue}})
    account.client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)

    account.client("lambda").invoke(FunctionName=alias, InvocationType="Event", Payload=b'{"a": 1}')

    record = json.loads(account.message(url)["Body"])
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert "responsePayload" not in record
    assert function.calls() == []


def test_destination_needs_the_role_s_permission(account: Account) -> None:
    url, queue = account.queue()
    function = account.function(environment={"FAIL": "no luck"})
    configured(
        account, function, "$LATEST", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": queue}}
    )

    account.client("lambda").invoke(FunctionName=f"{function.name}:$LATEST", InvocationType="Event", Payload=b"{}")

    account.wait(lambda: total(account, "DestinationDeliveryFailures", FunctionName=function.name) == 1, "the failure")
    assert "Messages" not in account.client("sqs").receive_message(QueueUrl=url)


def test_topic_needs_a_permission_for_the_alias_and_its_delivery_is_retried(account: Account) -> None:
    topic = account.client("sns").create_topic(Name=account.name("topic"))["TopicArn"]
    function = account.function(environment={"FAIL": "no luck"})
    alias = account.alias(function)
    configured(account, function, "live", MaximumRetryAttempts=1)
    account.permit(function, "sns.amazonaws.com", topic)  # for the function, not for its alias
    account.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=alias)
    account.client("sns").publish(TopicArn=topic, Message="unheard")

    account.permit(function, "sns.amazonaws.com", topic, "live")
    account.client("sns").publish(TopicArn=topic, Message="heard")

    account.wait(lambda: len(function.calls()) == 2, "two attempts")
    assert {event["Records"][0]["Sns"]["Message"] for event in function.events()} == {"heard"}
    assert {call["arn"] for call in function.calls()} == {alias}


def test_chain_of_invocations_ends(account: Account) -> None:
    """AWS stops a chain after about sixteen invocations; the header is what its SDKs hand on."""
    topic = account.client("sns").create_topic(Name=account.name("topic"))["TopicArn"]
    function = account.function()
    account.permit(function, "sns.amazonaws.com", topic)
    account.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function.arn)
    sns = account.client("sns")

    def publish(depth: int) -> None:
        def add(params: dict[str, dict[str, str]], **_: object) -> None:
            params["headers"]["X-Amzn-Trace-Id"] = f"Root=1-0-0;Lineage=1:{depth}"

        sns.meta.events.register("before-call.sns.Publish", add, unique_id="depth")
        try:
            sns.publish(TopicArn=topic, Message=str(depth))
        finally:
            sns.meta.events.unregister("before-call.sns.Publish", unique_id="depth")

    publish(16)
    publish(15)

    account.wait(function.calls, "the sixteenth invocation")
    assert [event["Records"][0]["Sns"]["Message"] for event in function.events()] == ["15"]
