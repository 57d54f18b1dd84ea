"""HTML as a browser would take it apart: what elements and attributes are there, and what text a person reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from selfheal.control_room.markup import ATTRIBUTES, TAGS

VOID = {"input"}
LISTED = {one.lower() for one in ATTRIBUTES}


@dataclass
class Element:
    """One element. `text` is all text in it, that of its children included."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    children: list[Element] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.path = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {*TAGS, "style"}, f"<{tag}> must not be here"
        for name, _ in attrs:
            assert name in LISTED, f"{name} must not be an attribute"
            assert not name.startswith("on"), name
        assert len({name for name, _ in attrs}) == len(attrs), attrs
        element = Element(tag, dict(attrs))
        self.path[-1].children.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"<{tag}/>: nothing closes itself")

    def handle_endtag(self, tag: str) -> None:
        assert self.path[-1].tag == tag, f"</{tag}> within <{self.path[-1].tag}>"
        self.path.pop()

    def handle_data(self, data: str) -> None:
        for element in self.path:
            element.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")


def read(html: str) -> Element:
    """The page. Fails if anything is in it that is not listed, or left open."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.path) == 1, f"<{reader.path[-1].tag}> is left open"
    return reader.root


def every(element: Element, tag: str = "", class_: str = "") -> list[Element]:
    """Every element below with this tag and this class, in their order."""
    found = []
    for child in element.children:
        classes = (child.attributes.get("class") or "").split()
        if (not tag or child.tag == tag) and (not class_ or class_ in classes):
            found.append(child)
        found += every(child, tag, class_)
    return found


def shape(element: Element) -> list[str]:
    """The elements and the names of their attributes, without texts and values."""
    return [f"{one.tag} {sorted(one.attributes)}" for one in every(element)]
