"""Targets: exact names of one resource each, one key per resource."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal.arns import Home, arns_of
from selfheal.errors import Refused
from selfheal.refusal import Refusal
from selfheal.target import KINDS, MAX_FIELD_LENGTH, read_target

EVERY = tuple(KINDS)
HOME = Home.of("arn:aws-cn:lambda:cn-north-1:123456789012:function:selfheal")


@pytest.mark.parametrize(
    ("document", "kind", "key"),
    [
        ({"parameter": "/a/b"}, "parameter", "parameter:/a/b"),
        ({"schedule": "s"}, "schedule", "schedule:default/s"),
        ({"schedule": "s", "group": "g"}, "schedule", "schedule:g/s"),
        ({"schedule_group": "g"}, "schedule_group", "schedule:g/*"),
        ({"bus": "b", "rule": "r"}, "rule", "rule:b/r"),
        ({"bus": "b", "rule_prefix": "r-"}, "rules", "rule:b/r-*"),
        ({"function": "f", "alias": "live"}, "alias", "function:f:live"),
        ({"function": "f", "alias": "live", "code_deploy": {"application": "a"}}, "alias", "function:f:live"),
        ({"queue": "q", "replay_to": {"function": "f", "alias": "live"}}, "queue", "queue:q"),
        ({"pause": "shop"}, "pause", "pause:shop"),
    ],
)
def test_a_target_has_a_kind_and_a_key(document: dict[str, Any], kind: str, key: str) -> None:
    target = read_target(document, EVERY)

    assert (target.kind, target.key) == (kind, key)
    assert read_target(target.as_dict(), EVERY) == target


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "parameter",
        {},
        {"alias": "live"},
        {"parameter": ""},
        {"parameter": 5},
        {"parameter": {"a": "b"}},
        {"parameter": "/a?"},
        {"parameter": "a\x00"},
        {"parameter": "x" * (MAX_FIELD_LENGTH + 1)},
        {"parameter": "ä" * MAX_FIELD_LENGTH},
        {"function": "f", "alias": "live", "code_deploy": "app"},
        {"function": "f", "alias": "live", "code_deploy": {"application": "*"}},
        {"function": "f", "alias": "live", "region": "us-east-1"},
        {"function": "arn:aws:lambda:eu-central-1:123456789012:function:f", "alias": "live"},
        {"function": "f:live", "alias": "live"},
        {"queue": "https://sqs.eu-central-1.amazonaws.com/123456789012/q"},
        {"queue": "q", "source": "arn:aws:sqs:eu-central-1:123456789012:q"},
        {"schedule": "g/s"},
        {"rule": "r"},
        {"bus": "b"},
        {"bus": "b", "rule_prefix": ""},
        {"bus": "b", "rule": "r*"},
        {"bus": "arn:aws:events:eu-central-1:123456789012:event-bus/b", "rule": "r"},
        {"queue": "q", "source": None},
        {"queue": "q", 5: "five"},
    ],
)
def test_what_names_no_single_resource_is_refused(document: Any) -> None:
    with pytest.raises(Refused) as error:
        read_target(document, EVERY)

    assert error.value.refusal is Refusal.BAD_TARGET


def test_a_kind_that_the_action_does_not_take_is_refused() -> None:
    with pytest.raises(Refused, match=r"expected \{queue\}"):
        read_target({"parameter": "/a"}, ("queue",))


@given(document=st.dictionaries(st.sampled_from(["function", "alias", "queue", "source"]), st.text() | st.integers()))
def test_any_document_is_a_target_or_refused(document: dict[str, Any]) -> None:
    try:
        target = read_target(document, EVERY)
    except Refused:
        return
    assert len(target.key.encode()) <= 1024
    assert "*" not in target.key.replace("/*", "")


@pytest.mark.parametrize(
    ("document", "arns"),
    [
        ({"function": "f", "alias": "live"}, ("arn:aws-cn:lambda:cn-north-1:123456789012:function:f",)),
        ({"queue": "q"}, ("arn:aws-cn:sqs:cn-north-1:123456789012:q",)),
        ({"parameter": "/a/b"}, ("arn:aws-cn:ssm:cn-north-1:123456789012:parameter/a/b",)),
        ({"parameter": "a"}, ("arn:aws-cn:ssm:cn-north-1:123456789012:parameter/a",)),
        ({"schedule": "s"}, ("arn:aws-cn:scheduler:cn-north-1:123456789012:schedule-group/default",)),
        ({"schedule_group": "g"}, ("arn:aws-cn:scheduler:cn-north-1:123456789012:schedule-group/g",)),
        (
            {"bus": "b", "rule": "r"},
            (
                "arn:aws-cn:events:cn-north-1:123456789012:rule/b/r",
                "arn:aws-cn:events:cn-north-1:123456789012:event-bus/b",
            ),
        ),
        (
            {"bus": "default", "rule": "r"},
            (
                "arn:aws-cn:events:cn-north-1:123456789012:rule/r",
                "arn:aws-cn:events:cn-north-1:123456789012:event-bus/default",
            ),
        ),
        ({"bus": "b", "rule_prefix": "r"}, ("arn:aws-cn:events:cn-north-1:123456789012:event-bus/b",)),
        ({"system": "shop"}, ()),
    ],
)
def test_the_arns_that_may_carry_the_tag(document: dict[str, Any], arns: tuple[str, ...]) -> None:
    assert arns_of(read_target(document, EVERY), HOME) == arns
