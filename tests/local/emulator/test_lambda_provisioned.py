"""Contract of ``lambda_provisioned``, and what stopping a function relies on besides."""

from __future__ import annotations

import pytest

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def test_what_is_provisioned_is_listed_with_its_qualifier(account: Account) -> None:
    function = account.function()
    account.alias(function)
    which = {"FunctionName": function.name}
    asking = account.credentials({"Action": "lambda:ListProvisionedConcurrencyConfigs", "Resource": function.arn})
    client = account.client("lambda", asking)
    assert client.list_provisioned_concurrency_configs(**which)["ProvisionedConcurrencyConfigs"] == []

    account.client("lambda").put_provisioned_concurrency_config(
        **which, Qualifier="live", ProvisionedConcurrentExecutions=2
    )

    (one,) = client.list_provisioned_concurrency_configs(**which)["ProvisionedConcurrencyConfigs"]
    assert one["FunctionArn"] == f"{function.arn}:live"
    assert one["RequestedProvisionedConcurrentExecutions"] == 2


def test_a_limit_that_is_deleted_is_none_at_all(account: Account) -> None:
    function, client = account.function(), account.client("lambda")
    which = {"FunctionName": function.name}
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(**which)

    client.put_function_concurrency(**which, ReservedConcurrentExecutions=0)
    assert client.get_function_concurrency(**which)["ReservedConcurrentExecutions"] == 0
    client.delete_function_concurrency(**which)
    client.delete_function_concurrency(**which)

    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(**which)


def test_a_mapping_is_switched_off_and_on_and_its_own_function_lists_it(account: Account) -> None:
    receive = {"Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], "Resource": "*"}
    function, client = account.function(statements=[receive]), account.client("lambda")
    _, queue = account.queue()
    uuid = client.create_event_source_mapping(FunctionName=function.name, EventSourceArn=queue)["UUID"]

    def becomes(state: str) -> None:
        account.wait(lambda: client.get_event_source_mapping(UUID=uuid)["State"] == state, state)

    for enabled, state in ((False, "Disabled"), (True, "Enabled")):
        client.update_event_source_mapping(UUID=uuid, Enabled=enabled)
        becomes(state)

    (one,) = client.list_event_source_mappings(FunctionName=function.name)["EventSourceMappings"]
    assert (one["UUID"], one["EventSourceArn"]) == (uuid, queue)
