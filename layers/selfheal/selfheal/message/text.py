"""What a message is, and how its lines stay lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from selfheal.frozen import dataclass
from selfheal.plain import one_line
from selfheal.plain import subject as plain_subject

MAX_LINE = 400
MAX_COMMAND = 1_500
"""A command or a link: cut off it would lead elsewhere, so that a longer one is left out where it is made."""
MAX_BODY = 20_000
"""A message that nobody reads tells nothing."""

Links = tuple[tuple[str, str], ...]
"""What each is, and its address."""


@dataclass(frozen=True)
class Message:
    """One message. `what` and `severity` let subscribers filter, `thread` keeps what belongs together.

    `body` is the mail. For the card: `told` are the first lines, what is next left out; `next` is what a person does,
    with the commands for it; `about` is what the message is about, by name.
    """

    subject: str
    body: str
    what: str
    severity: str
    thread: str = ""
    told: tuple[str, ...] = ()
    next: str = ""
    commands: tuple[tuple[str, str], ...] = ()
    links: Links = ()
    about: tuple[tuple[str, str], ...] = ()


def body_of(lines: Iterable[str], longest: int = MAX_LINE) -> str:
    """Each line stays one line, whatever is in the names of alarms."""
    return "\n".join(one_line(line, longest) for line in lines)[:MAX_BODY]


def subject_of(text: str) -> str:
    """What SNS accepts."""
    return plain_subject(text) or "selfheal"


def link_lines(links: Links) -> Iterator[str]:
    """As they stand in a mail."""
    yield from (f"{one_line(name, MAX_LINE)}: {address}" for name, address in links)


def stack() -> str:
    """The name of the stack, for commands."""
    return os.environ.get("POWERTOOLS_SERVICE_NAME") or "selfheal"
