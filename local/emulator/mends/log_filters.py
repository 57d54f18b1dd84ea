"""FilterLogEvents looks for what its pattern says.

Stock ministack 1.5.33 takes every JSON pattern for "all events", breaks quoted phrases at their blanks, takes a ``?``
for a wildcard and does not look at case.

AWS (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForLogEvents.html): terms are case
sensitive and must all be there; ``-term`` must not; of several ``?term`` one is enough, and they count only alone; what
has blanks stands in quotes. A JSON pattern in braces compares fields (``$.status >= 400``, ``$.status = "4*"``), with
``&&``, ``||`` and parentheses; a line that is no JSON object does not fit it.

What is neither (regular expressions, arrays, ``IS NULL``, patterns by blanks) nobody here needs: the call fails.
"""

from __future__ import annotations

import fnmatch
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import cloudwatch_logs

from local.emulator.mends import hook

Matches = Callable[[str], bool]
Fits = Callable[[Mapping[str, Any]], bool]

_TERM = re.compile(r'\s*(?P<sign>[-+?]?)(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')
_TOKEN = re.compile(r'\s*(&&|\|\||[()]|!=|[<>]=?|=|"[^"]*"|[^\s()&|!<>="]+)')
_NUMBERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_FIELD = re.compile(r"\$(\.[\w-]+)+")


def compiled(pattern: str) -> Matches:
    """What tells whether a line fits the pattern. Raises ValueError for syntax that is not known here."""
    pattern = pattern.strip()
    if pattern.startswith("{"):
        return _json(pattern)
    return _terms(pattern)


def _terms(pattern: str) -> Matches:
    found: dict[str, list[str]] = {"": [], "-": [], "?": []}
    at = 0
    while at < len(pattern):
        term = _TERM.match(pattern, at)
        if term is None or (term["word"] or "").startswith(("%", "[")):
            raise ValueError(f"filter pattern {pattern!r}: not known here from {pattern[at:]!r} on")
        found["" if term["sign"] == "+" else term["sign"]].append(term["word"] or term["phrase"] or "")
        at = term.end()
    all_of, none_of, one_of = found[""], found["-"], found["?"]
    if all_of or none_of:
        one_of = []

    def matches(line: str) -> bool:
        wanted = all(term in line for term in all_of) and not any(term in line for term in none_of)
        return wanted and (not one_of or any(term in line for term in one_of))

    return matches


def _json(pattern: str) -> Matches:
    tokens = _TOKEN.findall(pattern.strip("{} "))
    if "".join(tokens) != re.sub(r'\s+(?=(?:[^"]*"[^"]*")*[^"]*$)', "", pattern.strip("{} ")):
        raise ValueError(f"filter pattern {pattern!r} is not known here")
    fits = _any(tokens)
    if tokens:
        raise ValueError(f"filter pattern {pattern!r}: {tokens[0]!r} is not expected")

    def matches(line: str) -> bool:
        try:
            document = json.loads(line)
        except ValueError:
            return False
        return isinstance(document, dict) and fits(document)

    return matches


def _any(tokens: list[str]) -> Fits:
    parts = [_all(tokens)]
    while tokens[:1] == ["||"]:
        tokens.pop(0)
        parts.append(_all(tokens))
    return lambda document: any(part(document) for part in parts)


def _all(tokens: list[str]) -> Fits:
    parts = [_one(tokens)]
    while tokens[:1] == ["&&"]:
        tokens.pop(0)
        parts.append(_one(tokens))
    return lambda document: all(part(document) for part in parts)


def _one(tokens: list[str]) -> Fits:
    if tokens[:1] == ["("]:
        tokens.pop(0)
        inner = _any(tokens)
        if tokens[:1] != [")"]:
            raise ValueError("filter pattern: a parenthesis is not closed")
        tokens.pop(0)
        return inner
    if len(tokens) < 3 or not _FIELD.fullmatch(tokens[0]):
        raise ValueError(f"filter pattern: {' '.join(tokens)} is not known here")
    name, sign, text = tokens.pop(0), tokens.pop(0), tokens.pop(0)
    return lambda document: _holds(_field(document, name), sign, text)


def _field(document: Mapping[str, Any], name: str) -> Any:
    value: Any = document
    for part in name.split(".")[1:]:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _holds(value: Any, sign: str, text: str) -> bool:
    """A number is compared with a number, a text with a text, which may have wildcards."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if sign in _NUMBERS:
        return is_number and bool(_NUMBERS[sign](value, float(text)))
    if value is None:
        return False
    if is_number:
        equal = not text.startswith('"') and "*" not in text and float(text) == value
    else:
        equal = fnmatch.fnmatchcase(str(value), text.strip('"').replace("[", "[[]"))
    return equal is (sign == "=")


def apply() -> None:
    hook(cloudwatch_logs, "_compile_filter_pattern", compiled)
