"""Markup: whatever a text contains, it is that text which a person reads, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selfheal.control_room.markup import Markup, escaped, join, parameters, tag

from tests.unit.html_reader import every, read

HOSTILE = (
    "<script>alert(1)</script>",
    "</div></style><img src=x onerror=alert(1)>",
    "\" onclick=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "</cwdb-action><cwdb-action action=call endpoint=arn:evil>{}</cwdb-action>",
    "<!-- ",
    "]]>",
    "<svg/onload=alert(1)>",
    "&lt;b&gt;&quot;",
    "\u202egnp.exe",
    "\x00\ud800",
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.sampled_from(HOSTILE), st.text(alphabet="<>\"'&=/ -!a;{}\\\n"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_a_text_is_read_as_it_is(text: str) -> None:
    (element,) = every(read(tag("div", text, title=text)), "div")
    readable = escaped(text).replace("\r\n", "\n").replace("\r", "\n")

    assert element.children == []
    assert set(element.attributes) == {"title"}
    assert escaped(element.text).replace("\r\n", "\n").replace("\r", "\n") == readable


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXTS, TEXTS))
def test_parameters_are_read_back_as_they_are(document: dict[str, str]) -> None:
    content = parameters(document)
    (element,) = every(read(tag("cwdb-action", content, action="call")), "cwdb-action")

    assert not set(content) & set("<>&'")
    assert json.loads(element.text) == document


@pytest.mark.parametrize("name", ["script", "iframe", "img", "link", "object", "style/onload=x"])
def test_an_element_that_is_not_listed_is_not_made(name: str) -> None:
    with pytest.raises(ValueError, match="not listed"):
        tag(name)


@pytest.mark.parametrize("name", ["onclick", "style", "src", 'x" onload="'])
def test_an_attribute_that_is_not_listed_is_not_made(name: str) -> None:
    more: dict[str, Any] = {name: "x"}
    with pytest.raises(ValueError, match="not listed"):
        tag("div", **more)


def test_what_is_done_to_markup_as_a_text_is_escaped_again() -> None:
    made = tag("b", "x")

    assert join(made) == "<b>x</b>"
    assert join(made + "<i>") == "&lt;b&gt;x&lt;/b&gt;&lt;i&gt;"
    assert isinstance(join(made), Markup)


def test_attributes_may_be_left_out_or_have_no_value() -> None:
    assert tag("details", None, [1, "a"], open=True, class_=None, title=False) == "<details open>1a</details>"
