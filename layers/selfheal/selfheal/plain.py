"""Foreign text made harmless: names of alarms and reasons of errors may hold anything, and people read them.

What is not printable goes (line breaks, control characters, and the marks that turn the direction of text around), and
what is too long is cut off.
"""

from __future__ import annotations

MAX_SUBJECT = 99
"""SNS takes fewer than 100 characters for a mail's subject: ASCII, without line breaks and control characters."""
_ANGLES = {"<": "\u2039", ">": "\u203a"}
_CHAT = str.maketrans({**_ANGLES, "`": "'", "*": "\u2217", "|": "\u00a6"})
_PAYLOAD = str.maketrans({**_ANGLES, '"': "'", "\\": "/"})
_ZERO_WIDTH = "\u200b"
"""What looks like the characters that Slack, Teams and JSON read as something else."""


def one_line(text: str, longest: int) -> str:
    """One line of at most `longest` characters."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def subject(text: str) -> str:
    """What SNS accepts as a mail's subject."""
    ascii_only = text.encode("ascii", "replace").decode()
    return " ".join(one_line(ascii_only, len(ascii_only)).split())[:MAX_SUBJECT]


def chat(text: str, longest: int) -> str:
    """For Slack and Teams: nobody is mentioned, nothing is linked or set in bold, whatever a name says.

    Slack's mentions and links stand in `<…>`, those of Teams are `[text](address)`; `@here` gets something invisible.
    """
    harmless = one_line(text, longest).replace("->", "\u2192").translate(_CHAT).replace("](", "] (")
    return harmless.replace("@", f"@{_ZERO_WIDTH}")


def payload(text: str, longest: int) -> str:
    """For an input transformer of EventBridge: valid inside of a JSON string, whether it is escaped there or not.

    EventBridge escapes a value that stands by itself, and none that stands in quotes among other text. It mentions
    nobody in a ticket either.
    """
    harmless = one_line(text, longest).replace("->", "\u2192").translate(_PAYLOAD).replace("](", "] (")
    return harmless.replace("@", f"@{_ZERO_WIDTH}")
