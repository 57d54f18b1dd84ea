"""`make pause` and `make resume`: pause selfheal on the local stack, and end a pause before its time.

The request is that of events/people/pause.json and resume.json, with what the variables say.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from local import invoke, stack


class Missing(Exception):
    """A variable is missing or wrong; the message says which, and what would be right."""


def main() -> int:
    action = sys.argv[1]
    try:
        event = event_of(action, os.environ)
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    home = stack.home_of(stack.chosen_port())
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{action}.json"
    file.write_text(json.dumps(event))
    code, answered = invoke.answer_of("Approve", file, quiet=True)
    return code or told(json.loads(answered))


def told(answer: Mapping[str, Any]) -> int:
    """Say what became of it; 0 if it is as it was asked for."""
    if answer.get("outcome") in {"acted", "already_done"}:
        print(answer.get("detail") or answer["outcome"])
        return 0
    why = answer.get("detail") or answer.get("reason") or json.dumps(answer)
    print(f"error: {answer.get('outcome', 'not done')}: {why}", file=sys.stderr)
    return 1


def event_of(action: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The request for `pause` or `resume`. Raises :class:`Missing`."""
    who = given.get("WHO") or given.get("USER", "")
    if not who:
        raise Missing(f"who are you? make {action} WHO=you")
    event = {
        "action": action,
        "target": {"pause": given.get("SYSTEM") or "*"},
        "mode": "act",
        "requested_by": who,
        "reason": given.get("REASON", ""),
    }
    if action == "resume":
        return event
    if not event["reason"]:
        raise Missing("why? others will ask: make pause REASON='network maintenance' [WHAT=all SYSTEM=name MINUTES=60]")
    what, minutes = given.get("WHAT") or "risky", given.get("MINUTES") or "60"
    if what not in {"risky", "all"}:
        raise Missing(f"WHAT is {what!r}; `risky` lets halts and disables through, `all` does not")
    if not minutes.isdecimal():
        raise Missing(f"MINUTES is {minutes!r}; a whole number is right")
    return {**event, "options": {"what": what, "minutes": int(minutes)}}


if __name__ == "__main__":
    sys.exit(main())
