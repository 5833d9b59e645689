"""A page as a browser reads it: text, elements, attributes."""

from __future__ import annotations

from html.parser import HTMLParser

VOID_ELEMENTS = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Attributes:
    open_elements: what was not closed; text: all text, less styles and scripts, runs of blanks as one.
    elements: (name, attributes) of each in order.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open_elements: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._texts: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts).split())

    def all(self, name: str) -> list[dict[str, str]]:
        """The attributes of each element of this name."""
        return [attributes for element, attributes in self.elements if element == name]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID_ELEMENTS:
            self.open_elements.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open_elements.pop() == tag
        if tag in ("td", "th"):
            self._texts.append(" ")

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open_elements):
            self._texts.append(data)
