"""The one place where HTML is made: elements by name, every text and every attribute escaped.

Names, reasons and messages come from alarms and people, and may contain anything. A page is built of `tag` and of
nothing else; what is no `Markup` already is text. A tag or an attribute that is not listed here is a mistake of ours.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_HTML = "a b button code cwdb-action div details form h1 h2 h3 header input label li main option p pre section"
_FIELDS = "select small span strong summary"
_TABLE = "table tbody td th thead tr ul"
_SVG = "svg g line rect circle path text title"
TAGS = frozenset(f"{_HTML} {_FIELDS} {_TABLE} {_SVG}".split())
_OF_HTML = "action class colspan confirmation display endpoint event href id maxlength name open placeholder role scope"
_OF_FIELDS = "selected size title type value"
_OF_SVG = "cx cy d dy fill fill-opacity height opacity points r rx transform viewBox width x x1 x2 xmlns y y1 y2"
_OF_STROKES = "stroke stroke-dasharray stroke-linecap stroke-width"
_OF_TEXTS = "font-family font-size font-weight text-anchor"
ATTRIBUTES = frozenset(f"{_OF_HTML} {_OF_FIELDS} {_OF_SVG} {_OF_STROKES} {_OF_TEXTS}".split())
_VOID = frozenset({"input"})
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""No character of a page: what HTML forbids, what turns the direction of writing, halves of characters."""


class Markup(str):
    """HTML that `tag` has made. What is done to it as a text gives a text again, which would be escaped."""

    __slots__ = ()


Child = Markup | str | int | float | None | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """One element. `class_` is `class`, `stroke_width` is `stroke-width`; an attribute that is None or False is left
    out, one that is True has no value. Raises ValueError for a tag or an attribute that is not listed."""
    if name not in TAGS:
        raise ValueError(f"<{name}> is not listed")
    opening = f"<{name}{''.join(_attributes(attributes))}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """One after another; texts are escaped."""
    return Markup("".join(map(_child, children)))


def escaped(text: str) -> str:
    """A text as it may stand in an element and in an attribute."""
    return html.escape(_CONTROL.sub("\ufffd", text), quote=True)


def parameters(document: Mapping[str, Any]) -> Markup:
    """JSON as the content of an element: read as HTML or as text, it is the same, because no `<`, `>` and `&` is in
    it; a quote has no meaning there."""
    text = json.dumps(document, sort_keys=True)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def stylesheet(rules: str) -> Markup:
    """Rules that stand in our own source; no text that came in belongs here, because nothing escapes in a style."""
    return Markup(f"<style>{rules}</style>")


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return str(child)
    if isinstance(child, str | int | float):
        return escaped(str(child))
    return str(join(*child))


def _attributes(attributes: Mapping[str, str | int | float | bool | None]) -> Iterable[str]:
    for given, value in attributes.items():
        name = given.rstrip("_").replace("_", "-")
        if name not in ATTRIBUTES:
            raise ValueError(f"{name} is not listed")
        if value is None or value is False:
            continue
        if name == "href" and not str(value).startswith("https://"):
            raise ValueError("only pages of the web are linked to")
        yield f" {name}" if value is True else f' {name}="{escaped(str(value))}"'
