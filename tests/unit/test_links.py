"""Links into the console: by partition, and whatever a name holds it stays inside of its link."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.links import Console

LAMBDA = "arn:aws:lambda:eu-central-1:123456789012:function:Notify"


def console(partition: str = "aws", region: str = "eu-central-1") -> Console:
    """The console of a function of that partition and region."""
    found = Console.of(f"arn:{partition}:lambda:{region}:123456789012:function:Notify")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(partition: str, region: str, host: str) -> None:
    address = console(partition, region).alarm("errors")
    assert address == f"https://{host}/cloudwatch/home?region={region}#alarmsV2:alarm/errors"


@pytest.mark.parametrize("arn", ["", "x", "arn:aws:s3:::bucket", "arn:aws:iam::123456789012:role/x", "a:b:c:d:e:f"])
def test_what_has_no_region_has_no_console(arn: str) -> None:
    assert Console.of(arn) is None


@pytest.mark.parametrize(
    ("target", "ends"),
    [
        ({"function": "orders", "alias": "live"}, "/lambda/home?region=eu-central-1#/functions/orders/aliases/live"),
        ({"function": "orders"}, "/lambda/home?region=eu-central-1#/functions/orders"),
        (
            {"queue": "dlq"},
            "/sqs/v3/home?region=eu-central-1#/queues/"
            "https%3A%2F%2Fsqs.eu-central-1.amazonaws.com%2F123456789012%2Fdlq",
        ),
        ({"cluster": "c", "service": "s"}, "/ecs/v2/clusters/c/services/s/health?region=eu-central-1"),
        ({"parameter": "/a/b"}, "/systems-manager/parameters/%2Fa%2Fb/description?region=eu-central-1"),
        ({"schedule": "daily", "group": "g"}, "/scheduler/home?region=eu-central-1#schedules/g/daily"),
        ({"schedule": "daily"}, "/scheduler/home?region=eu-central-1#schedules/default/daily"),
        ({"log_group": "/a b"}, "/cloudwatch/home?region=eu-central-1#logsV2:log-groups/log-group/$252Fa$2520b"),
        ({"database": "d"}, "/rds/home?region=eu-central-1#database:id=d;is-cluster=false"),
    ],
)
def test_each_kind_of_target_has_its_page(target: dict[str, Any], ends: str) -> None:
    assert console().target(target) == f"https://eu-central-1.console.aws.amazon.com{ends}"


@pytest.mark.parametrize("target", [{}, {"system": "shop"}, {"function": 3}, {"code_deploy": {}}])
def test_what_has_no_page_has_no_link(target: dict[str, Any]) -> None:
    assert console().target(target) == ""


def test_an_object_in_s3() -> None:
    assert console().stored("s3://archive/evidence/a b.json") == (
        "https://console.aws.amazon.com/s3/object/archive?region=eu-central-1&prefix=evidence/a%20b.json"
    )
    assert console().stored("s3://archive") == console().stored("nowhere") == ""


def test_a_query_is_what_the_console_reads_after_unquoting_twice() -> None:
    address = console().logs_insights("/aws/x", 'fields @message | filter x like "a-1"', 3600)
    query = unquote(unquote(address.split("$3D", 1)[1].replace("$", "%")))
    assert query == (
        "~(end~0~start~-3600~timeType~'RELATIVE~unit~'seconds~editorString~"
        "'fields*20*40message*20*7c*20filter*20x*20like*20*22a-1*22~source~(~'*2faws*2fx))"
    )


@given(st.text(min_size=1))
def test_a_name_never_leaves_its_link(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    for address in (
        console().alarm(name),
        console().dashboard(name),
        console().target({"function": name, "alias": name}),
        console().target({"queue": name}),
        console().logs_insights(name, name, 1),
    ):
        assert address.isascii()
        assert address.isprintable()
        assert not set(address) & set(" \"<>\\^`{|}\n'()")
        assert urlsplit(address).hostname == "eu-central-1.console.aws.amazon.com"
