"""Lines of a log group that fit a pattern, for the checks that read logs. Not a kind of its own."""

from __future__ import annotations

import time

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.dead_letter import preview
from selfheal.frozen import dataclass

LATE_S = 300
"""Lines arrive up to some minutes late: a look goes back so much further, and what is not there yet is in the next."""
MAX_PAGES = 50
MAX_LINE = 200


@dataclass(frozen=True)
class Lines:
    """The lines that were found. Not `whole`: there may be more than these."""

    messages: tuple[str, ...]
    whole: bool

    @property
    def count(self) -> str:
        """How many, for a person."""
        return str(len(self.messages)) if self.whole else f"at least {len(self.messages)}"


def read(group: str, pattern: str, minutes: int, most: int) -> Lines:
    """The lines of the last `minutes` that fit a filter pattern, at most `most`, in the order of their times.

    A page may be empty while there are more: the end is where no token comes. Times are in milliseconds
    (FilterLogEvents, API reference). Raises TargetNotFound, TargetForbidden, Unreadable, NotApplied.
    """
    end = time.time()
    asked = {"logGroupName": group, "startTime": int((end - minutes * 60 - LATE_S) * 1000), "endTime": int(end * 1000)}
    found: list[tuple[int, str]] = []
    token: dict[str, str] = {}
    try:
        for _ in range(MAX_PAGES):
            page = client("logs").filter_log_events(**asked, filterPattern=pattern, **token)
            found += [(int(one.get("timestamp", 0)), one.get("message", "")) for one in page.get("events", ())]
            if not page.get("nextToken"):
                return Lines(tuple(text for _, text in sorted(found)), whole=True)
            if len(found) > most:
                break
            token = {"nextToken": page["nextToken"]}
    except AwsError as error:
        translate(error, f"lines of log group {group}")
    return Lines(tuple(text for _, text in sorted(found)), whole=False)


def shown(message: str) -> str:
    """One line, cut, and with what looks like a secret masked."""
    return " ".join(preview(message, MAX_LINE).split())
