"""What the tests ask of HTML: that its tags close, and which elements and words it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]


@dataclass
class Parsed:
    """A parsed document. `unbalanced` lists every tag that was closed wrongly or never."""

    elements: list[Element] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    text: str = ""

    @property
    def words(self) -> str:
        """The text with its spaces and line ends collapsed; narrow spaces stay."""
        return re.sub(r"[ \n]+", " ", self.text)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        wanted = {k.rstrip("_"): v for k, v in attributes.items()}
        return [e for e in self.elements if e.tag == tag and all(e.attributes.get(k) == v for k, v in wanted.items())]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parsed, self.open = Parsed(), []

    def handle_starttag(self, tag, attrs):
        self.parsed.elements.append(Element(tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.parsed.elements.append(Element(tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.parsed.unbalanced.append(tag)

    def handle_data(self, data):
        self.parsed.text += data


def parse(html: str) -> Parsed:
    """The document's elements and text."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.parsed.unbalanced += reader.open
    return reader.parsed
