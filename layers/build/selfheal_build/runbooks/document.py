"""One YAML file as plain JSON values, with the line and column of each of them.

Only the plain part of YAML 1.2 is read. Anchors, aliases, merge keys, tags and directives are refused: they make a
file mean more than it shows (an alias bomb, a `%YAML 1.1` that turns `off` into false).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from .problems import Path, Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32

_TAG = "tag:yaml.org,2002:"
_START = (1, 1)


@dataclass
class Document:
    """The values of one file (`data`: JSON types only) and where they stand."""

    file: str
    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    _values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _keys: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: Path, at_key: bool = False) -> tuple[int, int]:
        """Line and column of the value (or key) at `path`, or of the nearest thing around it."""
        if at_key and path in self._keys:
            return self._keys[path]
        while path and path not in self._values:
            path = path[:-1]
        return self._values.get(path, _START)

    def problem(self, path: Path, message: str, at_key: bool = False) -> Problem:
        """A problem at `path`."""
        return Problem(self.file, *self.place(path, at_key), message)


def read(file: File, name: str) -> Document:
    """The document in `file`, called `name` in messages. What is wrong with it as YAML stands in `problems`;
    `data` is None when nothing useful could be read.
    """
    document = Document(name)
    text = _text(file, document)
    if text is None:
        return document
    reader = YAML(typ="safe", pure=True)
    try:
        document.problems += _not_plain(reader, text, name)
        if document.problems:
            return document
        node = reader.compose(text)
    except MarkedYAMLError as error:
        document.problems.append(_unreadable(error, name))
        return document
    except ReaderError as error:
        document.problems.append(
            Problem(name, *_place_of(text, error.position), "a control character; remove it or write it as an escape")
        )
        return document
    if node is None:
        document.problems.append(Problem(name, *_START, "the file is empty; a runbook begins with `system:`"))
        return document
    document.data = _Builder(document, reader).value(node, ())
    return document


def _text(file: File, document: Document) -> str | None:
    raw = file.read_bytes()
    if len(raw) > MAX_BYTES:
        message = f"the file has {len(raw)} bytes; at most {MAX_BYTES} are read, so split it into one file per system"
        document.problems.append(Problem(document.file, *_START, message))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        place = _place_of(before, len(before))
        document.problems.append(Problem(document.file, *place, "not UTF-8; save the file as UTF-8"))
        return None


def _place_of(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _unreadable(error: MarkedYAMLError, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    place: tuple[int, int] = (mark.line + 1, mark.column + 1) if mark else _START
    cause = " ".join(str(part) for part in (error.context, error.problem) if part)
    advice = "indent with spaces, never with tabs" if "\\t" in cause else "check indentation, quotes and brackets here"
    return Problem(name, *place, f"this is not YAML ({cause}); {advice}")


def _not_plain(reader: YAML, text: str, name: str) -> list[Problem]:
    """Looks at the events only, before anything is built: an alias is never followed, depth never becomes recursion."""
    problems = []
    depth = 0
    for event in reader.parse(text):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        message = _forbidden(event, depth)
        if message:
            mark = event.start_mark
            place = (mark.line + 1, mark.column + 1)
            if isinstance(event, DocumentStartEvent):  # the event begins at `---`
                place = next((n, 1) for n, line in enumerate(text.splitlines(), 1) if line.startswith("%"))
            problems.append(Problem(name, *place, message))
            if depth > MAX_DEPTH:
                break
    return problems


def _forbidden(event: Any, depth: int) -> str:
    if isinstance(event, CollectionStartEvent) and depth > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH} levels; a runbook is flat"
    if isinstance(event, AliasEvent):
        return f"alias `*{event.anchor}` is refused; write the value out, or name it under `targets`"
    if isinstance(event, NodeEvent) and event.anchor:
        return f"anchor `&{event.anchor}` is refused; write the value out, or name it under `targets`"
    if getattr(event, "tag", None) and not isinstance(event, DocumentStartEvent):
        return f"tag `{event.tag}` is refused; write the plain value"
    if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
        return "a `%` directive is refused; a runbook is plain YAML 1.2"
    return ""


class _Builder:
    """Makes JSON values of nodes and notes their places."""

    def __init__(self, document: Document, reader: YAML) -> None:
        self.document = document
        self.make = reader.constructor

    def value(self, node: Node, path: Path) -> Any:
        self.document._values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode) or key_node.tag != _TAG + "str":
                shown = key_node.value if isinstance(key_node, ScalarNode) else "a list or mapping"
                self._complain(place, f"key `{shown}` is not text; put it in quotes")
                continue
            key = key_node.value
            if key in result:
                line = self.document._keys[*path, key][0]
                self._complain(place, f"key `{key}` stands here twice (first in line {line}); keep one of them")
                continue
            self.document._keys[*path, key] = place
            result[key] = self.value(value_node, (*path, key))
            if value_node.start_mark.index == value_node.end_mark.index:  # `owner:` and nothing behind it
                self.document._values[*path, key] = place
        return result

    def _scalar(self, node: Node, path: Path) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return self.make.construct_yaml_bool(node)
        if kind in {"int", "float"}:
            return self._number(node, kind, path)
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):  # "\ud800" is half a character
            self._complain(self.document.place(path), "an escape that is no character; write the character itself")
            return "?"
        # Everything else stays as it was written: a date is compared as text and `{payload: 2026-01-26}` is JSON.
        return node.value

    def _number(self, node: Node, kind: str, path: Path) -> Any:
        construct = self.make.construct_yaml_int if kind == "int" else self.make.construct_yaml_float
        try:
            number = construct(node)
        except ValueError:  # Python refuses to read thousands of digits
            number = math.inf
        if not math.isfinite(number) if isinstance(number, float) else abs(number) > 2**63:
            self._complain(self.document.place(path), "a number that JSON cannot carry; put it in quotes")
            return 0
        return number

    def _complain(self, place: tuple[int, int], message: str) -> None:
        self.document.problems.append(Problem(self.document.file, *place, message))
