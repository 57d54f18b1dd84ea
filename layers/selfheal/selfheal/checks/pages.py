"""Lists that AWS gives by the page: their number grows with pages of a list, not with what is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.checks.patience import patiently
from selfheal.errors import Unreadable


def most_pages(asked: int) -> int:
    """So many pages may a list have before asking one by one is better."""
    return max(2, asked // 10)


def common_start(names: Sequence[str]) -> str:
    """What all names start with; empty if nothing."""
    first, last = min(names), max(names)
    same = next((place for place, letter in enumerate(first) if last[place : place + 1] != letter), len(first))
    return first[:same]


def read(
    call: Callable[..., Mapping[str, Any]],
    what: str,
    tokens: tuple[str, str] = ("NextToken", "NextToken"),
    most: int | None = None,
    **asked: Any,
) -> Iterator[Mapping[str, Any]]:
    """Each page of a list; `tokens`: what a page calls the next one, and what the call does.

    A page that is throttled is asked for again, and only that one. Raises TargetForbidden, Unreadable, NotApplied, and
    Unreadable as well for a list of more than `most` pages.
    """
    more: dict[str, Any] = {}
    number = 0
    while True:
        if number == most:
            raise Unreadable(what, f"the list has more than {most} pages")
        page = patiently(partial(_page, call, what, {**asked, **more}))
        yield page
        number += 1
        if not page.get(tokens[0]):
            return
        more = {tokens[1]: page[tokens[0]]}


def _page(call: Callable[..., Mapping[str, Any]], what: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return call(**asked)
    except AwsError as error:
        translate(error, what)
