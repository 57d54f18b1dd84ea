"""A sample of dead letters: taken without losing one, and described.

Evidence goes into records and messages that many people read. So bodies and errors are cut to 256 characters, and what
looks like a secret is masked; the whole of it stays at 32 KB at most. What was left out is counted.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.dead_letter import DeadLetter, Stay, Writer, preview, read_letter
from selfheal.queue import BATCH, Queue

MAX_EVIDENCE_BYTES = 32_768
MAX_GROUPS = 20
"""Origins, error codes and duplicates that are listed; the rest is counted."""
POISON_COPIES = 3
"""So many letters with the same payload speak for an event that fails each time."""

TRANSIENT = (
    "throttl",
    "toomanyrequests",
    "rate exceeded",
    "timed out",
    "timeout",
    "zeroreservedconcurrency",
    "eventageexceeded",
    "429",
    "serviceunavailable",
    "internalfailure",
    "503",
)
"""Found in an error, these speak for a cause that passes by itself."""


def sample(queue: Queue, size: int, hidden_s: int) -> tuple[list[DeadLetter], list[str]]:
    """Up to `size` different letters, visible again afterwards; and the ids that stay hidden for up to `hidden_s`."""
    letters: dict[str, DeadLetter] = {}
    end = time.monotonic() + hidden_s / 2
    try:
        while len(letters) < size and time.monotonic() < end:
            messages = queue.receive(visibility_s=hidden_s, most=min(BATCH, size - len(letters)))
            fresh = [message for message in messages if message["MessageId"] not in letters]
            letters.update({letter.message_id: letter for letter in map(read_letter, messages)})
            if not fresh:
                break
    finally:
        still_hidden = queue.release({message_id: letter.receipt for message_id, letter in letters.items()})
    return list(letters.values()), still_hidden


def describe(
    counts: Mapping[str, int],
    letters: Sequence[DeadLetter],
    still_hidden: Sequence[str],
    target: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """The evidence: what the sample tells about the queue."""
    copies = Counter(letter.fingerprint for letter in letters)
    advice = {letter.message_id: suggestion(letter, copies[letter.fingerprint], target) for letter in letters}
    evidence: dict[str, Any] = {
        "counts": dict(counts),
        "sampled": len(letters),
        "writers": dict(Counter(letter.writer.value for letter in letters)),
        "origins": _most(Counter(_origin(letter) for letter in letters)),
        "errors": _most(Counter(_error(letter) for letter in letters)),
        "age_s": _ages(letters, now),
        "duplicates": _duplicates(letters, copies),
        "suggestion": _overall([do for do, _ in advice.values()]),
        "still_hidden": list(still_hidden[:MAX_GROUPS]),
        "messages": [_shown(letter, *advice[letter.message_id], now) for letter in letters],
    }
    return _bounded(evidence)


def suggestion(letter: DeadLetter, copies: int, target: Mapping[str, Any]) -> tuple[str, str]:
    """What to do with one letter: replay, redrive, archive or leave; and why."""
    fixed = {
        Writer.SQS_REDRIVE: ("redrive", "it came from an SQS queue; move it back once the consumer is mended"),
        Writer.SCHEDULER: ("archive", Stay.TIME_HAS_PASSED.sentence),
        Writer.SNS_SUBSCRIPTION: ("leave", Stay.WOULD_BROADCAST.sentence),
        Writer.UNKNOWN: ("leave", Stay.UNKNOWN_WRITER.sentence),
    }.get(letter.writer)
    if fixed:
        return fixed
    if not target["replay_to"]:
        return "leave", "the target does not say where it would go; name replay_to"
    if letter.payload is None:
        return "archive", Stay.NO_PAYLOAD.sentence
    if any(word in f"{letter.error_code} {letter.error_message}".lower() for word in TRANSIENT):
        return "replay", "the error is of a kind that passes by itself"
    if copies >= POISON_COPIES:
        return "leave", f"{copies} letters of the sample are the same; mend the cause first"
    return "replay", "with a canary, once the cause is mended"


def _overall(advice: Sequence[str]) -> dict[str, Any]:
    by_kind = Counter(advice)
    do = next(iter(by_kind)) if len(by_kind) == 1 else "leave"
    return {"do": do, "by_kind": dict(by_kind), "mixed": len(by_kind) > 1}


def _origin(letter: DeadLetter) -> str:
    return (letter.origin or letter.sent_to or "not in the message")[:256]


def _error(letter: DeadLetter) -> str:
    return preview(f"{letter.error_code}: {letter.error_message}".strip(": ") or "none in the message")


def _ages(letters: Sequence[DeadLetter], now: float) -> dict[str, int] | None:
    ages = sorted(round(now - letter.sent_at) for letter in letters if letter.sent_at)
    return {"newest": ages[0], "median": ages[len(ages) // 2], "oldest": ages[-1]} if ages else None


def _duplicates(letters: Sequence[DeadLetter], copies: Mapping[str, int]) -> list[dict[str, Any]]:
    """Payloads that are there more than once, the most frequent first."""
    first = {letter.fingerprint: letter for letter in reversed(letters)}
    several = sorted((mark for mark in first if copies[mark] > 1), key=lambda mark: -copies[mark])
    return [{"copies": copies[mark], "body": preview(first[mark].body)} for mark in several[:MAX_GROUPS]]


def _most(counter: Counter[str]) -> dict[str, int]:
    listed = dict(counter.most_common(MAX_GROUPS))
    rest = counter.total() - sum(listed.values())
    return {**listed, "others": rest} if rest else listed


def _shown(letter: DeadLetter, do: str, why: str, now: float) -> dict[str, Any]:
    return {
        "message_id": letter.message_id,
        "writer": letter.writer.value,
        "origin": _origin(letter),
        "sent_to": letter.sent_to[:256],
        "error": _error(letter),
        "request_id": letter.request_id[:256],
        "age_s": round(now - letter.sent_at) if letter.sent_at else None,
        "receive_count": letter.receive_count,
        "body": preview(letter.body),
        "do": do,
        "why": why,
    }


def _bounded(evidence: dict[str, Any]) -> dict[str, Any]:
    """At most MAX_EVIDENCE_BYTES: single messages are left out first, then lists; the counts never."""
    left_out = evidence["left_out"] = dict.fromkeys(("messages", "duplicates", "errors", "origins"), 0)
    for name in left_out:
        part = evidence[name]
        while part and len(json.dumps(evidence).encode()) > MAX_EVIDENCE_BYTES:
            part.pop() if isinstance(part, list) else part.popitem()
            left_out[name] += 1
    return evidence
