"""Replays of archived events as EventBridge tells of them: which run, how far each is, what a window may be.

A replay sends events a second time, in buckets of a minute and in no order within one. COMPLETED means sent, not
processed. Its progress is the time of the last event that was sent (`EventLastReplayedTime`; EventBridge API
reference, DescribeReplay).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.frozen import dataclass

RUNNING = ("STARTING", "RUNNING")
"""States in which a replay still sends and can be cancelled."""
ACTIVE = (*RUNNING, "CANCELLING")
"""States that count against the limit of the account."""
MAX_ACTIVE = 10
"""Replays at once in an account and region (EventBridge quotas)."""
MAX_NAME_LENGTH = 64
LAG_S = 600
"""So long after the last event one should wait: the archive may not have it yet (EventBridge user guide)."""
DAY_S = 86_400


@dataclass(frozen=True)
class Window:
    """From the first event to the last, in epoch seconds."""

    start: float
    end: float

    def __str__(self) -> str:
        return f"{told(self.start)} to {told(self.end)}"


def told(epoch_s: float) -> str:
    """A time for a person, in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_time(text: object) -> float | None:
    """Whole epoch seconds; None for what is no time, or one without a zone: an hour's error replays orders twice."""
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    known = moment.tzinfo is not None and 2000 < moment.year < 2100
    return float(int(moment.timestamp())) if known else None


def name_for(action_id: str) -> str:
    """The same name for the same request: AWS then refuses a second replay, whoever repeats the call."""
    digest = hashlib.sha256(action_id.encode()).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9_.-]", "-", action_id)[: MAX_NAME_LENGTH - len(digest) - 1]
    return f"{readable}-{digest}"


def is_name(text: str) -> bool:
    """What EventBridge takes as the name of a replay."""
    return re.fullmatch(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME_LENGTH}}}", text) is not None


def is_of(replay: Mapping[str, Any], archive: str) -> bool:
    """It sends what is in this archive."""
    return str(replay["EventSourceArn"]).rpartition(":archive/")[2] == archive


def active() -> list[dict[str, Any]]:
    """Every replay of the account that is not over, as `seen` puts it. One call for each state; no paginator there."""
    found = []
    for state in ACTIVE:
        more: dict[str, str] = {}
        while True:
            try:
                page = client("events").list_replays(State=state, **more)
            except AwsError as error:
                translate(error, "replays")
            found += [seen(replay) for replay in page["Replays"]]
            if not page.get("NextToken"):
                break
            more = {"NextToken": page["NextToken"]}
    return found


def described(name: str) -> dict[str, Any]:
    """One replay, as `seen` puts it. Raises TargetNotFound and what `translate` makes of AWS's answer."""
    try:
        return seen(client("events").describe_replay(ReplayName=name))
    except AwsError as error:
        translate(error, f"replay {name}")


def seen(replay: Mapping[str, Any]) -> dict[str, Any]:
    """What matters of an answer of AWS, its times in epoch seconds."""
    times = {name: value.timestamp() for name, value in replay.items() if isinstance(value, datetime)}
    fields = ("ReplayName", "EventSourceArn", "State", "StateReason", "Destination")
    return {name: replay[name] for name in fields if replay.get(name)} | times


def fraction(replay: Mapping[str, Any]) -> float:
    """How much of its window is sent, from 0 to 1; by event time, so a quiet hour counts as much as a busy one."""
    if replay["State"] == "COMPLETED":
        return 1.0
    last, start, end = (replay.get(name) for name in ("EventLastReplayedTime", "EventStartTime", "EventEndTime"))
    if last is None or start is None or end is None or end <= start:
        return 0.0
    return float(min(max((last - start) / (end - start), 0.0), 1.0))


def progress(replay: Mapping[str, Any]) -> dict[str, Any]:
    """For the evidence: state, how far, since when."""
    last, began, over = (replay.get(name) for name in ("EventLastReplayedTime", "ReplayStartTime", "ReplayEndTime"))
    return {
        "replay": replay["ReplayName"],
        "state": replay["State"],
        **({"why": replay["StateReason"]} if replay.get("StateReason") else {}),
        "sent_up_to": told(last) if last is not None else None,
        "percent": round(fraction(replay) * 100),
        "began": told(began) if began is not None else None,
        "ended": told(over) if over is not None else None,
    }


def in_words(replay: Mapping[str, Any]) -> str:
    """One replay's progress in half a sentence."""
    last = replay.get("EventLastReplayedTime")
    sent = f"events up to {told(last)} are sent ({fraction(replay):.0%})" if last is not None else "nothing is sent yet"
    sent = "every event is sent" if replay["State"] == "COMPLETED" else sent
    return f"replay {replay['ReplayName']} is {replay['State']}: {sent}"
