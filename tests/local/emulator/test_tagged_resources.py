"""Contract of ``tagged_resources``: one call finds whatever carries a tag."""

from __future__ import annotations

import pytest

from tests.local.emulator.account import Account

pytestmark = pytest.mark.local


def test_tagged_resources_are_found_by_type_and_tag(account: Account) -> None:
    mark = account.name("mark")
    function = account.function(Tags={"mark": mark})
    url, queue = account.queue()
    account.client("sqs").tag_queue(QueueUrl=url, Tags={"mark": mark})
    account.client("ssm").put_parameter(
        Name=f"/{mark}", Value="x", Type="String", Tags=[{"Key": "mark", "Value": mark}]
    )
    account.client("scheduler").create_schedule_group(Name=mark, Tags=[{"Key": "mark", "Value": mark}])

    def found(*types: str) -> set[str]:
        pages = (
            account.client("resourcegroupstaggingapi")
            .get_paginator("get_resources")
            .paginate(
                TagFilters=[{"Key": "mark", "Values": [mark]}],
                **({"ResourceTypeFilters": list(types)} if types else {}),
            )
        )
        return {resource["ResourceARN"] for page in pages for resource in page["ResourceTagMappingList"]}

    group = f"arn:aws:scheduler:us-east-1:111111111111:schedule-group/{mark}"
    parameter = f"arn:aws:ssm:us-east-1:111111111111:parameter/{mark}"
    assert found("lambda:function") == {function.arn}
    assert found("sqs") == {queue}
    assert found() == {function.arn, queue, group, parameter}
