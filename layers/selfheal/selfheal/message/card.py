"""One message for all who subscribe to the topic: text for mail, a card for chat.

Amazon Q Developer in chat applications subscribes by HTTPS, so that in SNS's message structure the key `https` is what
Slack and Teams get, by the schema of its custom notifications
(https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html); what follows no schema it knows, it drops.
All others, mail and queues, get `default`.
"""

from __future__ import annotations

import json
from typing import Any

from selfheal.message.text import MAX_LINE, Message
from selfheal.plain import chat

MAX_TITLE = 150
MAX_DESCRIPTION = 2_500
MAX_NEXT_STEP = 250
MAX_NEXT_STEPS = 3
MAX_CONTEXT = 200
"""AWS names no limits; a block of text in Slack holds 3,000 characters."""
_SIGNS = {
    "opened": "\U0001f534",
    "contained": "\U0001f7e0",
    "remediated": "\U0001f535",
    "green": "\U0001f7e2",
    "escalated": "\U0001f6a8",
    "needs_person": "\u270b",
    "closed": "\u26aa",
    "by_hand": "\U0001f464",
}
_OTHER_SIGN = "\u2139\ufe0f"


def structure(message: Message) -> str:
    """What `Publish` takes as the message, with `MessageStructure: json`."""
    return json.dumps({"default": message.body, "https": json.dumps(of(message))}, ensure_ascii=False)


def of(message: Message) -> dict[str, Any]:
    """The card."""
    content: dict[str, Any] = {
        "textType": "client-markdown",
        "title": chat(f"{_SIGNS.get(message.what, _OTHER_SIGN)} {message.subject}", MAX_TITLE),
        "description": _description(message),
        "keywords": [chat(word, 50) for word in (message.severity, message.what)],
    }
    steps = [message.next] if message.next else []
    if steps:
        content["nextSteps"] = [chat(step, MAX_NEXT_STEP) for step in steps[:MAX_NEXT_STEPS]]
    metadata: dict[str, Any] = {
        "summary": chat(message.subject, MAX_TITLE),
        "eventType": f"selfheal {message.what}",
        "additionalContext": {
            "severity": message.severity,
            **{name: chat(value, MAX_CONTEXT) for name, value in message.about},
        },
    }
    if message.thread:
        metadata["threadId"] = chat(message.thread, MAX_CONTEXT)
    return {"version": "1.0", "source": "custom", "content": content, "metadata": metadata}


def _description(message: Message) -> str:
    """Lines, then links, then commands, as far as they fit; none of these is cut off."""
    parts = [chat(line, MAX_LINE) for line in message.told]
    parts += [f"{chat(name, 80)}: {address}" for name, address in message.links]
    parts += [f"{chat(name, 80)}:\n```\n{line}\n```" for name, line in message.commands if _is_harmless(line)]
    text = ""
    for part in parts:
        if len(text) + len(part) < MAX_DESCRIPTION:
            text += f"\n{part}" if text else part
    return text or "-"


def _is_harmless(command: str) -> bool:
    """Chat reads `<…>` and backticks even in code; what has some of these stands in the mail alone."""
    return not set(command) & set("<>`")
